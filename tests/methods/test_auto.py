"""The method `auto`: its order of items, its folds, the weights of its predictors, and what its readout says, by definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import SeenItems, Selection
from microbench_ray.methods.estimators.auto import AutoEstimator
from microbench_ray.methods.estimators.irt import PIrt
from microbench_ray.methods.estimators.ridge_remainder import RidgeRemainder
from microbench_ray.methods.kernels import auto, auto_order
from microbench_ray.methods.kernels.auto import AutoFit, fit_auto, fit_stack
from microbench_ray.methods.kernels.forward import ForwardSelection
from microbench_ray.methods.kernels.irt import abilities, fit_irt, p_irt
from microbench_ray.methods.kernels.irt_term import Beyond, IrtTerm, irt_term
from microbench_ray.methods.kernels.pairs_forward import PairsForward, pair_form
from microbench_ray.methods.kernels.sources import SourceAccuracies, source_accuracies
from microbench_ray.methods.readout import FloatArray
from microbench_ray.methods.selectors.auto import AutoSelector
from tests.helpers.errors import refuses

N_ITEMS = 60


def responses_of(n_models: int, seed: int = 0) -> FloatArray:
    """Right and wrong answers of models that differ in one ability."""
    rng = np.random.default_rng(seed)
    ability, difficulty = rng.normal(size=(n_models, 1)), np.random.default_rng(99).normal(size=N_ITEMS)
    chance = 1 / (1 + np.exp(difficulty - 1.5 * ability))
    return (rng.random((n_models, N_ITEMS)) < chance).astype(np.float64)


def seen_items(responses: FloatArray) -> SeenItems:
    ids = np.array([f"i{k}" for k in range(responses.shape[1])], object)
    return SeenItems(ids, np.arange(responses.shape[1], dtype=np.int32) % 3, responses.astype(np.float32))


def fitted(n_source: int, seed: int = 0) -> tuple[SeenItems, AutoFit]:
    seen = seen_items(responses_of(n_source, seed))
    return seen, fit_auto(seen, np.random.default_rng(seed))


def test_with_fewer_than_four_sources_all_items_are_random_ones_and_the_estimate_is_the_mean() -> None:
    seen, fit = fitted(3)
    other = fit_auto(seen_items(responses_of(3)), np.random.default_rng(1))
    assert not np.array_equal(fit.learned.order, other.learned.order)
    selection = Selection(fit.learned.order[:10])
    targets = responses_of(6, seed=5)[:, selection.items]
    assert AutoEstimator().estimate(targets, selection, seen, fit) == pytest.approx(targets.mean(axis=1), abs=1e-12)


@pytest.mark.parametrize("n_source", [8, 21, 40])
def test_every_source_is_held_out_once(n_source: int) -> None:
    seen, fit = fitted(n_source)
    assert seen.responses is not None
    assert len(fit.folds) == 5
    held = [row.tolist() for fold in fit.folds for row in fold.responses]
    assert sorted(held) == sorted(seen.responses.tolist())
    for fold in fit.folds:
        others = fold.others.known.responses.tolist()
        assert sorted(others + fold.responses.tolist()) == sorted(seen.responses.tolist())
        assert fold.accuracy == pytest.approx(fold.responses.mean(axis=1))


def test_of_many_sources_half_is_held_out_once() -> None:
    _, fit = fitted(120)
    assert [(len(fold.responses), len(fold.others.known.accuracy)) for fold in fit.folds] == [(60, 60)]


def test_few_sources_have_equal_weights() -> None:
    _, fit = fitted(7)
    assert fit.folds == ()
    assert fit_stack(fit, Selection(fit.learned.order[:10]), "correctness").weights.tolist() == [0.5, 0.5]


def rest_by_definition(learned: auto.Learned, items: np.ndarray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Observed shares and both predictions of the rest, by the two estimators that the article and the docs name."""
    seen = seen_items(learned.known.responses)
    selection = Selection(items)
    estimator = RidgeRemainder(signal="correctness")
    by_ridge = estimator.estimate(scores, selection, seen, source_accuracies(seen))
    assert learned.irt is not None
    observed = scores.sum(axis=1) / N_ITEMS
    return observed, np.stack([by_ridge, p_irt(learned.irt, scores, items)], axis=1) - observed[:, None]


