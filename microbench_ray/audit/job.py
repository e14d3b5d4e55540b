"""What a night's audit is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from microbench_ray.audit.baseline import What
from microbench_ray.audit.drift_rules import Policy
from microbench_ray.audit.findings import DEFAULT_ACTIONS
from microbench_ray.audit.webhook import Webhook
from microbench_ray.data import Benchmark
from microbench_ray.ingest.run import IngestJob
from microbench_ray.methods import Method
from microbench_ray.sweeps.engine.base import Engine
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.grid import Grid
from microbench_ray.sweeps.reduce import Rules


@dataclass(frozen=True)
class Unlike:
    """Which targets are unlike the others: the best share of the models, those released since a day, the largest families."""

    best: float | None = 0.2
    newer: str | None = None
    families: int = 0


@dataclass(frozen=True)
class AcceptJob:
    """Which parts of the last night become what later nights are compared with.

    Attributes
    ----------
    out
        The audit's folder.
    what
        `baseline`, `pool` or both.
    wait_for_out
        Seconds to wait for another audit at work there.
    """

    out: Path
    what: tuple[What, ...]
    wait_for_out: float = 0.0


@dataclass(frozen=True)
class AuditJob:
    """All that a night's audit is made of.

    Attributes
    ----------
    read
        Reads tonight's benchmark.
    items
        Reads the items that tonight's logs know, in all their versions; None where the benchmark is all there is.
    ingest
        What to read first; None for nothing.
    lists, methods
        Published micro-benchmarks (`fixed`), audited on all models; and methods, swept over `grid` on the pool.
    grid, rules, engine, seed
        As for a sweep; `engine` makes one if it is needed.
    out
        The audit's folder.
    night
        Label of the night.
    wanted
        The difference to be told apart, a fraction.
    top_k
        Of the probability of being among the best.
    limits
        The largest MDAD that is allowed, by label.
    unlike
        Targets on which the MDAD is told apart.
    drift
        What counts as drift.
    actions
        What findings do, by kind.
    max_missing_share
        Share of missing responses that is no finding yet.
    webhook
        Whom to tell.
    report, figures
        Whether to make the page, and the static figures.
    wait_for_out
        Seconds to wait for another audit at work there.
    config
        What the user asked for, as plain values.
    """

    read: Callable[[], Benchmark]
    out: Path
    night: str
    lists: tuple[Method, ...] = ()
    methods: tuple[Method, ...] = ()
    grid: Grid = field(default_factory=Grid)
    rules: Rules = field(default_factory=Rules)
    engine: Callable[[], Engine] = SerialEngine
    items: Callable[[], pa.Table] | None = None
    ingest: IngestJob | None = None
    seed: int = 0
    wanted: float = 0.02
    top_k: int = 10
    limits: Mapping[str, float] = field(default_factory=dict)
    unlike: Unlike = field(default_factory=Unlike)
    drift: Policy = field(default_factory=Policy)
    actions: Mapping[str, str] = field(default_factory=lambda: DEFAULT_ACTIONS)
    max_missing_share: float = 0.05
    webhook: Webhook | None = None
    report: bool = True
    figures: bool = True
    wait_for_out: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def methods_of_all(self) -> tuple[Method, ...]:
        """Lists and methods."""
        return (*self.lists, *self.methods)
