"""The keys of conf/compare.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.core.storage.urls import is_url, local_path
from microbench_ray.ingest.base import Options
from microbench_ray.metrics.multiplicity import ADJUSTMENTS
from microbench_ray.metrics.run_difference import REFERENCES
from microbench_ray.micro.compare.compare import ACCEPTS, AGAINST, Rules
from microbench_ray.micro.compare.job import CompareJob
from microbench_ray.micro.compare.pairing import REPEATS, TRUTHS
from microbench_ray.micro.compare.report import FORMATS
from microbench_ray.micro.compare.runs import SEVERAL_LOGS, RunsInput

Choice = TypeVar("Choice", bound=str)


@dataclass
class CompareConf:
    """conf/compare.yaml: see `microbench_ray.micro.compare`."""

    runs: list[str] = field(default_factory=list)
    board: str | None = None
    source: str | None = None
    tasks: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    metric: str | None = None
    filter: str | None = None
    several_logs: str = "error"
    max_line_bytes: int = 64 << 20
    cluster: str | None = None
    truth: str = "micro"
    repeats: str = "samples"
    reference: str = "population"
    confidence: float = 0.95
    against: str = "first"
    adjust: str = "holm"
    accept: str | None = None
    margin: float = 0.0
    min_common: float = 0.9
    format: str = "table"
    out: str | None = None

    def job(self, runs: Sequence[str] = ()) -> CompareJob:
        """The checked job; `runs` are those that were named without a key."""
        if runs and self.runs:
            raise ConfigError("Runs are named twice.", where="runs", got=", ".join((*runs, *self.runs)), hint="leave out runs=[…]")
        if self.max_line_bytes < 1:
            raise ConfigError("max_line_bytes must be at least 1.", where="max_line_bytes", got=str(self.max_line_bytes))
        for key, paths in (("runs", runs or self.runs), ("board", [self.board]), ("out", [self.out]), ("cluster", [self.cluster])):
            for path in paths:
                if path is not None and is_url(path):
                    raise ConfigError("The path must be on this machine, not a URL.", where=key, got=path, hint=f"{key}=PATH")
        options = Options(
            tasks=tuple(self.tasks),
            models=tuple(self.models),
            metric=self.metric,
            filter=self.filter,
            max_line_bytes=self.max_line_bytes,
        )
        names = tuple(runs or self.runs)
        return CompareJob(
            runs=RunsInput(
                runs=names if self.board is not None else tuple(str(local_path(name)) for name in names),
                board=None if self.board is None else str(local_path(self.board)),
                source=self.source,
                options=options,
                several_logs=_one_of("several_logs", self.several_logs, SEVERAL_LOGS),
            ),
            rules=Rules(
                truth=_one_of("truth", self.truth, TRUTHS),
                repeats=_one_of("repeats", self.repeats, REPEATS),
                reference=_one_of("reference", self.reference, REFERENCES),
                confidence=self.confidence,
                against=_one_of("against", self.against, AGAINST),
                adjust=_one_of("adjust", self.adjust, ADJUSTMENTS),
                accept=None if self.accept is None else _one_of("accept", self.accept, ACCEPTS),
                margin=self.margin,
                min_common=self.min_common,
            ),
            cluster=self.cluster if self.cluster in (None, "subtask") else str(local_path(str(self.cluster))),
            form=_one_of("format", self.format, FORMATS),
            out=None if self.out is None else local_path(self.out),
        )


def _one_of(key: str, given: str, choices: Sequence[Choice]) -> Choice:
    found = next((choice for choice in choices if choice == given), None)
    if found is None:
        raise unknown("value", key, given, choices)
    return found
