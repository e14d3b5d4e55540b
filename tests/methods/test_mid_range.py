"""Items of intermediate difficulty: which ones, and in which order where there are too few."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems
from microbench_ray.methods.selectors.mid_range import MidRange
from tests.helpers.errors import refuses

# Pass rates of ten sources: .0 .3 .5 .7 .8 1.0
RESPONSES = (np.arange(10)[:, None] < np.array([0, 3, 5, 7, 8, 10])).astype(np.float32)


def chosen(responses: np.ndarray, size: int, seed: int, **parameters: float) -> list[int]:
    n_items = responses.shape[1]
    seen = SeenItems(np.array([f"q{k}" for k in range(n_items)], object), np.zeros(n_items, np.int32), responses)
    selector = MidRange(**parameters)
    rng = np.random.default_rng(seed)
    return selector.select(seen, selector.fit(seen, rng), size, rng).items.tolist()


def test_both_ends_belong_to_the_range_and_the_nearest_outside_follow() -> None:
    for seed in range(20):
        order = chosen(RESPONSES, 6, seed)
        assert set(order[:3]) == {1, 2, 3}
        assert order[3] == 4  # .1 outside
        assert set(order[4:]) == {0, 5}  # .3 outside, both


def test_every_item_of_the_range_is_equally_likely() -> None:
    firsts = Counter(chosen(RESPONSES, 1, seed)[0] for seed in range(600))
    assert set(firsts) == {1, 2, 3}
    assert min(firsts.values()) > 150  # 200 expected, standard deviation 11.5


def test_missing_responses_do_not_count() -> None:
    responses = RESPONSES.copy()
    responses[3:, 4] = np.nan  # three answers, all right: 1.0, no longer the nearest
    assert chosen(responses, 4, 0)[3] in (0, 4, 5)
    responses[3:, 1] = np.nan  # three answers, all right
    assert set(chosen(responses, 2, 0)) == {2, 3}


def test_another_range() -> None:
    assert chosen(RESPONSES, 1, 0, lowest=0.75, highest=0.85) == [4]


@pytest.mark.parametrize(("lowest", "highest"), [(0.7, 0.3), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_a_range_that_is_none_is_refused(lowest: float, highest: float) -> None:
    with refuses(ConfigError, "fractions", got=repr(lowest)):
        MidRange(lowest, highest)
