"""What a sweep varies, and which models are its targets."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from microbench_ray.core.deprecation import RENAMED_SUBTASKS, report_deprecated
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.fractions import fractions_hint
from microbench_ray.data import Benchmark, match_models

logger = logging.getLogger(__name__)

Unseen = Literal["half", "none"]
Subtasks = Literal["pooled", "separate"]
MAX_RUNS = 1_000_000


@dataclass(frozen=True)
class Grid:
    """The parameters that a sweep varies.

    Attributes
    ----------
    sizes
        Numbers of items selected.
    fractions
        The same as fractions of the items of a benchmark (or of a subtask, if subtasks are separate), rounded to a count.
    n_source
        Numbers of source models. Source sets nest: all are prefixes of one random order of the models.
    n_target
        Target models per run. A fixed group of targets takes all of its models instead.
    runs
        Number of random draws of everything.
    subtasks
        `pooled`: all subtasks form one benchmark; `separate`: each subtask is swept as a benchmark. `together` and `apart` are
        deprecated names of the two.
    unseen
        `half`: the method sees half of the items; `none`: it sees all of them.

    Raises
    ------
    ConfigError
        A value is out of range or given twice.
    """

    sizes: tuple[int, ...] = (10, 25, 50, 100, 250, 500)
    fractions: tuple[float, ...] = ()
    n_source: tuple[int, ...] = (100,)
    n_target: int = 50
    runs: int = 20
    subtasks: Subtasks = "pooled"
    unseen: Unseen = "half"

    def __post_init__(self) -> None:
        if self.subtasks in RENAMED_SUBTASKS:
            new = RENAMED_SUBTASKS[self.subtasks]
            # Reported to users of the command line, and to the caller of `mb.sweep`, three frames above this one.
            report_deprecated(f"grid.subtasks={self.subtasks}", f"grid.subtasks={new}", logger=logger, stacklevel=3)
            object.__setattr__(self, "subtasks", new)
        for key, values in (("sizes", self.sizes), ("fractions", self.fractions), ("n_source", self.n_source)):
            if len(set(values)) < len(values):
                raise ConfigError(
                    f"grid.{key} has duplicate values.", where=f"grid.{key}", got=str(list(values)), hint="list each value once"
                )
        _require(
            "grid.sizes", "whole numbers of at least 1", all(size >= 1 for size in self.sizes), self.sizes, "grid.sizes=[10,25]"
        )
        in_range = all(0 < fraction <= 1 for fraction in self.fractions)
        hint = fractions_hint("grid.fractions", self.fractions, "[0.1]")
        _require("grid.fractions", "in (0, 1]", in_range, self.fractions, hint)
        has_sizes = bool(self.sizes or self.fractions)
        _require("grid.sizes", "non-empty unless grid.fractions is given", has_sizes, self.sizes, "grid.sizes=[10,25]")
        has_sources = bool(self.n_source) and min(self.n_source) >= 1
        _require("grid.n_source", "whole numbers of at least 1", has_sources, self.n_source, "grid.n_source=[100]")
        _require("grid.n_target", "at least 2", self.n_target >= 2, self.n_target, "grid.n_target=50")
        _require("grid.runs", f"at least 1, and at most {MAX_RUNS:,}", 1 <= self.runs <= MAX_RUNS, self.runs, "grid.runs=50")
        _require(
            "grid.subtasks", "pooled or separate", self.subtasks in ("pooled", "separate"), self.subtasks, "grid.subtasks=pooled"
        )
        _require("grid.unseen", "half or none", self.unseen in ("half", "none"), self.unseen, "grid.unseen=half")

    def sizes_of(self, n_items: int) -> tuple[tuple[int, float | None], ...]:
        """The (count, fraction) pairs for a benchmark of `n_items` items; the fraction is None for a size given as a count."""
        counts: list[tuple[int, float | None]] = [(size, None) for size in self.sizes]
        return (*counts, *((max(1, round(fraction * n_items)), fraction) for fraction in self.fractions))


@dataclass(frozen=True)
class Targets:
    """The target models: drawn at random in every run, or one fixed group. Source models are drawn from the others.

    Attributes
    ----------
    label
        The value of `targets` in the tables.
    names, regex, where, best
        At most one defines a fixed group, see `data.match_models`; with none of them, targets are drawn.
    """

    label: str = "random"
    names: tuple[str, ...] | None = None
    regex: str | None = None
    where: str | None = None
    best: float | None = None

    def positions(self, benchmark: Benchmark) -> tuple[int, ...] | None:
        """The group's positions among the benchmark's models; None if targets are drawn."""
        if self.names is None and self.regex is None and self.where is None and self.best is None:
            return None
        names = None if self.names is None else list(self.names)
        return tuple(int(i) for i in match_models(benchmark, names=names, regex=self.regex, where=self.where, best=self.best))


def _require(key: str, requirement: str, satisfied: bool, value: object, hint: str) -> None:
    if not satisfied:
        got = str(list(value) if isinstance(value, tuple) else value)
        raise ConfigError(f"{key} must be {requirement}.", where=key, got=got, hint=hint)
