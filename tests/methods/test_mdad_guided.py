"""Choosing for the order of pairs: against its definitions, and for what it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems
from microbench_ray.methods.kernels import guided
from microbench_ray.methods.kernels.filling import balanced_order
from microbench_ray.methods.kernels.guided import PER_SOURCE
from microbench_ray.methods.kernels.pairs_forward import PairsForward, all_pairs_form, pair_form
from microbench_ray.methods.kernels.sources import SourceAccuracies
from microbench_ray.methods.selectors.mdad_guided import MdadGuided
from tests.helpers.errors import refuses


def known(n_models: int, n_items: int, seed: int = 0, *, confidence: bool = False) -> SourceAccuracies:
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(rng.normal(0, 1, n_items) - rng.normal(0, 1, (n_models, 1))))
    responses = (rng.random((n_models, n_items)) < chance).astype(np.float64)
    return SourceAccuracies(responses, responses.mean(axis=1), chance if confidence else None)


def seen_items(responses: np.ndarray, n_subtasks: int = 1) -> SeenItems:
    n_items = responses.shape[1]
    codes = np.arange(n_items, dtype=np.int32) * n_subtasks // n_items
    return SeenItems(np.array([f"q{k}" for k in range(n_items)], object), codes.astype(np.int32), responses.astype(np.float32))


def test_the_form_is_the_mean_squared_error_of_the_pairs_near_the_difference() -> None:
    accuracy = np.array([0.5, 0.53, 0.6, 0.9])
    errors = np.array([0.1, -0.2, 0.3, 5.0])
    form = pair_form(accuracy, 0.05)
    # 0.03, 0.1 and 0.07 lie in [0.025, 0.1]; the last model is near none.
    wanted = np.mean([(0.1 + 0.2) ** 2, (0.1 - 0.3) ** 2, (-0.2 - 0.3) ** 2])
    assert errors @ form @ errors == pytest.approx(wanted)


def test_the_form_of_all_pairs_leaves_out_pairs_of_copies() -> None:
    errors = np.array([0.1, -0.2, 0.3])
    assert errors @ all_pairs_form(np.array([0, 1, 2])) @ errors == pytest.approx(np.mean([0.3**2, 0.2**2, 0.5**2]))
    assert errors @ all_pairs_form(np.array([0, 1, 0])) @ errors == pytest.approx(np.mean([0.3**2, 0.5**2]))
    assert errors @ all_pairs_form(np.array([0, 0, 0])) @ errors == 0


def test_where_no_pair_is_near_all_count() -> None:
    form = pair_form(np.array([0.1, 0.9]), 0.05)
    assert np.array([1.0, 0.0]) @ form @ np.array([1.0, 0.0]) == pytest.approx(1.0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("confidence", [False, True])
@pytest.mark.parametrize("shrink", [0.2, 0.5, 0.9])
def test_every_step_leaves_the_least_expected_error(shrink: float, confidence: bool, weighted: bool) -> None:
    """By definition: the variance of the sum given the chosen items, under the shrunk covariances, tried for every item."""
    sources, weights = known(12, 9, confidence=confidence), np.ones(9)
    if weighted:
        weights = np.array([1, 2, 3, 1, 2, 3, 1, 2, 3]) / 2
        sources = sources._replace(weights=weights, accuracy=sources.responses @ weights / 9)
    form = pair_form(sources.accuracy, 0.1)
    order = PairsForward(sources, form, shrink).first(6).tolist()
    features = sources.responses if sources.confidence is None else sources.confidence
    total = sources.accuracy * 9
    cov = (1 - shrink) * features.T @ form @ features
    own = shrink * np.diag(features.T @ form @ features)
    cov = cov + np.diag(own)
    if confidence:
        with_sum = np.sqrt(1 - shrink) * features.T @ form @ total
    else:
        with_sum = cov @ weights

    def explained(chosen: list[int]) -> float:
        return float(with_sum[chosen] @ np.linalg.solve(cov[np.ix_(chosen, chosen)], with_sum[chosen]))

    for step in range(6):
        left = [item for item in range(9) if item not in order[:step]]
        best = max(explained([*order[:step], item]) for item in left)
        assert explained(order[: step + 1]) == pytest.approx(best, rel=1e-8)


def test_the_best_item_is_chosen_with_all_in_mind_that_were_taken() -> None:
    """By definition, as above, after two items that were not the best ones."""
    sources = known(12, 9)
    form = pair_form(sources.accuracy, 0.1)
    squares = sources.responses.T @ form @ sources.responses
    cov = (squares + np.diag(np.diag(squares))) / 2
    with_sum = cov.sum(axis=1)

    def explained(chosen: list[int]) -> float:
        return float(with_sum[chosen] @ np.linalg.solve(cov[np.ix_(chosen, chosen)], with_sum[chosen]))

    unaided = PairsForward(sources, form, 0.5).first(9).tolist()
    taken = unaided[:-3:-1]
    forward = PairsForward(sources, form, 0.5)
    for item in taken:
        forward.take(item)
    for _ in range(4):
        best = forward.best()
        gains = {item: explained([*taken, item]) for item in range(9) if item not in taken}
        assert gains[best] == pytest.approx(max(gains.values()), rel=1e-8)
        forward.take(best)
        taken.append(best)
    assert forward.first(6).tolist() == taken


def test_sizes_nest_and_all_items_are_there_once() -> None:
    seen = seen_items(known(40, 90).responses)
    selector = MdadGuided()
    fit = selector.fit(seen, np.random.default_rng(1))
    few, many = (selector.select(seen, fit, size, np.random.default_rng(2)).items.tolist() for size in (10, 90))
    assert many[:10] == few
    assert sorted(many) == list(range(90))


@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 3))
def test_a_balanced_order_is_a_permutation_however_it_is_stopped(n: int, n_subtasks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = np.sort(rng.permutation(2 * n)[:n])
    order = balanced_order(items, rng.random(2 * n), rng.integers(0, n_subtasks, 2 * n).astype(np.int32), rng)
    assert sorted(order.tolist()) == items.tolist()


def test_a_balanced_order_goes_by_weights() -> None:
    codes, weights = np.repeat(np.arange(2, dtype=np.int32), 200), np.repeat([1.5, 0.5], 200)
    first = balanced_order(np.arange(400), np.linspace(0, 1, 400), codes, np.random.default_rng(0), weights=weights)
    assert abs(np.bincount(codes[first[:40]])[0] - 30) <= 1
    assert sorted(first.tolist()) == list(range(400))
    by_cost = balanced_order(np.arange(400), np.linspace(0, 1, 400), codes, np.random.default_rng(0), 1 / weights)
    assert by_cost.tolist() == first.tolist()


def test_a_balanced_order_is_spread_over_subtasks_and_difficulties() -> None:
    codes = np.repeat(np.arange(4, dtype=np.int32), 100)
    means = np.tile(np.linspace(0, 1, 100), 4)
    off = []
    for seed in range(50):
        first = balanced_order(np.arange(400), means, codes, np.random.default_rng(seed))[:40]
        counts = np.bincount(codes[first], minlength=4)
        assert counts.min() >= 8
        assert counts.max() <= 12
        off.append(means[first].mean() - 0.5)
    # A random sample of 40 has a standard error of .046.
    assert np.std(off) < 0.02


@pytest.mark.slow
def test_every_item_is_met_first_with_the_same_probability() -> None:
    counts = np.zeros(10)
    for seed in range(4000):
        rng = np.random.default_rng(seed)
        counts[balanced_order(np.arange(10), np.linspace(0, 1, 10), np.zeros(10, np.int32), rng)[:3]] += 1
    assert counts / 4000 == pytest.approx(np.full(10, 0.3), abs=0.03)


def test_balance_keeps_subtasks_in_proportion() -> None:
    sources = known(30, 60)
    codes = np.repeat(np.array([0, 1, 2], np.int32), [30, 20, 10])
    order = PairsForward(sources, pair_form(sources.accuracy, 0.05), 0.5, codes).first(60)
    for size in range(1, 61):
        counts = np.bincount(codes[order[:size]], minlength=3)
        assert (counts <= np.ceil(np.array([30, 20, 10]) * size / 60)).all()
    assert sorted(order.tolist()) == list(range(60))


@pytest.mark.parametrize("best", PER_SOURCE)
def test_the_nested_split_takes_the_multiple_that_errs_least_on_the_other_half(best: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guided items are the first ones here, and the error grows with how far their number is from `best` for each source."""
    monkeypatch.setattr(PairsForward, "first", lambda self, size: np.arange(size))

    def error(train: SourceAccuracies, test: SourceAccuracies, items: np.ndarray, form: np.ndarray, groups: Any) -> float:
        assert len(train.accuracy) == len(test.accuracy) == 10
        others = np.flatnonzero(items != np.arange(len(items)))
        n_guided = others[0] if others.size else len(items)
        return 1.0 + abs(int(n_guided) - min(best * 10, len(items)))

    monkeypatch.setattr(guided, "_pair_error", error)
    seen = seen_items(known(20, 400).responses)
    assert MdadGuided().fit(seen, np.random.default_rng(0)).n_guided == 20 * best


