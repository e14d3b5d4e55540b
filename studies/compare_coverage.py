"""How often do the intervals of `compare` hold? `python -m studies.compare_coverage FILE [--draws N] [--items N] [--repeats 1 2]`.

FILE is a long Parquet table of repeated scores: model, item_id, sample, score. Models are read that have as many repeats of every
item as is most common. Repeats are shuffled within each item, since some tools sort them. For pairs of models, and for a model with
itself (A/A), some repeats are the data and the others are the truth. Printed for each number of repeats:

- `population`: some items are drawn, and the truth is the mean over all items and the other repeats;
- `benchmark`: all items are compared (needs two repeats), and the truth is the mean over the other repeats, whose own noise counts:
  with r of R repeats as data it is r/(R - r) of the interval's variance;
- the same items three times, as clusters and as if they were independent, and repeats as if they were items;
- `runs`: every repeat of all items is a run with a shift of its own (`--shift` is its standard deviation), compared as whole runs,
  and as if an item's repeats were independent.

The last columns are the share of p-values below .05, for A/A false alarms, and the mean probability of these by the standard errors
and the truths: the power that a minimum detectable effect stands for.

With `--alarms 30 100 300`, only false alarms of A/A comparisons on so many items are counted: of the interval, beside those of
McNemar's exact test (items answered once) and of Student's paired test.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from microbench_ray.metrics.run_difference import Items, Reference, run_difference
from microbench_ray.metrics.tail_shares import binomial_share, student_share

HEADER = "| comparison | held | width (points) | p < .05 | expected |\n|---|---:|---:|---:|---:|"


def read_samples(path: Path) -> NDArray[np.float64]:
    """(n_models, n_items, n_repeats) scores of the models that have all repeats of all items."""
    table = pd.read_parquet(path)
    counts = table.groupby(["model", "item_id"])["sample"].count().unstack()
    n_repeats = int(np.bincount(counts.to_numpy(np.int64, na_value=0).ravel())[1:].argmax()) + 1
    models = counts.index[(counts >= n_repeats).all(axis=1)]
    kept = table[table["model"].isin(models)]
    kept = kept.sort_values(["model", "item_id", "sample"])
    kept = kept[kept.groupby(["model", "item_id"]).cumcount() < n_repeats]
    scores = kept["score"].to_numpy(np.float64).reshape(len(models), -1, n_repeats)
    return np.random.default_rng(0).permuted(scores, axis=2)


def independent(a: NDArray[np.float64], b: NDArray[np.float64]) -> Items:
    """Two runs on items that are independent and have the same weight."""
    return Items(a, b, np.zeros(len(a), np.intp), np.arange(len(a)))


class Shares:
    """Counts intervals that hold the truth, their widths, and p-values below .05 beside those that are to be expected."""

    def __init__(self) -> None:
        self.held: list[bool] = []
        self.widths: list[float] = []
        self.significant: list[bool] = []
        self.expected: list[float] = []

    def add(self, items: Items, truth: float, reference: Reference = "population", of_truth: float = 0.0) -> None:
        """Compare, and look at the interval; `of_truth` is the variance of a measured truth, as a share of the interval's."""
        found = run_difference(items, reference=reference)
        middle, wider = (found.low + found.high) / 2, np.sqrt(1 + of_truth)
        self.held.append(abs(truth - middle) <= wider * (found.high - found.low) / 2)
        self.widths.append(100 * (found.high - found.low))
        self.significant.append(found.p_value < 0.05)
        df = min(found.df, 1e9)  # as good as normal
        quantile, shift = float(special.stdtrit(df, 0.975)), abs(truth) / found.standard_error
        self.expected.append(float(special.stdtr(df, shift - quantile) + special.stdtr(df, -shift - quantile)))

    def row(self, name: str) -> str:
        """A row of the table."""
        shares = f"{np.mean(self.significant):.3f} | {np.mean(self.expected):.3f}"
        return f"| {name} | {np.mean(self.held):.3f} | {np.mean(self.widths):.1f} | {shares} |"


