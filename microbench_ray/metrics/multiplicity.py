"""p-values of several comparisons at once."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Adjustment = Literal["holm", "bh", "none"]
ADJUSTMENTS: tuple[Adjustment, ...] = get_args(Adjustment)


def adjusted(p_values: ArrayLike, adjustment: Adjustment = "holm") -> NDArray[np.float64]:
    """Adjusted p-values, which are compared with the level of all comparisons together.

    Parameters
    ----------
    p_values
        (n,) in [0, 1].
    adjustment
        `holm` bounds the probability of any false finding (Holm 1979); `bh` bounds the expected share of false findings
        (Benjamini & Hochberg 1995); `none` adjusts nothing.

    Returns
    -------
    array
        (n,) in the order of `p_values`.
    """
    p = np.asarray(p_values, np.float64)
    if adjustment == "none" or p.size == 0:
        return p.copy()
    order = np.argsort(p, kind="stable")
    ranks = np.arange(p.size)
    if adjustment == "holm":
        stepped = np.maximum.accumulate(p[order] * (p.size - ranks))
    else:
        stepped = np.minimum.accumulate((p[order] * p.size / (ranks + 1))[::-1])[::-1]
    result = np.empty(p.size)
    result[order] = np.minimum(stepped, 1.0)
    return result
