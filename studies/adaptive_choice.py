"""Items chosen by a model's answers so far, beside fixed orders: `python -m studies.adaptive_choice BOARD... [--runs N]`.

A two-parameter logistic model is fitted to the source models. Each target model is asked one item at a time:

- `fisher`: one ability; the most informative item at the most probable ability, p (1 − p) a² (Lord 1980).
- `variance`: ten abilities; the item that is expected to lower the variance of the model's accuracy most, to second order, with the
  curvature of the posterior at its maximum. Given the items, the errors of two models are independent, so that this is the error of
  a pair too.

Exposure is bounded: the item is drawn from the `--exposure` best ones (Kingsbury and Zara 1989); 1 takes the best one.

The accuracy is estimated by p-IRT: the answers, and the model's probabilities of the rest. Fixed orders ask all targets the same
items: `random`, `fisher_information`, `mdad_guided` and `auto`, read by p-IRT of the same ten abilities, and `auto` with its own
estimator, the default method. All see the same sources and targets, and all items may be chosen.

Printed per board, number of sources and size: agreement over all pairs, Kendall's tau-b, root mean squared error and MDAD of both
ways to choose adaptively, and how much better each is than each fixed order, with Student's 95 % interval over runs (for MDADs,
percentiles of 200 resamples of the runs, of crossings between bins). At the end the means over places, and in how many places it is
better (+) or worse (−) by more than chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import microbench_ray as mb
from microbench_ray.core.errors import MicrobenchError
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method, Selection
from microbench_ray.methods.kernels.irt import IrtFit, fit_irt, sigmoid
from microbench_ray.metrics import PairCounts, compare
from microbench_ray.sweeps.evaluate import Draw, Truth, responses_to, true_accuracies
from microbench_ray.sweeps.fits import signal_used
from studies.cost_budget import crossing, fitted
from studies.tournament_regret import Interval, interval, mean_over_places
from studies.tournament_runs import named_method

FloatArray = np.ndarray
SIZES = (10, 20, 40, 80)
SOURCES = (15, 50, 100)
FIXED = ("random+p_irt", "fisher_information+p_irt", "mdad_guided+p_irt", "auto+p_irt", "auto")
ADAPTIVE = {"fisher": 1, "variance": 10}
"""Ways to choose, and their numbers of abilities."""
MEASURES = {"agreement": 1, "tau": 1, "rmse": -1}
N_TARGET, MIN_TARGETS = 50, 15
N_RESAMPLES = 200


class Adaptive(NamedTuple):
    """Estimates after each size, (n_sizes, n_target), and the items asked, (n_target, largest size)."""

    estimates: FloatArray
    items: FloatArray


def ask(
    fit: IrtFit, answers: FloatArray, sizes: Sequence[int], how: str, exposure: int, rng: np.random.Generator, n_steps: int = 3
) -> Adaptive:
    """Ask every target its own items.

    Parameters
    ----------
    fit
        The items.
    answers
        (n_target, n_items) of the targets, of which only those to asked items are used.
    sizes
        Numbers of items after which accuracies are estimated, ascending.
    how
        A key of `ADAPTIVE`.
    exposure
        The item is drawn from so many best ones.
    rng
        Draws it.
    n_steps
        Newton steps after each answer, from the ability before it.
    """
    n_target, n_items = answers.shape
    slopes, difficulty = fit.discrimination, fit.difficulty
    ability = np.zeros((n_target, slopes.shape[1]))
    asked = np.zeros((n_target, sizes[-1]), np.intp)
    open_ = np.ones((n_target, n_items), bool)
    rows, estimates = np.arange(n_target), []
    for n in range(sizes[-1]):
        own = asked[:, :n]
        gain = np.where(open_, gains(ability, slopes, difficulty, own, open_, how), -np.inf)
        best = np.argpartition(-gain, exposure - 1, axis=1)[:, :exposure]
        item = best[rows, rng.integers(exposure, size=n_target)]
        asked[:, n], open_[rows, item] = item, False
        own = asked[:, : n + 1]
        for _ in range(n_steps):
            ability = newton_step(ability, slopes[own], difficulty[own], answers[rows[:, None], own])
        if n + 1 in sizes:
            right = sigmoid(ability @ slopes.T - difficulty)
            estimates.append(np.where(open_, right, answers).mean(axis=1))
    return Adaptive(np.array(estimates), asked)


def gains(
    ability: FloatArray, slopes: FloatArray, difficulty: FloatArray, asked: FloatArray, open_: FloatArray, how: str
) -> FloatArray:
    """(n_target, n_items) what each item is expected to tell."""
    right = sigmoid(ability @ slopes.T - difficulty)
    spread = right * (1 - right)
    if how == "fisher":
        information: FloatArray = spread * np.square(slopes[:, 0])
        return information
    covariance = np.linalg.inv(curvature(slopes[asked], np.take_along_axis(spread, asked, axis=1)))
    towards = np.einsum("tde,te->td", covariance, (spread * open_) @ slopes)  # how the sum over the rest moves, after the posterior
    along = towards @ slopes.T
    own = np.einsum("nd,tde,ne->tn", slopes, covariance, slopes, optimize=True)
    lowered: FloatArray = spread * np.square(along) / (1 + spread * own)
    return lowered + spread  # the item's own variance goes too


def curvature(slopes: FloatArray, spread: FloatArray) -> FloatArray:
    """(n_target, D, D) curvature of the log posterior, of (n_target, n, D) slopes and (n_target, n) p (1 − p)."""
    return np.eye(slopes.shape[2]) + np.swapaxes(slopes * spread[..., None], 1, 2) @ slopes


def newton_step(ability: FloatArray, slopes: FloatArray, difficulty: FloatArray, answers: FloatArray) -> FloatArray:
    """A Newton step of the log posterior of each target, at most of length 1."""
    right = sigmoid(np.einsum("tnd,td->tn", slopes, ability) - difficulty)
    gradient = np.einsum("tnd,tn->td", slopes, answers - right) - ability
    step = np.linalg.solve(curvature(slopes, right * (1 - right)), gradient[..., None])[..., 0]
    length = np.linalg.norm(step, axis=1, keepdims=True)
    moved: FloatArray = ability + step / np.maximum(1.0, length)
    return moved


class Scored(NamedTuple):
    """One run's measures, and its counts."""

    values: dict[str, float]
    counts: PairCounts


