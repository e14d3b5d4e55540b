"""The study of the cost of sequential tests: its races are those of the program, and its fixed sizes those of the definition."""

from __future__ import annotations

import numpy as np
import pytest

from microbench_ray.micro.sequential.rules import SequentialRules
from microbench_ray.micro.sequential.verdict import Answers, race_of
from studies.sequential_cost import ALPHA, STEP, fixed_sizes, race, spending, told, which


def race_by_the_program(scores: np.ndarray, margin: float) -> tuple[float, list[int]]:
    n_models, n_items = scores.shape
    active, asked = np.ones(n_models, bool), np.zeros(n_models, np.intp)
    for n in [*range(STEP, n_items, STEP), n_items]:
        asked[active] = n
        found = race_of(Answers(scores, asked, n_items), SequentialRules("best", margin, ALPHA))
        if found.best:
            return float(asked.mean()), found.best
        active = found.active
    return float(asked.mean()), []


@pytest.mark.parametrize("margin", [0.0, 0.15])
@pytest.mark.parametrize("n_models", [2, 5])
def test_a_race_is_that_of_the_program(n_models: int, margin: float) -> None:
    rng = np.random.default_rng(n_models)
    for _ in range(3):
        accuracy = rng.uniform(0.2, 0.9, n_models)
        scores = (rng.random((n_models, 120)) < accuracy[:, None]).astype(float)
        answers, _, named = race(scores, margin)
        assert (answers, named) == race_by_the_program(scores, margin)


def test_who_is_told_the_best_model_needs_fewer_answers() -> None:
    scores = np.array([[1.0] * 60, [0.0] * 60, [0.0] * 60])
    # Each other model is out at the first look, or at the second: as many answers of all three.
    answers, items, named = race(scores, 0.0)
    assert named == [0]
    assert told(scores, 0.0) == answers == items


def test_fixed_sizes() -> None:
    rng = np.random.default_rng(0)
    d = rng.permuted(np.tile(np.repeat([1.0, 0.0, -1.0], [30, 60, 10]), (400, 1)), axis=1)
    order, test = fixed_sizes(d)
    assert (d[:, :order].mean(axis=1) > 0).mean() >= 0.95
    assert (d[:, : order - 1].mean(axis=1) > 0).mean() < 0.95
    assert order < test < 100


def test_stops_are_where_the_evidence_is_enough() -> None:
    found = which(np.array([[1.0] * 60, [-1.0] * 60]))
    assert found.items[0] == found.items[1] < 20
    assert found.right.tolist() == [True, False]


def test_boundaries_spend_alpha() -> None:
    rng = np.random.default_rng(0)
    shares = np.array([0.2, 0.4, 0.6, 0.8])
    bounds = spending(shares, rng, 50_000)
    assert bounds == sorted(bounds, reverse=True)
    information = shares / (1 - shares)
    steps = np.sqrt(np.diff(information, prepend=0)) * rng.standard_normal((50_000, 4))
    z = np.cumsum(steps, axis=1) / np.sqrt(information)
    assert (z > np.array(bounds)).any(axis=1).mean() == pytest.approx(ALPHA, abs=0.005)
