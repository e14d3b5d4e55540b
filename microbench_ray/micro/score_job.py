"""`microbench score`: read a micro-benchmark and new models' responses, and score them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.core.table_formats import Format
from microbench_ray.micro.artifact import MicroBenchmark, load
from microbench_ray.micro.responses import ResponseInput, read_responses
from microbench_ray.micro.score import Scored, score


class ScoreJob(NamedTuple):
    """What to score and where to report it. Keys as in conf/score.yaml."""

    micro: Path
    responses: ResponseInput
    format: Format
    out: Path | None
    figure: Path | None = None


class ScoreOutcome(NamedTuple):
    """The result of `run_score`.

    Attributes
    ----------
    micro
        The micro-benchmark.
    scored
        The models, in the order of their ids.
    notes
        Sentences: which responses were left out, and what was read where a log offers a choice.
    failed
        Why a model or path could not be read, by its name.
    """

    micro: MicroBenchmark
    scored: Sequence[Scored]
    notes: Sequence[str]
    failed: Mapping[str, DataError]


def run_score(job: ScoreJob) -> ScoreOutcome:
    """Read the micro-benchmark and the responses, and score the models; errors as for `load`, `read_responses` and `score`."""
    micro = load(job.micro)
    read = read_responses(job.responses, micro)
    scored = score(micro, read.responses, micro.all_item_ids, read.models)
    return ScoreOutcome(micro=micro, scored=scored, notes=read.notes, failed=read.failed)
