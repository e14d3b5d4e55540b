"""`microbench compare` on data in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from microbench_ray.api.arguments import check_benchmark
from microbench_ray.core import formats
from microbench_ray.core.errors import ConfigError, DataError, closest
from microbench_ray.core.presented import Presented
from microbench_ray.core.shown import escape_controls
from microbench_ray.data import Benchmark
from microbench_ray.metrics.multiplicity import Adjustment
from microbench_ray.metrics.run_difference import Reference
from microbench_ray.micro.compare import report
from microbench_ray.micro.compare.compare import Accept, Against, Compared, Decision, Rules
from microbench_ray.micro.compare.compare import compare as compare_runs
from microbench_ray.micro.compare.pairing import Repeats, Truth
from microbench_ray.micro.compare.runs import Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SHOWN = ("a", "b", "mean_a", "mean_b", "difference", "low", "high", "p_value", "decision")
"""Columns of the overview."""
Scores = Mapping[str, float | Sequence[float]]


@dataclass(frozen=True, repr=False)
class RunComparison(Presented):
    """What `mb.compare` found. `repr` and notebooks show the answer and a row for each pair of runs.

    Attributes
    ----------
    found
        All numbers: see `microbench_ray.micro.compare.compare.Compared`.
    """

    found: Compared

    @property
    def decision(self) -> Decision | None:
        """Of the gate: `yes`, `no` or `cannot be told`; None without a gate."""
        return self.found.decision

    def headline(self) -> str:
        """The answer for two runs; for more, what was compared; and what the gate says."""
        first, *others = self.found.comparisons
        if others:
            text = f"{1 + len(others)} comparisons of {len(self.found.names)} runs on {self.found.n_items:,} items, fractions."
        else:
            text = report.headline(first)
        return escape_controls(text if self.decision is None else f"{text} Gate: {self.decision}.")

    def overview(self) -> formats.Table:
        """The main columns, without `decision` where there is no gate."""
        return formats.Table.of_frame(self.table()[[name for name in SHOWN if name != "decision" or self.decision is not None]])

    def table(self) -> pd.DataFrame:
        """One row for each pair of runs.

        Columns: `a`, `b`, `n_items`, `mean_a`, `mean_b`, `difference` (b minus a) with its interval `low` and `high`, `p_better`,
        `p_value` (adjusted), `mde`, `interval_kind` and `decision`. Scores and differences are fractions.
        """
        import pandas as pd

        return pd.DataFrame(report.table_rows(self.found))

    def to_json(self) -> dict[str, Any]:
        """The same object as `microbench compare format=json` prints."""
        return report.to_json(self.found)

    def report(self, form: Literal["table", "json", "markdown", "csv", "junit"] = "table") -> str:
        """The report as `microbench compare format=FORM` prints it; `markdown` is for a pull request."""
        return report.text(self.found, [], form)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the difference of each pair of runs with its interval, in points; on new axes by default."""
        from microbench_ray.report.plots import axes_or_new, plot_differences

        axes = axes_or_new(ax, height=max(2.0, 1.2 + 0.28 * len(self.found.comparisons)))
        plot_differences(self.table(), axes)
        return axes


