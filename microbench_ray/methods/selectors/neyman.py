"""Random items from every subtask by Neyman allocation: more where a subtask counts more, and where models differ more."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection, Signal, check_by_cost
from microbench_ray.methods.selectors.random import stand_for_subtask

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RandomSubtaskNeyman:
    """Random items from every subtask, as many as minimise the variance of two models' difference (Neyman 1934).

    Of a subtask with the share W of the accuracy, whose items have the standard deviation S of two models' difference (the root of
    its mean square over pairs of source models), the n-th item is taken for its priority W S / √(n(n − 1)), the largest first and
    one of each subtask before any other. This is the optimal allocation in whole numbers for every size (Wright 2012), and sizes
    nest. The subtasks of a suite are its boards.

    A missing response is left out of the standard deviations. With fewer than two source models, S is 1.

    Parameters
    ----------
    by_cost
        Whether a priority is divided by the root of the mean cost of the subtask's items (`SeenItems.costs`; Cochran 1977, §5.5).
        Sizes still count items.

    References
    ----------
    Neyman, J. (1934). On the two different aspects of the representative method. J. R. Stat. Soc. 97, 558-625.
    Wright, T. (2012). The equivalence of Neyman optimum allocation for sampling and equal proportions for apportioning the U.S.
    House of Representatives. Am. Stat. 66, 217-224.
    Cochran, W. G. (1977). Sampling techniques, 3rd edition. Wiley.
    """

    by_cost: bool = False
    signal: ClassVar[Signal] = "correctness"
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_by_cost("random_subtask_neyman", self.by_cost)

    @property
    def fit_key(self) -> str:
        """Names the order of the items."""
        return f"neyman({', by cost' if self.by_cost else ''})"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> NDArray[np.intp]:
        """(n_items,) the order of the items: those of a subtask in random order, subtasks by their priorities."""
        sizes = np.bincount(seen.subtask)
        share = sizes / seen.n_items if seen.weights is None else np.bincount(seen.subtask, seen.weights)
        priority = share * difference_deviations(seen)
        costs = seen.relative_costs(self.by_cost)
        if costs is not None:
            mean_costs = np.bincount(seen.subtask, costs) / np.maximum(sizes, 1)
            priority /= np.sqrt(np.where(sizes > 0, mean_costs, 1.0))
        order = rng.permutation(seen.n_items)
        order = order[np.argsort(seen.subtask[order], kind="stable")]
        subtask = seen.subtask[order]
        earlier = np.arange(seen.n_items) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # items of the subtask before it
        later = priority[subtask] / np.sqrt(np.maximum(earlier, 1) * (earlier + 1.0))
        return order[np.lexsort((-later, earlier > 0))]

    def select(self, seen: SeenItems, fit: NDArray[np.intp], size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order; those of a subtask stand for all of it."""
        return stand_for_subtask(fit[:size], seen)

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of the standard deviations."""
        return 0.01 + 2e-8 * n_source * n_items

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of a few copies of the responses."""
        return 24 * n_source * n_items


def difference_deviations(seen: SeenItems) -> FloatArray:
    """Root mean square over pairs of source models of the deviation of their difference over a subtask's items, (n_subtasks,).

    Over pairs, the mean variance of differences is twice the mean over items of the models' variance, less twice the variance of
    the models' means.
    """
    responses = seen.responses
    sizes = np.bincount(seen.subtask)
    if responses is None or len(responses) < 2:
        return np.ones(len(sizes))
    variance = np.zeros(len(sizes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # items and models without responses
        for subtask in np.flatnonzero(sizes):
            own = responses[:, seen.subtask == subtask].astype(np.float64)
            variance[subtask] = np.nanmean(np.nanvar(own, axis=0, ddof=1)) - np.nanvar(np.nanmean(own, axis=1), ddof=1)
    deviations: FloatArray = np.sqrt(2 * np.maximum(np.nan_to_num(variance), 0.0))
    return deviations
