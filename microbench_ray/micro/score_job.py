"""`microbench score`: read a micro-benchmark and new models' responses, and score them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.micro.artifact import MicroBenchmark, load
from microbench_ray.micro.responses import Given, read
from microbench_ray.micro.score import Scored, score


class ScoreJob(NamedTuple):
    """What is scored, and how it is shown. Keys as in conf/score.yaml."""

    micro: Path
    given: Given
    as_json: bool
    out: Path | None


class ScoreOutcome(NamedTuple):
    """What a scoring found.

    Attributes
    ----------
    micro
        The micro-benchmark.
    scored
        The models, in the order of their ids.
    notes
        Sentences on what was left out, and on what was taken where a log leaves a choice.
    failed
        By model or path: why it could not be read.
    """

    micro: MicroBenchmark
    scored: Sequence[Scored]
    notes: Sequence[str]
    failed: Mapping[str, DataError]


def run_score(job: ScoreJob) -> ScoreOutcome:
    """Read the micro-benchmark and the responses, and score them; errors as for `load`, `read` and `score`."""
    micro = load(job.micro)
    found = read(job.given, micro)
    return ScoreOutcome(
        micro=micro, scored=score(micro, found.responses, micro.asked, found.models), notes=found.notes, failed=found.failed
    )
