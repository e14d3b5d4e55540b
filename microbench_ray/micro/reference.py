"""What an answer of `plan` refers to: the items of the benchmark, or the population of items that they are a sample of."""

from __future__ import annotations

from typing import Literal

from microbench_ray.core.errors import DataError

Reference = Literal["benchmark", "population"]

SMALL_TABLE = 200
"""Items below which a benchmark is small: the difference of two models that differ on 40 % of the items has a standard error of
more than 4.5 points, so that the order on these items says little about the order on others like them."""


def reference_of(size: int, n_items: int) -> Reference:
    """What an answer about `size` of `n_items` items refers to.

    The population where the benchmark is small, and where the sample is the whole benchmark, which orders models as it does itself.
    """
    return "population" if size >= n_items or n_items < SMALL_TABLE else "benchmark"


def unweighted_only(key: str, got: str) -> DataError:
    """The error for a question about micro-scores that are plain means, where items count differently in the accuracies."""
    return DataError(
        f"{key} is not available where items count differently.",
        where=key,
        got=f"{got}, with benchmark.truth or columns.weight",
        hint="truth=micro; differences, size and models are answered",
    )
