"""How often do the intervals of ranks cover the true rank?

    python -m studies.rank_coverage DATA_DIR [LEADERBOARDS]

Leaderboards of 300 models and 3,000 items are simulated from factors fitted to MMLU-Pro; a list of random items is audited.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from microbench_ray.audit.ranks import rank_intervals, true_ranks
from studies.drift_study import factors

N_MODELS, N_ITEMS, TOP = 300, 3000, 10


def main() -> None:
    known, boards = factors(Path(sys.argv[1])), int((*sys.argv[2:], "40")[0])
    print("size  coverage of 95 % intervals, for the 30 best  mean width  Brier score of p_top, of a constant 10/300")
    for size in (25, 50, 100, 250, 1000):
        coverage, coverage_best, width, brier = [], [], [], []
        for seed in range(boards):
            rng = np.random.default_rng([seed, size])
            models = rng.choice(len(known["U"]), N_MODELS, replace=False)
            items = rng.choice(len(known["V"]), N_ITEMS, replace=False)
            logits = known["U"][models] @ known["V"][items].T
            right = logits + rng.logistic(size=logits.shape) > 0
            ranks = true_ranks(right.sum(axis=1), np.full(N_MODELS, N_ITEMS))
            low, high, top = rank_intervals(right.mean(axis=1), right[:, :size].mean(axis=1), TOP, rng)
            covered = (low <= ranks) & (ranks <= high)
            coverage.append(covered.mean())
            coverage_best.append(covered[ranks <= 30].mean())
            width.append((high - low + 1).mean())
            brier.append(np.mean((top - (ranks <= TOP)) ** 2))
        base = TOP / N_MODELS * (1 - TOP / N_MODELS)
        print(
            f"{size:4d}  {np.mean(coverage):.3f}  {np.mean(coverage_best):.3f}  {np.mean(width):6.1f}  "
            f"{np.mean(brier):.4f}  {base:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
