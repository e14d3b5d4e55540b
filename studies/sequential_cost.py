"""Items until a sequential test answers, beside fixed sizes, on boards:

    python -m studies.sequential_cost pairs BOARD… [--pairs N] [--orders N]
    python -m studies.sequential_cost default BOARD…
    python -m studies.sequential_cost best BOARD… [--models K] [--draws N]

`pairs`: pairs of models 2, 5 and 10 points apart, each in several random orders, looked at after every item. `which` is the mean
number of items until one of the two is said to be better (alpha .05), `wrong` the share in which it is the worse one, and `median`
the median number; `±2` the same for the answer that a model is at most 2 points worse than the other; `known` where one of the
two is a known model and the mean scores of 30 others are the predictions. Other ways to stop, for the choice of this one:
`bernstein`, the empirical Bernstein bound (Waudby-Smith and Ramdas 2020); `plug-in`, bets on a single predictable horizon (2024);
`looks`, a group-sequential test at fifths of the list with O'Brien and Fleming's spending by normal quantiles, which holds at
these looks only. Fixed sizes, which must be chosen without knowing the difference: `order` is the least size at which the better
model has the higher mean in 95 % of the draws, and `test` that at which a one-sided test at 5 % says so in 80 %; `N` is the whole
list.

`default`: the least size at which pairs that far apart (within half a point) are in the right order in 95 % of the cases, by random
items and by the default method, 50 known models, interpolated between sizes.

`best`: which of K random models is best. `race` is the mean number of answers per model until one is named, where models that are
out are not asked; `all` where every model is asked until then; `fixed` is the least number of items by which the best model has the
highest mean in 95 % of the draws. `ratio` is race / all; `told` the same ratio if the best model is known beforehand, and
every other one is tested against it. `right`: the share in which the named model is the best.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

import microbench_ray as mb
from microbench_ray.metrics.betting import FiniteList, Predictions, log_wealth
from microbench_ray.metrics.racing import elimination_times
from studies.printing import print_rows
from studies.sequential_errors import complete_scores

GAPS = (0.02, 0.05, 0.10)
ALPHA, MARGIN = 0.05, 0.02
OTHERS = 30
LOOKS = (0.2, 0.4, 0.6, 0.8)
STEP = 10
"""Items between two looks of a race."""
SIZES = (10, 25, 50, 100, 150, 200, 300, 400)


class Stops(NamedTuple):
    """(n,) items until the answer, and whether it is right."""

    items: np.ndarray
    right: np.ndarray


def first_of(right: np.ndarray, wrong: np.ndarray, n_items: int) -> Stops:
    """Where one of two (n, N) evidences is enough first; at the last item everything is known."""
    found = []
    for evidence in (right, wrong):
        enough = evidence >= math.log(1 / ALPHA)
        found.append(np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, n_items + 1))
    return Stops(np.minimum(np.minimum(*found), n_items), found[0] <= np.maximum(found[1], n_items))


def which(d: np.ndarray, margin: float = 0.0) -> Stops:
    """Orders (n, N) of the better model's score less the other's."""
    of = FiniteList(d.shape[1])
    return first_of(log_wealth(d, -margin, of, ALPHA), log_wealth(-d, -margin, of, ALPHA), of.n_items)


def known(better: np.ndarray, worse: np.ndarray, g: np.ndarray) -> Stops:
    """The better model is asked, the other one is known; (n, N) in the same orders."""
    of = FiniteList(better.shape[1], low=0.0, predictions=Predictions(g, float(g[0].mean())))
    null = worse.mean(axis=1)
    return first_of(log_wealth(better, null, of, ALPHA), log_wealth(-better, -null, of.mirrored(), ALPHA), of.n_items)


def bernstein(d: np.ndarray) -> Stops:
    """Empirical Bernstein supermartingale without replacement (Waudby-Smith and Ramdas 2020), on (d + 1)/2."""
    evidence = []
    for sign in (1, -1):
        x, expected, variance, seen = _moments(sign * d)
        bet = np.minimum(np.sqrt(2 * math.log(1 / ALPHA) / (variance * (1 + seen) * np.log(2 + seen))), 0.5)
        mean = (0.5 + np.cumsum(x, axis=1) - x) / (1 + seen)
        evidence.append(np.cumsum(bet * (x - expected) - (x - mean) ** 2 * (-np.log1p(-bet) - bet), axis=1))
    return first_of(evidence[0], evidence[1], d.shape[1])


def plug_in(d: np.ndarray) -> Stops:
    """Bets on one predictable horizon (Waudby-Smith and Ramdas 2024, section 5), on (d + 1)/2."""
    evidence = []
    for sign in (1, -1):
        x, expected, variance, seen = _moments(sign * d)
        bet = np.sqrt(2 * math.log(1 / ALPHA) / (variance * (1 + seen) * np.log(2 + seen)))
        bet = np.where(expected < 1, np.minimum(bet, 0.5 / np.maximum(expected, 1e-9)), 0)
        evidence.append(np.cumsum(np.log1p(np.where(expected > 0, bet * (x - expected), 0)), axis=1))
    return first_of(evidence[0], evidence[1], d.shape[1])


def _moments(d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    x, n = (d + 1) / 2, d.shape[1]
    seen = np.arange(n)
    before = np.cumsum(x, axis=1) - x
    squares = np.cumsum(x**2, axis=1) - x**2
    variance = (0.25 + np.maximum(squares - before**2 / np.maximum(seen, 1), 0)) / (1 + seen)
    return x, (n / 2 - before) / (n - seen), variance, seen


def five_looks(d: np.ndarray, rng: np.random.Generator) -> Stops:
    """Fifths of the list; the boundaries spend alpha by O'Brien and Fleming's function over normal increments."""
    n = d.shape[1]
    sizes = [round(share * n) for share in LOOKS]
    bounds = spending(np.array(sizes) / n, rng)
    stop, right = np.full(len(d), n), np.ones(len(d), bool)
    for size, bound in zip(reversed(sizes), reversed(bounds), strict=True):
        part = d[:, :size]
        z = part.mean(axis=1) / np.maximum(np.sqrt(part.var(axis=1, ddof=1) * (1 / size - 1 / n)), 1e-9)
        stop, right = np.where(np.abs(z) > bound, size, stop), np.where(np.abs(z) > bound, z > 0, right)
    return Stops(stop, right)


def spending(shares: np.ndarray, rng: np.random.Generator, n_draws: int = 200_000) -> list[float]:
    """One-sided bounds of the z-values at shares of the list (Lan and DeMets 1983), by drawn increments of information n/(N −
    n)."""
    information = shares / (1 - shares)
    steps = np.sqrt(np.diff(information, prepend=0)) * rng.standard_normal((n_draws, len(shares)))
    z = np.cumsum(steps, axis=1) / np.sqrt(information)
    spent = 2 - 2 * ndtr(ndtri(1 - ALPHA / 2) / np.sqrt(shares / shares[-1]))
    alive, bounds = np.ones(n_draws, bool), []
    for k, now in enumerate(np.diff(spent, prepend=0)):
        left = np.sort(z[alive, k])
        bounds.append(float(left[-1 - round(now * n_draws)]))
        alive &= z[:, k] <= bounds[-1]
    return bounds


def fixed_sizes(d: np.ndarray) -> tuple[int, int]:
    """The least sizes at which the order is right in 95 % of the draws, and at which a one-sided test says so in 80 %."""
    n = d.shape[1]
    sizes = np.arange(2, n)
    means = np.cumsum(d, axis=1)[:, sizes - 1] / sizes
    variance = np.maximum(np.cumsum(d**2, axis=1)[:, sizes - 1] / sizes - means**2, 1e-9) * sizes / (sizes - 1)
    z = means / np.sqrt(variance * (1 / sizes - 1 / n))
    enough = [np.append(sizes, n)[_lasting(share)] for share in ((means > 1e-12).mean(0) >= 0.95, (z > 1.645).mean(0) >= 0.8)]
    return int(enough[0]), int(enough[1])


def _lasting(reached: np.ndarray) -> int:
    """The first place from which on all are true."""
    return len(reached) - int(np.argmin(reached[::-1])) if not reached.all() else 0


def pairs_apart(scores: np.ndarray, gap: float, count: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Random pairs (better, worse) that differ by the gap, within a quarter of a point."""
    means = scores.mean(axis=1)
    better, worse = np.nonzero(np.abs(means[:, None] - means - gap) <= 0.0025)
    for k in rng.permutation(len(better))[:count]:
        yield int(better[k]), int(worse[k])


