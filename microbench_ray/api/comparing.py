"""`microbench compare` on data in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike

from microbench_ray.api.arguments import check_benchmark, number
from microbench_ray.api.compared_runs import by_item, runs_in_memory, runs_of_models
from microbench_ray.core import formats
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.presented import Presented
from microbench_ray.core.shown import escape_controls
from microbench_ray.data import Benchmark
from microbench_ray.metrics.multiplicity import Adjustment
from microbench_ray.metrics.run_difference import Reference
from microbench_ray.micro.compare import report
from microbench_ray.micro.compare.compare import Compared
from microbench_ray.micro.compare.compare import compare as compare_runs
from microbench_ray.micro.compare.pairing import Repeats, Truth
from microbench_ray.micro.compare.rules import Accept, Against, CompareRules, Decision

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
    subtask: Mapping[Any, str] | ArrayLike | None = None,
    cluster: Mapping[Any, Any] | ArrayLike | Literal["subtask"] | None = None,
    weight: Mapping[Any, Any] | ArrayLike | None = None,
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
        By item id, for runs that are mappings; for arrays, an array of their items.
    cluster
        Likewise, items that are not independent of one another; or `subtask`. By default those of the benchmark.
    weight
        Likewise, what the item counts in the means. By default those of the benchmark, unless a `truth` is given.
    truth
        `micro` or `macro`; by default that of the benchmark, or `micro`.
    repeats, reference, confidence, against, adjust, accept, margin, min_common
        See `microbench_ray.micro.compare.rules.CompareRules`.

    Returns
    -------
    RunComparison
        `table()` has a row for each pair; `decision` is that of the gate.

    Raises
    ------
    ConfigError, DataError
        As for `microbench_ray.micro.compare.compare.compare`; a model that the benchmark does not have; scores that are not in
        [0, 1]; arrays of different numbers of items.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> base = {"q1": 1, "q2": 0, "q3": 1, "q4": 0}
    >>> new = {"q1": 1, "q2": 1, "q3": 1, "q4": 0}
    >>> float(mb.compare(base, new).table()["difference"].iloc[0])
    0.25
    """
    cluster, weight, subtask = (
        by_item(key, value, runs, benchmark) for key, value in (("cluster", cluster), ("weight", weight), ("subtask", subtask))
    )
    if benchmark is not None:
        check_benchmark(benchmark)
        if truth is None and weight is None:
            truth = "macro" if benchmark.truth == "macro" and benchmark.weights is None else "micro"
            if benchmark.weights is not None:
                weight = dict(zip(map(str, benchmark.item_ids), benchmark.weights.tolist(), strict=True))
        if cluster is None and benchmark.cluster_codes is not None:
            cluster = dict(zip(map(str, benchmark.item_ids), map(str, benchmark.cluster_codes), strict=True))
        given = runs_of_models(benchmark, runs)
    else:
        given = runs_in_memory(runs, names, subtask or {})
    if len(given) < 2:
        raise ConfigError("A comparison needs two runs.", where="runs", got=str(len(given)), hint="mb.compare(base, new)")
    rules = CompareRules(
        truth=truth or "micro",
        repeats=repeats,
        reference=reference,
        confidence=number("confidence", confidence, "confidence=0.95"),
        against=against,
        adjust=adjust,
        accept=accept,
        margin=number("margin", margin, "margin=0.02 for two points"),
        min_common=number("min_common", min_common, "min_common=0.9"),
    )
    return RunComparison(compare_runs(given, rules, cluster, weight))
