from __future__ import annotations

import numpy as np

from microbench_ray.audit.profile import profile, profiles
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.methods.selectors.fixed import Fixed
from tests.helpers import small
from tests.helpers.errors import refuses

NAN = np.nan


def four_items() -> Benchmark:
    scores = np.array([[1, 0, 1, 1], [0, NAN, 1, 0], [0.5, 1, 0, 0]])
    return Benchmark.from_arrays("b", scores, list("wxyz"), ["a", "b", "c"], subtasks=["s", "s", "t", "s"], max_missing=0.5)


def test_accuracies_and_estimates_by_hand() -> None:
    lists = {"l": Fixed(items=["x", "y", "z"], weights=[1, 2, 1]), "s": Fixed(items=["w"], built_from=["b"])}
    found = profile(four_items(), lists)
    assert found.subtasks == ("s", "t")
    assert found.units == 2
    assert found.sums.tolist() == [[6, 4, 2], [2, 0, 2], [3, 3, 0]]
    assert found.answered.tolist() == [[4, 3, 1], [3, 2, 1], [4, 3, 1]]
    assert found.accuracy[2].tolist() == [0.375, 0.5, 0.0]
    # Model b did not answer x, so only the weights 2 and 1 count.
    np.testing.assert_allclose(found.estimates["l"], [[0.75, 0.5, 1], [2 / 3, 0, 1], [0.25, 0.5, 0]])
    np.testing.assert_array_equal(found.estimates["s"], [[1, 1, NAN], [NAN, NAN, NAN], [0.5, 0.5, NAN]])
    assert dict(found.sizes) == {"l": 3, "s": 1}


def test_profiles_of_two_nights_are_on_their_common_items() -> None:
    scores = np.array([[1, 1, 0], [0, 1, 1]])
    tonight = Benchmark.from_arrays("b", scores, ["new", "y", "w"], ["a", "d"], subtasks=["u", "u", "u"])
    before, after = profiles(four_items(), tonight, {"l": Fixed(items=["x", "y"])})
    assert before.subtasks == after.subtasks == ("s", "t")
    assert before.answered[0].tolist() == after.answered[0].tolist() == [2, 1, 1]
    assert after.sums.tolist() == [[1, 0, 1], [2, 1, 1]]
    assert before.sizes["l"] == after.sizes["l"] == 1


def test_the_order_of_items_does_not_matter() -> None:
    right = small.responses(12)
    order = np.random.default_rng(1).permutation(small.N_ITEMS)
    shuffled = Benchmark.from_arrays(
        "small",
        right[:, order],
        [small.items()[k] for k in order],
        [f"m{k:03d}" for k in range(12)],
        subtasks=[small.subtasks()[k] for k in order],
    )
    before, after = profiles(small.board(right), shuffled, small.lists())
    assert (before.sums == after.sums).all()
    for label in small.lists():
        np.testing.assert_allclose(before.estimates[label], after.estimates[label], atol=1e-12)


def test_nights_without_common_items_are_refused() -> None:
    other = Benchmark.from_arrays("b", np.array([[1], [0]]), ["else"], ["a", "b"])
    with refuses(DataError, "in common", where="b", got="else"):
        profiles(four_items(), other, {})
    with refuses(DataError, "none of the items", where="'l'", got="else"):
        profiles(four_items(), four_items(), {"l": Fixed(items=["else"])})
