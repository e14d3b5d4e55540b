"""How often a sequential test is wrong, where one looks after every item and may stop at any of them:

    python -m studies.sequential_errors lists|best [BOARD…] [--streams N] [--alpha A]

Every line is of one list of values, of which N random orders (streams) are looked at item by item. `above` is the share of the
streams in which it was said at any time that the mean is above its true value, `below` the same the other way: each may be at most
alpha. This covers every rule by which one might stop, and every question whose answer rests on one end (superior, noninferior).
`either` is the share with one of the two at alpha/2 each, as for accuracy and equivalence. `best` lines are of the question which
of several models is best, with the best one ahead by some items: at most the share of streams in which another one was ever named
(with a margin: one that is worse by the margin or more).

Drawn lists: `a/a` two models of the same accuracy; `few` differences on 2 % of the items; `ties` no difference at all; `margin` a
true difference of exactly the margin that is tested; `graded` uniform; `rare` graded with rare large falls; BOARD: pairs of models
of a board, each in its share of the streams, and `predicted`: models of it beside a known one, with the mean scores of the others
as predictions. The exit code is 1 where a share is above alpha by more than three standard errors.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from microbench_ray.core.errors import MicrobenchError
from microbench_ray.data import read_scores
from microbench_ray.metrics.betting import FiniteList, Predictions, log_wealth
from microbench_ray.metrics.racing import elimination_times

SIZES = (40, 200, 1000)
CHUNK = 250
"""Streams at a time."""
RACES = ((2, 0.0, 1), (5, 0.0, 1), (5, 0.0, 0), (20, 0.0, 1), (2, 0.05, 10), (5, 0.05, 10), (20, 0.05, 10))
"""Models, the margin, and the items by which the best one is ahead."""
PAIRS = 50
"""Pairs of models of a board."""


class Rates(NamedTuple):
    """Shares of wrong streams."""

    above: float
    below: float
    either: float


def lists(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """(n,) differences by name."""
    one, other = np.zeros(n), np.zeros(n)
    one[: n // 2], other[rng.permutation(n)[: n // 2]] = 1, 1
    few = np.zeros(n)
    k = max(1, n // 100)
    few[:k], few[k : 2 * k] = 1, -1
    margin = np.zeros(n)
    margin[: n // 4], margin[n // 4 : n // 4 + n // 10] = 1, -1
    rare = np.full(n, 0.02)
    rare[: max(1, n // 50)] = -1
    return {
        "a/a": other - one,
        "few": few,
        "ties": np.zeros(n),
        "margin": margin,
        "graded": rng.random(n) - rng.random(n),
        "rare": rare,
        "rare, reversed": -rare,
    }


def rates(values: np.ndarray, alpha: float, low: float = -1.0, predicted: np.ndarray | None = None) -> Rates:
    """The shares for streams (n_streams, n), which are orders of whole lists; `predicted` are predictions in the same orders."""
    above: list[bool] = []
    below: list[bool] = []
    either: list[bool] = []
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK]
        mean = part.mean(axis=1)
        given = None if predicted is None else predicted[start : start + CHUNK]
        for level in (alpha, alpha / 2):
            one, other = (ever(part, mean, sign, level, low, given) for sign in (1, -1))
            if level == alpha:
                above += one.tolist()
                below += other.tolist()
            else:
                either += (one | other).tolist()
    return Rates(float(np.mean(above)), float(np.mean(below)), float(np.mean(either)))


def ever(part: np.ndarray, mean: np.ndarray, sign: int, alpha: float, low: float, predicted: np.ndarray | None) -> np.ndarray:
    """(n_streams,) whether the true mean was ever refuted, from below (sign 1) or from above (−1)."""
    of = FiniteList(part.shape[1], low, 1.0, None if predicted is None else Predictions(predicted, float(predicted[0].mean())))
    wealth = log_wealth(sign * part, sign * mean, of if sign == 1 else of.mirrored(), alpha)
    refuted: np.ndarray = wealth.max(axis=1) >= math.log(1 / alpha)
    return refuted


def streams_of(values: np.ndarray, n_streams: int, rng: np.random.Generator) -> np.ndarray:
    """(n_streams, n) random orders of one list (n,), or of several (n_lists, n) in turn."""
    several = np.atleast_2d(values)
    return rng.permuted(several[np.arange(n_streams) % len(several)], axis=1)


def complete_scores(path: Path) -> np.ndarray:
    """(n_models, n_items) of the models of a board that answered every item."""
    board = read_scores(path)
    return board.scores[(board.scores != board.missing).all(axis=1)] / board.units


def board_pairs(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n_pairs, n_items) differences of random pairs of models."""
    chosen = np.array([rng.choice(len(scores), 2, replace=False) for _ in range(PAIRS)])
    return scores[chosen[:, 0]] - scores[chosen[:, 1]]


