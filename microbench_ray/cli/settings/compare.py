"""The keys of conf/compare.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from microbench_ray.cli.settings.logs import MAX_LINE_BYTES, here, log_options, one_of
from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics.multiplicity import ADJUSTMENTS
from microbench_ray.metrics.run_difference import REFERENCES
from microbench_ray.micro.compare.job import CompareJob
from microbench_ray.micro.compare.pairing import REPEATS, TRUTHS
from microbench_ray.micro.compare.report import FORMATS
from microbench_ray.micro.compare.rules import ACCEPTS, AGAINST, CompareRules
from microbench_ray.micro.compare.runs import SEVERAL_LOGS, RunsInput


@dataclass
class RunsConf:
    """The keys that say which runs to read."""

    runs: list[str] = field(default_factory=list)
    board: str | None = None
    source: str | None = None
    tasks: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    metric: str | None = None
    filter: str | None = None
    several_logs: str = "error"
    max_line_bytes: int = MAX_LINE_BYTES


@dataclass
class CompareConf(RunsConf):
    """conf/compare.yaml: see `microbench_ray.micro.compare`."""

    cluster: str | None = None
    weight: str | None = None
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
        return CompareJob(
            runs=runs_input(self, runs),
            rules=CompareRules(
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
            cluster=self.cluster if self.cluster in (None, "subtask") else str(here("cluster", str(self.cluster))),
            weight=None if self.weight is None else here("weight", self.weight),
            form=one_of("format", self.format, FORMATS),
            out=None if self.out is None else here("out", self.out),
        )


def runs_input(conf: RunsConf, runs: Sequence[str]) -> RunsInput:
    """The checked keys of runs; `runs` are those that were named without a key."""
    if runs and conf.runs:
        raise ConfigError("Runs are named twice.", where="runs", got=", ".join((*runs, *conf.runs)), hint="leave out runs=[…]")
    options = replace(log_options(conf), confidences=False)
    names = tuple(runs or conf.runs)
    paths = tuple(str(here("runs", name)) for name in names)
    return RunsInput(
        runs=paths if conf.board is None else names,
        board=None if conf.board is None else str(here("board", conf.board)),
        source=conf.source,
        options=options,
        several_logs=one_of("several_logs", conf.several_logs, SEVERAL_LOGS),
    )
