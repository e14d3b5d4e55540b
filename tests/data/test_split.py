"""The two halves of the items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microbench_ray.data.split import draw_halves, seen_counts


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([4, 6], [2, 3]),
        # Odd subtasks: one more seen, one fewer, one more.
        ([5, 4, 5, 2, 5], [3, 2, 2, 1, 3]),
        ([1], [1]),
        ([1, 1, 1, 1], [1, 0, 1, 0]),
        ([0, 3, 0, 3], [0, 2, 0, 1]),
        ([448], [224]),
    ],
)
def test_half_of_each_subtask_is_seen(sizes, expected):
    assert seen_counts(np.array(sizes)).tolist() == expected


codes_of_items = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(lambda codes: np.array(codes, np.int32))


@given(codes_of_items, st.integers(0, 99))
@settings(deadline=None)
def test_every_item_is_in_exactly_one_half(codes, seed):
    seen, unseen = draw_halves(codes, np.random.default_rng(seed))
    assert sorted([*seen, *unseen]) == list(range(len(codes)))
    assert (np.diff(seen) > 0).all()
    assert (np.diff(unseen) > 0).all()
    assert len(seen) == (len(codes) + 1) // 2
    sizes = np.bincount(codes)
    assert np.bincount(codes[seen], minlength=len(sizes)).tolist() == seen_counts(sizes).tolist()
    assert (np.abs(2 * np.bincount(codes[seen], minlength=len(sizes)) - sizes) <= 1).all()


def test_the_halves_are_random_and_any_item_is_as_likely_as_another_of_its_subtask():
    codes = np.array([0, 1, 0, 1, 1, 0, 1, 0, 1], np.int32)  # 4 and 5 items, of which 2 and 3 are seen
    rng, draws = np.random.default_rng(0), 4000
    counts = np.zeros(9)
    for _ in range(draws):
        counts[draw_halves(codes, rng)[0]] += 1
    p = np.where(codes == 0, 1 / 2, 3 / 5)
    assert (np.abs(counts / draws - p) < 4 * np.sqrt(p * (1 - p) / draws)).all()


def test_the_same_stream_gives_the_same_halves():
    codes = np.arange(50, dtype=np.int32) % 3
    first, second = (draw_halves(codes, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[0], draw_halves(codes, np.random.default_rng(5))[0])
