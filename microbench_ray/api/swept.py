"""What `mb.sweep` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from microbench_ray.core import formats
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.presented import Presented
from microbench_ray.core.schemas import GROUP_KEY
from microbench_ray.core.shown import escape_controls
from microbench_ray.sweeps.shard_files import ShardFiles

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MDAD = ("mdad_monotone", "mdad_monotone_ci_lo", "mdad_monotone_ci_hi")
HINTS = {
    "paired": 'sweep(…, baseline="random")',
    "estimates": "sweep(…, keep_estimates=True)",
    "verdicts": "sweep(…, verdicts=True)",
    "stopping": "sweep(…, verdicts=True)",
}
"""How to get the tables that not every sweep has."""
PER_CELL = ("mean_agreement", "mean_abs_error", "kendall_tau")


@dataclass(frozen=True, eq=False, repr=False)
class Result(Presented):
    """The tables of a sweep. Accuracies and differences are fractions: 3.5 points is 0.035.

    Attributes
    ----------
    tables
        Arrow tables by name, with units in the metadata of their fields: `agreement`, `mdad`, `summary`; `paired`, with a baseline;
        `verdicts` and `stopping`, with `verdicts`;
        `cells`, which these are reduced from; and `estimates`, with `keep_estimates`.
    complete
        Whether all cells are in the tables; False for a sweep that was interrupted.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=60, n_items=200)
    >>> result = mb.sweep(board, ["random", "stratified_confidence"], [10, 50], n_source=20, n_target=20, runs=2)
    >>> result.table()["size"].unique().tolist()
    [10, 50]
    >>> result.to_markdown().splitlines()[0]
    '| split | method | 10 items | 50 items |'
    """

    tables: Mapping[str, pa.Table]
    complete: bool = True

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
            hint = HINTS.get(name)
            raise ConfigError("The sweep does not have this table.", where=name, got=", ".join(self.tables), hint=hint)
        frame: pd.DataFrame = self.tables[name].to_pandas()
        return frame

    def headline(self) -> str:
        """The benchmarks, the grid and the tables, in one line."""
        mdad = self.tables["mdad"]
        n = {name: len(mdad[name].unique()) for name in ("benchmark", "method", "size")}
        labels = mdad["benchmark"].unique().to_pylist()
        of = escape_controls(labels[0]) if len(labels) == 1 else f"{len(labels)} benchmarks"
        counts = ", ".join(f"{name}: {len(table)} rows" for name, table in self.tables.items())
        runs = max(mdad["n_runs"].to_pylist(), default=0)
        grid = f"{_plural(n['method'], 'method')}, {_plural(n['size'], 'size')}, {_plural(runs, 'run')}"
        return f"{'Result' if self.complete else 'Incomplete result'} of {of}: {grid}. MDADs, fractions; tables {counts}"

    def table(self) -> pd.DataFrame:
        """The main numbers, one row per method, size, split and threshold.

        Returns
        -------
        pandas.DataFrame
            `benchmark`, `method`, `n_source`, `size` (items), `split`, `threshold`; `mdad_monotone` and its interval
            `mdad_monotone_ci_lo` to `mdad_monotone_ci_hi`, fractions, NaN where the MDAD is not reached and where the interval is
            unbounded; `mean_agreement`, the share of all pairs ordered right; `mean_abs_error` of the estimates, a fraction;
            `kendall_tau`; `n_runs`; where items have costs, `cost`, the mean cost of the selected ones. All columns are described
            in `microbench_ray.core.schemas`.
        """
        key = [*GROUP_KEY, "split"]
        summary = self.summary[[*key, *PER_CELL]]
        joined = self.mdad.merge(summary, on=key, how="left", validate="many_to_one")
        columns = ["benchmark", "method", "n_source", "size", "split", "threshold", *MDAD, *PER_CELL, "n_runs"]
        if joined["cost"].notna().any():
            columns.append("cost")
        table: pd.DataFrame = joined[columns]
        return table

    def overview(self) -> formats.Table:
        """MDADs with their intervals: a row per method, a column per size; keys of one value are left out."""
        rows = self.tables["mdad"].to_pylist()
        sizes = sorted({row["size"] for row in rows})
        keys = [name for name in ("benchmark", "n_source", "split", "threshold") if len({row[name] for row in rows}) > 1]
        cells: dict[tuple[Any, ...], dict[int, str]] = {}
        for row in sorted(rows, key=lambda row: [row[name] for name in keys]):
            cells.setdefault((*(row[name] for name in keys), row["method"]), {})[row["size"]] = _mdad_cell(row)
        columns = (*keys, "method", *(f"{size} items" for size in sizes))
        return formats.Table(columns, tuple((*key, *map(of.get, sizes)) for key, of in cells.items()))

    def plot(
        self,
        kind: Literal["mdad", "agreement"] = "mdad",
        *,
        size: int | None = None,
        split: Literal["seen", "unseen"] = "seen",
        benchmark: str | None = None,
        n_source: int | None = None,
        threshold: float | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Plot one panel of the sweep with matplotlib, in points.

        Parameters
        ----------
        kind
            `mdad`: MDAD with intervals against the size. `agreement`: agreement against the true difference, at one size.
        size, split, benchmark, n_source, threshold
            What to plot; by default the largest size, the seen half, the first benchmark, the most source models and the first
            threshold.
        ax
            The axes to draw on; by default those of a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ConfigError
            The sweep does not have what is asked for, or matplotlib is not installed.
        """
        from microbench_ray.report import plots

        mdad = self.mdad
        first = {
            "benchmark": mdad["benchmark"].iloc[0],
            "n_source": mdad["n_source"].max(),
            "split": split,
            "threshold": self.summary["threshold"].iloc[0],
        }
        asked = {"benchmark": benchmark, "n_source": n_source, "threshold": threshold}
        panel = first | {name: value for name, value in asked.items() if value is not None}
        mdad = _selected(mdad, panel)
        if kind == "mdad":
            axes = plots.axes_or_new(ax)
            plots.plot_mdad(mdad, axes)
            return axes
        if kind != "agreement":
            raise ConfigError("Unknown plot.", where="kind", got=str(kind), hint="mdad or agreement")
        at = {"size": mdad["size"].max() if size is None else size}
        mdad = _selected(mdad, at)
        curves = _selected(self.agreement, {name: panel[name] for name in ("benchmark", "n_source", "split")} | at)
        axes = plots.axes_or_new(ax)
        plots.plot_agreement(curves, mdad, axes)
        return axes

    def save(self, out: str | Path) -> None:
        """Write every table to `out/NAME.parquet`, each atomically; files of these names are replaced.

        Parameters
        ----------
        out
            A folder or a URL; it is created.

        Raises
        ------
        StoreError
            A file cannot be written.
        """
        ShardFiles(out).write_tables(self.tables)


def _mdad_cell(row: Mapping[str, Any]) -> str:
    value, low, high = (row[name] for name in MDAD)
    if value is None:
        return "not reached"
    return f"{formats.cell(value)} [{formats.cell(low)}, {'∞' if high is None else formats.cell(high)}]"


def _selected(rows: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """The rows with these values; ConfigError where there are none."""
    for name, value in values.items():
        selected = rows[rows[name] == value]
        if not len(selected):
            known = ", ".join(map(str, sorted(rows[name].unique())))
            raise ConfigError("The sweep does not have this value.", where=name, got=str(value), hint=f"{name}: {known}")
        rows = selected
    return rows


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
