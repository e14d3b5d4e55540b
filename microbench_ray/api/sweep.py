"""A sweep in this process: the tables of `microbench sweep` as DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from microbench_ray.api.methods import MethodLike, methods_of
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules, reduce_partitions
from microbench_ray.sweeps.shards import plan_sweep

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Result:
    """The tables of a sweep. Accuracies and differences are fractions: 3.5 points is 0.035.

    Attributes
    ----------
    tables
        By name, in Arrow, units in the metadata of their fields: `agreement`, `mdad`, `summary`, with a baseline `paired`, and
        `cells`, from which these are reduced; with `keep_estimates` also `estimates`.
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
        """One row per method, size, split and threshold: `mdad_monotone` and its interval; NaN where it is never reached."""
        return self.frame("mdad")

    @property
    def summary(self) -> pd.DataFrame:
        """One row per method, size and split: `mean_agreement`, `mean_abs_error`, `kendall_tau`, `share_reliable`."""
        return self.frame("summary")

    @property
    def paired(self) -> pd.DataFrame:
        """Each method against the baseline on the same runs; ConfigError where the sweep had none."""
        return self.frame("paired")

    @property
    def estimates(self) -> pd.DataFrame:
        """One row per target, cell and run; ConfigError where they were not kept."""
        return self.frame("estimates")

    def frame(self, name: str) -> pd.DataFrame:
        """A table as a DataFrame; ConfigError for one that there is not."""
        if name not in self.tables:
            hint = {"paired": 'sweep(…, baseline="random")', "estimates": "sweep(…, keep_estimates=True)"}.get(name)
            raise ConfigError("The sweep has no such table.", where=name, got=", ".join(self.tables), hint=hint)
        frame: pd.DataFrame = self.tables[name].to_pandas()
        return frame


def sweep(
    benchmark: Benchmark | Sequence[Benchmark],
    methods: MethodLike | list[MethodLike] = "random",
    sizes: Sequence[int] = (10, 25, 50, 100),
    n_source: int | Sequence[int] = 100,
    n_target: int = 50,
    runs: int = 20,
    seed: int = 0,
    *,
    fractions: Sequence[float] = (),
    unseen: Literal["half", "none"] = "half",
    subtasks: Literal["together", "apart"] = "together",
    targets: Targets | Sequence[str] | None = None,
    keep_estimates: bool = False,
    **rules: Any,
) -> Result:
    """Agreement and MDAD of methods, computed in this process: the numbers are those of `microbench sweep` for the same grid.

    Parameters
    ----------
    benchmark
        One or several, from `mb.benchmark`, `mb.read_scores` or another reader.
    methods
        Names, mappings as on the command line, or what `mb.method` returns; each label once.
    sizes, fractions
        Items selected: counts, and shares of the benchmark's items.
    n_source, n_target
        Numbers of source models, one or several; and of target models.
    runs
        Random draws of targets, sources, halves and micro-benchmarks.
    seed
        At least 0. The same seed, benchmark name and label of a method give the same numbers, whatever else is swept.
    unseen
        `half`: the method sees one half of the items, the other is kept from it; `none`: it sees all.
    subtasks
        `apart`: every subtask is a benchmark of its own.
    targets
        None: drawn in every run. Model ids, or `mb.Targets(label, regex=…)`, for one group of models.
    keep_estimates
        Whether `Result.estimates` holds every target's estimate.
    rules
        `thresholds`, `tie_policy`, `ci`, `confidence_level`, `n_resamples`, `baseline`: see `microbench_ray.sweeps.reduce.Rules`.

    Raises
    ------
    GridError, ConfigError
        What does not fit the benchmark, or is no valid value; before any work. What a method of your own raises comes as it is.
    """
    known = sorted(Rules.__dataclass_fields__)
    if foreign := sorted(set(rules) - set(known)):
        raise ConfigError("sweep has no such argument.", where=foreign[0], got=f"{foreign[0]}=…", hint=f"rules: {', '.join(known)}")
    if isinstance(rules.get("thresholds"), float | list):
        given = rules["thresholds"]
        rules["thresholds"] = (given,) if isinstance(given, float) else tuple(given)
    checked = Rules(**rules)
    if seed < 0:
        raise ConfigError("seed must be at least 0.", where="seed", got=str(seed))
    several = [benchmark] if isinstance(benchmark, Benchmark) else list(benchmark)
    plan = plan_sweep(
        several,
        methods_of(methods),
        Grid(
            sizes=tuple(map(int, sizes)),
            fractions=tuple(map(float, fractions)),
            n_source=(n_source,) if isinstance(n_source, int) else tuple(map(int, n_source)),
            n_target=n_target,
            runs=runs,
            subtasks=subtasks,
            unseen=unseen,
        ),
        group_of(targets),
        seed=seed,
        keep_estimates=keep_estimates,
        model_resamples=checked.n_resamples,
    )
    by_name = {each.name: each for each in several}
    made: dict[str, list[pa.Table]] = {name: [] for name in ("cells", "resamples", *["estimates"] * keep_estimates)}
    with one_thread():
        for shard in plan.shards:
            for name, table in evaluate_shard(shard, by_name[shard.benchmark]).items():
                made[name].append(table)
        whole = {name: pa.concat_tables([SCHEMAS[name].empty_table(), *parts]) for name, parts in made.items()}
        tables = reduce_partitions([(whole["cells"], whole.pop("resamples"))], checked, seed)
    return Result({**tables, **whole})


def group_of(given: Targets | Sequence[str] | None) -> Targets:
    """The target models: drawn at random for None; a group called `group` for a list of ids."""
    if given is None:
        return Targets()
    if isinstance(given, str):
        raise ConfigError("Targets are a list of model ids.", where="targets", got=repr(given), hint='mb.Targets("mine", regex=…)')
    return given if isinstance(given, Targets) else Targets("group", tuple(map(str, given)))
