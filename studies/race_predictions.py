"""A race with known models as a control variate: `python -m studies.race_predictions BOARD… [--models K] [--known M] [--draws N]`.

Which of K random models is best, by the race of `metrics.racing`, and by one whose bets read other models of the board. From the
items answered so far, a ridge regression on the known models' answers predicts every candidate's answers to the items left, again
after every `STEP` items. A difference of two candidates less the difference of their predictions, plus the mean of that over the
items left, has the same expectation at the next item: the bets keep their guarantee whatever the predictions are.

`race` is the mean number of answers per model until one is named, `known` that of the race with predictions, `all` where every
model is asked until the first race ends; `ratio` and `ratio known` are shares of the last. `lost`: the share of races with
predictions in which all best models were eliminated.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microbench_ray.core.threads import one_thread
from microbench_ray.metrics.betting import CAP, PRIOR_VARIANCE, ROUNDING, horizons
from microbench_ray.metrics.racing import RANGE, elimination_times, leaders
from studies.printing import print_rows
from studies.sequential_errors import complete_scores

STEP = 8
ALPHA = 0.05
PENALTY = 3.0
"""Of the regression, in units of the mean variance of an item."""
HEADER = "board N models known race known all ratio ratio:known lost"


def eliminated_by_predictions(scores: np.ndarray, known: np.ndarray | None, alpha: float) -> np.ndarray:
    """After how many items each of (K, N) models, all of whose answers are given, is eliminated; 0 for the last one.

    `known` are (M, N) answers of other models to the same items; without them, this is `elimination_times`.
    """
    n_models, n_items = scores.shape
    out = np.zeros(n_models, np.int64)
    low, total, squares = np.zeros(n_models), np.zeros(n_models), np.zeros(n_models)
    lengths = horizons(n_items)
    wealth, limit = np.zeros((lengths.size, n_models)), math.log(lengths.size / alpha)
    predicted = np.zeros((n_models, n_items))
    for t in range(n_items):
        active = out == 0
        if active.sum() < 2:
            break
        if known is not None and t % STEP == 0:
            predicted = predictions(scores[:, :t], known)
        left, x = n_items - t, scores[:, t]
        ahead, of_next = leaders(low, x, active, t)
        of_left = predicted[:, t:].T
        gaps = leaders(low, of_left, active, t)[1] - of_left  # the same average of the leaders, at every item left
        expected = (low - ahead) / left
        residual = of_next - x - (gaps[0] - gaps.mean(axis=0))
        variance = (PRIOR_VARIANCE * RANGE**2 + np.maximum(squares - total**2 / max(t, 1), 0.0)) / (1 + t)
        bet = np.sqrt(2 * math.log(1 / alpha) / variance / n_items) * (n_items / left)
        below = gaps.max(axis=0) - gaps.mean(axis=0)
        cap = np.where(expected < 1, CAP / np.maximum(expected + 1 + below, ROUNDING), 0.0)
        gain = np.where(expected < -1, 0.0, residual - expected)
        for k, length in enumerate(lengths):
            share = np.minimum(bet * math.sqrt(n_items / length), cap)
            wealth[k] += np.where(active, np.log1p(np.maximum(share * gain, -CAP)), 0.0)
        for sums, own in ((total, residual), (squares, np.square(residual)), (low, x)):
            sums += np.where(active, own, 0.0)
        certain = np.where(active, low, -np.inf).max() - low - (left - 1) > ROUNDING * n_items
        beaten = active & (certain | (np.logaddexp.reduce(wealth, axis=0) >= limit))
        if (beaten == active).all():
            beaten[np.argmax(np.where(active, low, -np.inf))] = False
        out[beaten] = t + 1
    return out


def predictions(answered: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(K, N) predicted answers, from those to the first items, (K, t), and all of the known models, (M, N)."""
    means, t = known.mean(axis=0), answered.shape[1]
    if not t:
        return np.tile(means, (len(answered), 1))
    features = (known - means).T
    features -= features.mean(axis=0)
    kernel = features @ features.T / np.square(features).sum() * len(features)
    rest = answered - means[:t]
    level = rest.mean(axis=1, keepdims=True)
    weights = np.linalg.solve(kernel[:t, :t] + PENALTY * np.eye(t), (rest - level).T)
    found: np.ndarray = np.clip(means + level + (kernel[:, :t] @ weights).T, 0, 1)
    return found


def answers(out: np.ndarray, n_items: int) -> tuple[float, int]:
    """Answers per model, and those of the last ones: until only one is left."""
    end = n_items if (out == 0).sum() > 1 else int(out.max())
    return float(np.where(out == 0, end, out).mean()), end


def line(path: Path, n_models: int, n_known: int, n_draws: int) -> str:
    scores, rng = complete_scores(path), np.random.default_rng(0)
    n_items, rows = scores.shape[1], []
    for _ in range(n_draws):
        models, order = rng.permutation(len(scores))[: n_models + n_known], rng.permutation(n_items)
        own, known = np.split(scores[models][:, order], [n_models])
        plain, end = answers(elimination_times(own, own, n_items, ALPHA), n_items)
        out = eliminated_by_predictions(own, known, ALPHA)
        best = own.mean(axis=1) >= own.mean(axis=1).max() - 1e-12
        rows.append((plain, answers(out, n_items)[0], end, (out[best] > 0).all()))
    race, by_known, end, lost = np.mean(rows, axis=0)
    n_known = min(n_known, len(scores) - n_models)
    cells = [path.stem, f"{n_items:,}", f"{n_models}", f"{n_known}", f"{race:.0f}", f"{by_known:.0f}", f"{end:.0f}"]
    return " | ".join([*cells, f"{race / end:.2f}", f"{by_known / end:.2f}", f"{lost:.3f}"])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boards", type=Path, nargs="+")
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--known", type=int, default=400)
    parser.add_argument("--draws", type=int, default=20)
    given = parser.parse_args(argv)
    with one_thread():
        return print_rows(HEADER.split(), (f"| {line(path, given.models, given.known, given.draws)} |" for path in given.boards))


if __name__ == "__main__":
    sys.exit(main())
