"""A share of the p-IRT estimate as a term of a readout, with the numbers of its items."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.kernels.irt import Items, p_irt
from microbench_ray.methods.readout import FloatArray

RAMP = 0.05
"""Over this much accuracy beyond `Beyond.limit` the p-IRT estimate takes over, so that no two like models get unlike estimates."""
DECIMALS = 5
"""Decimal places of discriminations and difficulties, in logits: an accuracy changes by less than 0.00001."""


class Beyond(NamedTuple):
    """Where a readout moves to a p-IRT estimate alone.

    Attributes
    ----------
    limit
        An accuracy: beyond it the estimate moves, and from `RAMP` beyond it on it is the p-IRT estimate.
    prior_variance
        Of the abilities, in the p-IRT estimate that is moved to. For the models that were fitted it is 1; with more, other models
        are drawn less towards these.
    own_share
        What is compared with the limit: this share of that p-IRT estimate, and otherwise the readout's sum.
    """

    limit: float
    prior_variance: float = 1.0
    own_share: float = 0.0


class IrtTerm(NamedTuple):
    """`weight` × the p-IRT estimate (`kernels.irt.p_irt`), and a p-IRT estimate alone where estimates are large or small.

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
    above, below
        Where the estimate moves to a p-IRT estimate: above a limit, and below another one; None for nowhere.
    """

    weight: float
    discrimination: FloatArray
    difficulty: FloatArray
    shares: FloatArray | None = None
    above: Beyond | None = None
    below: Beyond | None = None

    def added_to(self, estimates: FloatArray, scores: FloatArray) -> FloatArray:
        """(n_target,) estimates, from their affine part, (n_target,), and scores (n_target, size), NaN where missing."""
        items = np.arange(scores.shape[1])
        total = estimates + self.weight * p_irt(self, scores, items, self.shares)
        moves = [
            self._move(total, scores, items, beyond, sign)
            for beyond, sign in ((self.above, 1), (self.below, -1))
            if beyond is not None
        ]
        return total + sum(moves)

    def _move(self, total: FloatArray, scores: FloatArray, items: NDArray[np.intp], beyond: Beyond, sign: int) -> FloatArray:
        """(n_target,) how far the sum moves towards the p-IRT estimate alone; `sign` is 1 above the limit, and −1 below it."""
        wider = self._replace(discrimination=math.sqrt(beyond.prior_variance) * self.discrimination)
        away = p_irt(wider, scores, items, self.shares) - total
        judged = total + beyond.own_share * away
        moved: FloatArray = np.clip(sign * (judged - beyond.limit) / RAMP, 0.0, 1.0) * away
        return moved


def irt_term(
    weight: float,
    fit: Items,
    items: NDArray[np.intp],
    shares: FloatArray | None = None,
    above: Beyond | None = None,
    below: Beyond | None = None,
) -> IrtTerm:
    """The term of a fitted model and the selected items, (size,) positions; its numbers are rounded to `DECIMALS`.

    `shares` are those of all items in the accuracy, (n_items,).
    """
    order = np.concatenate([items, np.setdiff1d(np.arange(len(fit.difficulty)), items)])
    discrimination, difficulty = (np.round(values[order], DECIMALS) for values in (fit.discrimination, fit.difficulty))
    return IrtTerm(weight, discrimination, difficulty, None if shares is None else shares[order], above, below)