def compare(
    *runs: str | Scores | ArrayLike,
    benchmark: Benchmark | None = None,
    names: Sequence[str] | None = None,
    subtask: Mapping[str, str] | None = None,
    cluster: Mapping[str, str] | Literal["subtask"] | None = None,
    weight: Mapping[str, float] | None = None,
    truth: Truth | None = None,
    repeats: Repeats = "samples",
    reference: Reference = "population",
    confidence: float = 0.95,
    against: Against = "first",
    adjust: Adjustment = "holm",
    accept: Accept | None = None,
    margin: float = 0.0,
    min_common: float = 0.9,
) -> RunComparison:
    """Is one run better than another, or is the difference noise?

    Parameters
    ----------
    *runs
        Two or more; the first is the one that others are compared with. Names of models of `benchmark`, with their repeats; or
        mappings (also a pandas Series) from an item's id to its score in [0, 1] or to the scores of its repeats; or arrays
        (n_items,) or (n_items, n_repeats), whose rows are the same items in every run, NaN where missing.
    benchmark
        The benchmark whose models are compared.
    names
        Of runs that are mappings or arrays; by default `run_0`, `run_1` and so on.
    subtask
        By item id, for runs that are mappings.
    cluster
        By item id, items that are not independent of one another; or `subtask`. By default those of the benchmark.
    weight
        By item id, what the item counts in the means. By default those of the benchmark, unless a `truth` is given.
    truth
        `micro` or `macro`; by default that of the benchmark, or `micro`.
    repeats, reference, confidence, against, adjust, accept, margin, min_common
        See `microbench_ray.micro.compare.compare.Rules`.

    Returns
    -------
    RunComparison
        `table()` has a row for each pair; `decision` is that of the gate.

    Raises
    ------
    ConfigError, DataError
        As for `microbench_ray.micro.compare.compare.compare`; a model that the benchmark does not have; scores outside [0, 1].

    Examples
    --------
    >>> import microbench_ray as mb
    >>> base = {"q1": 1, "q2": 0, "q3": 1, "q4": 0}
    >>> new = {"q1": 1, "q2": 1, "q3": 1, "q4": 0}
    >>> float(mb.compare(base, new).table()["difference"].iloc[0])
    0.25
    """
    if benchmark is not None:
        check_benchmark(benchmark)
        if truth is None and weight is None:
            truth = "macro" if benchmark.truth == "macro" and benchmark.weights is None else "micro"
            if benchmark.weights is not None:
                weight = dict(zip(map(str, benchmark.item_ids), benchmark.weights.tolist(), strict=True))
        if cluster is None and benchmark.cluster_codes is not None:
            cluster = dict(zip(map(str, benchmark.item_ids), map(str, benchmark.cluster_codes), strict=True))
        given = [_of_benchmark(check_benchmark(benchmark), run) for run in runs]
    else:
        labels = [f"run_{k}" for k in range(len(runs))] if names is None else [str(name) for name in names]
        if len(labels) != len(runs) or len(set(labels)) < len(labels):
            raise ConfigError(
                "There must be one name for each run.", where="names", got=", ".join(labels), hint="names=['base', 'new']"
            )
        given = [_in_memory(run, label, subtask or {}) for run, label in zip(runs, labels, strict=True)]
    if len(given) < 2:
        raise ConfigError("A comparison needs two runs.", where="runs", got=str(len(given)), hint="mb.compare(base, new)")
    rules = Rules(
        truth=truth or "micro",
        repeats=repeats,
        reference=reference,
        confidence=confidence,
        against=against,
        adjust=adjust,
        accept=accept,
        margin=margin,
        min_common=min_common,
    )
    return RunComparison(compare_runs(given, rules, cluster, weight))


def _of_benchmark(benchmark: Benchmark, name: Any) -> Run:
    found = np.flatnonzero(benchmark.model_ids == name)
    if not found.size:
        known = list(map(str, benchmark.model_ids))
        raise ConfigError("The benchmark has no such model.", where="runs", got=str(name), hint=closest(name, known, count=10))
    scores = benchmark.scores[found[0]]
    subtasks = [benchmark.subtask_names[code] for code in benchmark.subtask_codes]
    missing = (scores == benchmark.missing).tolist()
    ids = list(map(str, benchmark.item_ids))
    repeats = (scores / benchmark.units)[:, None] if benchmark.repeats is None else benchmark.repeats[found[0]].astype(np.float64)
    own = [tuple(each[each == each].tolist()) for each in repeats]
    return Run(
        name=str(name),
        scores={item: () if absent else values for item, values, absent in zip(ids, own, missing, strict=True)},
        subtask=dict(zip(ids, subtasks, strict=True)),
        content=dict.fromkeys(ids),
    )


def _in_memory(given: Any, name: str, subtask: Mapping[str, str]) -> Run:
    if isinstance(given, str | Path):
        hint = "benchmark=… for names of models; microbench compare reads logs"
        raise ConfigError("A run must be scores by item.", where=name, got=str(given), hint=hint)
    if hasattr(given, "items"):  # a mapping, or a pandas Series, in which an item's repeats are several rows
        repeats: dict[str, list[float]] = {}
        for item, value in given.items():
            repeats.setdefault(str(item), []).extend(np.atleast_1d(np.asarray(value, np.float64)).tolist())
    else:
        matrix = np.asarray(given, np.float64)
        if matrix.ndim not in (1, 2):
            raise DataError(
                "An array of scores has the shape (n_items,) or (n_items, n_repeats).", where=name, got=str(matrix.shape)
            )
        repeats = {f"item_{k}": np.atleast_1d(row).tolist() for k, row in enumerate(matrix)}
    scores = {item: tuple(value for value in values if value == value) for item, values in repeats.items()}
    wrong = next(((item, value) for item, values in scores.items() for value in values if not 0 <= value <= 1), None)
    if wrong is not None:
        raise DataError("A score is outside [0, 1].", where=f"{name}, item {wrong[0]!r}", got=f"{wrong[1]:g}")
    return Run(name, scores, {item: str(subtask.get(item, "all")) for item in scores}, dict.fromkeys(scores))
