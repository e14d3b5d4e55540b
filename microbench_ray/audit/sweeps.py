"""What an audit sweeps: lists on all of tonight's models, methods on the pool that was accepted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from microbench_ray.core.errors import GridError
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method
from microbench_ray.sweeps.driver import SweepJob, run_sweep
from microbench_ray.sweeps.engine.base import Engine
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules

logger = logging.getLogger(__name__)

TABLES = ("mdad", "agreement", "summary", "failures")
SERIAL_SECONDS = 20.0
"""Shorter sweeps are done in this process: starting Ray takes longer than it saves. Tables are the same on every engine."""
SWEEPS = "sweeps"
LISTS = "lists"
USUAL = "methods"


@dataclass(frozen=True)
class Swept:
    """Tables of the lists and methods together, and of the methods on targets unlike their sources, by group."""

    tables: dict[str, pa.Table]
    unlike: dict[str, pa.Table] = field(default_factory=dict)
    failed: int = 0


@dataclass(frozen=True)
class Sweeper:
    """How to sweep.

    Attributes
    ----------
    folder
        Where cells are kept, by the digest of the benchmark.
    grid, rules, seed
        As for a sweep.
    engine
        Makes the engine, if one is needed.
    """

    folder: Path
    grid: Grid
    rules: Rules
    seed: int
    engine: Callable[[], Engine]

    def sweep(
        self, benchmark: Benchmark, methods: Sequence[Method], name: str, targets: Targets
    ) -> tuple[dict[str, pa.Table], int]:
        """The tables of a sweep, and how many of its cells failed. What is done already is not done again."""
        sweep = self._sweep(benchmark, methods, name, targets)
        plan = sweep.plan()
        if plan.seconds > SERIAL_SECONDS:
            sweep = replace(sweep, engine=self.engine())
        outcome = run_sweep(sweep, plan)
        logger.info("%s: %s cells computed, %s reused", name, f"{outcome.computed:,}", f"{outcome.reused:,}")
        return dict(outcome.tables), outcome.failed

    def check(self, pool: Benchmark, methods: Sequence[Method]) -> None:
        """Raise GridError where the grid does not fit the pool: before any work."""
        if not methods:
            return
        try:
            self._sweep(pool, methods, USUAL, Targets()).plan()
        except GridError as error:
            hint = (
                f"{error.hint or 'use a smaller grid'}; or wait for more models: microbench accept what=[pool] after such a night"
            )
            raise GridError(
                error.what, where=f"the pool of {pool.n_models} models: {error.where}", got=error.got, hint=hint
            ) from None

    def _sweep(self, benchmark: Benchmark, methods: Sequence[Method], name: str, targets: Targets) -> SweepJob:
        return SweepJob(
            benchmarks=(benchmark,),
            methods=tuple(methods),
            grid=self.grid,
            targets=targets,
            rules=self.rules,
            engine=SerialEngine(),
            out=self.folder / benchmark.digest / name,
            seed=self.seed,
        )


def sweep_all(
    sweeper: Sweeper,
    tonight: Benchmark,
    lists: Sequence[Method],
    pool: Benchmark,
    methods: Sequence[Method],
    unlike: Sequence[tuple[str, tuple[str, ...]]],
) -> Swept:
    """Sweep lists on tonight's models and methods on the pool, the latter also on each group of targets (label, model ids) of it.

    Raises
    ------
    GridError
        The grid does not fit the pool.
    """
    parts: list[dict[str, pa.Table]] = []
    apart: dict[str, pa.Table] = {}
    failed = 0
    if lists:
        tables, lost = sweeper.sweep(tonight, lists, LISTS, Targets())
        parts.append(tables)
        failed += lost
    if methods:
        tables, lost = sweeper.sweep(pool, methods, USUAL, Targets())
        parts.append(tables)
        failed += lost
        for label, names in unlike:
            try:
                tables, lost = sweeper.sweep(pool, methods, f"{USUAL}-{len(apart) + 1}", Targets(label, names=names))
            except GridError as error:
                logger.warning("%s: %s %s", label, error.what, error.got or "")
                continue
            apart[label] = tables["mdad"]
            failed += lost
    return Swept({name: pa.concat_tables([part[name] for part in parts]) for name in TABLES} if parts else {}, apart, failed)