def test_the_weights_are_a_ridge_regression_on_models_that_were_held_out() -> None:
    """As augmented least squares: each prior is an observation of its weight with the prior's deviation."""
    _, fit = fitted(20)
    size = 12
    x, y = [], []
    for fold in fit.folds:
        items = fold.others.order[:size]
        observed, rest = rest_by_definition(fold.others, items, fold.responses[:, items])
        level = float(np.mean(fold.others.known.accuracy - fold.others.known.responses[:, items].sum(axis=1) / N_ITEMS))
        x.append(rest - level)
        y.append(fold.accuracy - observed - level)
    predictions, outcome = np.concatenate(x), np.concatenate(y)
    noise = np.sqrt(np.mean(np.square(outcome - predictions @ [0.5, 0.5])))
    rows = np.vstack([predictions / noise, np.eye(2) / auto.PRIOR_DEVIATION])
    expected = np.linalg.lstsq(rows, np.concatenate([outcome / noise, np.full(2, 0.5 / auto.PRIOR_DEVIATION)]), rcond=None)[0]
    stack = fit_stack(fit, Selection(fit.learned.order[:size]), "correctness")
    assert stack.weights == pytest.approx(expected, abs=1e-9)


def test_the_estimate_is_the_observed_share_and_the_weighted_predictions() -> None:
    """Of targets that are worse and better than all sources, too."""
    many = responses_of(60)
    seen = seen_items(many[np.argsort(many.mean(axis=1))[35:55]])
    fit = fit_auto(seen, np.random.default_rng(0))
    selection = Selection(fit.learned.order[:12])
    targets = responses_of(9, seed=3)[:, selection.items]
    targets[:2] = [[0], [1]]
    stack = fit_stack(fit, selection, "correctness")
    observed, rest = rest_by_definition(fit.learned, selection.items, targets)
    level = float(np.mean(fit.learned.known.accuracy - fit.learned.known.responses[:, selection.items].sum(axis=1) / N_ITEMS))
    expected = observed + level + (rest - level) @ stack.weights
    assert fit.learned.irt is not None
    wider = fit.learned.irt._replace(discrimination=np.sqrt(3) * fit.learned.irt.discrimination)
    alone = p_irt(wider, targets, selection.items)
    accuracy = fit.learned.known.accuracy
    above = np.clip(((alone + expected) / 2 - accuracy.max()) / 0.05, 0, 1)
    assert stack.error is not None
    narrow = p_irt(fit.learned.irt, targets, selection.items)
    below = np.clip((accuracy.min() - 2 * stack.error - (narrow + expected) / 2) / 0.05, 0, 1)
    assert above.max() > 0
    assert below.max() > 0
    expected = expected + above * (alone - expected) + below * (narrow - expected)
    assert stack.level == pytest.approx(level)
    # The readout rounds the IRT model's numbers to five decimals.
    assert AutoEstimator(signal="correctness").estimate(targets, selection, seen, fit) == pytest.approx(expected, abs=1e-5)


def test_items_of_another_selector_are_read_in_every_fold() -> None:
    _, fit = fitted(20)
    own, other = fit.learned.order[:12], fit.learned.order[-12:]
    weights = [fit_stack(fit, Selection(items), "correctness").weights.tolist() for items in (own, other)]
    assert weights[0] != weights[1]
    monkey = AutoFit(fit.learned, tuple(fold._replace(others=fold.others._replace(order=other)) for fold in fit.folds))
    assert fit_stack(monkey, Selection(other), "correctness").weights.tolist() == weights[1]


@pytest.mark.parametrize("n_source", [2, 5, 20])
def test_with_all_items_the_estimate_is_the_accuracy(n_source: int) -> None:
    seen, fit = fitted(n_source)
    targets = responses_of(9, seed=3)
    selection = Selection(fit.learned.order)
    estimates = AutoEstimator().estimate(targets[:, selection.items], selection, seen, fit)
    assert estimates == pytest.approx(targets.mean(axis=1), abs=1e-9)


def test_selector_and_estimator_share_their_fit() -> None:
    selector, estimator = AutoSelector(), AutoEstimator(signal="correctness")
    assert (selector.fit_key, selector.signal) == (estimator.fit_key, estimator.source_signal)


def test_the_term_is_the_share_of_p_irt_whatever_the_order_of_items() -> None:
    responses = responses_of(30).astype(np.float32)
    fit = fit_irt(responses, 3)
    items = np.array([7, 2, 31], np.intp)
    targets = responses_of(4, seed=8)[:, items]
    targets[0, 1] = np.nan
    expected = PIrt(dims=3).estimate(targets, Selection(items), seen_items(responses_of(30)), fit)
    affine = np.array([0.3, 0.1, 0.7, 0.2])
    assert irt_term(0.25, fit, items).added_to(affine, targets) == pytest.approx(affine + 0.25 * expected, abs=1e-5)


