"""DISCO: disagreement against its definition, and the order of the items."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import SeenItems
from microbench_ray.methods.selectors.disco import BLOCK_ITEMS, Disco, disagreement
from tests.helpers.errors import refuses

GAP = np.nan
LN2 = math.log(2)


def seen_of(responses: np.ndarray) -> SeenItems:
    n_items = responses.shape[1]
    return SeenItems(np.arange(n_items).astype(str).astype(object), np.zeros(n_items, np.int32), responses.astype(np.float32))


def order(responses: np.ndarray) -> list[int]:
    selector, seen = Disco(), seen_of(responses)
    fit = selector.fit(seen, np.random.default_rng(0))
    return selector.select(seen, fit, seen.n_items, np.random.default_rng(0)).items.tolist()


def entropy(shares: list[float]) -> float:
    return -sum(p * math.log(p) for p in shares if p > 0)


def defined(predictions: list[list[float]]) -> float:
    """The entropy of the mean prediction less the mean entropy, term by term."""
    mean = [sum(column) / len(predictions) for column in zip(*predictions, strict=True)]
    return entropy(mean) - sum(map(entropy, predictions)) / len(predictions)


def test_right_and_wrong_answers_disagree_by_the_entropy_of_their_mean() -> None:
    # All alike; half and half; one of four; graded: all say 0.5, which is no disagreement.
    responses = np.array([[1, 1, 1, 0.5], [1, 1, 0, 0.5], [1, 0, 0, 0.5], [1, 0, 0, 0.5]])
    expected = [0, LN2, entropy([0.25, 0.75]), 0]
    assert disagreement(responses) == pytest.approx(expected, abs=1e-12)
    assert order(responses) == [1, 2, 0, 3]


def test_answers_are_told_apart_where_right_and_wrong_are_not() -> None:
    # Item 0: all are wrong, each with an answer of its own. Item 1: all are wrong alike.
    own = np.eye(4)[[1, 2, 3]]
    alike = np.eye(4)[[1, 1, 1]]
    answers = np.stack([alike, own], axis=1)
    assert disagreement(answers) == pytest.approx([0, math.log(3)])
    assert order(answers) == [1, 0]


def test_equally_disputed_items_come_in_their_order() -> None:
    # Three of ten and seven of ten are as far from half: whatever the rounding, the first comes first.
    three, seven = np.repeat([1, 0], [3, 7]), np.repeat([1, 0], [7, 3])
    assert order(np.column_stack([seven, three, seven, three])) == [0, 1, 2, 3]


def test_missing_responses_are_those_of_nobody() -> None:
    responses = np.array([[1, 1, GAP], [GAP, 1, GAP], [0, 1, GAP], [GAP, 0, GAP]])
    assert disagreement(responses) == pytest.approx([LN2, entropy([0.25, 0.75]), 0])
    one_answer_missing = np.array([[[0.5, 0.5]], [[GAP, 1.0]], [[1.0, 0.0]]])
    assert disagreement(one_answer_missing) == pytest.approx([defined([[0.5, 0.5], [1, 0]])])
    assert disagreement(np.zeros((2, 1, 3))).tolist() == [0]


def test_one_source_model_disagrees_with_nobody() -> None:
    assert order(np.array([[0.2, 1.0, 0.0]])) == [0, 1, 2]


def test_blocks_of_items_are_as_one() -> None:
    responses = np.random.default_rng(0).random((9, 2 * BLOCK_ITEMS + 7))
    whole = np.argsort(-np.round(disagreement(responses.astype(np.float32)), 12), kind="stable")
    assert order(responses) == whole.tolist()


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(2, 5)), elements=st.floats(0.01, 1)))
def test_it_is_the_generalised_jensen_shannon_divergence(answers: Any) -> None:
    shares = answers / answers.sum(axis=2, keepdims=True)
    expected = [defined(shares[:, item].tolist()) for item in range(answers.shape[1])]
    found = disagreement(answers)
    assert found == pytest.approx(expected, abs=1e-12)
    assert found == pytest.approx(disagreement(3 * answers), abs=1e-12)
    assert (found >= 0).all()
    assert (found <= math.log(min(answers.shape[0], answers.shape[2])) + 1e-12).all()


def test_an_unknown_signal_is_refused() -> None:
    with refuses(ConfigError, "disco: unknown signal", got="loudness", hint="answers"):
        Disco("loudness")  # type: ignore[arg-type]
