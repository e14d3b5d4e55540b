"""How often the intervals of `microbench score` hold the truth, and how wide they are, on any board:

    python -m studies.score_coverage BOARD… [--known N…] [--sizes N…] [--methods NAME…] [--draws N]

BOARD is a file that `microbench` reads, such as scores.parquet, or `synthetic`. Every line is of one board, method, number of items
and number of known models, over all draws. *Alike*: the known models are drawn from all, and other models drawn like them are
scored. *Best fifth*: the known models are drawn from the worse four fifths, and the best fifth is scored. `items` are scored by the
micro-benchmark's items alone, `both` with the reserve; `random` is Wilson's interval about the mean of as many random items. `held`
is the share of the intervals that hold the truth, `given` that of the models that have an interval by the items alone, `wrong` that
of the models whose interval by these does not hold the truth, and `flagged` that of the models called unlike the known ones. Widths
and errors (mean absolute) are in points.

The last lines pool all of them: the mean, the least and the largest share held beside the goals, 93 to 97 % of models drawn alike
and 90 % of the best fifth, and the widest interval given, which must not be all of [0, 1]. The exit code is 1 where the mean over a
method's lines, or that width, misses a goal.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from microbench_ray.core.errors import MicrobenchError
from microbench_ray.data import Benchmark, read_scores, synthetic
from microbench_ray.methods import Method, SeenItems, build_method
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.build import build
from microbench_ray.micro.intervals import wilson_interval
from microbench_ray.micro.random_items import own_dispersion
from microbench_ray.micro.score import Scored, score
from microbench_ray.sweeps.evaluate import true_accuracies

KNOWN, SIZES, DRAWS, BEST = (10, 15, 19, 30, 50, 70), (10, 25, 50, 100), 10, 0.2
MIN_NEW = 5
"""Models to be scored that a draw needs."""
MAX_NEW = 50
WHOLE = 100.0
"""Width, in points, of an interval that says nothing."""
GUIDED = build_method("mdad_guided", {"name": "mdad_guided"}, {"name": "ridge_remainder", "signal": "correctness"})
METHODS = {
    method.label: method
    for method in (
        build_method("auto", {"name": "auto"}, {"name": "auto", "signal": "correctness"}),
        GUIDED,
        build_method("random", {"name": "random"}, {"name": "mean"}),
        build_method("greedy", {"name": "greedy"}, {"name": "ridge"}),
        build_method("random_ridge", {"name": "random"}, {"name": "ridge"}),
    )
}
HEADER = (
    "board                     method        items known |  alike: items                      both               random           "
    "  |  best fifth: items                 both               random\n"
    "                                                    |   held given width error flagged   held width error   held width error"
    "  |   held given wrong width flagged   held width error   held width"
)


class Row(NamedTuple):
    """One new model. Intervals that are not given have a NaN width and are not held."""

    held: float
    width: float
    error: float
    flagged: bool
    held_both: float
    width_both: float
    error_both: float
    held_random: float
    width_random: float
    error_random: float


def accuracies(board: Benchmark) -> np.ndarray:
    return true_accuracies(board, "seen", np.arange(board.n_models), np.arange(board.n_items)).accuracy


def best_models(board: Benchmark) -> np.ndarray:
    return np.sort(np.argsort(-accuracies(board), kind="stable")[: math.ceil(BEST * board.n_models)])


def split_off(board: Benchmark, group: np.ndarray, known: np.ndarray | None = None) -> tuple[Benchmark, np.ndarray, dict[str, int]]:
    """The board of the known models, by default all but the group's; the group's responses, (n, n_items), NaN where missing; the
    items' columns by id."""
    known = np.setdiff1d(np.arange(board.n_models), group) if known is None else known
    new = board.scores[group] / board.units
    new[board.scores[group] == board.missing] = np.nan
    column_of = {str(name): k for k, name in enumerate(board.item_ids)}
    return Benchmark(board.name, board.models.take(pa.array(known)), board.items, board.units), new, column_of


