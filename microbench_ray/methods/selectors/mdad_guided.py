"""Selection guided by the MDAD: items that order the pairs of source models near a target difference correctly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal, check_by_cost, check_signal
from microbench_ray.methods.kernels.guided import JUDGED_SIZES, Guidance, GuidedOrder
from microbench_ray.methods.kernels.sources import SECONDS_PER_RESPONSE, source_accuracies


@dataclass(frozen=True)
class MdadGuided:
    """Forward selection for the order of the pairs near a target difference, then a balanced random sample of the rest.

    The first items are chosen by `PairsForward` (guided). Such a choice fits its source models better than other models, the more
    so the more items are chosen with few sources. So only a multiple of the number of sources is chosen this way, and the others
    are drawn by `balanced_order`. The multiple is selected by a nested split: items are chosen with one half of the sources, and
    evaluated by the error on the pairs of the other half. Sizes nest: the items of a smaller size are the first of a larger one.

    Intended for the estimator `ridge_remainder`, which weights the items. Missing responses are set to the item's mean.

    Parameters
    ----------
    difference
        The target difference, a fraction: pairs that differ by half to twice as much count.
    shrink
        The share of the covariances between items that is treated as chance, in [0, 1]: see `PairsForward`.
    per_source
        Number of guided items per source model; null for the nested split.
    balance
        Whether subtasks are kept in proportion among the guided items (among the others they always are).
    signal
        `both` to choose by confidences (falling back to correctness), or `correctness`.
    by_cost
        Whether items are chosen by what they tell per cost (`SeenItems.costs`). Sizes still count items.
    """

    difference: float = 0.05
    shrink: float = 0.5
    per_source: float | None = None
    balance: bool = False
    signal: Signal = "both"
    by_cost: bool = False
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_signal("mdad_guided", self.signal, ("correctness", "both"))
        check_by_cost("mdad_guided", self.by_cost)
        if not 0 < self.difference < 1:
            raise ConfigError(
                "mdad_guided: difference must be between 0 and 1.", got=repr(self.difference), hint="difference: 0.05"
            )
        if not 0 <= self.shrink <= 1:
            raise ConfigError("mdad_guided: shrink must be between 0 and 1.", got=repr(self.shrink), hint="shrink: 0.5")
        if self.per_source is not None and not 0 <= self.per_source < math.inf:
            raise ConfigError("mdad_guided: per_source must be at least 0.", got=repr(self.per_source), hint="per_source: 4")

    @property
    def fit_key(self) -> str:
        """Names the order of the items, which depends on all parameters but the signal."""
        by_cost = ", by cost" if self.by_cost else ""
        return f"mdad_guided({self.difference!r}, {self.shrink!r}, {self.per_source!r}, {self.balance!r}{by_cost})"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> GuidedOrder:
        """Order all items."""
        guidance = Guidance(self.difference, self.shrink, self.per_source, self.balance)
        return guidance.order(source_accuracies(seen), seen.subtask, rng, costs=seen.relative_costs(self.by_cost))

    def select(self, seen: SeenItems, fit: GuidedOrder, size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order."""
        return Selection(fit.order[:size])

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of three forward selections, two of them with half of the sources, and of the regressions that compare them."""
        steps = min(max(JUDGED_SIZES), 4 * n_source)
        return SECONDS_PER_RESPONSE * n_source * n_items + steps * n_source * n_items * 8e-10 + 3e-8 * n_source**3 / 4

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the responses of all sources and of their halves, of the rotated responses, and of the regressions."""
        signals = 1 if self.signal == "correctness" else 2
        judged = min(max(JUDGED_SIZES), n_items)
        return 8 * n_source * ((2 * signals + 2) * n_items + 2 * judged + 6 * n_source)
