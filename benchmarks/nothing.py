"""A method that does nothing, so that what is left is the cost of everything around it. A module, for workers to import."""

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
    """Chooses the first items. What it says of its fit decides how many runs are in one shard.

    Parameters
    ----------
    name
        Of the fit: selectors of one name share a shard.
    seconds
        What the plan is told a fit takes.
    sleep
        Seconds for which a fit sleeps: many such shards run at once on a few cores.
    """

    name: str = "nothing"
    seconds: float = 0.0
    sleep: float = 0.0
    signal: ClassVar[None] = None
    nested: ClassVar[bool] = True

    @property
    def fit_key(self) -> str:
        return self.name

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
    """Takes the response to the first selected item for the estimate."""

    signal: Signal = "correctness"

    def estimate(self, responses: np.ndarray, selection: Selection, seen: SeenItems, fit: None) -> np.ndarray:
        return responses[:, 0]


SELECTORS["first_items"] = FirstItems
ESTIMATORS["first_response"] = FirstResponse


def nothing(label: str, seconds: float, sleep: float = 0.0) -> Method:
    """A method with a shard of its own per run (where `seconds` are many) or per ten runs."""
    return Method(label, FirstItems(label, seconds, sleep), FirstResponse())