def pair_lines(path: Path, n_pairs: int, n_orders: int) -> Iterator[str]:
    scores, rng = complete_scores(path), np.random.default_rng(0)
    for gap in GAPS:
        found: dict[str, list[Stops]] = {}
        differences, count = [], 0
        for one, other in pairs_apart(scores, gap, n_pairs, rng):
            count += 1
            orders = rng.permuted(np.tile(np.arange(scores.shape[1]), (n_orders, 1)), axis=1)
            better, worse = scores[one][orders], scores[other][orders]
            rest = np.setdiff1d(np.arange(len(scores)), [one, other])
            g = scores[rng.choice(rest, min(OTHERS, len(rest)), replace=False)].mean(axis=0)[orders]
            d = better - worse
            differences.append(d)
            for name, stops in (
                ("which", which(d)),
                ("2", which(d, MARGIN)),
                ("known", known(better, worse, g)),
                ("bernstein", bernstein(d)),
                ("plug-in", plug_in(d)),
                ("looks", five_looks(d, rng)),
            ):
                found.setdefault(name, []).append(stops)
        if not count:
            continue
        mean = {name: np.concatenate([each.items for each in all_of]).mean() for name, all_of in found.items()}
        wrong = {name: 1 - np.concatenate([each.right for each in all_of]).mean() for name, all_of in found.items()}
        median = np.median(np.concatenate([each.items for each in found["which"]]))
        order, test = fixed_sizes(np.concatenate(differences))
        shown = [f"{mean['which']:.0f}", f"{median:.0f}", f"{wrong['which']:.3f}", f"{mean['2']:.0f}", f"{wrong['2']:.3f}"]
        shown += [f"{mean['known']:.0f}", f"{wrong['known']:.3f}"]
        shown += [f"{mean[name]:.0f}" for name in ("bernstein", "plug-in")]
        shown += [f"{mean['looks']:.0f}", f"{wrong['looks']:.3f}", str(order), str(test)]
        yield f"| {path.stem} | {scores.shape[1]:,} | {100 * gap:.0f} | {count} | " + " | ".join(shown) + " |"


