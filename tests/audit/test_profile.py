from __future__ import annotations

import numpy as np
import pytest

from microbench_ray.audit.profile import profile, profiles
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.methods.selectors.fixed import Fixed
from tests.helpers import small

NAN = np.nan


def four_items() -> Benchmark:
    scores = [[1, 0, 1, 1], [0, NAN, 1, 0], [0.5, 1, 0, 0]]
    return Benchmark.from_arrays("b", scores, list("wxyz"), ["a", "b", "c"], subtasks=["s", "s", "t", "s"], max_missing=0.5)


def test_accuracies_and_estimates_by_hand():
    lists = {"l": Fixed(items=["x", "y", "z"], weights=[1, 2, 1]), "s": Fixed(items=["w"], built_from=["b"])}
    found = profile(four_items(), lists)
    assert found.subtasks == ("s", "t")
    assert found.units == 2
    assert found.sums.tolist() == [[6, 4, 2], [2, 0, 2], [3, 3, 0]]
    assert found.answered.tolist() == [[4, 3, 1], [3, 2, 1], [4, 3, 1]]
    assert found.accuracy[2].tolist() == [0.375, 0.5, 0.0]
    # Model b did not answer x: weights 2 and 1 are left.
    np.testing.assert_allclose(found.estimates["l"], [[0.75, 0.5, 1], [2 / 3, 0, 1], [0.25, 0.5, 0]])
    np.testing.assert_array_equal(found.estimates["s"], [[1, 1, NAN], [NAN, NAN, NAN], [0.5, 0.5, NAN]])
    assert dict(found.sizes) == {"l": 3, "s": 1}


def test_two_nights_are_compared_on_the_items_of_both():
    before = four_items()
    now = Benchmark.from_arrays("b", [[1, 1, 0], [0, 1, 1]], ["new", "y", "w"], ["a", "d"], subtasks=["u", "u", "u"])
    one, other = profiles(before, now, {"l": Fixed(items=["x", "y"])})
    assert one.subtasks == other.subtasks == ("s", "t")
    assert one.answered[0].tolist() == other.answered[0].tolist() == [2, 1, 1]
    assert other.sums.tolist() == [[1, 0, 1], [2, 1, 1]]
    assert one.sizes["l"] == other.sizes["l"] == 1


def test_the_order_of_items_does_not_matter():
    right = small.responses(12)
    order = np.random.default_rng(1).permutation(small.N_ITEMS)
    shuffled = Benchmark.from_arrays(
        "small",
        right[:, order],
        np.array(small.items())[order],
        [f"m{k:03d}" for k in range(12)],
        subtasks=np.array(small.subtasks())[order],
    )
    one, other = profiles(small.board(right), shuffled, small.lists())
    assert (one.sums == other.sums).all()
    for label in small.lists():
        np.testing.assert_allclose(one.estimates[label], other.estimates[label], atol=1e-12)


def test_nothing_in_common_is_said():
    other = Benchmark.from_arrays("b", [[1], [0]], ["else"], ["a", "b"])
    with pytest.raises(DataError, match="no item in common"):
        profiles(four_items(), other, {})
    with pytest.raises(DataError, match="None of the items of 'l'"):
        profiles(four_items(), four_items(), {"l": Fixed(items=["else"])})
