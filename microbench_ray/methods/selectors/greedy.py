"""Forward selection for the ridge readout: each item in turn is the one that best explains the sources' accuracies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal, check_by_cost
from microbench_ray.methods.kernels.forward import ForwardSelection
from microbench_ray.methods.kernels.sources import source_accuracies

SECONDS_PER_ITEM = 4e-10
"""CPU seconds of one step, per source model and item."""


@dataclass(frozen=True)
class Greedy:
    """Forward selection for the ridge readout (Miller 2002, §3.2, with ridge regression).

    Sizes nest: the items of a smaller size are the first of a larger one. Missing responses are filled as in `Ridge`.

    Parameters
    ----------
    penalty
        Penalty of the regression while items are chosen, above 0, in units of the items' mean sum of squares over source models. A
        larger one favours items that correlate with accuracy individually, a smaller one items that add to those already chosen.
    by_cost
        Whether items are chosen by what they tell per cost (`SeenItems.costs`). Sizes still count items.

    References
    ----------
    Miller, A. (2002). Subset selection in regression. Chapman and Hall.
    """

    penalty: float = 1.0
    by_cost: bool = False
    signal: ClassVar[Signal] = "correctness"
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_by_cost("greedy", self.by_cost)
        if not 0 < self.penalty < math.inf:
            raise ConfigError("greedy: penalty must be a finite number above 0.", got=repr(self.penalty), hint="penalty: 1.0")

    @property
    def fit_key(self) -> str:
        """Names the order of the items, which depends on the penalty, and on costs if these are read."""
        return f"forward_selection({self.penalty!r}{', by cost' if self.by_cost else ''})"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> ForwardSelection:
        """Prepare the forward selection."""
        return ForwardSelection(source_accuracies(seen), self.penalty, seen.relative_costs(self.by_cost))

    def select(self, seen: SeenItems, fit: ForwardSelection, size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order."""
        return Selection(fit.first(size))

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of about 250 steps, each a product with the source models' responses."""
        return 250 * SECONDS_PER_ITEM * n_source * n_items

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of two copies of the responses, two square matrices, and vectors."""
        return 8 * (2 * n_source * n_items + 2 * n_source**2 + 8 * n_items)
