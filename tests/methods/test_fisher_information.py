"""Fisher information by its definition, and the turns in which bins of ability take items."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import SeenItems
from microbench_ray.methods.kernels.irt import IrtFit
from microbench_ray.methods.selectors.fisher_information import FisherInformation, in_turns, information, spread_order
from microbench_ray.methods.selectors.tinybenchmarks import TinyBenchmarks
from tests.helpers.errors import refuses


def model(slopes: list[list[float]], difficulty: list[float], ability: list[list[float]]) -> IrtFit:
    dims = len(slopes[0])
    theta = np.array(ability, float)
    return IrtFit(
        np.array(slopes, float), np.array(difficulty, float), theta, np.zeros(dims + 1), np.eye(dims + 1), 0.0, 0.0, 1, True
    )


def seen_of(responses: np.ndarray) -> SeenItems:
    n_items = responses.shape[1]
    return SeenItems(np.arange(n_items).astype(str).astype(object), np.zeros(n_items, np.int32), responses.astype(np.float32))


def chosen(selector: FisherInformation, responses: np.ndarray, size: int) -> list[int]:
    seen = seen_of(responses)
    fit = selector.fit(seen, np.random.default_rng(0))
    return selector.select(seen, fit, size, np.random.default_rng(0)).items.tolist()


def test_information_is_the_mean_over_the_models_of_a_bin() -> None:
    slopes, difficulty = [[1.0], [2.0], [0.0]], [0.0, 1.0, 0.3]
    ability = [[2.0], [-1.0], [0.5], [0.0]]
    found = information(model(slopes, difficulty, ability), 2)
    bins = [[-1.0, 0.0], [0.5, 2.0]]
    for row, members in enumerate(bins):
        for item, (slope,) in enumerate(slopes):
            right = [1 / (1 + math.exp(difficulty[item] - slope * theta)) for theta in members]
            assert found[row, item] == pytest.approx(slope**2 * sum(p * (1 - p) for p in right) / 2)


def test_in_several_dimensions_it_is_the_trace() -> None:
    found = information(model([[3.0, 4.0], [1.0, 0.0]], [0.0, 0.0], [[0.0, 0.0]]), 10)
    assert found.shape == (1, 2)
    assert found[0] == pytest.approx([25 / 4, 1 / 4])


def test_able_models_take_hard_items_and_others_easy_ones() -> None:
    # Equal slopes: each of three bins takes the item whose difficulty is that of its models.
    levels = [-4.0, 0.0, 4.0]
    fit = model([[1.0]] * 3, levels, [[4.0], [-4.0], [0.0]])
    assert information(fit, 3).argmax(axis=1).tolist() == [0, 1, 2]
    assert in_turns(information(fit, 3), 3).tolist() == [1, 0, 2]


def test_rows_take_columns_in_turn() -> None:
    values = np.array([[9.0, 8, 7, 6, 5], [9, 1, 2, 3, 4]])
    # Row 1, the middle one of two, takes 0; row 0 then 1; row 1: 4; row 0: 2; row 1: 3.
    assert in_turns(values, 5).tolist() == [0, 1, 4, 2, 3]
    # Of equal ones the first.
    assert in_turns(np.zeros((3, 4)), 4).tolist() == [0, 1, 2, 3]


@given(st.integers(1, 40))
def test_the_first_few_turns_are_spread_out(n: int) -> None:
    order = spread_order(n)
    assert sorted(order) == list(range(n))
    for few in range(1, n + 1):
        furthest = max(min(abs(place - each) for each in order[:few]) for place in range(n))
        # The best that so few places can do is half of n / few; taking the furthest is never over twice that (Gonzalez 1985).
        assert furthest <= 2 * math.ceil((math.ceil(n / few) - 1) / 2)


def test_five_turns_by_hand() -> None:
    assert spread_order(5) == [2, 0, 4, 1, 3]


def test_items_that_say_nothing_come_last() -> None:
    rng = np.random.default_rng(1)
    ability = rng.normal(size=80)
    telling = rng.random((80, 20)) < 1 / (1 + np.exp(-2 * (ability[:, None] - np.linspace(-1, 1, 20))))
    noise = rng.random((80, 20)) < 0.5
    found = chosen(FisherInformation(), np.column_stack([noise, telling]), 15)
    assert min(found) >= 20


@pytest.mark.parametrize("responses", [np.ones((6, 9)), np.array([[1, 0, 0.5, 1, 0, 1.0, 0, 0, 1]]), np.full((3, 9), np.nan)])
def test_constant_answers_one_model_or_none_still_give_every_item_once(responses: Any) -> None:
    assert sorted(chosen(FisherInformation(), responses, 9)) == list(range(9))


def test_the_fit_is_that_of_an_irt_model_of_so_many_dimensions() -> None:
    assert FisherInformation(dims=1).fit_key == "irt-1"
    assert FisherInformation().fit_key == TinyBenchmarks().fit_key


@pytest.mark.parametrize("name", ["bins", "dims"])
def test_invalid_parameters_are_refused(name: str) -> None:
    with refuses(ConfigError, f"fisher_information: {name}", got="0"):
        FisherInformation(**{name: 0})
