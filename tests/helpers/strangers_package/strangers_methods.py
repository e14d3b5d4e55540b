"""A selector, an estimator, and a method of both, as the author of another package writes them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import microbench_ray as mb


@dataclass(frozen=True)
class Spread(mb.SelectorWithoutFit):
    """Every k-th item, from a random one on."""

    def select(self, seen, fit, size, rng):
        return mb.Selection((rng.integers(seen.n_items) + np.arange(size) * seen.n_items // size) % seen.n_items)


@dataclass(frozen=True)
class Shrunk(mb.EstimatorWithoutFit):
    """The mean response, moved towards a prior accuracy by a number of prior items."""

    prior: float = 0.5
    items: float = 0.0
    signal: ClassVar[str] = "correctness"

    def estimate(self, responses, selection, seen, fit):
        answered = ~np.isnan(responses)
        right = np.ascontiguousarray(np.where(answered, responses, 0), dtype=np.float64).sum(axis=1)
        total = answered.sum(axis=1)
        return np.where(total > 0, (right + self.prior * self.items) / np.maximum(total + self.items, 1), np.nan)


BOTH = {"selector": {"name": "strangers_spread"}, "estimator": {"name": "strangers_shrunk", "items": 2.0}}