def default_line(path: Path) -> str:
    board = mb.read_scores(path)
    sizes = [size for size in SIZES if size <= 0.8 * board.n_items]
    half = board.n_models // 2
    result = mb.sweep(
        board, ["random", "auto"], sizes, n_source=min(50, half), n_target=min(50, half), runs=10, unseen="none", progress=False
    )
    table, cells = result.agreement, []
    for gap in GAPS:
        near = table[(table["diff_lo"] - gap).abs() <= 0.0051]
        for method in ("random", "auto"):
            own = near[near["method"] == method].groupby("size")[["n_agree", "n_pairs"]].sum()
            share = (own["n_agree"] / own["n_pairs"]).to_numpy()
            cells.append(_size_for(np.array(own.index), share))
    return f"| {path.stem} | {board.n_items:,} | " + " | ".join(cells) + " |"


def _size_for(sizes: np.ndarray, share: np.ndarray, wanted: float = 0.95) -> str:
    place = _lasting(share >= wanted)
    if place == len(sizes):
        return f"> {sizes[-1]}"
    if place == 0:
        return f"≤ {sizes[0]}"
    part = (wanted - share[place - 1]) / (share[place] - share[place - 1])
    return f"{math.exp(np.interp(part, [0, 1], np.log(sizes[place - 1 : place + 1]))):.0f}"


class Raced(NamedTuple):
    """Answers per model of a race and of asking all until then, and the models named."""

    race: float
    together: int
    named: list[int]


def race(scores: np.ndarray, margin: float) -> Raced:
    """Of (K, N) answers in their order; what the program says if it looks after every `STEP` items, and models that are out are not
    asked."""
    n_models, n_items = scores.shape
    both = margin > 0 and n_models > 2
    level, active = ALPHA / (1 + both), np.ones(n_models, bool)
    out = elimination_times(scores, scores, n_items, level) if both or not margin else np.zeros(n_models, np.int64)
    share = level / max(1, n_models - 1)
    close = np.zeros((n_models, n_models, n_items), bool)
    if margin:
        evidence = log_wealth(scores[:, None] - scores[None], -margin, FiniteList(n_items), share)
        close = np.maximum.accumulate(evidence >= math.log(1 / share), axis=2)
    asked = np.zeros(n_models, np.intp)
    for n in [*range(STEP, n_items, STEP), n_items]:
        asked[active] = n
        active = (out == 0) | (out > n)
        if named := _named(close, scores, margin, active, n):
            return Raced(float(asked.mean()), n, named)
    return Raced(float(asked.mean()), n_items, [])


