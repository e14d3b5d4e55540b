"""Anchor points and the predictor on cases worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import SeenItems, Selection
from microbench_ray.methods.estimators.anchor_predictor import AnchorPredictor
from microbench_ray.methods.kernels.item_statistics import standardised
from microbench_ray.methods.selectors.anchor_points import AnchorPoints
from tests.helpers.errors import refuses
from tests.helpers.optional import required

GAP = np.nan


def seen_items(responses: Any, labels: Any = None) -> SeenItems:
    responses = np.array(responses, dtype=np.float32)
    n_items = responses.shape[1]
    ids = np.array([f"i{k}" for k in range(n_items)], dtype=object)
    return SeenItems(ids, np.zeros(n_items, dtype=np.int32), responses, None if labels is None else np.array(labels, np.int32))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# Items 0, 2, 4 rise with the models and 1, 3 zigzag: two clusters, correlated 1 within; items 5 and 6 are the same for all.
CLUSTERED = [
    [0.1, 0.2, 0.2, 0.3, 0.3, 0.5, 1.0],
    [0.2, 0.6, 0.4, 0.5, 0.4, 0.5, 1.0],
    [0.3, 0.2, 0.6, 0.3, 0.5, 0.5, 1.0],
    [0.4, 0.6, 0.8, 0.5, 0.6, 0.5, 1.0],
]


def test_correlations_are_pearsons() -> None:
    scaled = standardised(np.random.default_rng(1).random((9, 6), dtype=np.float32))
    responses = np.random.default_rng(1).random((9, 6), dtype=np.float32)
    assert scaled.T @ scaled == pytest.approx(np.corrcoef(responses, rowvar=False), abs=1e-6)


def test_anchors_are_one_of_each_cluster_weighted_by_its_share() -> None:
    seen, selector = seen_items(CLUSTERED), AnchorPoints()
    fit = selector.fit(seen, rng())
    assert fit.items.tolist() == [0, 1, 2, 3, 4]
    for seed in range(10):
        chosen = selector.select(seen, fit, 2, np.random.default_rng(seed))
        weights = {
            ("zigzag" if item in (1, 3) else "rising"): w for item, w in zip(chosen.items, required(chosen.weights), strict=True)
        }
        assert weights == pytest.approx({"rising": 3 / 5, "zigzag": 2 / 5})


def test_items_that_are_the_same_for_all_come_last_and_share_their_weight() -> None:
    seen, selector = seen_items(CLUSTERED), AnchorPoints()
    fit = selector.fit(seen, rng())
    six = selector.select(seen, fit, 6, rng())
    assert set(six.items[:5].tolist()) == {0, 1, 2, 3, 4}
    assert six.items[5] in (5, 6)
    assert six.weights == pytest.approx([1 / 7] * 5 + [2 / 7])
    assert selector.select(seen, fit, 7, rng()).weights == pytest.approx([1 / 7] * 7)


def test_one_source_model_leaves_a_random_choice() -> None:
    seen, selector = seen_items([[0.1, 0.9, 0.4]]), AnchorPoints()
    fit = selector.fit(seen, rng())
    assert len(fit.items) == 0
    firsts = {int(selector.select(seen, fit, 1, np.random.default_rng(seed)).items[0]) for seed in range(30)}
    assert firsts == {0, 1, 2}


def test_a_missing_response_stands_at_the_items_mean() -> None:
    with_gap, filled = [row[:] for row in CLUSTERED], [row[:] for row in CLUSTERED]
    with_gap[1][0] = GAP
    filled[1][0] = (0.1 + 0.3 + 0.4) / 3
    one, other = (AnchorPoints().fit(seen_items(each), rng()).distances for each in (with_gap, filled))
    assert one == pytest.approx(other, abs=1e-6)


def test_answers_are_clustered_on_their_mean_correlation() -> None:
    first, second = np.random.default_rng(2).random((2, 8, 5)).astype(np.float32)
    fit = AnchorPoints(signal="answers").fit(seen_items(np.stack([first, second], axis=2)), rng())
    mean = (np.corrcoef(first, rowvar=False) + np.corrcoef(second, rowvar=False)) / 2
    np.fill_diagonal(mean, 1)
    assert 1 - fit.distances == pytest.approx(mean, abs=1e-6)


def test_max_items_clusters_a_random_subset() -> None:
    responses = np.random.default_rng(3).random((6, 40))
    selector = AnchorPoints(max_items=10)
    seen = seen_items(responses)
    fit = selector.fit(seen, rng())
    assert fit.distances.shape == (10, 10)
    assert selector.fit(seen, np.random.default_rng(1)).items.tolist() != fit.items.tolist()
    assert set(selector.select(seen, fit, 5, rng()).items.tolist()) <= set(fit.items.tolist())
    assert len(set(selector.select(seen, fit, 25, rng()).items.tolist())) == 25
    assert AnchorPoints().fit_bytes(300, 1000, 10) > AnchorPoints(max_items=100).fit_bytes(300, 1000, 10)
    with refuses(ConfigError, "max_items", got="0", hint="null"):
        AnchorPoints(max_items=0)


def lines() -> tuple[SeenItems, np.ndarray]:
    """Logits of item 1 are twice those of item 0, plus 1; item 2 falls as item 0 rises; item 3 is the same for all."""
    x = np.array([-2.0, -1.0, 0.5, 1.5])
    logits = np.stack([x, 2 * x + 1, -x, np.full(4, 0.3)], axis=1)
    return seen_items(expit(logits)), logits


def test_lines_predict_the_confidences_of_the_other_items() -> None:
    seen, _ = lines()
    estimator = AnchorPredictor(signal="confidence")
    fit = estimator.fit(seen, rng())
    target = 0.25  # a logit, of item 0
    found = estimator.estimate(expit(np.array([[target]])), Selection(np.array([0])), seen, fit)
    expected = [expit(target), expit(2 * target + 1), expit(-target), expit(0.3)]
    assert found == pytest.approx([np.mean(expected)], abs=1e-5)
    paper = AnchorPredictor(signal="confidence", variant="paper")
    assert paper.estimate(expit(np.array([[target]])), Selection(np.array([0])), seen, fit) == pytest.approx(
        [np.mean(expected[1:])], abs=1e-5
    )


def test_the_anchor_with_the_smallest_residual_predicts() -> None:
    # Item 2 follows item 1 exactly and item 0 roughly.
    x = np.array([-2.0, -1.0, 0.5, 1.5])
    y = np.array([-1.0, -1.5, 1.0, 0.7])
    seen = seen_items(expit(np.stack([x, y, 0.5 * y - 0.2], axis=1)))
    estimator = AnchorPredictor(signal="confidence", variant="paper")
    fit = estimator.fit(seen, rng())
    found = estimator.estimate(expit(np.array([[1.0, -0.4]])), Selection(np.array([0, 1])), seen, fit)
    assert found == pytest.approx([expit(0.5 * -0.4 - 0.2)], abs=1e-5)


def test_predicted_labels_are_counted_where_all_answers_are_known() -> None:
    # Two answers; the confidence in answer 0 of item 1 rises with that of item 0, and crosses one half where that is 0.4.
    x = np.array([-2.0, -1.0, 0.5, 1.5])
    first = expit(np.stack([x, 3 * (x - logit(0.4))], axis=1))
    seen = seen_items(np.stack([first, 1 - first], axis=2), labels=[0, 1])
    estimator = AnchorPredictor()
    fit = estimator.fit(seen, rng())
    given = np.array([0.3, 0.45, 0.6])
    responses = np.stack([given, 1 - given], axis=1)[:, None, :]
    # Item 0 is right (answer 0) above 0.5; item 1 is right (answer 1) below 0.4.
    selection = Selection(np.array([0]))
    assert estimator.estimate(responses, selection, seen, fit) == pytest.approx([1 / 2, 0, 1 / 2])
    assert AnchorPredictor(variant="paper").estimate(responses, selection, seen, fit) == pytest.approx([1, 0, 0])


def test_targets_without_an_anchor_are_estimated_from_the_rest() -> None:
    seen, _ = lines()
    estimator = AnchorPredictor(signal="confidence")
    fit = estimator.fit(seen, rng())
    responses = np.array([[0.6, GAP], [GAP, GAP], [GAP, 0.6]])
    found = estimator.estimate(responses, Selection(np.array([0, 3])), seen, fit)
    assert np.isnan(found[1])
    # The first item's lines are left without their anchor: item 3 speaks for itself.
    assert found[2] == pytest.approx(0.6)
    assert 0 < found[0] < 1


def test_extreme_confidences_stay_finite() -> None:
    seen = seen_items([[0, 1, 0.5], [1, 0, 1], [0, 0, 0], [1, 1, 1]])
    estimator = AnchorPredictor(signal="confidence")
    found = estimator.estimate(np.array([[0.0], [1.0]]), Selection(np.array([0])), seen, estimator.fit(seen, rng()))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found <= 1).all()


def test_variants_are_checked() -> None:
    with refuses(ConfigError, "anchor_predictor: unknown variant", got="papers", hint="paper"):
        AnchorPredictor(variant="papers")  # type: ignore[arg-type]
