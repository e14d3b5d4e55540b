"""Coverage of the intervals of agreement and MDAD: `python -m studies.interval_coverage DATA_DIR`.

Random selection on `gpqa.parquet` under the paper's protocol (50 of 420 targets, half of 448 items seen, estimates are
means over the chosen items) is simulated for tens of thousands of runs. Pooled, they are the truth; disjoint draws of 50
of them are the data that a user would have measured. Pairs are counted separately here, in one vectorised form, so that the
study does not depend on the kernel it evaluates (`test_interval_coverage.py` checks that both give the same counts).
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from microbench_ray.metrics import BINS_PER_UNIT, PairCounts, agreement_curve, mdad
from microbench_ray.metrics.intervals import IntervalKind

SIZES = (10, 25, 50, 100, 200)
SPLITS = ("seen", "unseen")
N_TARGET = 50
N_BINS = 96  # differences on a half of gpqa stay well below 0.48
BATCH = 100
Ints = npt.NDArray[np.int64]
Shorts = npt.NDArray[np.int16]  # one run has 1,225 pairs
Cell = tuple[str, int]


class Pool(NamedTuple):
    """Simulated runs: per (split, size) pairs and agreeing pairs, (n_runs, N_BINS), under tie_policy=wrong."""

    pairs: dict[str, Shorts]
    agree: dict[Cell, Shorts]


class BinCoverage(NamedTuple):
    """Coverage of one bin's 95 % intervals over all draws in which the bin holds pairs."""

    split: str
    size: int
    diff_lo: float
    pairs: float  # expected in one draw
    disagreements: float
    agreement: float
    by_runs: float
    by_pairs: float


class MdadCoverage(NamedTuple):
    """Coverage of the 95 % intervals of both MDADs; the truth is NaN if no bin reaches the threshold."""

    split: str
    size: int
    truth: float
    truth_monotone: float
    by_runs: float
    by_pairs: float
    monotone_by_runs: float
    monotone_by_pairs: float


def read_scores(data: Path) -> Ints:
    """(n_items, n_models) of 0/1."""
    table = pq.read_table(data / "gpqa.parquet").drop_columns(["item_id", "subtask"])
    return np.column_stack([column.to_numpy() for column in table.columns]).astype(np.int64)


def simulate(scores: Ints, n_runs: int, seed: int) -> Pool:
    """Draw runs and count their pairs; every size's items are a prefix of one random order of the seen half."""
    rng = np.random.default_rng(seed)
    n_items, n_models = scores.shape
    half = n_items // 2
    first, second = np.triu_indices(N_TARGET, 1)
    pairs: dict[str, list[Shorts]] = {split: [] for split in SPLITS}
    agree: dict[Cell, list[Shorts]] = {(split, size): [] for split in SPLITS for size in SIZES}
    for start in range(0, n_runs, BATCH):
        rows = min(BATCH, n_runs - start)
        cumulative = np.empty((rows, n_items, N_TARGET), np.int64)
        for run in range(rows):
            targets = rng.choice(n_models, N_TARGET, replace=False)
            cumulative[run] = np.cumsum(scores[np.ix_(rng.permutation(n_items), targets)], axis=0)
        estimates = {size: cumulative[:, size - 1][:, first] - cumulative[:, size - 1][:, second] for size in SIZES}
        seen = cumulative[:, half - 1]
        for split, sums in (("seen", seen), ("unseen", cumulative[:, -1] - seen)):
            difference = sums[:, first] - sums[:, second]
            cells = np.abs(difference) * BINS_PER_UNIT // half + N_BINS * np.arange(rows)[:, None]
            pairs[split].append(_count(cells[difference != 0], rows))
            for size, estimate in estimates.items():
                agree[split, size].append(_count(cells[difference * estimate > 0], rows))
    return Pool(
        pairs={split: np.concatenate(parts) for split, parts in pairs.items()},
        agree={cell: np.concatenate(parts) for cell, parts in agree.items()},
    )


def _count(cells: Ints, rows: int) -> Shorts:
    return np.bincount(cells, minlength=rows * N_BINS).reshape(rows, N_BINS).astype(np.int16)


def counts_of(pool: Pool, cell: Cell, runs: slice) -> PairCounts:
    """The pool's runs as pair counts; ties count as wrong and therefore need no counts."""
    n_pairs, n_agree = (table[runs].astype(np.int64) for table in (pool.pairs[cell[0]], pool.agree[cell]))
    zeros, zero_per_run = np.zeros_like(n_pairs), np.zeros(len(n_pairs), np.int64)
    return PairCounts(
        n_pairs=n_pairs,
        n_agree=n_agree,
        n_tied=zeros,
        n_tied_agree=zeros,
        n_true_tied=zero_per_run,
        n_true_tied_up=zero_per_run,
    )


