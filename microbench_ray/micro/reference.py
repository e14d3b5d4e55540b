"""What an answer of `plan` refers to: the items of the benchmark, or the population of items that they are a sample of."""

from __future__ import annotations

from typing import Literal

Reference = Literal["benchmark", "population"]

SMALL_TABLE = 200
"""Items below which a benchmark is small: the difference of two models that differ on 40 % of the items has a standard error of
more than 4.5 points, so that the order on these items says little about the order on others like them."""


def reference_of(size: int, n_items: int) -> Reference:
    """What an answer about `size` of `n_items` items refers to.

    The population where the benchmark is small, and where the sample is the whole benchmark, which orders models as it does itself.
    """
    return "population" if size >= n_items or n_items < SMALL_TABLE else "benchmark"
