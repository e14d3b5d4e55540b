"""How many items a budget buys, where the costs of the items are known."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark

NORMAL_95 = 1.644854
"""Standard errors above which 5 % of a normal distribution lie."""


class Affordable(NamedTuple):
    """How many random items a budget buys; costs in the unit of the benchmark's."""

    cost: float
    """The budget."""
    size: int
    """The number of random items that cost no more on average; at most all."""
    mean_cost: float
    """Of one item, with all its repeats."""
    total_cost: float
    """Of all items, with all repeats."""
    high: float
    """What 19 of 20 draws of so many items cost at most, by the normal approximation."""


def check_cost(cost: float) -> None:
    """Raise ConfigError unless a budget is a positive, finite number."""
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 < cost < math.inf:
        raise ConfigError("A budget must be a positive number.", where="cost", got=repr(cost), hint="cost=20000")


def affordable_items(benchmark: Benchmark, cost: float, n_repeats: int | None = None) -> Affordable:
    """How many random items a budget buys, each asked `n_repeats` times; once by default.

    Raises
    ------
    ConfigError
        The budget is not a positive number or is below the mean cost of an item, or the benchmark has no costs.
    """
    check_cost(cost)
    costs = known_costs(benchmark) * (n_repeats or 1)
    mean, n = float(costs.mean()), len(costs)
    size = min(n, math.floor(cost / mean * (1 + 1e-12)))
    if size < 1:
        raise ConfigError(
            "The budget is below the mean cost of an item.",
            where="cost",
            got=f"{cost:g}, and {mean:g} per item",
            hint="a larger one",
        )
    variance = float(costs.var(ddof=1)) * size * (1 - size / n) if n > 1 else 0.0
    return Affordable(
        cost=float(cost),
        size=size,
        mean_cost=mean,
        total_cost=float(costs.sum()),
        high=size * mean + NORMAL_95 * math.sqrt(variance),
    )


def known_costs(benchmark: Benchmark) -> np.ndarray:
    """The costs of the items, (n_items,); ConfigError where the benchmark has none."""
    if benchmark.costs is None:
        raise ConfigError(
            "A budget needs the costs of the items, which are not known.",
            where="cost",
            got=f"{benchmark.name} without costs",
            hint="benchmark.columns={cost: NAME} names the column; mb.benchmark(…, cost=…) for an array",
        )
    return benchmark.costs


def first_affordable(benchmark: Benchmark, order: np.ndarray, cost: float) -> int:
    """How many items, from the first of an order on, cost no more than a budget together; ConfigError for none."""
    check_cost(cost)
    costs = np.cumsum(known_costs(benchmark)[order])
    size = int(np.searchsorted(costs, cost * (1 + 1e-12), side="right"))
    if not size:
        raise ConfigError(
            "The budget is below the cost of the first item.", where="cost", got=f"{cost:g}, and {costs[0]:g}", hint="a larger one"
        )
    return size
