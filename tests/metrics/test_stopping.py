"""Pairs read until a verdict, and tests of a fixed size: values by hand, and the fast path against the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from microbench_ray.metrics import stopping
from microbench_ray.metrics.betting import FiniteList, log_wealth
from microbench_ray.metrics.stopping import fixed_verdicts, stop_pairs

ROWS = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1.0]])
FIRST, SECOND = np.array([0, 0, 1]), np.array([1, 2, 2])


def test_verdicts_by_hand() -> None:
    # No bet reaches 20 within four items, so that a verdict needs certainty: after three items the first model is ahead by 3 of the
    # other two, and the last one cannot make up for that. The last pair differs on the last item only.
    found = stop_pairs(ROWS, FIRST, SECOND, 4, 0.05)
    assert found.n_items.tolist() == [3, 3, 4]
    assert found.verdict.tolist() == [1, 1, -1]
    some = stop_pairs(ROWS[:, :2], FIRST, SECOND, 4, 0.05)
    assert some.n_items.tolist() == [2, 2, 2]
    assert some.verdict.tolist() == [0, 0, 0]


def test_equal_models_are_read_to_the_end() -> None:
    found = stop_pairs(np.tile([1.0, 0, 1, 0, 0], (2, 1)), np.array([0]), np.array([1]), 5, 0.05)
    assert (found.n_items[0], found.verdict[0]) == (5, 0)


def test_a_missing_score_is_the_worst_case() -> None:
    rows = ROWS[:2].copy()
    rows[1, 0] = np.nan  # it may be 1: after three items the lead is 2, and the fourth leaves 1
    assert stop_pairs(rows, np.array([0]), np.array([1]), 4, 0.05).n_items.tolist() == [3]
    rows[1, 1] = np.nan
    assert stop_pairs(rows, np.array([0]), np.array([1]), 4, 0.05).n_items.tolist() == [4]


@pytest.mark.parametrize("values_per_block", [64, 1 << 15])
def test_blocks_and_parts_do_not_matter(values_per_block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scores = (rng.random((7, 60)) < np.linspace(0.1, 0.9, 7)[:, None]).astype(float)
    first, second = np.triu_indices(7, 1)
    monkeypatch.setattr(stopping, "VALUES_PER_BLOCK", values_per_block)
    found = stop_pairs(scores, first, second, 90, 0.05)
    limit = math.log(20)
    for k, (i, j) in enumerate(zip(first, second, strict=True)):
        up, down = (log_wealth(d, 0.0, FiniteList(90), 0.05) >= limit for d in (scores[i] - scores[j], scores[j] - scores[i]))
        reached = np.flatnonzero(up | down)
        assert found.n_items[k] == (reached[0] + 1 if reached.size else 60)
        assert found.verdict[k] == (0 if not reached.size else 1 if up[reached[0]] else -1)
    assert {-1, 0} <= set(found.verdict.tolist())


def test_fixed_verdicts_by_hand() -> None:
    # Differences 1, 1, 1, 0 of 100 listed items: mean .75, variance of the mean .25 / 4 · .96, Student's quantile with 3 degrees of
    # freedom 2.353: 3.06 deviations. Of 1, 1, 0, 0: mean .5, variance 1/12 · .96, 1.77 deviations.
    scores = np.array([[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0.0]])
    assert fixed_verdicts(scores, np.array([0, 1, 2]), np.array([1, 0, 1]), 100, 0.05).tolist() == [1, -1, 0]
    assert fixed_verdicts(scores, np.array([2]), np.array([1]), 4, 0.05).tolist() == [1]  # the whole list
    assert fixed_verdicts(scores[:, :1], np.array([0]), np.array([1]), 4, 0.05).tolist() == [0]  # one item has no variance


def test_fixed_verdicts_are_scipys() -> None:
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(1)
    scores = rng.random((6, 30))
    first, second = np.triu_indices(6, 1)
    found = fixed_verdicts(scores, first, second, 10**9, 0.05)  # as good as an infinite list
    for k, (i, j) in enumerate(zip(first, second, strict=True)):
        p = [ttest_1samp(scores[i] - scores[j], 0, alternative=side).pvalue for side in ("greater", "less")]
        assert found[k] == (1 if p[0] < 0.05 else -1 if p[1] < 0.05 else 0)
