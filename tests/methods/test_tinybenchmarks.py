"""tinyBenchmarks: representatives of clusters, and estimates that fill in what was not asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import SeenItems, Selection
from microbench_ray.methods.estimators.irt import GpIrt, HeldOutFit, PIrt, share_of_mean
from microbench_ray.methods.kernels.irt import IrtFit, p_irt, sigmoid
from microbench_ray.methods.readout import weighted_mean
from microbench_ray.methods.selectors.tinybenchmarks import TinyBenchmarks, choose_representatives
from tests.helpers.errors import refuses
from tests.helpers.optional import required

GAP = np.nan


def responses_of(n_models: int, n_items: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    logits = np.outer(rng.normal(size=n_models), rng.normal(1, 0.4, n_items)) - rng.normal(0, 1.2, n_items)
    return (rng.random(logits.shape) < sigmoid(logits)).astype(np.float32)


def seen_of(responses: np.ndarray) -> SeenItems:
    n_items = responses.shape[1]
    responses.flags.writeable = False
    return SeenItems(np.arange(n_items).astype(str).astype(object), np.zeros(n_items, np.int32), responses)


def model(discrimination: list[float], difficulty: list[float]) -> IrtFit:
    """One dimension, parameters as given."""
    slopes = np.array(discrimination)[:, None]
    return IrtFit(slopes, np.array(difficulty), np.zeros((1, 1)), np.zeros(2), np.eye(2), 0.0, 0.0, 1, True)


def test_each_cluster_gives_the_item_nearest_its_centroid_and_its_share_of_the_items() -> None:
    # Centroids: (0, 1) of the first three, nearest the second; (10, 0) of two, the first of which wins the tie; (-20, 0) alone.
    points = np.array([[0, 0], [0, 1], [0, 2], [10, -1], [10, 1], [-20, 0]], dtype=float)
    for seed in range(5):
        chosen = choose_representatives(points, 3, np.random.default_rng(seed))
        assert chosen.items.tolist() == [1, 3, 5]
        assert chosen.weights == pytest.approx([3 / 6, 2 / 6, 1 / 6])


def test_an_item_represents_its_own_cluster_alone() -> None:
    # Half way between two items of one cluster lies the item of another only if clusters are wrong; whatever they are, no item
    # is chosen twice.
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 11))
    for size in (1, 7, 150, 199, 200):
        chosen = choose_representatives(points, size, np.random.default_rng(1))
        assert len(set(chosen.items.tolist())) == size
        assert required(chosen.weights).sum() == pytest.approx(1)
        assert required(chosen.weights).min() >= 1 / 200 - 1e-12
    assert choose_representatives(points, 200, np.random.default_rng(1)).items.tolist() == list(range(200))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_fewer_distinct_items_than_clusters_are_shared_out(size: int) -> None:
    # Five items coincide, and so do three: the larger heap gives more, until every item is chosen.
    points = np.array([[0.0, 1.0]] * 5 + [[4.0, 1.0]] * 3)
    chosen = choose_representatives(points, size, np.random.default_rng(0))
    of_first = int((chosen.items < 5).sum())
    assert len(set(chosen.items.tolist())) == size
    assert of_first == {1: 1, 2: 1, 3: 2, 5: 3, 8: 5}[size]
    assert required(chosen.weights).sum() == pytest.approx(1)
    if size > 1:
        assert required(chosen.weights)[chosen.items < 5] == pytest.approx(np.full(of_first, 5 / 8 / of_first))


def test_items_that_nearly_coincide_raise_no_warning() -> None:
    points = np.ones((40, 3)) + 1e-7 * np.random.default_rng(0).normal(size=(40, 3))
    for size in (1, 10, 40):
        chosen = choose_representatives(points, size, np.random.default_rng(0))
        assert len(set(chosen.items.tolist())) == size
        assert required(chosen.weights).sum() == pytest.approx(1)


def test_the_choice_is_the_same_on_any_number_of_threads() -> None:
    seen, selector = seen_of(responses_of(80, 600)), TinyBenchmarks()
    chosen = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            fit = selector.fit(seen, np.random.default_rng(0))
            chosen.append(selector.select(seen, fit, 60, np.random.default_rng(1)))
    assert chosen[0].items.tobytes() == chosen[1].items.tobytes()
    assert required(chosen[0].weights).tobytes() == required(chosen[1].weights).tobytes()


def test_predicting_the_items_not_selected_improves_the_estimate() -> None:
    responses = responses_of(200, 500)
    sources, targets = seen_of(responses[:150].copy()), responses[150:].astype(float)
    selector, truth, rng = TinyBenchmarks(dims=3), targets.mean(axis=1), np.random.default_rng(0)
    fit = selector.fit(sources, rng)
    errors: dict[str, list[float]] = {"weighted": [], "p_irt": [], "random": [], "random p_irt": []}
    for _ in range(20):
        chosen, drawn = selector.select(sources, fit, 25, rng), rng.permutation(500)[:25]
        errors["weighted"].append(np.abs(weighted_mean(targets[:, chosen.items], required(chosen.weights)) - truth).mean())
        errors["p_irt"].append(np.abs(p_irt(fit, targets[:, chosen.items], chosen.items) - truth).mean())
        errors["random"].append(np.abs(targets[:, drawn].mean(axis=1) - truth).mean())
        errors["random p_irt"].append(np.abs(p_irt(fit, targets[:, drawn], drawn) - truth).mean())
    size = {name: np.mean(error) for name, error in errors.items()}
    assert size["p_irt"] < 0.9 * size["weighted"]
    assert size["random p_irt"] < 0.9 * size["random"]
    assert max(size.values()) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("n_source", [1, 2, 3, 10])
def test_few_source_models_are_enough_for_every_part(n_source: int) -> None:
    seen, rng = seen_of(responses_of(n_source, 40)), np.random.default_rng(0)
    selector = TinyBenchmarks()
    targets = responses_of(9, 40, seed=3).astype(float)
    targets[0], targets[1] = 0, 1
    for size in (1, 10, 40):
        chosen = selector.select(seen, selector.fit(seen, rng), size, rng)
        estimators: tuple[Any, ...] = (PIrt(), GpIrt())
        for estimator in estimators:
            estimates = estimator.estimate(targets[:, chosen.items], chosen, seen, estimator.fit(seen, rng))
            assert ((estimates >= 0) & (estimates <= 1)).all()
            assert estimates[0] < estimates[1]


def test_p_irt_is_responses_where_there_are_any_and_probabilities_elsewhere() -> None:
    # Without discrimination no response says anything of the ability: probabilities are sigmoid(-b) = 1/2, 1/4, 3/4, 1/2.
    fit = model([0, 0, 0, 0], [0, np.log(3), -np.log(3), 0])
    responses = np.array([[1, 0], [GAP, 1], [GAP, GAP]])
    # Items 1 and 3 are answered: (1/2 + 1 + 3/4 + 0)/4; (1/2 + 1/4 + 3/4 + 1)/4.
    assert p_irt(fit, responses, np.array([1, 3])) == pytest.approx([2.25 / 4, 2.5 / 4, GAP], nan_ok=True)


def test_p_irt_by_hand_with_one_item_that_discriminates() -> None:
    # Right on item 0 (a = 2, b = 0): the most probable ability solves 2 (1 - sigmoid(2 t)) = t, t = 0.5943 or so.
    fit = model([2, 1], [0, 1])
    ability = np.array(0.6)
    for _ in range(100):
        ability = ability - (ability - 2 * sigmoid(-2 * ability)) / (1 + 4 * sigmoid(2 * ability) * sigmoid(-2 * ability))
    found = p_irt(fit, np.array([[1.0]]), np.array([0]))
    assert found == pytest.approx([(1 + sigmoid(ability - 1)) / 2], abs=1e-6)


def test_the_share_of_the_mean_is_from_the_errors_on_held_out_models() -> None:
    # Four items without discrimination, b = 0; source model 1 is held out, right on items 0, 1 and 3: accuracy 3/4.
    # Item 2 with weight 1: the mean says 0, off by 3/4; p-IRT (1/2 + 1/2 + 0 + 1/2)/4 = 3/8, off by 3/8.
    fit = HeldOutFit(model([0] * 4, [0] * 4), np.array([1]))
    seen = seen_of(np.array([[0, 0, 0, 0], [1, 1, 0, 1]], np.float32))
    chosen = Selection(np.array([2]), np.array([1.0]))
    share = (3 / 8) ** 2 / ((3 / 4) ** 2 + (3 / 8) ** 2)
    assert share_of_mean(chosen, seen, fit) == pytest.approx(share)
    # A target that is right: mean 1, p-IRT (1 + 3/2)/4 = 5/8.
    estimates = GpIrt().estimate(np.array([[1.0], [GAP]]), chosen, seen, fit)
    assert estimates == pytest.approx([share + (1 - share) * 5 / 8, GAP], nan_ok=True)
    # Nothing held out, or nothing that the held-out model answered: the mean alone.
    assert share_of_mean(chosen, seen, HeldOutFit(fit.model, np.array([], dtype=np.intp))) == 1
    assert share_of_mean(chosen, seen_of(np.array([[0, 0, 0, 0], [1, 1, GAP, 1]], np.float32)), fit) == 1
    # All items selected: neither errs.
    assert share_of_mean(Selection(np.arange(4)), seen, fit) == 1


def test_the_share_of_the_mean_reads_no_target() -> None:
    seen, estimator = seen_of(responses_of(60, 80)), GpIrt(dims=3)
    fit = estimator.fit(seen, np.random.default_rng(0))
    chosen = Selection(np.arange(0, 80, 5), np.full(16, 1 / 16))
    targets = responses_of(30, 80, seed=9)[:, chosen.items].astype(float)
    together = estimator.estimate(targets, chosen, seen, fit)
    assert together[:1].tobytes() == estimator.estimate(targets[:1], chosen, seen, fit).tobytes()
    others = np.vstack([targets[:1], np.ones((4, 16)), np.zeros((7, 16))])
    assert together[:1].tobytes() == estimator.estimate(others, chosen, seen, fit)[:1].tobytes()
    share = share_of_mean(chosen, seen, fit)
    mixture = share * targets.mean(axis=1) + (1 - share) * p_irt(fit.model, targets, chosen.items)
    assert 0 < share < 1
    assert together == pytest.approx(mixture)


def test_held_out_models_are_not_in_the_fit() -> None:
    seen, estimator = seen_of(responses_of(50, 60)), GpIrt(dims=2, held_out=0.3)
    fit = estimator.fit(seen, np.random.default_rng(0))
    assert len(set(fit.held_out.tolist())) == 15
    assert len(fit.model.ability) == 35
    other = required(seen.responses).copy()
    other[fit.held_out] = 1 - other[fit.held_out]
    again = estimator.fit(seen_of(other), np.random.default_rng(0))
    assert again.held_out.tolist() == fit.held_out.tolist()
    assert again.model.difficulty.tobytes() == fit.model.difficulty.tobytes()
    assert estimator.fit(seen, np.random.default_rng(1)).held_out.tolist() != fit.held_out.tolist()


def test_one_fit_serves_selector_and_p_irt() -> None:
    selector, estimator = TinyBenchmarks(dims=4), PIrt(dims=4)
    assert (selector.fit_key, selector.signal) == (estimator.fit_key, estimator.source_signal)
    assert selector.fit_key != TinyBenchmarks(dims=5).fit_key
    assert len({GpIrt().fit_key, GpIrt(held_out=0.1).fit_key, GpIrt(dims=3).fit_key, PIrt().fit_key}) == 4


def test_parameters_are_checked() -> None:
    for make, name in ((TinyBenchmarks, "tinybenchmarks"), (PIrt, "p_irt"), (GpIrt, "gp_irt")):
        with refuses(ConfigError, f"{name}: dims", got="0"):
            make(dims=0)
    for share in (0.0, 1.0, np.nan):
        with refuses(ConfigError, "gp_irt: held_out", got=str(share)):
            GpIrt(held_out=share)
