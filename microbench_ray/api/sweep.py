"""`mb.sweep`: a sweep in this process, with the tables of `microbench sweep` as DataFrames."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from microbench_ray.api.arguments import check_benchmark, whole_number, whole_numbers
from microbench_ray.api.methods import MethodLike, methods_of
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.log import error_console
from microbench_ray.core.progress import WorkProgress, can_draw
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules, reduce_partitions
from microbench_ray.sweeps.shards import Shard, plan_sweep

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Result:
    """The tables of a sweep. Accuracies and differences are fractions: 3.5 points is 0.035.

    Attributes
    ----------
    tables
        Arrow tables by name, with units in the metadata of their fields: `agreement`, `mdad`, `summary`; `paired`, with a baseline;
        `cells`, which these are reduced from; and `estimates`, with `keep_estimates`.
    """

    tables: Mapping[str, pa.Table]

    def __repr__(self) -> str:
        return f"Result({', '.join(f'{name}: {len(table)} rows' for name, table in self.tables.items())})"

    @property
    def agreement(self) -> pd.DataFrame:
        """One row per method, size, split and half-point bin of the true difference: `agreement`, `ci_lo`, `ci_hi`, `n_pairs`."""
        return self.frame("agreement")

    @property
    def mdad(self) -> pd.DataFrame:
        """One row per method, size, split and threshold: `mdad_monotone` and its interval; NaN where the MDAD is not reached."""
        return self.frame("mdad")

    @property
    def summary(self) -> pd.DataFrame:
        """One row per method, size and split: `mean_agreement`, `mean_abs_error`, `kendall_tau`, `share_reliable`."""
        return self.frame("summary")

    @property
    def paired(self) -> pd.DataFrame:
        """Each method against the baseline on the same runs; ConfigError where the sweep had no baseline."""
        return self.frame("paired")

    @property
    def estimates(self) -> pd.DataFrame:
        """One row per target, cell and run; ConfigError where the sweep did not keep them."""
        return self.frame("estimates")

    def frame(self, name: str) -> pd.DataFrame:
        """A table as a DataFrame; ConfigError where the sweep does not have it."""
        if name not in self.tables:
            hint = {"paired": 'sweep(…, baseline="random")', "estimates": "sweep(…, keep_estimates=True)"}.get(name)
            raise ConfigError("The sweep does not have this table.", where=name, got=", ".join(self.tables), hint=hint)
        frame: pd.DataFrame = self.tables[name].to_pandas()
        return frame


def sweep(
    benchmark: Benchmark | Sequence[Benchmark],
    methods: MethodLike | list[MethodLike] = "random",
    sizes: int | Sequence[int] = (10, 25, 50, 100),
    n_source: int | Sequence[int] = 100,
    n_target: int = 50,
    runs: int = 20,
    seed: int = 0,
    *,
    fractions: Sequence[float] = (),
    unseen: Literal["half", "none"] = "half",
    subtasks: Literal["pooled", "separate"] = "pooled",
    targets: Targets | Sequence[str] | None = None,
    keep_estimates: bool = False,
    progress: bool | None = None,
    **rules: Any,
) -> Result:
    """Compute agreement and MDAD of methods in this process, with the numbers of `microbench sweep` for the same grid.

    Parameters
    ----------
    benchmark
        One or several, from `mb.benchmark`, `mb.read_scores` or another reader.
    methods
        Names, mappings as on the command line, or what `mb.method` returns; labels must be unique.
    sizes, fractions
        Number of selected items: counts, and shares of the benchmark's items.
    n_source, n_target
        Numbers of source models, one or several; number of target models.
    runs
        Random draws of targets, sources, halves and micro-benchmarks.
    seed
        At least 0. The same seed, benchmark name and label of a method give the same numbers, whatever else is swept.
    unseen
        `half`: the method sees one half of the items and is also judged on the other; `none`: it sees all items.
    subtasks
        `pooled`: all subtasks are one benchmark; `separate`: every subtask is swept as a benchmark.
    targets
        None: drawn at random in every run. Model ids, or `mb.Targets(label, regex=…)`, for a fixed group of models.
    keep_estimates
        Whether `Result.estimates` holds every target's estimate.
    progress
        None: a progress bar in a terminal or a notebook, nothing elsewhere. True: also lines elsewhere. False: nothing. Written to
        standard error.
    rules
        `thresholds`, `tie_policy`, `ci`, `confidence_level`, `n_resamples`, `baseline`: see `microbench_ray.sweeps.reduce.Rules`.

    Raises
    ------
    GridError, ConfigError
        A value that is invalid or does not fit the benchmark; before any work. Exceptions of a user's own method are not caught.
    """
    known = sorted(Rules.__dataclass_fields__)
    if foreign := sorted(set(rules) - set(known)):
        hint = f"rules: {', '.join(known)}"
        raise ConfigError("sweep does not have this argument.", where=foreign[0], got=f"{foreign[0]}=…", hint=hint)
    if isinstance(rules.get("thresholds"), float | list):
        thresholds = rules["thresholds"]
        rules["thresholds"] = (thresholds,) if isinstance(thresholds, float) else tuple(thresholds)
    checked_rules = Rules(**rules)
    seed = whole_number("seed", seed, 0)
    benchmarks = [check_benchmark(each) for each in (benchmark if isinstance(benchmark, list | tuple) else [benchmark])]
    plan = plan_sweep(
        benchmarks,
        methods_of(methods),
        Grid(
            sizes=whole_numbers("sizes", sizes),
            fractions=tuple(map(float, fractions)),
            n_source=whole_numbers("n_source", n_source),
            n_target=whole_number("n_target", n_target, 2),
            runs=whole_number("runs", runs, 1),
            subtasks=subtasks,
            unseen=unseen,
        ),
        group_of(targets),
        seed=seed,
        keep_estimates=keep_estimates,
        model_resamples=checked_rules.n_resamples,
    )
    benchmark_of = {each.name: each for each in benchmarks}
    parts: dict[str, list[pa.Table]] = {name: [] for name in ("cells", "resamples", *["estimates"] * keep_estimates)}
    with one_thread(), _shown_progress(plan.shards, progress) as shown:
        for shard in plan.shards:
            for name, table in evaluate_shard(shard, benchmark_of[shard.benchmark]).items():
                parts[name].append(table)
            if shown is not None:
                shown.advance(shard.n_cells)
        whole = {name: pa.concat_tables([SCHEMAS[name].empty_table(), *tables]) for name, tables in parts.items()}
        reduced = reduce_partitions([(whole["cells"], whole.pop("resamples"))], checked_rules, seed)
    return Result({**reduced, **whole})


def _shown_progress(shards: Sequence[Shard], progress: bool | None) -> AbstractContextManager[WorkProgress | None]:
    """The progress to report; None where nothing is shown, which spares the import of rich."""
    visible = _can_draw_bar() if progress is None else progress
    return WorkProgress(sum(shard.n_cells for shard in shards), visible=True) if visible else nullcontext()


def _can_draw_bar() -> bool:
    """Whether standard error is a terminal or a notebook that can draw a bar; imports rich only where it may be."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return (terminal or "IPython" in sys.modules) and can_draw(error_console())


def group_of(given: Targets | Sequence[str] | None) -> Targets:
    """The target models: random ones for None, a group labelled `group` for a list of ids."""
    if given is None:
        return Targets()
    if isinstance(given, str):
        raise ConfigError(
            "targets must be a list of model ids.", where="targets", got=repr(given), hint='[…], or mb.Targets("mine", regex=…)'
        )
    return given if isinstance(given, Targets) else Targets(label="group", names=tuple(map(str, given)))
