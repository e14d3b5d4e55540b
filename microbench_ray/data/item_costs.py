"""What answering each item costs, from a column of costs of items or of responses."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError

FloatArray = NDArray[np.float64]


def mean_costs(values: Iterable[object], codes: NDArray[np.int64], n_items: int, place: Callable[[int], str]) -> FloatArray:
    """Each item's mean over the rows that have a cost, (n_items,); NaN for an item without any.

    Parameters
    ----------
    values
        The cost of each row; None or an empty text where it is unknown.
    codes
        (n_rows,) the item of each row; negative for none.
    n_items
        Number of items.
    place
        Names the place of a row, for the message.

    Raises
    ------
    DataError
        A cost is not a number.
    """
    costs = np.full(len(codes), np.nan)
    for row, value in enumerate(values):
        if value is not None and value != "":
            try:
                costs[row] = float(str(value))
            except ValueError:
                what, hint = "The cost of a response must be a number.", "leave a cell empty where the cost is unknown"
                raise DataError(what, where=place(row), got=repr(value), hint=hint) from None
    known = ~np.isnan(costs) & (codes >= 0)
    sums = np.bincount(codes[known], costs[known], n_items)
    counts = np.bincount(codes[known], minlength=n_items)
    means: FloatArray = np.divide(sums, counts, out=np.full(n_items, np.nan), where=counts > 0)
    return means
