"""The jobs of `microbench audit` and `microbench accept`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from microbench_ray.audit.baseline import Part
from microbench_ray.audit.drift_rules import DriftPolicy
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
class Extrapolation:
    """Which groups of targets unlike the other models are audited separately: see `data.shifted_groups`.

    Attributes
    ----------
    best
        Share of the models, the most accurate ones; None for no such group.
    newer
        A date: the models released on it or later; None for no such group.
    families
        Number of the largest families, each a group.
    """

    best: float | None = 0.2
    newer: str | None = None
    families: int = 0


@dataclass(frozen=True)
class AcceptJob:
    """Accept the benchmark of a night, or set the last night aside.

    Attributes
    ----------
    out
        The audit's folder.
    what
        `baseline`, `pool` or both.
    wait_for_out
        Seconds to wait while another audit holds the folder.
    night
        Label of the night; None for the last one.
    violated
        Whether a night whose verdict is `violated` is accepted too.
    drop
        Label of the last night, to set it aside; nothing is accepted then. None for no such night.
    """

    out: Path
    what: tuple[Part, ...]
    wait_for_out: float = 0.0
    night: str | None = None
    violated: bool = False
    drop: str | None = None


@dataclass(frozen=True)
class AuditJob:
    """Audit one night of a leaderboard.

    Attributes
    ----------
    read
        Reads tonight's benchmark.
    out
        The audit's folder.
    night
        Label of the night.
    lists
        Published micro-benchmarks (`fixed`), audited on all models of tonight's benchmark.
    methods
        Methods that are swept over `grid` on the pool.
    open_keys
        Keys of the grid that are chosen to fit the pool, see `microbench_ray.sweeps.fit_grid`. Their values in `grid`
        stand for the chosen ones in the digest of a night's inputs: these follow from the pool.
    grid, rules, seed
        As for a sweep.
    engine
        Makes the engine; called only if a sweep is long enough to need one.
    items
        Reads the items in tonight's logs, in all their versions; None if only the benchmark is known.
    stamp
        Returns a text that is the same while `read` and `items` would return the same; None, or a function that returns None, where
        that is not known.
    ingest
        Logs to ingest first; None for none.
    target_difference
        The difference of accuracies to be detected, a fraction.
    top_k
        Rank that the probability of being among the best refers to.
    max_mdad
        The largest allowed MDAD by label, a fraction.
    extrapolation
        Groups of targets unlike the other models.
    drift
        The rules of drift.
    actions
        By kind of finding: fail, warn, note or ignore.
    max_missing_share
        Largest share of missing responses that is not a finding.
    webhook
        Where to send the verdict; None for nowhere.
    report, figures
        Whether to write the page and the static figures.
    wait_for_out
        Seconds to wait while another audit holds the folder.
    config
        The configuration as plain values, for the page.
    """

    read: Callable[[], Benchmark]
    out: Path
    night: str
    lists: tuple[Method, ...] = ()
    methods: tuple[Method, ...] = ()
    grid: Grid = field(default_factory=Grid)
    open_keys: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)
    engine: Callable[[], Engine] = SerialEngine
    items: Callable[[], pa.Table] | None = None
    stamp: Callable[[], str | None] | None = None
    ingest: IngestJob | None = None
    seed: int = 0
    target_difference: float = 0.02
    top_k: int = 10
    max_mdad: Mapping[str, float] = field(default_factory=dict)
    extrapolation: Extrapolation = field(default_factory=Extrapolation)
    drift: DriftPolicy = field(default_factory=DriftPolicy)
    actions: Mapping[str, str] = field(default_factory=lambda: DEFAULT_ACTIONS)
    max_missing_share: float = 0.05
    webhook: Webhook | None = None
    report: bool = True
    figures: bool = True
    wait_for_out: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lists_and_methods(self) -> tuple[Method, ...]:
        """Everything that is audited."""
        return (*self.lists, *self.methods)
