"""The keys of conf/compare.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

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
        check_paths(cluster=self.cluster)
        return CompareJob(
            runs=runs_input(self, runs),
            rules=Rules(
                truth=one_of("truth", self.truth, TRUTHS),
                repeats=one_of("repeats", self.repeats, REPEATS),
                reference=one_of("reference", self.reference, REFERENCES),
                confidence=self.confidence,
                against=one_of("against", self.against, AGAINST),
                adjust=one_of("adjust", self.adjust, ADJUSTMENTS),
                accept=None if self.accept is None else one_of("accept", self.accept, ACCEPTS),
                margin=self.margin,
                min_common=self.min_common,
            ),
            cluster=self.cluster if self.cluster in (None, "subtask") else str(local_path(str(self.cluster))),
            form=one_of("format", self.format, FORMATS),
            out=None if self.out is None else local_path(self.out),
        )


class RunsConf(Protocol):
    """The keys that say which runs to read."""

    runs: list[str]
    board: str | None
    source: str | None
    tasks: list[str]
    models: list[str]
    metric: str | None
    filter: str | None
    several_logs: str
    max_line_bytes: int
    out: str | None


def runs_input(conf: RunsConf, runs: Sequence[str]) -> RunsInput:
    """The checked keys of runs; `runs` are those that were named without a key."""
    if runs and conf.runs:
        raise ConfigError("Runs are named twice.", where="runs", got=", ".join((*runs, *conf.runs)), hint="leave out runs=[…]")
    if conf.max_line_bytes < 1:
        raise ConfigError("max_line_bytes must be at least 1.", where="max_line_bytes", got=str(conf.max_line_bytes))
    names = tuple(runs or conf.runs)
    for name in names:
        check_paths(runs=name)
    check_paths(board=conf.board, out=conf.out)
    options = Options(
        tasks=tuple(conf.tasks),
        models=tuple(conf.models),
        metric=conf.metric,
        filter=conf.filter,
        max_line_bytes=conf.max_line_bytes,
    )
    return RunsInput(
        runs=names if conf.board is not None else tuple(str(local_path(name)) for name in names),
        board=None if conf.board is None else str(local_path(conf.board)),
        source=conf.source,
        options=options,
        several_logs=one_of("several_logs", conf.several_logs, SEVERAL_LOGS),
    )


def check_paths(**paths: str | None) -> None:
    """Raise ConfigError for a URL; paths by key."""
    for key, path in paths.items():
        if path is not None and is_url(path):
            raise ConfigError("The path must be on this machine, not a URL.", where=key, got=path, hint=f"{key}=PATH")


def one_of(key: str, given: str, choices: Sequence[Choice]) -> Choice:
    """The choice that is given; ConfigError for another value."""
    found = next((choice for choice in choices if choice == given), None)
    if found is None:
        raise unknown("value", key, given, choices)
    return found