def test_a_given_number_per_source_is_kept() -> None:
    seen = seen_items(known(20, 100).responses)
    assert MdadGuided(per_source=2).fit(seen, np.random.default_rng(0)).n_guided == 40
    assert MdadGuided(per_source=0).fit(seen, np.random.default_rng(0)).n_guided == 0
    assert MdadGuided(per_source=9).fit(seen, np.random.default_rng(0)).n_guided == 100


@pytest.mark.parametrize("n_source", [0, 1, 2, 5, 9])
def test_few_sources_are_enough(n_source: int) -> None:
    seen = seen_items(known(10, 30).responses[:n_source])
    fit = MdadGuided().fit(seen, np.random.default_rng(0))
    assert sorted(fit.order.tolist()) == list(range(30))


def test_constant_items_missing_and_graded_responses() -> None:
    responses = np.round(np.random.default_rng(0).random((20, 40)) * 2) / 2
    responses[:, :5] = 1.0
    responses[2, 7] = np.nan
    responses[4] = np.nan
    fit = MdadGuided().fit(seen_items(responses), np.random.default_rng(0))
    assert sorted(fit.order.tolist()) == list(range(40))
    assert not set(fit.order[:20].tolist()) & set(range(5))


@pytest.mark.parametrize(
    ("name", "value"),
    [("difference", 0), ("difference", 1.5), ("shrink", -0.1), ("shrink", 1.1), ("per_source", -1), ("signal", "answers")],
)
def test_invalid_parameters_are_refused(name: str, value: Any) -> None:
    with refuses(ConfigError, "mdad_guided: unknown signal" if name == "signal" else f"mdad_guided: {name}", got=str(value)):
        MdadGuided(**{name: value})