def scored(truth: Truth, estimates: FloatArray) -> Scored:
    """The measures of one run's estimates; a constant estimate has the tau 0."""
    found = compare(truth.pairs, estimates)
    n_pairs, tau = found.counts.n_pairs.sum(), found.kendall_tau
    values = {
        "agreement": float(found.counts.n_agree.sum() / n_pairs),
        "tau": 0.0 if np.isnan(tau) else tau,
        "rmse": 100 * float(np.sqrt(np.square(estimates - truth.accuracy).mean())),
    }
    return Scored(values, found.counts)


class Place(NamedTuple):
    """A board, a number of sources and a size."""

    board: str
    n_source: int
    size: int


def fixed_estimates(
    board: Benchmark, draw: Draw, method: Method, sizes: Sequence[int], seed: list[int], fits: dict[Any, Any]
) -> Iterator[FloatArray]:
    """The estimates of a method with one order for all targets, by size; `fits` are those of other methods in this run."""
    (seen, fit), (estimator_seen, estimator_fit) = fitted(board, draw, method, seed, fits)
    for size in sizes:
        stream = np.random.default_rng([*seed, 1 if method.selector.nested else size])
        chosen = method.selector.select(seen, fit, size, stream)
        answers = responses_to(board, draw.targets, chosen.items, signal_used(board, method.estimator.signal))
        yield method.estimator.estimate(answers, Selection(chosen.items, chosen.weights), estimator_seen, estimator_fit)


def measured(
    board: Benchmark, n_source: int, sizes: Sequence[int], runs: int, exposure: int, methods: Sequence[Method]
) -> tuple[dict[tuple[str, int], list[Scored]], dict[str, float]]:
    """By label and size, the scores of every run; and by way to choose, the largest share of the targets that see one item."""
    found: dict[tuple[str, int], list[Scored]] = {}
    shown: dict[str, list[float]] = {how: [] for how in ADAPTIVE}
    for run in range(runs):
        models = np.random.default_rng([0, run]).permutation(board.n_models)
        n_target = min(N_TARGET, board.n_models - n_source)
        draw = Draw(models[:n_target], models[n_target : n_target + n_source], np.arange(board.n_items), None)
        truth = true_accuracies(board, "seen", draw.targets, draw.seen)
        answers = responses_to(board, draw.targets, draw.seen, "correctness")
        sources = responses_to(board, draw.sources, draw.seen, "correctness", np.float32)
        for how, dims in ADAPTIVE.items():
            asked = ask(fit_irt(sources, dims), answers, sizes, how, exposure, np.random.default_rng([0, run, 2]))
            shown[how].append(float(np.bincount(asked.items.ravel()).max() / n_target))
            for size, estimates in zip(sizes, asked.estimates, strict=True):
                found.setdefault((how, size), []).append(scored(truth, estimates))
        fits: dict[Any, Any] = {}
        for method in methods:
            for size, estimates in zip(sizes, fixed_estimates(board, draw, method, sizes, [0, run, 3], fits), strict=True):
                found.setdefault((method.label, size), []).append(scored(truth, estimates))
    return found, {how: float(np.mean(values)) for how, values in shown.items()}


