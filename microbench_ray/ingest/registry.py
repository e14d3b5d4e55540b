"""The supported log formats, by the value of `source`. `scores` is the former name of `table`."""

from __future__ import annotations

from microbench_ray.core.errors import unknown
from microbench_ray.ingest import plugins
from microbench_ray.ingest.alpaca_eval import AlpacaEvalReader
from microbench_ray.ingest.arena_hard import ArenaHardReader
from microbench_ray.ingest.base import Reader
from microbench_ray.ingest.bfcl import BfclReader
from microbench_ray.ingest.evalplus import EvalPlusReader
from microbench_ray.ingest.evalscope import EvalscopeReader
from microbench_ray.ingest.every_eval_ever import EveryEvalEverReader
from microbench_ray.ingest.helm import HelmReader
from microbench_ray.ingest.inspect_logs import InspectReader
from microbench_ray.ingest.lighteval import LightevalReader
from microbench_ray.ingest.livebench import LiveBenchReader
from microbench_ray.ingest.livecodebench import LiveCodeBenchReader
from microbench_ray.ingest.lm_eval import LmEvalReader
from microbench_ray.ingest.lmms_eval import LmmsEvalReader
from microbench_ray.ingest.open_llm import OpenLlmReader
from microbench_ray.ingest.opencompass import OpenCompassReader
from microbench_ray.ingest.promptfoo import PromptfooReader
from microbench_ray.ingest.release import ReleaseReader
from microbench_ray.ingest.swe_bench import SweBenchReader
from microbench_ray.ingest.tables import TableReader
from microbench_ray.ingest.tau_bench import TauBenchReader
from microbench_ray.ingest.terminal_bench import HarborReader, TerminalBenchReader
from microbench_ray.ingest.vlmevalkit import VlmEvalKitReader

READERS: dict[str, Reader] = {
    "lm_eval": LmEvalReader(),
    "open_llm_leaderboard": OpenLlmReader(),
    "inspect": InspectReader(),
    "helm": HelmReader(),
    "every_eval_ever": EveryEvalEverReader(),
    "lighteval": LightevalReader(),
    "opencompass": OpenCompassReader(),
    "swe_bench": SweBenchReader(),
    "tau_bench": TauBenchReader(),
    "terminal_bench": TerminalBenchReader(),
    "harbor": HarborReader(),
    "evalscope": EvalscopeReader(),
    "lmms_eval": LmmsEvalReader(),
    "evalplus": EvalPlusReader(),
    "livecodebench": LiveCodeBenchReader(),
    "promptfoo": PromptfooReader(),
    "bfcl": BfclReader(),
    "livebench": LiveBenchReader(),
    "alpaca_eval": AlpacaEvalReader(),
    "arena_hard": ArenaHardReader(),
    "vlmevalkit": VlmEvalKitReader(),
    "table": TableReader(),
    "scores": TableReader(),
    "release": ReleaseReader(),
}


def get_reader(source: str) -> Reader:
    """Return the reader of a format: a built-in one, or one that an installed package registers (see `plugins`).

    Raises
    ------
    ConfigError
        The format is unknown, its package cannot be imported, or a package registers the name of a built-in format.
    """
    if source in READERS:
        plugins.refuse_clash(source)
        return READERS[source]
    if source not in plugins.plugins():
        raise unknown("log format", "source", source, (*READERS, *plugins.plugins()))
    return plugins.load(source)
