"""The schemas of conf/sweep.yaml, conf/reduce.yaml and their groups, and the checked objects built from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.cli.settings.places import check_shown, place_of
from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.core.extras import missing_modules, require_extra
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.core.shown import show_name
from microbench_ray.core.storage.folders import file_name
from microbench_ray.core.storage.urls import check_url, is_url
from microbench_ray.core.table_formats import check_format
from microbench_ray.data.regex import check_regex
from microbench_ray.methods import Method
from microbench_ray.sweeps.driver import SweepJob
from microbench_ray.sweeps.engine.auto import AutoEngine
from microbench_ray.sweeps.engine.base import Engine
from microbench_ray.sweeps.engine.dispatch import Limits
from microbench_ray.sweeps.engine.ray_engine import ClusterRayEngine, LocalRayEngine
from microbench_ray.sweeps.engine.resources import DEFAULT, parse_requests
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.fit_grid import fit_grid, open_keys
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.paired import check_baseline
from microbench_ray.sweeps.reduce import Rules

logger = logging.getLogger(__name__)


@dataclass
class GridConf:
    """conf/grid/, see `microbench_ray.sweeps.grid.Grid`."""

    sizes: list[int] | None = None
    fractions: list[float] = field(default_factory=list)
    n_source: list[int] | None = None
    n_target: int | None = None
    runs: int = 20
    subtasks: str = "pooled"
    unseen: str = "half"

    def grid(self) -> Grid:
        """The grid, with the default in place of open keys; ConfigError for an invalid value."""
        given: dict[str, Any] = {key: value for key, value in vars(self).items() if value is not None}
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        return Grid(**values)


@dataclass
class TargetsConf:
    """conf/targets/, see `microbench_ray.sweeps.grid.Targets`."""

    label: str = "random"
    names: list[str] | None = None
    regex: str | None = None
    where: str | None = None
    best: float | None = None

    def targets(self) -> Targets:
        """The group of targets; ConfigError for an invalid value."""
        definitions = [key for key in ("names", "regex", "where", "best") if getattr(self, key) is not None]
        if len(definitions) > 1:
            raise ConfigError(
                "A group of target models is defined more than once.",
                where="targets",
                got=", ".join(definitions),
                hint="give only one of names, regex, where and best",
            )
        if bool(definitions) == (self.label == "random"):
            raise ConfigError(
                "A fixed group of target models needs a label." if definitions else "A group of target models needs a definition.",
                where="targets",
                got=f"label: {self.label}, {', '.join(definitions) or 'none of names, regex, where, best'}",
                hint="targets=group targets.label=NAME and one of targets.names, targets.regex and targets.where; or targets=best",
            )
        if self.best is not None and not 0 < self.best < 1:
            raise ConfigError(
                "targets.best must be between 0 and 1.",
                where="targets.best",
                got=f"{self.best:g}",
                hint=fraction_hint("targets.best", self.best, "0.2"),
            )
        if self.regex is not None:
            check_regex(self.regex, "targets.regex")
        names = None if self.names is None else tuple(self.names)
        return Targets(label=self.label, names=names, regex=self.regex, where=self.where, best=self.best)


@dataclass
class EngineConf:
    """conf/engine/."""

    name: str = "auto"
    workers: int | None = None
    max_retries: int = 3
    deadline: float = 600.0
    address: str | None = None
    timeout: float = 60.0
    patience: float = 900.0
    resources: dict[str, Any] = field(default_factory=dict)

    def engine(self, methods: Sequence[Method] = ()) -> Engine:
        """The engine, not started; ConfigError for an invalid value.

        Parameters
        ----------
        methods
            The configured methods, whose labels may appear in `resources`.
        """
        if self.max_retries < 0:
            raise ConfigError(
                "engine.max_retries must be at least 0.",
                where="engine.max_retries",
                got=str(self.max_retries),
                hint="engine.max_retries=3",
            )
        for key in ("deadline", "timeout", "patience"):
            if not 0 < getattr(self, key) < float("inf"):
                raise ConfigError(
                    f"engine.{key} must be greater than 0 and finite.",
                    where=f"engine.{key}",
                    got=f"{getattr(self, key)}",
                    hint="give a number of seconds",
                )
        limits = Limits(deadline=self.deadline, max_retries=self.max_retries, patience=self.patience)
        if self.name == "serial":
            return SerialEngine()
        on_a_cluster = self.name == "cluster" or (self.name == "auto" and bool(self.address or os.environ.get("RAY_ADDRESS")))
        if self.name in ("auto", "local") and not on_a_cluster:
            for key in ("address", "resources"):
                if getattr(self, key):
                    raise ConfigError(
                        f"engine.{key} requires engine=cluster.",
                        where=f"engine.{key}",
                        got=f"{getattr(self, key)}",
                        hint="engine=cluster",
                    )
            if self.name == "auto" and missing_modules("ray"):
                logger.info('engine=auto: in this process; pip install "microbench-ray[ray]" uses all cores')
                return SerialEngine(limits)
            require_extra("ray", "engine=local", where="engine", otherwise="engine=serial computes in one process")
            local = LocalRayEngine(workers=self.workers, limits=limits)
            return local if self.name == "local" else AutoEngine(by_ray=local, in_process=SerialEngine(limits))
        if on_a_cluster:
            require_extra("ray", f"engine={self.name} on a cluster", where="engine")
            if self.workers is not None:
                raise ConfigError(
                    "engine.workers requires engine=local; on a cluster the nodes' resources limit the workers.",
                    where="engine.workers",
                    got=str(self.workers),
                    hint="engine.resources.default.num_cpus=2 halves the workers per node",
                )
            labels = [method.label for method in methods]
            for label in self.resources:
                if label not in (DEFAULT, *labels):
                    raise unknown("method", "engine.resources", label, [DEFAULT, *labels])
            return ClusterRayEngine(
                address=self.address, timeout=self.timeout, limits=limits, requests=parse_requests(self.resources)
            )
        raise ConfigError("Unknown engine.", where="engine.name", got=self.name, hint="valid: auto, cluster, local, serial")


@dataclass
class RulesConf:
    """The keys of the reduction, see `microbench_ray.sweeps.reduce.Rules`."""

    thresholds: list[float] = field(default_factory=lambda: [0.8])
    tie_policy: str = "wrong"
    ci: str = "runs"
    confidence_level: float = 0.95
    n_resamples: int = 1000
    baseline: str | None = None

    def rules(self) -> Rules:
        """The rules; ConfigError for an invalid value."""
        values = {key.name: getattr(self, key.name) for key in fields(RulesConf)}
        return Rules(**(values | {"thresholds": tuple(self.thresholds)}))


@dataclass
class ReduceConf(RulesConf):
    """conf/reduce.yaml."""

    out: str = NEEDED
    wait_for_out: float = 0.0
    figures: bool = True
    report: bool = True
    format: str = "table"

    def place(self) -> Path | str:
        """The output folder; ConfigError for an invalid value, or without the packages for what is to be written."""
        check_shown(figures=self.figures, report=self.report)
        return place_of(self.out, self.wait_for_out)


class SweepParts(NamedTuple):
    """The parts of a sweep that need no file: all but the benchmarks. `sizes` are those of each benchmark, maybe empty."""

    grid: Grid
    sizes: tuple[tuple[int, ...], ...]
    targets: Targets
    extra_targets: tuple[Targets, ...]
    rules: Rules
    engine: Engine


@dataclass
class SweepConf(RulesConf):
    """conf/sweep.yaml.

    `benchmark` is one of `BENCHMARKS`. A method is the name of a file in conf/method/, or a mapping that changes one.
    `extra_targets` holds names and mappings, which `compose` replaces by `TargetsConf` objects.
    """

    data_dir: str = "leaderboards"
    benchmark: Any = None
    benchmarks: list[str] | None = None
    methods: list[Any] = field(default_factory=list)
    grid: GridConf = field(default_factory=GridConf)
    targets: TargetsConf = field(default_factory=TargetsConf)
    extra_targets: list[Any] = field(default_factory=list)
    engine: EngineConf = field(default_factory=EngineConf)
    seed: int = 0
    out: str | None = None
    wait_for_out: float = 0.0
    keep_estimates: bool = False
    verdicts: bool = False
    sizes_apart: bool = False
    plan_only: bool = False
    figures: bool = True
    report: bool = True
    figure_note: str | None = None
    format: str = "table"

    def job(self, benchmarks: Sequence[Any], methods: Sequence[Method], content: Mapping[str, Any]) -> SweepJob:
        """The sweep of this configuration. Benchmarks are read last, after everything that is quicker to check.

        Parameters
        ----------
        benchmarks
            The configurations of the benchmarks, of classes in `BENCHMARKS`.
        methods
            The configured methods.
        content
            The whole configuration as plain values, for the manifest.
        """
        parts = self.parts(benchmarks, methods)
        if not self.plan_only:
            check_shown(figures=self.figures, report=self.report)
        place = None if self.out is None else place_of(self.out, self.wait_for_out)
        loaded = tuple(benchmark.read() for benchmark in benchmarks)
        out = place if place is not None else Path("results") / file_name("+".join(file_name(each.name) for each in loaded), "+")
        own_sizes = {each.name: sizes for each, sizes in zip(loaded, parts.sizes, strict=True) if sizes}
        for name, sizes in own_sizes.items():
            logger.info("%s: sizes %s, from its own configuration", show_name(name), ", ".join(map(str, sizes)))
        fitted = fit_grid(parts.grid, open_keys(vars(self.grid), methods), loaded, (parts.targets, *parts.extra_targets), own_sizes)
        for line in fitted.lines:
            logger.info("%s", line)
        chosen = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(fitted.grid).items()}
        return SweepJob(
            benchmarks=loaded,
            methods=tuple(methods),
            grid=fitted.grid,
            targets=parts.targets,
            rules=parts.rules,
            engine=parts.engine,
            out=out,
            extra_targets=parts.extra_targets,
            benchmark_sizes={**fitted.sizes, **own_sizes},
            seed=self.seed,
            keep_estimates=self.keep_estimates,
            verdicts=self.verdicts,
            sizes_apart=self.sizes_apart,
            config={**content, "grid": chosen},
            wait_for_out=self.wait_for_out,
        )

    def parts(self, benchmarks: Sequence[Any], methods: Sequence[Method]) -> SweepParts:
        """Everything that can be checked without reading a file; ConfigError for an invalid value."""
        if self.seed < 0:
            raise ConfigError("seed must be at least 0.", where="seed", got=str(self.seed), hint="seed=0")
        if not benchmarks:
            raise ConfigError("At least one benchmark is needed.", where="benchmark", got="[]", hint="benchmark=[NAME,NAME]")
        if not methods:
            raise ConfigError("At least one method is needed.", where="methods", got="[]", hint="methods=[random]")
        check_format(self.format)
        check_baseline(self.baseline, [method.label for method in methods])
        for benchmark in benchmarks:
            for key in ("path", "confidence", "metadata", "items"):
                place = str(getattr(benchmark, key, None))
                if is_url(place):
                    check_url(place, f"benchmark.{key}")
        grid = self.grid.grid()
        return SweepParts(
            grid=grid,
            sizes=tuple(benchmark_sizes_of(benchmark, grid) for benchmark in benchmarks),
            targets=self.targets.targets(),
            extra_targets=tuple(each.targets() for each in self.extra_targets),
            rules=self.rules(),
            engine=self.engine.engine(methods),
        )


def benchmark_sizes_of(benchmark: Any, grid: Grid) -> tuple[int, ...]:
    """The sizes that replace `grid.sizes` on this benchmark; empty if there are none or the grid has only fractions."""
    sizes = tuple(benchmark.sizes or ())
    if benchmark.sizes is not None:
        try:
            replace(grid, sizes=sizes, fractions=())
        except ConfigError as error:
            what = error.what.replace("grid.sizes", "benchmark.sizes").replace(" unless grid.fractions is given", "")
            where = f"{benchmark.name}, benchmark.sizes" if benchmark.name else "benchmark.sizes"
            raise ConfigError(what, where=where, got=error.got, hint=error.hint) from None
    return sizes if grid.sizes else ()
