"""What a sweep varies, and which models are its targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark, match_models

Unseen = Literal["half", "none"]


@dataclass(frozen=True)
class Grid:
    """What is varied.

    Attributes
    ----------
    sizes
        Items selected, as counts.
    fractions
        Items selected, as fractions of a benchmark's items (or a subtask's, where they are apart); rounded to a count.
    n_source
        Numbers of source models; each draws the first of one random order of the models, so a larger one extends a smaller.
    n_target
        Target models per run. A configured group of targets takes all of its models instead.
    runs
        Random draws of everything.
    subtasks
        `together`, or `apart`: every subtask is a benchmark of its own.
    unseen
        `half`: the method sees one half of the items, the other half is kept from it; `none`: it sees all of them.
    """

    sizes: tuple[int, ...] = (10, 25, 50, 100, 250, 500)
    fractions: tuple[float, ...] = ()
    n_source: tuple[int, ...] = (100,)
    n_target: int = 50
    runs: int = 20
    subtasks: Literal["together", "apart"] = "together"
    unseen: Unseen = "half"

    def __post_init__(self) -> None:
        for key, values in (("sizes", self.sizes), ("fractions", self.fractions), ("n_source", self.n_source)):
            if len(set(values)) < len(values):
                raise ConfigError(f"A value stands twice in grid.{key}.", got=str(list(values)), hint="give every value once")
        _require("grid.sizes", "whole numbers of at least 1", all(size >= 1 for size in self.sizes), self.sizes)
        _require("grid.fractions", "in (0, 1]", all(0 < fraction <= 1 for fraction in self.fractions), self.fractions)
        _require("grid.sizes", "not empty, unless grid.fractions is given", bool(self.sizes or self.fractions), self.sizes)
        _require("grid.n_source", "whole numbers of at least 1", bool(self.n_source) and min(self.n_source) >= 1, self.n_source)
        _require("grid.n_target", "at least 2", self.n_target >= 2, self.n_target)
        _require("grid.runs", "at least 1", self.runs >= 1, self.runs)
        _require("grid.subtasks", "together or apart", self.subtasks in ("together", "apart"), self.subtasks)
        _require("grid.unseen", "half or none", self.unseen in ("half", "none"), self.unseen)

    def sizes_of(self, n_items: int) -> tuple[tuple[int, float | None], ...]:
        """The (count, fraction) pairs for a benchmark of so many items."""
        counts: list[tuple[int, float | None]] = [(size, None) for size in self.sizes]
        return (*counts, *((max(1, round(fraction * n_items)), fraction) for fraction in self.fractions))


@dataclass(frozen=True)
class Targets:
    """Which models are targets: drawn at random in every run, or one fixed group, and the sources are drawn from all others.

    Attributes
    ----------
    label
        The value of `targets` in the tables.
    names, regex, where, best
        One of them gives the group, see `data.match_models`; none: drawn at random.
    """

    label: str = "random"
    names: tuple[str, ...] | None = None
    regex: str | None = None
    where: str | None = None
    best: float | None = None

    def positions(self, benchmark: Benchmark) -> tuple[int, ...] | None:
        """The group's positions among the benchmark's models; None where targets are drawn."""
        if self.names is None and self.regex is None and self.where is None and self.best is None:
            return None
        names = None if self.names is None else list(self.names)
        return tuple(int(i) for i in match_models(benchmark, names=names, regex=self.regex, where=self.where, best=self.best))


def _require(key: str, must: str, holds: bool, got: object) -> None:
    if not holds:
        raise ConfigError(f"{key} must be {must}.", got=str(list(got) if isinstance(got, tuple) else got))
