"""Methods compared with a baseline on the same runs: the rows of the table `paired`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from microbench_ray.core import seeding
from microbench_ray.core.errors import unknown
from microbench_ray.metrics import (
    BootstrapCrossings,
    PairCounts,
    TiePolicy,
    bootstrap_crossings,
    paired_differences,
    paired_run_weights,
)
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.sweeps.standings import PANEL

BEST = "best"
"""As a baseline: in each panel, size and threshold, the method with the lowest MDAD."""


def check_baseline(baseline: str | None, labels: Iterable[str]) -> None:
    """Raise ConfigError if the baseline is not the label of a method, nor `best`."""
    known = {*labels, BEST}
    if baseline is not None and baseline not in known:
        raise unknown("baseline", "baseline", baseline, known)


@dataclass(frozen=True)
class PairedRules:
    """How methods are compared: attributes as those of `reduce.Rules`, with `baseline` the label of a method, or `best`."""

    baseline: str
    thresholds: tuple[float, ...]
    tie_policy: TiePolicy
    level: float
    n_resamples: int
    seed: int

    def weights(self, group: Mapping[str, Any], n_runs: int) -> FloatArray:
        """The resamples of runs that all methods of a panel share."""
        key = (group["benchmark"], group["n_source"], group["targets"], group["unseen"])
        return _weights(self.seed, key, n_runs, self.n_resamples)


@dataclass(frozen=True, eq=False)
class CellGroup:
    """A group of cells as it enters a comparison; some kilobytes.

    Attributes
    ----------
    key
        The group's columns of the table's key.
    runs
        The numbers of its runs, in order, as bytes.
    n_runs
        How many runs it has.
    crossings
        Its crossings under the resamples that its panel shares.
    """

    key: dict[str, Any]
    runs: bytes
    n_runs: int
    crossings: BootstrapCrossings


def cell_group(key: dict[str, Any], cells: pa.Table, counts: PairCounts, rules: PairedRules) -> CellGroup:
    """Reduce a group of cells, in the order of its runs, to what a comparison needs."""
    n_runs = len(cells)
    return CellGroup(
        key=key,
        runs=cells.column("run").to_numpy().tobytes(),
        n_runs=n_runs,
        crossings=bootstrap_crossings(counts, rules.thresholds, rules.weights(key, n_runs), rules.tie_policy),
    )


def paired_rows(groups: Sequence[CellGroup], rules: PairedRules) -> Iterator[dict[str, Any]]:
    """A row for each panel, threshold and method other than the baseline.

    A method has no row if its runs differ from those of the baseline (because shards of one of them failed). Nor have fixed lists,
    which have no runs.
    """
    panels: dict[tuple[Any, ...], list[CellGroup]] = {}
    for group in groups:
        if group.key["n_source"]:
            panels.setdefault(tuple(group.key[name] for name in PANEL), []).append(group)
    for members in panels.values():
        for position, threshold in enumerate(rules.thresholds):
            baseline = _baseline(members, position, rules.baseline)
            for group in members:
                if baseline is not None and group is not baseline and group.runs == baseline.runs:
                    yield _row(group, baseline, position, threshold, rules)


def _baseline(members: Sequence[CellGroup], position: int, label: str) -> CellGroup | None:
    """The baseline of a panel at the threshold of that position; None if the panel does not have the method."""
    if label != BEST:
        return next((group for group in members if group.key["method"] == label), None)

    def rank(group: CellGroup) -> tuple[int, int, float, str]:
        agree, pairs = int(group.crossings.agree.sum()), int(group.crossings.pairs.sum())
        first, monotone = int(group.crossings.first[position, 0]), int(group.crossings.monotone[position, 0])
        return first, monotone, -agree / max(1, pairs), group.key["method"]

    return min(members, key=rank)


def _row(group: CellGroup, baseline: CellGroup, position: int, threshold: float, rules: PairedRules) -> dict[str, Any]:
    weights = rules.weights(group.key, group.n_runs)
    differences = paired_differences(group.crossings, baseline.crossings, weights, rules.level)[position]
    return group.key | {
        "baseline": baseline.key["method"],
        "threshold": threshold,
        "tie_policy": rules.tie_policy,
        "ci": "runs",
        "mdad_difference": differences.mdad.value,
        "mdad_ci_lo": differences.mdad.ci_lo,
        "mdad_ci_hi": differences.mdad.ci_hi,
        "mdad_monotone_difference": differences.mdad_monotone.value,
        "mdad_monotone_ci_lo": differences.mdad_monotone.ci_lo,
        "mdad_monotone_ci_hi": differences.mdad_monotone.ci_hi,
        "mean_agreement_difference": differences.mean_agreement.value,
        "mean_agreement_ci_lo": differences.mean_agreement.ci_lo,
        "mean_agreement_ci_hi": differences.mean_agreement.ci_hi,
        "n_runs": group.n_runs,
    }


@lru_cache(maxsize=8)
def _weights(seed: int, key: tuple[str, int, str, str], n_runs: int, n_resamples: int) -> FloatArray:
    weights = paired_run_weights(n_runs, n_resamples, seeding.paired_stream(seed, *key))
    weights.flags.writeable = False
    return weights