def scored_twice(micro: MicroBenchmark, new: np.ndarray, column_of: dict[str, int]) -> tuple[list[Scored], list[Scored]]:
    """The scores of these models by the micro-benchmark's items alone, and with the reserve."""
    names = [f"new {k}" for k in range(len(new))]
    alone, both = (
        score(micro, new[:, [column_of[name] for name in ids]], ids, names) for ids in (micro.item_ids, micro.all_item_ids)
    )
    return alone, both


def draws_of(board: Benchmark, n_known: int, n_draws: int, *, best: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Known and new models of each draw; none where the board has too few models."""
    for draw in range(n_draws):
        rng = np.random.default_rng(draw)
        new = best_models(board) if best else np.empty(0, np.intp)
        pool = rng.permutation(np.setdiff1d(np.arange(board.n_models), new))
        new = rng.permutation(new if best else pool[n_known:])[:MAX_NEW]
        if pool.size >= n_known and new.size >= MIN_NEW:
            yield np.sort(pool[:n_known]), np.sort(new)


def rows_of(
    board: Benchmark, method: Method, sizes: Sequence[int], n_known: int, n_draws: int, *, best: bool
) -> dict[int, list[Row]]:
    """A row per new model of every draw, by size."""
    rows: dict[int, list[Row]] = {size: [] for size in sizes}
    truth = accuracies(board)
    for seed, (known, new) in enumerate(draws_of(board, n_known, n_draws, best=best)):
        source, responses, column_of = split_off(board, new, known)
        of_draw = fitting_once(method)
        for size in sizes:
            micro = build(source, of_draw, size, seed)
            random = [column_of[item.id] for item in micro.reserve or micro.items]
            alone, both = scored_twice(micro, responses, column_of)
            rows[size] += [row_of(micro, *each) for each in zip(alone, both, responses[:, random], truth[new], strict=True)]
    return rows


def fitting_once(method: Method) -> Method:
    """The same method, which fits the same responses with the same random numbers once: a fit serves all sizes."""
    return replace(method, selector=_fitting_once(method.selector), estimator=_fitting_once(method.estimator))


def _fitting_once(part: Any) -> Any:
    fit, kept = part.fit, {}

    def once(seen: SeenItems, rng: np.random.Generator) -> Any:
        responses = b"" if seen.responses is None else np.ascontiguousarray(seen.responses).tobytes()
        key = hashlib.blake2b(responses + repr(rng.bit_generator.state).encode()).digest()
        if key not in kept:
            kept[key] = fit(seen, rng)
        return kept[key]

    copied = copy(part)
    object.__setattr__(copied, "fit", once)  # of a frozen instance
    return copied


def row_of(micro: MicroBenchmark, alone: Scored, both: Scored, random: np.ndarray, truth: float) -> Row:
    answered = random[~np.isnan(random)]
    mean, spread = float(answered.mean()), max(micro.dispersion, own_dispersion(answered))
    plain = wilson_interval(mean, answered.size, int(micro.benchmark["n_items"]), spread, "random_wilson")
    assert alone.estimate is not None
    assert both.estimate is not None
    held, width = held_and_width(alone, truth)
    held_both, width_both = held_and_width(both, truth)
    return Row(
        held=held,
        width=width,
        error=100 * abs(alone.estimate - truth),
        flagged=alone.unlike,
        held_both=held_both,
        width_both=width_both,
        error_both=100 * abs(both.estimate - truth),
        held_random=float(plain.low <= truth <= plain.high),
        width_random=100 * (plain.high - plain.low),
        error_random=100 * abs(mean - truth),
    )


def held_and_width(scored: Scored, truth: float) -> tuple[float, float]:
    """Whether the interval holds the truth, and its width in points; NaN where there is none."""
    interval = scored.interval
    if interval is None:
        return math.nan, math.nan
    return float(interval.low - 1e-12 <= truth <= interval.high + 1e-12), 100 * (interval.high - interval.low)


def mean_of(rows: Sequence[Row]) -> Row:
    """Means over the models that have a value; NaN where none has."""
    values = np.array(rows, np.float64)
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return Row(*(np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)))


def given(rows: Sequence[Row]) -> float:
    """Share of the models with an interval by the items alone."""
    return float(np.mean([not math.isnan(row.width) for row in rows]))


def misled(rows: Sequence[Row]) -> float:
    """Share of the models whose interval by the items alone does not hold the truth."""
    return float(np.mean([row.held == 0 for row in rows]))


def line_of(alike: Sequence[Row], best: Sequence[Row]) -> str:
    text = ""
    for k, rows in enumerate((alike, best)):
        if not rows:
            text += "  |  too few models"
            continue
        mean = mean_of(rows)
        error = f" {mean.error:5.1f}" if k == 0 else ""
        wrong = "" if k == 0 else f" {misled(rows):5.2f}"
        random_error = f" {mean.error_random:5.1f}" if k == 0 else ""
        text += (
            f"  |  {mean.held:5.3f} {given(rows):5.2f}{wrong} {mean.width:5.1f}{error} {mean.flagged:7.3f}"
            f"  {mean.held_both:5.3f} {mean.width_both:5.1f} {mean.error_both:5.1f}"
            f"  {mean.held_random:5.3f} {mean.width_random:5.1f}{random_error}"
        )
    return text


def boards_of(names: Sequence[str]) -> Iterator[Benchmark]:
    for name in names:
        yield synthetic() if name == "synthetic" else read_scores(Path(name), confidence=None)


def main(words: Sequence[str] | None = None) -> int:
    """Print a line per board, method, number of items and number of known models, and the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boards", nargs="+")
    parser.add_argument("--known", type=int, nargs="+", default=KNOWN)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=("auto", "random"))
    parser.add_argument("--draws", type=int, default=DRAWS)
    arguments = parser.parse_args(words)
    print(HEADER, flush=True)
    kept: dict[tuple[str, int, bool], list[Row]] = defaultdict(list)
    lines: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    try:
        for board in boards_of(arguments.boards):
            sizes = [size for size in arguments.sizes if size <= board.n_items / 2]
            for method, known in itertools.product(arguments.methods, arguments.known):
                found = [rows_of(board, METHODS[method], sizes, known, arguments.draws, best=best) for best in (False, True)]
                for size in sizes:
                    both = [rows[size] for rows in found]
                    if not any(both):
                        continue
                    print(f"{board.name:25s} {method:13s} {size:5d} {known:5d}{line_of(*both)}", flush=True)
                    for best, rows in zip((False, True), both, strict=True):
                        kept[method, known, best] += rows
                        lines[method, best] += [mean_of(rows)] if rows else []
    except MicrobenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return summary(arguments.methods, arguments.known, kept, lines)


