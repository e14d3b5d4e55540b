"""How often do the rank intervals of a benchmark hold? `python -m studies.rank_interval_coverage [--boards N]`.

Boards of 30 models and 250 items are drawn from a population of 5,000 items with logistic responses; the truth is the order on the
population. Printed for models that are spread, close, and in three groups of near ones, by the intervals of `mb.rank_intervals`
(each by itself, and all together) and by the percentiles of bootstrap ranks: the share of models whose interval holds their rank,
the lowest share of any model, the share of boards on which all hold, and the mean width. Then follow boards of 84 such items in
three copies, as clusters and as if they were independent; and boards that rank by another number than the mean over items, taken as
such and as if it were that mean: by the mean over two subtasks of 200 and 50 items, to each of which models take differently
(`macro`), and by a mean of items that count 1, 2 or 5, the more the more difficult they are (`weights`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics.rank_sets import item_spread, rank_sets

N_MODELS, N_ITEMS, N_POPULATION, COPIES = 30, 250, 5000, 3
Interval = tuple[NDArray[np.int64], NDArray[np.int64]]


def abilities(kind: str, rng: np.random.Generator, n_models: int = N_MODELS) -> NDArray[np.float64]:
    """(n_models,) logits of models that are `spread`, `close`, or in `groups`."""
    if kind == "groups":
        return np.repeat([-1.0, 0.0, 1.0], n_models // 3) + rng.normal(0, 0.02, n_models)
    return rng.normal(0, {"spread": 1.0, "close": 0.05}[kind], n_models)


def intervals(
    scores: NDArray[np.float64],
    cluster: NDArray[np.intp] | None,
    rng: np.random.Generator,
    shares: NDArray[np.float64] | None = None,
    stratum: NDArray[np.intp] | None = None,
) -> dict[str, Interval]:
    """Best and worst rank of every model, by kind of interval."""
    spread = item_spread(scores, cluster, np.zeros(len(scores)), shares=shares, stratum=stratum)
    accuracy = scores.mean(axis=1) if shares is None else scores @ shares
    found: dict[str, Interval] = {}
    for name, together in (("each by itself", False), ("all together", True)):
        sets = rank_sets(accuracy, spread, level=0.95, simultaneous=together, n_draws=400, rng=rng)
        found[name] = sets.low, sets.high
    drawn = accuracy + rng.standard_normal((400, spread.residuals.shape[1])) @ spread.residuals.T
    ranks = 1 + (drawn[:, None] > drawn[:, :, None]).sum(axis=2)
    low, high = np.quantile(ranks, [0.025, 0.975], axis=0, method="nearest")
    found["bootstrap ranks"] = low, high
    return found


class Held:
    """Counts intervals that hold the rank."""

    def __init__(self) -> None:
        self.held: list[NDArray[np.bool_]] = []
        self.widths: list[float] = []

    def add(self, interval: Interval, ranks: NDArray[np.int64]) -> None:
        """Look at the intervals of one board."""
        self.held.append((interval[0] <= ranks) & (ranks <= interval[1]))
        self.widths.append(float((interval[1] - interval[0] + 1).mean()))

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of models whose interval holds, the lowest of any model, and of boards on which all hold."""
        held = np.array(self.held)
        return float(held.mean()), float(held.mean(axis=0).min()), float(held.all(axis=1).mean())


def coverage(kind: str, boards: int, *, copies: int = 1, n_models: int = N_MODELS, seed: int = 0) -> dict[str, Held]:
    """Intervals of `boards` drawn boards; with `copies`, also by clusters of copies."""
    rng = np.random.default_rng([seed, copies, len(kind)])
    chances = 1 / (1 + np.exp(rng.normal(0, 1.5, N_POPULATION) - abilities(kind, rng, n_models)[:, None]))
    truth = chances.mean(axis=1)
    ranks = 1 + (truth > truth[:, None]).sum(axis=1)
    found: dict[str, Held] = {}
    for _ in range(boards):
        items = rng.integers(0, N_POPULATION, -(-N_ITEMS // copies))
        scores = np.repeat((rng.random((n_models, items.size)) < chances[:, items]).astype(float), copies, axis=1)
        of_clusters = np.repeat(np.arange(items.size), copies)
        for word, cluster in (("", None), (", as clusters", of_clusters))[: 1 if copies == 1 else 2]:
            for name, interval in intervals(scores, cluster, rng).items():
                found.setdefault(f"{name}{word}", Held()).add(interval, ranks)
    return found


def ranked_coverage(kind: str, boards: int, *, n_models: int = N_MODELS, seed: int = 0) -> dict[str, Held]:
    """Intervals of `boards` drawn boards that rank by the mean over subtasks (`macro`), or by a weighted one (`weights`)."""
    rng = np.random.default_rng([seed, len(kind)])
    difficulty = rng.normal(0, 1.5, N_POPULATION)
    subtask = (np.arange(N_POPULATION) >= 0.8 * N_POPULATION).astype(np.intp)
    own = (
        abilities("groups", rng, n_models)[:, None]
        + rng.normal(0, 0.6, (n_models, 2))[:, subtask if kind == "macro" else 0 * subtask]
    )
    chances = 1 / (1 + np.exp(difficulty - own))
    if kind == "macro":
        counts = 0.5 / np.bincount(subtask)[subtask]
    else:
        counts = np.where(difficulty < -0.5, 1.0, np.where(difficulty < 1, 2.0, 5.0))
    truth = chances @ (counts / counts.sum())
    ranks = 1 + (truth > truth[:, None]).sum(axis=1)
    found: dict[str, Held] = {}
    for _ in range(boards):
        if kind == "macro":
            items = np.concatenate([rng.choice(np.flatnonzero(subtask == code), n) for code, n in enumerate((200, 50))])
            shares = 0.5 / np.bincount(subtask[items])[subtask[items]]
        else:
            items = rng.integers(0, N_POPULATION, N_ITEMS)
            shares = counts[items] / counts[items].sum()
        scores = (rng.random((n_models, items.size)) < chances[:, items]).astype(float)
        stratum = subtask[items] if kind == "macro" else None
        for word, kinds in ((f", {kind}", (shares, stratum)), (", as the mean over items", (None, None))):
            for name, interval in intervals(scores, None, rng, *kinds).items():
                found.setdefault(f"{name}{word}", Held()).add(interval, ranks)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=300)
    given = parser.parse_args(words)
    print("| models | interval | held | lowest of a model | all models at once | width, of 30 |\n|---|---|---:|---:|---:|---:|")

    def show(label: str, found: dict[str, Held]) -> None:
        for name, held in found.items():
            mean, lowest, together = held.shares
            print(f"| {label} | {name} | {mean:.3f} | {lowest:.3f} | {together:.3f} | {np.mean(held.widths):.1f} |", flush=True)

    for kind, copies in (("spread", 1), ("close", 1), ("groups", 1), ("groups", COPIES)):
        label = kind if copies == 1 else f"{kind}, each item {copies} times"
        show(label, coverage(kind, given.boards, copies=copies))
    for kind in ("macro", "weights"):
        show("groups", ranked_coverage(kind, given.boards))
    return 0


if __name__ == "__main__":
    sys.exit(main())
