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


@pytest.mark.parametrize(
    ("n_draws", "chance"),
    [pytest.param(250, 0.025, marks=pytest.mark.slow), pytest.param(1000, 0.0, marks=pytest.mark.nightly)],
)
def test_intervals_by_runs_cover_in_93_to_97_percent_and_those_by_pairs_fall_short(
    scores: Any, n_draws: int, chance: float
) -> None:
    # Disjoint draws of 50 runs; all runs are the truth. `chance`: what few draws add to a share (about two standard errors).
    pool = study.simulate(scores, 50 * n_draws, seed=0)
    all_rows = study.bin_coverage(pool, n_draws, 50)
    rows = [row for row in all_rows if study.is_dense(row)]
    assert len(rows) > 150
    assert [row for row in rows if not 0.93 - chance <= row.by_runs <= 0.97 + chance] == []
    assert 0.94 < np.mean([row.by_runs for row in rows]) < 0.96
    assert np.mean([row.by_pairs for row in rows]) < 0.85
    # In other bins the interval is a fallback that tends to be too wide.
    assert np.mean([row.by_runs for row in all_rows if row.pairs >= 1 and not study.is_dense(row)]) > 0.95
    mdads = {(row.split, row.size): row for row in study.mdad_coverage(pool, n_draws // 5, 50)}
    sizes = [mdads["seen", size] for size in (50, 100, 200)]
    for row in sizes:
        assert row.monotone_by_runs > 0.93
        assert row.monotone_by_pairs <= row.monotone_by_runs
    assert sum(row.monotone_by_pairs for row in sizes) < sum(row.monotone_by_runs for row in sizes)
    # First crossing is biased low at small sizes, the monotone one less so.
    assert mdads["seen", 10].by_runs < 0.65 < 0.85 < mdads["seen", 10].monotone_by_runs