def shifted(scores: NDArray[np.float64], shift: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Every column of (n_items, n_repeats) scores moved by a draw of its own, by giving some of its items another score."""
    by = rng.normal(0.0, shift, scores.shape[1])
    return scores + np.where(rng.random(scores.shape) < 2 * np.abs(by), np.sign(by) / 2, 0.0)


def measure(
    scores: NDArray[np.float64], n_repeats: int, n_items: int, draws: int, shift: float, rng: np.random.Generator
) -> dict[str, Shares]:
    """Intervals of `draws` pairs of models, and of as many models with themselves, with `n_repeats` repeats as data."""
    n_models, n_all, n_samples = scores.shape
    found: dict[str, Shares] = {}

    def add(name: str, items: Items, truth: float, reference: Reference = "population", of_truth: float = 0.0) -> None:
        found.setdefault(name, Shares()).add(items, truth, reference, of_truth)

    for _ in range(draws):
        a, b = rng.choice(n_models, 2, replace=False)
        for other, word in ((b, "two models"), (a, "A/A")):
            order = rng.permutation(n_samples), rng.permutation(n_samples)
            if other == a:  # the runs of one model share no repeat
                if 2 * n_repeats > n_samples:
                    continue
                order = (order[0], np.roll(order[0], n_repeats))
            data = [scores[model][:, each[:n_repeats]] for model, each in zip((a, other), order, strict=True)]
            rest = [scores[model][:, each[n_repeats:]] for model, each in zip((a, other), order, strict=True)]
            truth = 0.0 if other == a else float(rest[1].mean() - rest[0].mean())
            rows = rng.choice(n_all, n_items, replace=False)
            drawn = [each[rows] for each in data]
            add(f"{word}: population, {n_items} items", independent(*drawn), truth)
            tripled = [np.repeat(each, 3, axis=0) for each in drawn]
            cluster = np.repeat(np.arange(n_items), 3)
            add(f"{word}: the same items three times, as clusters", independent(*tripled)._replace(cluster=cluster), truth)
            add(f"{word}: the same items three times, as independent", independent(*tripled), truth)
            if n_repeats > 1:
                of_truth = 0.0 if other == a else n_repeats / (n_samples - n_repeats)
                add(f"{word}: benchmark, all {n_all} items", independent(*data), truth, "benchmark", of_truth)
                flat = [each.reshape(-1, 1) for each in drawn]
                add(f"{word}: repeats as items", independent(*flat), truth)
                moved = [shifted(each, shift, rng) for each in data]
                add(f"{word}: runs with shifts, as runs", independent(*moved)._replace(whole_runs=True), truth, "benchmark")
                add(f"{word}: runs with shifts, as samples", independent(*moved), truth, "benchmark")
                few = [each[rows] for each in moved]
                add(f"{word}: runs with shifts, {n_items} items, as runs", independent(*few)._replace(whole_runs=True), truth)
    return found


def false_alarms(
    scores: NDArray[np.float64], n_repeats: int, n_items: int, draws: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Shares of A/A comparisons with p < .05: by the interval, by McNemar's test (NaN for repeats), by Student's."""
    n_models, n_all, n_samples = scores.shape
    found = np.zeros((draws, 3))
    for draw in range(draws):
        items, order = rng.choice(n_all, n_items, replace=False), rng.permutation(n_samples)
        drawn = scores[rng.integers(n_models)][items]
        a, b = drawn[:, order[:n_repeats]], drawn[:, order[n_repeats : 2 * n_repeats]]
        gap = b.mean(axis=1) - a.mean(axis=1)
        better, worse, deviation = int((gap > 0).sum()), int((gap < 0).sum()), float(gap.std(ddof=1))
        exact = 2 * binomial_share(min(better, worse), better + worse, 0.5) if n_repeats == 1 else np.nan
        t = abs(gap.mean()) * np.sqrt(n_items) / deviation if deviation else 0.0
        found[draw] = run_difference(independent(a, b)).p_value, exact, 2 * student_share(n_items - 1, -t)
    interval, mcnemar, student = np.where(np.isnan(found), np.nan, found < 0.05).mean(axis=0)
    return float(interval), float(mcnemar), float(student)


def main(words: Sequence[str] | None = None) -> int:
    """Print a table for each number of repeats."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--shift", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alarms", type=int, nargs="+", metavar="ITEMS")
    given = parser.parse_args(words)
    scores = read_samples(given.path)
    print(f"{scores.shape[0]} models × {scores.shape[1]} items × {scores.shape[2]} repeats; {given.draws} draws\n")
    if given.alarms:
        print("| items | repeats | interval | McNemar's exact test | Student's paired test |\n|---:|---:|---:|---:|---:|")
        for n_items, n_repeats in product(given.alarms, given.repeats):
            rng = np.random.default_rng([given.seed, n_repeats, n_items])
            alarms = false_alarms(scores, n_repeats, n_items, given.draws, rng)
            print(
                f"| {n_items} | {n_repeats} | " + " | ".join("" if np.isnan(x) else f"{x:.4f}" for x in alarms) + " |", flush=True
            )
        return 0
    for n_repeats in given.repeats:
        rng = np.random.default_rng([given.seed, n_repeats])
        print(f"Repeats: {n_repeats}\n\n{HEADER}")
        for name, shares in measure(scores, n_repeats, given.items, given.draws, given.shift, rng).items():
            print(shares.row(name))
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