def predicted_rates(scores: np.ndarray, n_streams: int, alpha: float, rng: np.random.Generator) -> Rates:
    """The shares for every model in turn, predicted by the mean of 30 others."""
    n_items, found = scores.shape[1], []
    each = math.ceil(n_streams / PAIRS)
    for _ in range(PAIRS):
        model, *others = rng.choice(len(scores), min(31, len(scores)), replace=False)
        orders = rng.permuted(np.tile(np.arange(n_items), (each, 1)), axis=1)
        found.append(rates(scores[model][orders], alpha, 0.0, scores[others].mean(axis=0)[orders]))
    return Rates(*np.mean(found, axis=0).tolist())


def wrong_best(scores: np.ndarray, alpha: float, margin: float, n_streams: int, rng: np.random.Generator) -> float:
    """Share of streams in which, looked at after every item, a wrong model could ever have been named.

    That is at most: every one of the best models was eliminated, or with a margin, for a model that is worse by the margin or more
    it was refuted that the best one is so much better. All models answer every item, which no race does, so that nothing is missed.
    """
    n_models, n_items = scores.shape
    means = scores.mean(axis=1)
    best: list[int] = np.flatnonzero(means >= means.max() - 1e-12).tolist()
    both = margin > 0 and n_models > 2
    level, wrong = alpha / (1 + both), 0
    for start in range(0, n_streams, CHUNK):
        orders = rng.permuted(np.tile(np.arange(n_items), (min(CHUNK, n_streams - start), 1)), axis=1)
        found = np.zeros(len(orders), bool)
        if not margin or both:
            streams = np.moveaxis(scores[:, orders], 0, 1)
            found |= (elimination_times(streams, streams, n_items, level)[:, best] > 0).all(axis=1)
        for k in np.flatnonzero(means <= means.max() - margin + 1e-12) if margin else ():
            wealth = log_wealth((scores[k] - scores[best[0]])[orders], -margin, FiniteList(n_items), level / (n_models - 1))
            found |= wealth.max(axis=1) >= math.log((n_models - 1) / level)
        wrong += int(found.sum())
    return wrong / n_streams


def drawn_models(n_models: int, n_items: int, ahead: int, rng: np.random.Generator) -> np.ndarray:
    """(n_models, n_items) answers that are right on half of the items; those of the first model on `ahead` more."""
    scores = np.zeros((n_models, n_items))
    for row, own in enumerate(scores):
        own[rng.permutation(n_items)[: n_items // 2 + (ahead if row == 0 else 0)]] = 1
    return scores


def list_lines(boards: Sequence[Path], n_streams: int, alpha: float) -> Iterator[tuple[str, Sequence[float]]]:
    rng = np.random.default_rng(0)
    for n in SIZES:
        for name, values in lists(n, rng).items():
            yield f"{name:<24} {n:>5} items", rates(streams_of(values, n_streams, rng), alpha)
    for path in boards:
        scores = complete_scores(path)
        place = f" {scores.shape[1]:>5} items"
        yield f"{path.stem:<24}{place}", rates(streams_of(board_pairs(scores, rng), n_streams, rng), alpha)
        yield f"{path.stem[:13]}, predicted".ljust(24) + place, predicted_rates(scores, n_streams, alpha, rng)


def best_lines(n_streams: int, alpha: float) -> Iterator[tuple[str, Sequence[float]]]:
    rng = np.random.default_rng(1)
    for n_models, margin, ahead in RACES:
        scores = drawn_models(n_models, 200, ahead, rng)
        share = wrong_best(scores, alpha, margin, n_streams, rng)
        yield f"best of {n_models}, ahead by {ahead}, margin {margin:g}".ljust(38), (share,)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("lists", "best"))
    parser.add_argument("boards", type=Path, nargs="*")
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--alpha", type=float, default=0.05)
    given = parser.parse_args()
    missed = False
    print(f"{given.streams:,} streams each, alpha {given.alpha:g}")
    print(f"{'list':<38}  above   below  either")
    try:
        best = given.what == "best"
        found = best_lines(given.streams, given.alpha) if best else list_lines(given.boards, given.streams, given.alpha)
        for name, shares in found:
            print(f"{name:<38}" + "".join(f"{share:>8.4f}" for share in shares), flush=True)
            missed |= max(shares) > given.alpha + 3 * math.sqrt(given.alpha * (1 - given.alpha) / given.streams)
    except MicrobenchError as error:
        print(error, file=sys.stderr)
        return 1
    print("missed" if missed else "No share is above alpha by more than three standard errors.")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
