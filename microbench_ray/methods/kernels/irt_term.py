"""A share of the p-IRT estimate as a term of a readout, with the numbers of its items."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from microbench_ray.methods.kernels.irt import Items, p_irt
from microbench_ray.methods.readout import FloatArray

RAMP = 0.05
"""Over this much accuracy above `alone_above` the p-IRT estimate takes over, so that no two like models get unlike estimates."""
DECIMALS = 5
"""Decimal places of discriminations and difficulties, in logits: an accuracy changes by less than 0.00001."""


class IrtTerm(NamedTuple):
    """`weight` × the p-IRT estimate (`kernels.irt.p_irt`), and that estimate alone where the sum is large.

    Attributes
    ----------
    weight
        A factor.
    discrimination
        (n_items, D): first the selected items in their order, then all others.
    difficulty
        (n_items,) in the same order.
    shares
        (n_items,) the share of each item in the accuracy, in the same order; None where they are equal.
    alone_above
        Above this accuracy an estimate moves to the p-IRT estimate, and is that one from `RAMP` above it on; None for nowhere.
    """

    weight: float
    discrimination: FloatArray
    difficulty: FloatArray
    shares: FloatArray | None = None
    alone_above: float | None = None

    def added_to(self, estimates: FloatArray, scores: FloatArray) -> FloatArray:
        """(n_target,) estimates, from their affine part, (n_target,), and scores (n_target, size), NaN where missing."""
        alone = p_irt(self, scores, np.arange(scores.shape[1]), self.shares)
        total = estimates + self.weight * alone
        if self.alone_above is None:
            return total
        return total + np.clip((total - self.alone_above) / RAMP, 0.0, 1.0) * (alone - total)


def irt_term(
    weight: float,
    fit: Items,
    items: np.ndarray[tuple[int], np.dtype[np.intp]],
    shares: FloatArray | None = None,
    alone_above: float | None = None,
) -> IrtTerm:
    """The term of a fitted model and the selected items, (size,) positions; its numbers are rounded to `DECIMALS`.

    `shares` are those of all items in the accuracy, (n_items,).
    """
    order = np.concatenate([items, np.setdiff1d(np.arange(len(fit.difficulty)), items)])
    discrimination, difficulty = (np.round(values[order], DECIMALS) for values in (fit.discrimination, fit.difficulty))
    return IrtTerm(weight, discrimination, difficulty, None if shares is None else shares[order], alone_above)
