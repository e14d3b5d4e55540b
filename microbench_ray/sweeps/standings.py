"""Which methods are not worse than the best one by more than chance: the rows of the table `standings`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from microbench_ray.core.schemas import GROUP_KEY
from microbench_ray.metrics import PairCounts, TiePolicy, best_p_values
from microbench_ray.metrics.counts import IntArray
from microbench_ray.metrics.ties import doubled

PANEL = [name for name in (*GROUP_KEY, "split") if name != "method"]
"""Columns that rows have in common if they differ only in the method; such rows also share the draws of their runs."""


class RunTotals(NamedTuple):
    """A group of cells as it enters the comparison of all methods.

    Attributes
    ----------
    key
        The group's columns of the table's key.
    runs
        (n_runs,) the numbers of its runs, ascending.
    agree, pairs
        (n_runs,) doubled counts over all bins, under the tie policy.
    """

    key: dict[str, Any]
    runs: IntArray
    agree: IntArray
    pairs: IntArray


def run_totals(key: dict[str, Any], cells: pa.Table, counts: PairCounts, tie_policy: TiePolicy) -> RunTotals:
    """Reduce a group of cells, in the order of its runs, to what the comparison needs."""
    agree, pairs = (each.sum(axis=-1) for each in doubled(counts, tie_policy))
    return RunTotals(key=key, runs=cells.column("run").to_numpy(), agree=agree, pairs=pairs)


def standing_rows(groups: Sequence[RunTotals], tie_policy: TiePolicy, level: float) -> Iterator[dict[str, Any]]:
    """A row for each method of each panel, over the runs that all its methods have.

    Parameters
    ----------
    groups
        Fixed lists, which have no runs, get no row.
    tie_policy
        That of `run_totals`.
    level
        A method is `among_best` unless its p-value is at most 1 − level.
    """
    panels: dict[tuple[Any, ...], list[RunTotals]] = {}
    for group in groups:
        if group.key["n_source"]:
            panels.setdefault(tuple(group.key[name] for name in PANEL), []).append(group)
    for members in panels.values():
        runs = reduce(np.intersect1d, [group.runs for group in members])
        agree, pairs = (
            np.stack([getattr(group, name)[np.isin(group.runs, runs)] for group in members]) for name in ("agree", "pairs")
        )
        for group, p_value in zip(members, best_p_values(agree, pairs).tolist(), strict=True):
            among_best = None if np.isnan(p_value) else p_value > 1 - level
            yield group.key | {"tie_policy": tie_policy, "p_best": p_value, "among_best": among_best, "n_runs": len(runs)}
