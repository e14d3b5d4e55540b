"""A method that does nothing, to measure the cost of everything else. A separate module, so that workers can import it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from microbench_ray.methods import Method
from microbench_ray.methods.base import EstimatorWithoutFit, SeenItems, Selection, Signal
from microbench_ray.methods.registry import ESTIMATORS, SELECTORS


@dataclass(frozen=True)
class FirstItems:
    """Selects the first items. The declared duration of its fit decides how many runs are in one shard.

    Parameters
    ----------
    key
        Key of the fit: selectors with the same key share a shard.
    seconds
        Declared duration of a fit, which the plan uses.
    sleep
        Seconds that a fit sleeps, so that many shards can run at once on a few cores.
    """

    key: str = "nothing"
    seconds: float = 0.0
    sleep: float = 0.0
    signal: ClassVar[None] = None
    nested: ClassVar[bool] = True

    @property
    def fit_key(self) -> str:
        return self.key

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> None:
        if self.sleep:
            time.sleep(self.sleep)

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        return Selection(np.arange(size))

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        return self.seconds

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        return 0


@dataclass(frozen=True)
class FirstResponse(EstimatorWithoutFit):
    """Uses the response to the first selected item as the estimate."""

    signal: Signal = "correctness"

    def estimate(self, responses: np.ndarray, selection: Selection, seen: SeenItems, fit: None) -> np.ndarray:
        return responses[:, 0]


SELECTORS["first_items"] = FirstItems
ESTIMATORS["first_response"] = FirstResponse


def nothing(label: str, seconds: float, sleep: float = 0.0) -> Method:
    """A method with one shard per run if `seconds` is large, otherwise one per ten runs."""
    return Method(label, FirstItems(label, seconds, sleep), FirstResponse())
