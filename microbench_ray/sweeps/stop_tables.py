"""Reduce `stops` and `costs`: the rows of the tables `verdicts` and `stopping`, and the mean cost of a group of cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.schemas import GROUP_KEY
from microbench_ray.metrics import BINS_PER_UNIT, PairCounts, TiePolicy, mean_agreement
from microbench_ray.metrics.mdad import Mdad
from microbench_ray.sweeps.stops import SUMS

Row = dict[str, Any]
SHARES = {"mean_items": "items_read", "mean_cost": "cost_read"} | {
    "decided": "n_decided",
    "false": "n_false",
    "fixed_decided": "n_fixed",
    "fixed_false": "n_fixed_false",
}
"""Columns of both tables, and the sums that they are means of."""


def mean_costs(costs: pa.Table) -> dict[tuple[Any, ...], float]:
    """The mean cost over runs, by the values of the columns of `GROUP_KEY`."""
    found: dict[tuple[Any, ...], list[tuple[int, float]]] = {}
    keys = zip(*(costs.column(name).to_pylist() for name in GROUP_KEY), strict=True)
    for key, run, cost in zip(keys, costs.column("run").to_pylist(), costs.column("cost").to_pylist(), strict=True):
        found.setdefault(key, []).append((run, cost))
    return {key: float(np.mean([cost for _, cost in sorted(values)])) for key, values in found.items()}


def verdict_rows(key: Mapping[str, Any], rows: pa.Table, counts: PairCounts) -> Iterator[Row]:
    """A row per bin that holds a pair, from the runs of a group; pairs with equal true accuracies come first.

    Parameters
    ----------
    key
        The group's columns of the table's key.
    rows, counts
        Of `stops`, in the order of runs.
    """
    n_pairs, sums = _pooled(rows, counts)
    for place in np.flatnonzero(n_pairs):
        low, high = (0.0, 0.0) if place == 0 else ((place - 1) / BINS_PER_UNIT, place / BINS_PER_UNIT)
        yield {**key, "diff_lo": low, "diff_hi": high, "n_pairs": int(n_pairs[place])} | _means(sums, n_pairs, [int(place)])


def stopping_rows(
    key: Mapping[str, Any], rows: pa.Table, counts: PairCounts, tie_policy: TiePolicy, ci: str, measured: Sequence[Mdad]
) -> Iterator[Row]:
    """A row per threshold, from the runs of a group; `measured` are the MDADs of `counts`."""
    n_pairs, sums = _pooled(rows, counts)
    means = _means(sums, n_pairs, list(range(n_pairs.size)))
    for mdad in measured:
        yield {
            **key,
            **means,
            "threshold": mdad.threshold,
            "tie_policy": tie_policy,
            "ci": ci,
            "mean_agreement": mean_agreement(counts, tie_policy),
            "mdad_monotone": mdad.mdad_monotone,
            "mdad_monotone_ci_lo": mdad.mdad_monotone_ci_lo,
            "mdad_monotone_ci_hi": mdad.mdad_monotone_ci_hi,
            "n_runs": len(rows),
        }


def _pooled(rows: pa.Table, counts: PairCounts) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """(n_classes,) pairs and sums over all runs: first of pairs with equal true accuracies, then by bin."""
    total = counts.total()
    n_pairs = np.concatenate([[total.n_true_tied], total.n_pairs])
    sums = {}
    for name in SUMS:
        pooled = np.zeros(n_pairs.size)
        for values in rows.column(name).to_pylist():
            if values is None:
                pooled[:] = np.nan
            else:
                pooled[: len(values)] += values
        sums[name] = pooled
    return n_pairs, sums


def _means(sums: Mapping[str, NDArray[np.float64]], n_pairs: NDArray[np.int64], places: list[int]) -> dict[str, float]:
    n = int(n_pairs[places].sum())
    return {column: float(sums[name][places].sum()) / n if n else float("nan") for column, name in SHARES.items()}