def told(scores: np.ndarray, margin: float) -> float:
    """Answers per model, of (K, N), of testing each other model against the best one."""
    n_models, n_items = scores.shape
    best = int(np.argmax(scores.mean(axis=1)))
    enough = log_wealth(scores[best] - np.delete(scores, best, axis=0), -margin, FiniteList(n_items), ALPHA) >= math.log(1 / ALPHA)
    items = np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, n_items)
    items = np.minimum(-(-items // STEP) * STEP, n_items)
    return float((items.sum() + items.max()) / n_models)


def _named(close: np.ndarray, scores: np.ndarray, margin: float, active: np.ndarray, n: int) -> list[int]:
    rows = np.flatnonzero(active)
    if len(rows) == 1:
        return [int(rows[0])]
    if margin:
        means = scores[:, :n].mean(axis=1)
        for k in sorted(rows, key=lambda row: -means[row]):
            if all(close[k, j, n - 1] for j in rows if j != k):
                return [int(k)]
    means = scores.mean(axis=1)
    return [int(row) for row in rows if means[row] >= means[rows].max() - 1e-12] if n == scores.shape[1] else []


def best_lines(path: Path, n_models: int, n_draws: int) -> Iterator[str]:
    scores, rng = complete_scores(path), np.random.default_rng(0)
    chosen = [rng.permutation(len(scores))[:n_models] for _ in range(n_draws)]
    orders = [rng.permutation(scores.shape[1]) for _ in range(n_draws)]
    draws = [scores[models][:, order] for models, order in zip(chosen, orders, strict=True)]
    for margin in (0.0, MARGIN):
        rows = []
        for own in draws:
            means = own.mean(axis=1)
            least = means.max() - margin
            right = set(np.flatnonzero(means > least - 1e-12 if margin else means >= least - 1e-12))
            answers, items, named = race(own, margin)
            rows.append((answers, items, bool(named) and set(named) <= right, told(own, margin)))
        mean = [float(np.mean([row[k] for row in rows])) for k in range(4)]
        ratio = f"{mean[0] / mean[1]:.2f}"
        yield (
            f"| {path.stem} | {scores.shape[1]:,} | {n_models} | {100 * margin:.0f} | {mean[0]:.0f} | {mean[1]:.0f} | {ratio} | "
            f"{mean[3] / mean[1]:.2f} | "
            f"{fixed_for_best(scores, chosen, margin, rng)} | {mean[2]:.3f} |"
        )


def fixed_for_best(scores: np.ndarray, chosen: Sequence[np.ndarray], margin: float, rng: np.random.Generator) -> int:
    """The least number of items by which the highest mean is that of a right model in 95 % of the draws."""
    n_items = scores.shape[1]
    sizes = np.arange(STEP, n_items + 1, STEP)
    right = []
    for models in chosen:
        own = scores[models]
        means = own.mean(axis=1)
        good = means >= means.max() - margin - 1e-12
        for _ in range(10):
            sums = np.cumsum(own[:, rng.permutation(n_items)], axis=1)[:, sizes - 1]
            right.append(good[np.argmax(sums + 1e-6 * rng.random(sums.shape), axis=0)])
    return int(np.append(sizes, n_items)[_lasting(np.mean(right, axis=0) >= 0.95)])


COLUMNS = {
    "pairs": "board N points pairs which median wrong ±2 wrong known wrong bernstein plug-in looks wrong order test",
    "default": "board N 2:random 2:default 5:random 5:default 10:random 10:default",
    "best": "board N models margin race all ratio told fixed right",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=COLUMNS)
    parser.add_argument("boards", type=Path, nargs="+")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--draws", type=int, default=40)
    given = parser.parse_args()
    lines = {
        "pairs": lambda path: pair_lines(path, given.pairs, given.orders),
        "default": lambda path: [default_line(path)],
        "best": lambda path: best_lines(path, given.models, given.draws),
    }[given.what]
    return print_rows(COLUMNS[given.what].split(), (line for path in given.boards for line in lines(path)))


if __name__ == "__main__":
    sys.exit(main())