@pytest.mark.parametrize(("variance", "share"), [(1.0, 0.0), (3.0, 0.5), (4.0, 1.0)])
@pytest.mark.parametrize("side", ["above", "below"])
def test_an_estimate_beyond_all_sources_moves_to_that_of_p_irt(variance: float, share: float, side: str) -> None:
    fit = fit_irt(responses_of(30).astype(np.float32), 3)
    items = np.arange(12)
    targets = responses_of(40, seed=8)[:, items]
    affine = np.full(40, 0.25)
    total = affine + 0.5 * p_irt(fit, targets, items)
    alone = p_irt(fit._replace(discrimination=np.sqrt(variance) * fit.discrimination), targets, items)
    judged = share * alone + (1 - share) * total
    limit = float(np.median(judged))
    beyond: dict[str, Any] = {side: Beyond(limit, variance, share)}
    found = irt_term(0.5, fit, items, **beyond).added_to(affine, targets)
    moved = np.clip((judged - limit if side == "above" else limit - judged) / 0.05, 0, 1)
    assert 0 < moved[(moved > 0) & (moved < 1)].size < moved.size
    assert found == pytest.approx(moved * alone + (1 - moved) * total, abs=1e-5)


def test_a_wider_prior_is_that_of_abilities_with_a_larger_variance() -> None:
    """With θ = s η and η ~ N(0, 1), discriminations times s: the most probable ability is that under a prior of variance s²."""
    fit = fit_irt(responses_of(30).astype(np.float32), 1)
    items, s = np.arange(12), 3.0
    targets = responses_of(3, seed=8)[:, items]
    found = s * abilities(fit._replace(discrimination=s * fit.discrimination), targets, items)[:, 0]
    slopes, difficulty = fit.discrimination[items, 0], fit.difficulty[items]
    grid = np.linspace(-12, 12, 24_001)
    logits = grid[:, None] * slopes - difficulty
    for row, ability in zip(targets, found, strict=True):
        posterior = (row * logits - np.logaddexp(0, logits)).sum(axis=1) - grid**2 / (2 * s**2)
        assert ability == pytest.approx(grid[posterior.argmax()], abs=2e-3)


def test_the_limits_of_the_estimate_are_the_best_source_and_two_errors_below_the_worst() -> None:
    seen, fit = fitted(20)
    assert seen.responses is not None
    accuracy = seen.responses.mean(axis=1)
    selection = Selection(fit.learned.order[:10])
    stack = fit_stack(fit, selection, "correctness")
    term = AutoEstimator(signal="correctness").readout(selection, seen, fit).term
    assert isinstance(term, IrtTerm)
    assert stack.error is not None
    assert term.above == pytest.approx((accuracy.max(), 3.0, 0.5))
    assert term.below == pytest.approx((accuracy.min() - 2 * stack.error, 1.0, 0.5))


def test_the_error_of_the_stack_is_that_of_the_models_held_out() -> None:
    _, fit = fitted(20)
    stack = fit_stack(fit, Selection(fit.learned.order[:12]), "correctness")
    errors: list[float] = []
    for fold in fit.folds:
        items = fold.others.order[:12]
        observed, rest = rest_by_definition(fold.others, items, fold.responses[:, items])
        level = float(np.mean(fold.others.known.accuracy - fold.others.known.responses[:, items].sum(axis=1) / N_ITEMS))
        errors.extend(fold.accuracy - observed - level - (rest - level) @ stack.weights)
    assert stack.error == pytest.approx(np.sqrt(np.mean(np.square(errors))))


def test_where_no_source_is_held_out_no_estimate_is_too_low() -> None:
    seen, fit = fitted(7)
    term = AutoEstimator(signal="correctness").readout(Selection(fit.learned.order[:10]), seen, fit).term
    assert isinstance(term, IrtTerm)
    assert term.above is not None
    assert term.below is None


@pytest.mark.parametrize("kind", [AutoSelector, AutoEstimator])
def test_other_signals_are_refused(kind: Any) -> None:
    with refuses(ConfigError, "signal", got="confidence"):
        kind(signal="confidence")


def test_selections_in_single_precision_choose_the_same_items() -> None:
    known = source_accuracies(seen_items(responses_of(40)))
    single = known._replace(responses=known.responses.astype(np.float32))
    form = pair_form(known.accuracy, 0.05)
    for selection in (lambda of: PairsForward(of, form, 0.5), lambda of: ForwardSelection(of, 1.0)):
        assert selection(single).first(30).tolist() == selection(known).first(30).tolist()


def test_auto_selects_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []

    class Spy(PairsForward):
        def __init__(self, known: SourceAccuracies, form: FloatArray, shrink: float, costs: np.ndarray | None = None) -> None:
            read.append((known.responses.dtype, known.accuracy.dtype))
            super().__init__(known, form, shrink, costs=costs)

    monkeypatch.setattr(auto_order, "PairsForward", Spy)
    fitted(20)
    assert set(read) == {(np.dtype(np.float32), np.dtype(np.float64))}
