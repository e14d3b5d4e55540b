"""Clusters of embedded items: what is found where clusters are planted, and where there is nothing to find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import SeenItems, Selection
from microbench_ray.methods.selectors.embedding_kmeans import EmbeddingKmeans
from tests.helpers.errors import refuses
from tests.helpers.optional import required


def chosen(responses: np.ndarray, size: int, seed: int = 0, **parameters: Any) -> Selection:
    n_items = responses.shape[1]
    seen = SeenItems(np.arange(n_items).astype(str).astype(object), np.zeros(n_items, np.int32), responses.astype(np.float32))
    selector = EmbeddingKmeans(**parameters)
    return selector.select(seen, selector.fit(seen, np.random.default_rng(seed)), size, np.random.default_rng(seed))


def planted(shares: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Responses of 40 models to items that are copies, but for little noise, of as many kinds; and each item's kind."""
    rng = np.random.default_rng(seed)
    kind = rng.permutation(np.repeat(np.arange(len(shares)), shares))
    profiles = rng.integers(0, 2, (40, len(shares)))
    return np.clip(profiles[:, kind] + rng.normal(0, 0.02, (40, len(kind))), 0, 1), kind


def test_every_kind_of_item_gives_one_with_its_share() -> None:
    shares = [20, 5, 40, 10]
    responses, kind = planted(shares)
    found = chosen(responses, 4)
    assert sorted(kind[found.items].tolist()) == [0, 1, 2, 3]
    assert found.weights == pytest.approx(np.array(shares)[kind[found.items]] / 75)


def test_the_representative_is_nearest_to_the_mean_of_its_kind() -> None:
    responses, kind = planted([12, 30])
    found = chosen(responses, 2, components=3)
    centred = responses - responses.mean(axis=1, keepdims=True)
    axes = np.linalg.svd(centred, full_matrices=False).U[:, :3]
    points = centred.T @ axes
    for item in found.items:
        members = np.flatnonzero(kind == kind[item])
        distance = ((points[members] - points[members].mean(axis=0)) ** 2).sum(axis=1)
        assert item == members[distance.argmin()]


@pytest.mark.parametrize("responses", [np.ones((5, 12)), np.tile([[1.0], [0.0]], 12), np.full((4, 12), np.nan)])
@pytest.mark.parametrize("size", [1, 5, 12])
def test_items_that_do_not_differ_are_shared_out(responses: Any, size: int) -> None:
    found = chosen(responses, size)
    assert len(set(found.items.tolist())) == size
    assert found.weights == pytest.approx(np.full(size, 1 / size))


def test_one_model_and_more_items_than_distinct_ones() -> None:
    responses = np.array([[1, 0, 0.5, 1, 0, 0, 0, 1.0]])
    found = chosen(responses, 6)
    assert len(set(found.items.tolist())) == 6
    assert required(found.weights).sum() == pytest.approx(1)
    assert set(responses[0, found.items]) == {0, 0.5, 1}


def test_one_fit_serves_all_that_name_as_many_components() -> None:
    assert EmbeddingKmeans(4).fit_key == "principal-components-4"


def test_invalid_parameters_are_refused() -> None:
    with refuses(ConfigError, "embedding_kmeans: components", got="0"):
        EmbeddingKmeans(0)
    with refuses(ConfigError, "embedding_kmeans: unknown signal", got="answers", hint="confidence"):
        EmbeddingKmeans(signal="answers")
