"""The keys of conf/next.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.cli.settings.compare import RunsConf, runs_input
from microbench_ray.cli.settings.logs import here, one_of
from microbench_ray.core.errors import ConfigError
from microbench_ray.micro.sequential.job import FORMATS, NextJob
from microbench_ray.micro.sequential.rules import QUESTIONS


@dataclass
class NextConf(RunsConf):
    """conf/next.yaml: see `microbench_ray.micro.sequential`."""

    state: str = NEEDED
    items: str | None = None
    micro: str | None = None
    question: str | None = None
    margin: float | None = None
    alpha: float | None = None
    names: list[str] = field(default_factory=list)
    base: str | None = None
    seed: int | None = None
    batch: int = 20
    samples: str | None = None
    format: str = "table"
    out: str | None = None

    def job(self, runs: Sequence[str] = ()) -> NextJob:
        """The checked job; `runs` are those that were named without a key."""
        for key, least in (("batch", 1), ("seed", 0)):
            value = getattr(self, key)
            if value is not None and value < least:
                got = str(value)
                raise ConfigError(f"{key} must be at least {least}.", where=key, got=got, hint=f"{key}={max(least, 20)}")
        given = {key: getattr(self, key) for key in ("items", "micro", "samples", "out")}
        paths = {key: None if path is None else here(key, path) for key, path in given.items()}
        return NextJob(
            state=here("state", self.state),
            items=paths["items"],
            micro=paths["micro"],
            question=None if self.question is None else one_of("question", self.question, QUESTIONS),
            margin=self.margin,
            alpha=self.alpha,
            names=tuple(self.names),
            base=self.base,
            seed=self.seed,
            batch=self.batch,
            runs=runs_input(self, runs),
            samples=paths["samples"],
            form=one_of("format", self.format, FORMATS),
            out=paths["out"],
        )
