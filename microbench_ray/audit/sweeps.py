"""The sweeps of an audit: lists on all of tonight's models, methods on the accepted pool."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from microbench_ray.core.errors import GridError
from microbench_ray.data import Benchmark
from microbench_ray.data.shifted_groups import ShiftedGroup
from microbench_ray.methods import Method
from microbench_ray.sweeps.driver import SweepJob, run_sweep
from microbench_ray.sweeps.engine.base import Engine
from microbench_ray.sweeps.fit_grid import fit_grid
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules

logger = logging.getLogger(__name__)

TABLES = ("mdad", "agreement", "summary", "failures")
SWEEPS = "sweeps"
LISTS = "lists"
METHODS = "methods"


@dataclass(frozen=True)
class AuditTables:
    """Tables of the sweeps of a night.

    Attributes
    ----------
    tables
        By name, the tables of the lists and methods together; empty if nothing was swept.
    extrapolation
        By group of targets, the table `mdad` of the methods on that group.
    failed_cells
        Number of cells that failed.
    """

    tables: dict[str, pa.Table]
    extrapolation: dict[str, pa.Table] = field(default_factory=dict)
    failed_cells: int = 0


@dataclass(frozen=True)
class Sweeper:
    """Runs the sweeps of an audit.

    Attributes
    ----------
    folder
        Folder of the cells, by digest of the benchmark.
    grid, rules, seed
        As for a sweep.
    open_keys
        Keys of the grid that are chosen to fit the swept benchmark and targets, see `fit_grid`.
    engine
        Makes an engine for a sweep.
    """

    folder: Path
    grid: Grid
    rules: Rules
    seed: int
    engine: Callable[[], Engine]
    open_keys: tuple[str, ...] = ()

    def sweep(
        self, benchmark: Benchmark, methods: Sequence[Method], name: str, targets: Targets
    ) -> tuple[dict[str, pa.Table], int]:
        """Return the tables of a sweep and the number of failed cells. Finished cells are reused."""
        job = self._job(benchmark, methods, name, targets)
        outcome = run_sweep(job, job.plan())
        logger.info("%s: %s cells computed, %s reused", name, f"{outcome.computed:,}", f"{outcome.reused:,}")
        return dict(outcome.tables), outcome.failed

    def check(self, pool: Benchmark, methods: Sequence[Method]) -> None:
        """Raise GridError if the grid does not fit the pool."""
        if not methods:
            return
        try:
            self._job(pool, methods, METHODS, Targets(), log_level=logging.INFO).plan()
        except GridError as error:
            hint = f"{error.hint or 'use a smaller grid'}; or run microbench accept what=[pool] after a night with more models"
            raise GridError(
                error.what, where=f"the pool of {pool.n_models} models: {error.where}", got=error.got, hint=hint
            ) from None

    def _job(
        self, benchmark: Benchmark, methods: Sequence[Method], name: str, targets: Targets, log_level: int = logging.DEBUG
    ) -> SweepJob:
        open_keys = () if name == LISTS else self.open_keys
        fitted = fit_grid(self.grid, open_keys, (benchmark,), (targets,))
        for line in fitted.lines:
            logger.log(log_level, "%s: %s", name, line)
        return SweepJob(
            benchmarks=(benchmark,),
            methods=tuple(methods),
            grid=fitted.grid,
            targets=targets,
            rules=self.rules,
            engine=self.engine(),
            out=self.folder / benchmark.digest / name,
            seed=self.seed,
        )


def sweep_all(
    sweeper: Sweeper,
    *,
    tonight: Benchmark,
    lists: Sequence[Method],
    pool: Benchmark,
    methods: Sequence[Method],
    groups: Sequence[ShiftedGroup],
) -> AuditTables:
    """Sweep the lists on tonight's models, the methods on the pool, and the methods again on each group of targets.

    A group that the grid does not fit is skipped with a warning.

    Raises
    ------
    GridError
        The grid does not fit the pool.
    """
    parts: list[dict[str, pa.Table]] = []
    extrapolation: dict[str, pa.Table] = {}
    failed_cells = 0
    if lists:
        tables, failed = sweeper.sweep(tonight, lists, LISTS, Targets())
        parts.append(tables)
        failed_cells += failed
    if methods:
        tables, failed = sweeper.sweep(pool, methods, METHODS, Targets())
        parts.append(tables)
        failed_cells += failed
        for group in groups:
            name = f"{METHODS}-{len(extrapolation) + 1}"
            try:
                tables, failed = sweeper.sweep(pool, methods, name, Targets(group.label, names=group.names))
            except GridError as error:
                logger.warning("Skipped the targets '%s': %s %s", group.label, error.what, error.got or "")
                continue
            extrapolation[group.label] = tables["mdad"]
            failed_cells += failed
    return AuditTables(
        tables={name: pa.concat_tables([part[name] for part in parts]) for name in TABLES} if parts else {},
        extrapolation=extrapolation,
        failed_cells=failed_cells,
    )
