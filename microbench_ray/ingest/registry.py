"""The formats that are read, by the name that `source` gives."""

from __future__ import annotations

from microbench_ray.core.errors import ConfigError
from microbench_ray.ingest.base import Reader
from microbench_ray.ingest.every_eval_ever import EveryEvalEverReader
from microbench_ray.ingest.helm import HelmReader
from microbench_ray.ingest.inspect_logs import InspectReader
from microbench_ray.ingest.lighteval import LightevalReader
from microbench_ray.ingest.lm_eval import LmEvalReader
from microbench_ray.ingest.open_llm import OpenLlmReader
from microbench_ray.ingest.opencompass import OpenCompassReader
from microbench_ray.ingest.release import ReleaseReader
from microbench_ray.ingest.wide import WideReader

READERS: dict[str, Reader] = {
    "lm_eval": LmEvalReader(),
    "open_llm_leaderboard": OpenLlmReader(),
    "inspect": InspectReader(),
    "helm": HelmReader(),
    "every_eval_ever": EveryEvalEverReader(),
    "lighteval": LightevalReader(),
    "opencompass": OpenCompassReader(),
    "scores": WideReader(),
    "release": ReleaseReader(),
}
"""Sample by sample, they are read alike: see `base.Reader`."""


def reader(source: str) -> Reader:
    """The reader of a format; ConfigError for one that is not known."""
    if source not in READERS:
        raise ConfigError("Unknown format of logs.", where="source", got=source, hint=f"valid: {', '.join(sorted(READERS))}")
    return READERS[source]