def mdads_of(scores: Sequence[Scored]) -> FloatArray:
    """(1 + N_RESAMPLES,) crossings of the counts of all runs, and of the same resamples of the runs; in points, at most 100."""
    pooled = PairCounts.stack([each.counts for each in scores]).trimmed()
    rng, n = np.random.default_rng(0), len(scores)
    picked = [np.arange(n), *rng.integers(n, size=(N_RESAMPLES, n))]
    return np.array([min(100 * crossing(pooled[runs].total()), 100.0) for runs in picked])


def mdad_lower(one: FloatArray, other: FloatArray) -> Interval:
    """How much lower the first of two `mdads_of` is, and the ends of its interval."""
    low, high = np.quantile((other - one)[1:], [0.025, 0.975])
    return Interval(float(other[0] - one[0]), float(low), float(high), p=0.0)


def better_by(one: Sequence[Scored], other: Sequence[Scored], measure: str) -> FloatArray:
    """(n_runs,) how much better the first is."""
    return MEASURES[measure] * np.array([a.values[measure] - b.values[measure] for a, b in zip(one, other, strict=True)])


def lines_of(
    place: Place, found: dict[tuple[str, int], list[Scored]], exposed: dict[str, float], kept: dict[tuple[str, str, str], Any]
) -> Iterator[str]:
    """Lines of a place; the differences are also kept by way to choose, order and measure, for the means over boards."""
    mdads = {label: mdads_of(scores) for (label, size), scores in found.items() if size == place.size}
    for how in ADAPTIVE:
        own = found[how, place.size]
        means = [np.mean([each.values[name] for each in own]) for name in MEASURES]
        yield (
            f"| {place.board} | {place.n_source} | {place.size} | {how} (shown to {exposed[how]:.0%}) | {means[0]:.3f} | "
            f"{means[1]:.3f} | {means[2]:.2f} | {mdads[how][0]:.1f} |"
        )
        for label in (label for label in mdads if label not in ADAPTIVE):
            other = found[label, place.size]
            cells = []
            for name, digits in zip(MEASURES, (3, 3, 2), strict=True):
                differences = better_by(own, other, name)
                kept.setdefault((how, label, name), []).append(((place.board, place.n_source, place.size, ""), differences))
                cells.append(_shown(interval(differences), digits))
            lower = mdad_lower(mdads[how], mdads[label])
            kept.setdefault((how, label, "mdad"), []).append((place, lower))
            cells.append(_shown(lower, 1))
            yield f"| {place.board} | {place.n_source} | {place.size} | {how} − {label} | " + " | ".join(cells) + " |"


def _shown(found: Interval, digits: int) -> str:
    mark = "+" if found.lo > 0 else "−" if found.hi < 0 else ""
    return f"{found.mean:+.{digits}f} ({found.lo:+.{digits}f} to {found.hi:+.{digits}f}){mark}"


def summary(kept: dict[tuple[str, str, str], Any]) -> Iterator[str]:
    """Means over places, with the places where adaptive choice is better and worse by more than chance."""
    head = "adaptive", "fixed order", *("agreement", "+, −", "tau", "+, −", "RMSE lower by", "+, −", "MDAD: +, −", "places")
    yield "| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|"
    for how, label in dict.fromkeys((how, label) for how, label, _ in kept):
        cells = []
        for name, digits in zip(MEASURES, (3, 3, 2), strict=True):
            differences = kept[how, label, name]
            each = [interval(values) for _, values in differences]
            better, worse = sum(one.lo > 0 for one in each), sum(one.hi < 0 for one in each)
            mean = mean_over_places(differences)
            cells += [f"{mean.mean:+.{digits}f} ({mean.lo:+.{digits}f} to {mean.hi:+.{digits}f})", f"{better}, {worse}"]
        lower = [value for _, value in kept[how, label, "mdad"]]
        cells.append(f"{sum(each.lo > 0 for each in lower)}, {sum(each.hi < 0 for each in lower)}")
        yield f"| {how} | {label} | " + " | ".join(cells) + f" | {len(lower)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boards", nargs="+", type=Path)
    parser.add_argument("--sources", nargs="+", type=int, default=list(SOURCES))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--methods", nargs="+", default=list(FIXED))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--exposure", type=int, default=5)
    given = parser.parse_args(argv)
    kept: dict[tuple[str, str, str], Any] = {}
    try:
        methods = [named_method(name) for name in given.methods]
        print("| board | sources | items | | agreement | tau | RMSE | MDAD |\n" + "|---" * 8 + "|")
        with one_thread():
            for path in given.boards:
                board = mb.read_scores(path, confidence=None)
                sizes = [size for size in sorted(given.sizes) if size <= board.n_items / 4]
                for n_source in (each for each in given.sources if board.n_models - each >= MIN_TARGETS):
                    found, exposed = measured(board, n_source, sizes, given.runs, given.exposure, methods)
                    for size in sizes:
                        for line in lines_of(Place(board.name, n_source, size), found, exposed, kept):
                            print(line, flush=True)
    except MicrobenchError as error:
        print(error, file=sys.stderr)
        return 2
    print()
    print("\n".join(summary(kept)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
