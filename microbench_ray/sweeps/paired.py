"""Methods against a baseline on the same runs: rows of the table `paired`, from what is kept of each group of cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from microbench_ray.core import seeding
from microbench_ray.core.errors import unknown
from microbench_ray.core.schemas import GROUP_KEY
from microbench_ray.metrics import Difference, PairCounts, Spread, TiePolicy, paired, resampled_runs, spread
from microbench_ray.metrics.pairs import FloatArray

BEST = "best"
"""As a baseline: of each panel, size and threshold the method of the lowest MDAD."""
PANEL = [name for name in (*GROUP_KEY, "split") if name != "method"]
"""Rows that differ in method alone have these in common, and the draws of their runs."""


def check_baseline(baseline: str | None, labels: Iterable[str]) -> None:
    """Raise ConfigError for a baseline that is none of the methods' labels."""
    known = {*labels, BEST}
    if baseline is not None and baseline not in known:
        raise unknown("baseline", "baseline", baseline, known)


@dataclass(frozen=True)
class Pairing:
    """What is compared, and how; attributes as those of `reduce.Rules`, `baseline` the label of a method or `best`."""

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
    """A group of cells: its key, its runs as bytes, how many they are, and their crossings under the shared resamples."""

    group: dict[str, Any]
    runs: bytes
    n_runs: int
    spread: Spread


def keep(group: dict[str, Any], cells: pa.Table, counts: PairCounts, pairing: Pairing) -> CellGroup:
    """What the comparison needs of a group of cells, in the order of its runs: some kilobytes."""
    weights = pairing.weights(group, len(cells))
    found = spread(counts, pairing.thresholds, weights, pairing.tie_policy)
    return CellGroup(group, cells.column("run").to_numpy().tobytes(), len(cells), found)


def paired_rows(kept: Sequence[CellGroup], pairing: Pairing) -> Iterator[dict[str, Any]]:
    """A row for each panel, threshold and method beside the baseline.

    Methods whose runs are not the baseline's (shards of one of them failed) have no row, nor have fixed lists, which have no runs.
    """
    panels: dict[tuple[Any, ...], list[CellGroup]] = {}
    for each in kept:
        if each.group["n_source"]:
            panels.setdefault(tuple(each.group[name] for name in PANEL), []).append(each)
    for members in panels.values():
        for place, threshold in enumerate(pairing.thresholds):
            against = _baseline(members, place, pairing.baseline)
            for each in members:
                if against is not None and each is not against and each.runs == against.runs:
                    yield _row(each, against, place, threshold, pairing)


@lru_cache(maxsize=8)
def _weights(seed: int, key: tuple[str, int, str, str], n_runs: int, n_resamples: int) -> FloatArray:
    weights = resampled_runs(n_runs, n_resamples, seeding.paired_stream(seed, *key))
    weights.flags.writeable = False
    return weights


def _baseline(members: Sequence[CellGroup], place: int, baseline: str) -> CellGroup | None:
    if baseline != BEST:
        return next((each for each in members if each.group["method"] == baseline), None)

    def rank(each: CellGroup) -> tuple[int, int, float, str]:
        agree, pairs = int(each.spread.agree.sum()), int(each.spread.pairs.sum())
        crossings = int(each.spread.first[place, 0]), int(each.spread.monotone[place, 0])
        return (*crossings, -agree / max(1, pairs), each.group["method"])

    return min(members, key=rank)


def _row(each: CellGroup, against: CellGroup, place: int, threshold: float, pairing: Pairing) -> dict[str, Any]:
    found = paired(each.spread, against.spread, pairing.weights(each.group, each.n_runs), pairing.level)[place]
    values = {"baseline": against.group["method"], "threshold": threshold, "tie_policy": pairing.tie_policy, "ci": "runs"}
    for name in ("mdad", "mdad_monotone", "mean_agreement"):
        difference: Difference = getattr(found, name)
        values |= {f"{name}_difference": difference.value, f"{name}_ci_lo": difference.ci_lo, f"{name}_ci_hi": difference.ci_hi}
    return each.group | values | {"n_runs": each.n_runs}