def summary(
    methods: Sequence[str],
    numbers: Sequence[int],
    kept: dict[tuple[str, int, bool], list[Row]],
    lines: dict[tuple[str, bool], list[Row]],
) -> int:
    """Print the means over all boards and sizes by method and number of known models; 1 where a goal is missed."""
    print("\nall boards and sizes")
    missed = 0
    for method in methods:
        for known in numbers:
            alike, best = (kept[method, known, each] for each in (False, True))
            if alike or best:
                print(f"{'':25s} {method:13s} {'':5s} {known:5d}{line_of(alike, best)}")
        of_method = [row for (label, *_), rows in kept.items() if label == method for row in rows]
        widest = max((width for row in of_method for width in (row.width, row.width_both) if not math.isnan(width)), default=0.0)
        missed += widest >= WHOLE
        print(f"{method}: widest interval {widest:.1f} points{': missed' if widest >= WHOLE else ''}")
        for only_best, low, high in ((False, 0.93, 0.97), (True, 0.9, 1.0)):
            for part in ("held", "held_both"):
                values = [value for value in (getattr(row, part) for row in lines[method, only_best]) if not math.isnan(value)]
                if not values:
                    continue
                mean = float(np.mean(values))
                outside = not low <= mean <= high
                missed += outside
                what = f"{'best fifth' if only_best else 'alike'}, {'with the reserve' if part == 'held_both' else 'items alone'}"
                print(
                    f"{method}: {what}: held {mean:.3f} on average, {min(values):.3f} to {max(values):.3f} in {len(values)} lines; "
                    f"goal {low:.0%} to {high:.0%}{': missed' if outside else ''}"
                )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
