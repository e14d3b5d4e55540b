"""Schemas of conf/benchmark/: one dataclass per reader of benchmarks. Readers are imported when they read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from microbench_ray.core.errors import ConfigError

if TYPE_CHECKING:
    from microbench_ray.data import Benchmark

MAX_CELLS = 500_000_000
"""Responses of a synthetic benchmark, which is in memory: 5,000 models on 100,000 items."""
NEEDED = "???"
"""Hydra's mark for a required key."""


@dataclass
class SyntheticConf:
    """conf/benchmark/synthetic.yaml."""

    reader: str = "synthetic"
    name: str = "synthetic"
    n_models: int = 200
    n_items: int = 2000
    n_subtasks: int = 12
    world_seed: int = 0
    truth: str = "micro"
    sizes: list[int] | None = None

    def read(self, *, repeats: bool = False) -> Benchmark:
        """Draw the benchmark, which has no repeats."""
        if self.n_models * self.n_items > MAX_CELLS:
            raise ConfigError(
                f"A synthetic benchmark may have at most {MAX_CELLS:,} responses.",
                where="benchmark.n_models, benchmark.n_items",
                got=f"{self.n_models:,} × {self.n_items:,}",
                hint="benchmark.n_models=200 benchmark.n_items=2000",
            )
        if self.n_models < 2 or not 1 <= self.n_subtasks <= self.n_items or self.world_seed < 0:
            raise ConfigError(
                "A synthetic benchmark needs at least 2 models, from 1 to n_items subtasks, and a seed of at least 0.",
                where="benchmark",
                got=", ".join(f"{key}={value}" for key, value in asdict(self).items()),
            )
        from microbench_ray.data.synthetic import synthetic

        drawn = synthetic(self.name, self.n_models, self.n_items, self.n_subtasks, seed=self.world_seed)
        return drawn.with_truth(self.truth)


@dataclass
class ScoresConf:
    """conf/benchmark/scores.yaml."""

    reader: str = "scores"
    path: str = NEEDED
    name: str | None = None
    confidence: str | None = "auto"
    metadata: str | None = "auto"
    max_missing: float = 0.1
    shape: str = "auto"
    columns: dict[str, Any] = field(default_factory=dict)
    scale: float = 1.0
    correct: Any = field(default_factory=list)
    truth: str = "micro"
    sheet: str | None = None
    sizes: list[int] | None = None

    def read(self, *, repeats: bool = False) -> Benchmark:
        """Read the table, with `repeats` also those of its responses."""
        from microbench_ray.data.scores import read_scores

        return read_scores(
            self.path,
            name=self.name,
            confidence=self.confidence,
            metadata=self.metadata,
            repeats="auto" if repeats else None,
            max_missing=self.max_missing,
            shape=self.shape,
            columns=self.columns,
            scale=self.scale,
            correct=self.correct,
            truth=self.truth,
            sheet=self.sheet,
        )


@dataclass
class ReleaseConf:
    """conf/benchmark/release.yaml."""

    reader: str = "release"
    path: str = NEEDED
    name: str | None = None
    max_missing: float = 0.1
    truth: str = "micro"
    sizes: list[int] | None = None

    def read(self, *, repeats: bool = False) -> Benchmark:
        """Read the arrays, which have no repeats."""
        from microbench_ray.data.release import read_release

        return read_release(self.path, name=self.name, max_missing=self.max_missing).with_truth(self.truth)


@dataclass
class IngestedConf:
    """conf/benchmark/ingested.yaml."""

    reader: str = "ingested"
    path: str = NEEDED
    name: str | None = None
    metadata: str | None = "auto"
    max_missing: float = 0.1
    min_answered: float = 0.5
    truth: str = "micro"
    items: str | None = None
    sizes: list[int] | None = None

    def read(self, *, repeats: bool = False) -> Benchmark:
        """Read the responses, with `repeats` also those of each."""
        from microbench_ray.data.ingested import read_ingested

        return read_ingested(
            self.path,
            name=self.name,
            metadata=self.metadata,
            max_missing=self.max_missing,
            min_answered=self.min_answered,
            repeats=repeats,
            truth=self.truth,
            items=self.items,
        )


@dataclass
class SuiteConf:
    """conf/benchmark/suite.yaml. Composed, `boards` are configurations of other benchmarks."""

    reader: str = "suite"
    boards: list[Any] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    name: str = "suite"
    max_missing: float = 0.1
    sizes: list[int] | None = None

    def read(self, *, repeats: bool = False) -> Benchmark:
        """Read the boards and join them; repeats are those of no board."""
        from microbench_ray.data.suite import suite

        return suite([board.read() for board in self.boards], weights=self.weights, name=self.name)


BENCHMARKS: dict[str, Any] = {
    "scores": ScoresConf,
    "ingested": IngestedConf,
    "release": ReleaseConf,
    "synthetic": SyntheticConf,
    "suite": SuiteConf,
}
"""By reader. The `sizes` of a benchmark replace `grid.sizes` for it, so that small and large benchmarks can be swept together."""
