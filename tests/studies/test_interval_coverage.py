"""The intervals by runs have their nominal coverage; `studies/interval_coverage.py` is the full study."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.metrics import count_pairs, true_pairs
from studies import interval_coverage as study


@pytest.fixture(scope="module")
def scores() -> Any:
    folder = os.environ.get("MICROBENCH_TEST_DATA")
    if not folder:
        pytest.skip("MICROBENCH_TEST_DATA is not set")
    return study.read_scores(Path(folder))


def test_the_study_and_the_kernel_give_the_same_counts(scores: Any) -> None:
    pool = study.simulate(scores, 3, seed=9)
    rng = np.random.default_rng(9)
    for run in range(3):
        targets = rng.choice(420, 50, replace=False)
        order = rng.permutation(448)
        halves = {"seen": order[:224], "unseen": order[224:]}
        for (split, size), agree in pool.agree.items():
            truth = true_pairs(scores[np.ix_(halves[split], targets)].sum(axis=0), np.full(50, 224))
            counts = count_pairs(truth, scores[np.ix_(order[:size], targets)].mean(axis=0)).trimmed()
            assert np.array_equal(pool.pairs[split][run][: counts.n_bins], counts.n_pairs)
            assert np.array_equal(agree[run][: counts.n_bins], counts.n_agree)


@pytest.mark.slow
def test_intervals_by_runs_cover_in_93_to_97_percent_and_those_by_pairs_fall_short(scores: Any) -> None:
    # 1,000 disjoint draws of 50 runs; their 50,000 runs are the truth.
    pool = study.simulate(scores, 50_000, seed=0)
    all_rows = study.bin_coverage(pool, 1000, 50)
    rows = [row for row in all_rows if study.is_dense(row)]
    assert len(rows) > 150
    assert [row for row in rows if not 0.93 <= row.by_runs <= 0.97] == []
    assert 0.94 < np.mean([row.by_runs for row in rows]) < 0.96
    assert np.mean([row.by_pairs for row in rows]) < 0.85
    # In other bins the interval is a fallback that tends to be too wide.
    assert np.mean([row.by_runs for row in all_rows if row.pairs >= 1 and not study.is_dense(row)]) > 0.95
    mdads = {(row.split, row.size): row for row in study.mdad_coverage(pool, 200, 50)}
    for size in (50, 100, 200):
        row = mdads["seen", size]
        assert row.monotone_by_runs > 0.93
        assert row.monotone_by_pairs < row.monotone_by_runs
    # First crossing is biased low at small sizes, the monotone one less so.
    assert mdads["seen", 10].by_runs < 0.65 < 0.85 < mdads["seen", 10].monotone_by_runs
