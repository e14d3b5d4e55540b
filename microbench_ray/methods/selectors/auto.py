"""The selection of the method `auto`: items that tell source models apart, random ones, and items that the best ones fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from microbench_ray.methods.base import ByCost, SeenItems, Selection, Signal, check_by_cost, check_signal
from microbench_ray.methods.kernels.auto import AutoFit, auto_bytes, auto_seconds
from microbench_ray.methods.kernels.auto_cost import fit_for_costs


@dataclass(frozen=True)
class AutoSelector:
    """Items that tell source models apart, chosen with random ones in mind.

    Guided items are chosen as by `MdadGuided`, by the pairs of models near a difference and, with few source models as much, by all
    pairs. Random items, balanced over subtasks and difficulties, are mixed in: a share of five by the number of source models, at
    most half. Each guided item is the one that tells most beside all before it. Where too few items are open (the best quarter of
    the source models has a mean score below .7, and not above the median of the items), random open ones are added, at most a
    quarter, and fewer with more than 70 source models: models better than the sources differ on these. Sizes nest: the items of a
    smaller size are the first of a larger one. With fewer than four source models all items are random ones.

    Intended for the estimator `auto`, with which it shares its fit.

    Parameters
    ----------
    signal
        `both` to choose by confidences (falling back to correctness), or `correctness`.
    by_cost
        Whether items are chosen by what they tell per cost (`SeenItems.costs`). `auto`: with a budget (`SeenItems.budget`), in the
        way that estimates source models best that are held out, and otherwise not. The estimator needs the same.
    """

    signal: Signal = "both"
    by_cost: ByCost = "auto"
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_signal("auto", self.signal, ("correctness", "both"))
        check_by_cost("auto", self.by_cost, or_auto=True)

    @property
    def fit_key(self) -> str:
        """Names the fit, which depends on the costs if these are read."""
        return "auto by cost" if self.by_cost is True else "auto"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> AutoFit:
        """Order all items, and those of every fold."""
        return fit_for_costs(seen, rng, self.by_cost)

    def select(self, seen: SeenItems, fit: AutoFit, size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order."""
        return Selection(fit.learned.order[:size])

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of a forward selection and an IRT model, of all sources and of every fold."""
        return auto_seconds(n_source, n_items)

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the responses of all sources and of every fold, and of the IRT model."""
        return auto_bytes(n_source, n_items, size)
