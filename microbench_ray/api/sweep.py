"""`mb.sweep`: a sweep in this process, with the tables of `microbench sweep` as DataFrames."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from microbench_ray.api.arguments import check_benchmark, number, whole_number, whole_numbers
from microbench_ray.api.methods import MethodLike, methods_of
from microbench_ray.api.swept import Result
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.log import error_console
from microbench_ray.core.progress import WorkProgress, can_draw
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.fit_grid import DEFAULT, OPEN_KEYS, fit_grid, open_keys
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import COMPANIONS, Partition, Rules, reduce_partitions
from microbench_ray.sweeps.shard_files import ShardFiles
from microbench_ray.sweeps.shards import Shard, plan_sweep


def sweep(
    benchmark: Benchmark | Sequence[Benchmark],
    methods: MethodLike | list[MethodLike] = "random",
    sizes: int | Sequence[int] | None = None,
    n_source: int | Sequence[int] | None = None,
    n_target: int | None = None,
    runs: int = 20,
    seed: int = 0,
    *,
    fractions: Sequence[float] = (),
    unseen: Literal["half", "none"] = "half",
    subtasks: Literal["pooled", "separate"] = "pooled",
    targets: Targets | Sequence[str] | None = None,
    keep_estimates: bool = False,
    verdicts: bool = False,
    out: str | Path | None = None,
    progress: bool | None = None,
    **rules: Any,
) -> Result:
    """Compute agreement and MDAD of methods in this process, with the numbers of `microbench sweep` for the same grid.

    Ctrl-C (in a notebook, interrupting the kernel) stops the sweep and keeps what is done: the result of the finished cells is
    returned with a warning, and its `complete` is False. A second Ctrl-C, and one before any cell is finished, raises
    KeyboardInterrupt as usual.

    Parameters
    ----------
    benchmark
        One or several, from `mb.benchmark`, `mb.read_scores` or another reader.
    methods
        Names, mappings as on the command line, or what `mb.method` returns; labels must be unique.
    sizes, fractions
        Number of selected items: counts, and shares of the benchmark's items. Without sizes, those of the command that fit: of 10,
        25, 50, 100, 250 and 500.
    n_source, n_target
        Numbers of source models, one or several; number of target models. None: numbers that fit the benchmark, as for the command:
        up to 100 and 50.
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
    verdicts
        Whether to read every pair of targets item by item, in the order of the methods that have one, until there is a verdict
        which of them is better: the tables `verdicts` and `stopping`.
    out
        A folder or a URL to keep finished cells in: the same call continues from them after an interruption, and a larger grid
        computes only new shards. The reduced tables are written there too. A folder of `microbench sweep` is refused.
        By default nothing is written.
    progress
        None: a progress bar in a terminal or a notebook, nothing elsewhere. True: also lines elsewhere. False: nothing. Written to
        standard error.
    rules
        `thresholds`, `tie_policy`, `ci`, `confidence_level`, `n_resamples`, `baseline`: see `microbench_ray.sweeps.reduce.Rules`.

    Returns
    -------
    Result
        `table()` holds the main numbers, and `plot()` draws them; the tables of the command are attributes.

    Raises
    ------
    GridError, ConfigError
        A value that is invalid or does not fit the benchmark; before any work. Exceptions of a user's own method are not caught.
    StoreError
        `out` cannot be written, or belongs to `microbench sweep`.

    Warns
    -----
    UserWarning
        The sweep was interrupted: how many cells the result holds.

    Notes
    -----
    The protocol and MDAD are those of Yauney, Warraich and Swayamdipta, "How Reliable is Language Model Micro-Benchmarking?"
    (ICLR 2026, arXiv 2510.08730).

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=60, n_items=200)
    >>> result = mb.sweep(board, ["random", "stratified_confidence"], [10, 50], n_source=20, n_target=20, runs=2)
    >>> len(result.table())  # two methods, two sizes, two halves of the items
    8
    """
    known = sorted(Rules.__dataclass_fields__)
    if foreign := sorted(set(rules) - set(known)):
        hint = f"rules: {', '.join(known)}"
        raise ConfigError("sweep does not have this argument.", where=foreign[0], got=f"{foreign[0]}=…", hint=hint)
    if "thresholds" in rules:
        thresholds = rules["thresholds"]
        several = thresholds if isinstance(thresholds, list | tuple) else [thresholds]
        rules["thresholds"] = tuple(number("thresholds", each, "thresholds=[0.8]") for each in several)
    checked_rules = Rules(**rules)
    seed = whole_number("seed", seed, 0)
    benchmarks = [check_benchmark(each) for each in (benchmark if isinstance(benchmark, list | tuple) else [benchmark])]
    grid = Grid(
        sizes=DEFAULT.sizes if sizes is None else whole_numbers("sizes", sizes),
        fractions=tuple(map(float, fractions)),
        n_source=DEFAULT.n_source if n_source is None else whole_numbers("n_source", n_source),
        n_target=DEFAULT.n_target if n_target is None else whole_number("n_target", n_target, 2),
        runs=whole_number("runs", runs, 1),
        subtasks=subtasks,
        unseen=unseen,
    )
    swept, group = methods_of(methods), group_of(targets)
    given = dict(zip(OPEN_KEYS, (sizes, n_source, n_target), strict=True))
    fitted = fit_grid(grid, open_keys(given, swept), benchmarks, [group])
    plan = plan_sweep(
        benchmarks,
        swept,
        fitted.grid,
        group,
        benchmark_sizes=fitted.sizes,
        seed=seed,
        keep_estimates=keep_estimates,
        model_resamples=checked_rules.n_resamples,
        verdicts=verdicts,
    )
    files = None if out is None else ShardFiles(out)
    benchmark_of = {each.name: each for each in benchmarks}
    finished = _finished_shards(plan.shards, benchmark_of, files, progress)
    parts: dict[str, list[pa.Table]] = {name: [] for name in ("cells", *COMPANIONS, *["estimates"] * keep_estimates)}
    for tables in finished:
        for name, table in tables.items():
            parts[name].append(table)
    whole = {name: pa.concat_tables([SCHEMAS[name].empty_table(), *tables]) for name, tables in parts.items()}
    with one_thread():
        companions = {name: whole.pop(name) for name in COMPANIONS}
        reduced = reduce_partitions([Partition(whole["cells"], **companions)], checked_rules, seed)
    if files is not None:
        files.write_tables(reduced)
    return Result({**reduced, **whole}, complete=len(finished) == len(plan.shards))


def _finished_shards(
    shards: Sequence[Shard], benchmarks: Mapping[str, Benchmark], files: ShardFiles | None, progress: bool | None
) -> list[Mapping[str, pa.Table]]:
    """The tables of every shard, read from the files or computed and written; of fewer after Ctrl-C, with a warning."""
    finished: list[Mapping[str, pa.Table]] = []
    if files is not None:
        files.prepare()
    with one_thread(), _shown_progress(shards, progress) as shown:
        try:
            for shard in shards:
                tables = None if files is None else files.read(shard)
                if tables is None:
                    tables = evaluate_shard(shard, benchmarks[shard.benchmark])
                    if files is not None:
                        files.write(shard, tables)
                finished.append(tables)
                if shown is not None:
                    shown.advance(shard.n_cells)
        except KeyboardInterrupt:
            if not finished:
                raise
            n_done, n_cells = (sum(shard.n_cells for shard in each) for each in (shards[: len(finished)], shards))
            advice = "pass out=FOLDER to keep cells for a later call" if files is None else "the same call continues from there"
            message = f"Interrupted: the result holds the {n_done:,} finished of {n_cells:,} cells; {advice}."
            warnings.warn(message, UserWarning, stacklevel=3)
    return finished


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