def bin_coverage(pool: Pool, n_draws: int, n_runs: int) -> list[BinCoverage]:
    """Coverage of each bin's intervals by runs and by pairs, over disjoint draws."""
    rows = []
    for cell in pool.agree:
        pairs, agree = pool.pairs[cell[0]].sum(axis=0), pool.agree[cell].sum(axis=0)
        truth = agree / np.maximum(pairs, 1)
        n_occupied = np.zeros(N_BINS)
        covered = {"runs": np.zeros(N_BINS), "pairs": np.zeros(N_BINS)}
        for draw in range(n_draws):
            counts = counts_of(pool, cell, slice(draw * n_runs, (draw + 1) * n_runs))
            kinds: tuple[IntervalKind, ...] = ("runs", "pairs")
            for kind in kinds:
                curve = agreement_curve(counts, ci=kind)
                n = curve.agreement.size
                covered[kind][:n] += (curve.ci_lo <= truth[:n]) & (truth[:n] <= curve.ci_hi)
            n_occupied[:n] += curve.n_pairs > 0
        share = n_runs / len(pool.pairs[cell[0]])
        rows += [
            BinCoverage(
                split=cell[0],
                size=cell[1],
                diff_lo=bin_ / BINS_PER_UNIT,
                pairs=pairs[bin_] * share,
                disagreements=(pairs - agree)[bin_] * share,
                agreement=truth[bin_],
                by_runs=covered["runs"][bin_] / n_occupied[bin_],
                by_pairs=covered["pairs"][bin_] / n_occupied[bin_],
            )
            for bin_ in np.flatnonzero(n_occupied)
        ]
    return rows


def is_dense(row: BinCoverage) -> bool:
    """Whether the bin's interval by runs must have a coverage of 93–97 % (in expectation over draws)."""
    return row.pairs >= 800 and row.disagreements >= 100


def mdad_coverage(pool: Pool, n_draws: int, n_runs: int) -> list[MdadCoverage]:
    """Coverage of the intervals of both MDADs, over disjoint draws."""
    rows = []
    for cell in pool.agree:
        truth = mdad(counts_of(pool, cell, slice(None)).total())
        hits = np.zeros(4)
        for draw in range(n_draws):
            counts = counts_of(pool, cell, slice(draw * n_runs, (draw + 1) * n_runs))
            runs, pairs = mdad(counts, seed=draw), mdad(counts, ci="pairs", seed=draw)
            hits += (
                _holds(truth.mdad, runs.ci_lo, runs.ci_hi),
                _holds(truth.mdad, pairs.ci_lo, pairs.ci_hi),
                _holds(truth.mdad_monotone, runs.mdad_monotone_ci_lo, runs.mdad_monotone_ci_hi),
                _holds(truth.mdad_monotone, pairs.mdad_monotone_ci_lo, pairs.mdad_monotone_ci_hi),
            )
        by_runs, by_pairs, monotone_by_runs, monotone_by_pairs = (hits / n_draws).tolist()
        rows.append(
            MdadCoverage(
                split=cell[0],
                size=cell[1],
                truth=truth.mdad,
                truth_monotone=truth.mdad_monotone,
                by_runs=by_runs,
                by_pairs=by_pairs,
                monotone_by_runs=monotone_by_runs,
                monotone_by_pairs=monotone_by_pairs,
            )
        )
    return rows


def _holds(truth: float, low: float, high: float) -> bool:
    truth, low, high = (math.inf if math.isnan(value) else value for value in (truth, low, high))
    return low <= truth <= high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds gpqa.parquet")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=50, help="runs in a draw")
    parser.add_argument("--truth-runs", type=int, default=15_000, help="minimum; all simulated runs are the truth")
    parser.add_argument("--mdad-draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    pool = simulate(read_scores(args.data), max(args.truth_runs, args.draws * args.runs), args.seed)
    rows = bin_coverage(pool, args.draws, args.runs)
    dense = [row for row in rows if is_dense(row)]
    print(f"{len(pool.pairs['seen'])} runs; {args.draws} draws of {args.runs}\n")
    print("Bins with at least 800 pairs and 100 disagreements expected in a draw")
    print("split    size  bins   by runs: min  mean   max   outside 93-97 %   by pairs: min  mean   max")
    for cell in pool.agree:
        cell_rows = [row for row in dense if (row.split, row.size) == cell]
        if not cell_rows:
            continue
        runs, pairs = np.array([row.by_runs for row in cell_rows]), np.array([row.by_pairs for row in cell_rows])
        outside = [float(row.diff_lo) for row in cell_rows if not 0.93 <= row.by_runs <= 0.97]
        print(
            f"{cell[0]:<7} {cell[1]:>5} {len(cell_rows):>5} {runs.min():>14.3f} {runs.mean():.3f} {runs.max():.3f}   "
            f"{outside!s:<15} {pairs.min():>15.3f} {pairs.mean():.3f} {pairs.max():.3f}"
        )
    print("\nOther bins, with at least one pair expected in a draw")
    print("split    size  bins   by runs: min  mean   max")
    for cell in pool.agree:
        cell_rows = [row for row in rows if (row.split, row.size) == cell and row.pairs >= 1 and not is_dense(row)]
        runs = np.array([row.by_runs for row in cell_rows])
        print(f"{cell[0]:<7} {cell[1]:>5} {len(cell_rows):>5} {runs.min():>14.3f} {runs.mean():.3f} {runs.max():.3f}")
    if args.mdad_draws == 0:
        return
    print("\nMDAD: truth and coverage of the 95 % intervals")
    print("split    size   mdad   monotone   mdad by runs  by pairs   monotone by runs  by pairs")
    for row in mdad_coverage(pool, min(args.draws, args.mdad_draws), args.runs):
        print(
            f"{row.split:<7} {row.size:>5} {row.truth:>6.3f} {row.truth_monotone:>10.3f} {row.by_runs:>14.3f} "
            f"{row.by_pairs:>9.3f} {row.monotone_by_runs:>18.3f} {row.monotone_by_pairs:>9.3f}"
        )


if __name__ == "__main__":
    main()
