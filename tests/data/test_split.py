"""The seen and unseen halves of the items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.data.split import draw_halves, seen_counts


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([4, 6], [2, 3]),
        # Odd subtasks in turn: one more seen item, one fewer, one more.
        ([5, 4, 5, 2, 5], [3, 2, 2, 1, 3]),
        ([1], [1]),
        ([1, 1, 1, 1], [1, 0, 1, 0]),
        ([0, 3, 0, 3], [0, 2, 0, 1]),
        ([448], [224]),
    ],
)
def test_half_of_each_subtask_is_seen(sizes: Sequence[int], expected: Sequence[int]) -> None:
    assert seen_counts(np.array(sizes)).tolist() == expected


codes_of_items = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(lambda codes: np.array(codes, np.int32))


@given(codes_of_items, st.integers(0, 99))
def test_every_item_is_in_exactly_one_half(codes: np.ndarray, seed: int) -> None:
    seen, unseen = draw_halves(codes, np.random.default_rng(seed))
    assert sorted([*seen, *unseen]) == list(range(len(codes)))
    assert (np.diff(seen) > 0).all()
    assert (np.diff(unseen) > 0).all()
    assert len(seen) == (len(codes) + 1) // 2
    sizes = np.bincount(codes)
    assert np.bincount(codes[seen], minlength=len(sizes)).tolist() == seen_counts(sizes).tolist()
    assert (np.abs(2 * np.bincount(codes[seen], minlength=len(sizes)) - sizes) <= 1).all()


def test_all_items_of_a_subtask_are_equally_likely_to_be_seen() -> None:
    codes = np.array([0, 1, 0, 1, 1, 0, 1, 0, 1], np.int32)  # subtasks of 4 and 5 items, 2 and 3 of them seen
    rng, draws = np.random.default_rng(0), 4000
    counts = np.zeros(9)
    for _ in range(draws):
        counts[draw_halves(codes, rng)[0]] += 1
    p = np.where(codes == 0, 1 / 2, 3 / 5)
    assert (np.abs(counts / draws - p) < 4 * np.sqrt(p * (1 - p) / draws)).all()


def test_the_same_stream_gives_the_same_halves() -> None:
    codes = np.arange(50, dtype=np.int32) % 3
    first, second = (draw_halves(codes, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[0], draw_halves(codes, np.random.default_rng(5))[0])
