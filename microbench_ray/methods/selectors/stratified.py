"""Stratified sampling by the items' mean source confidence (Fogliato et al. 2024, as used by the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.kernels.clustering import kmeans
from microbench_ray.methods.kernels.item_statistics import item_means
from microbench_ray.methods.selectors.random import choose_by_group

Variant = Literal["default", "paper"]


@dataclass(frozen=True)
class StratifiedConfidence:
    """Proportional sampling from strata of items of similar mean source confidence.

    The strata are the k-means clusters of the items' means. Every item is included with probability exactly size / n_items,
    whatever its stratum: each stratum gives the integer part of its proportional share, and the remainder is drawn among the strata
    with probabilities equal to the fractional parts (systematic sampling). So the Horvitz–Thompson weights are all 1 / size, and
    the estimate is unbiased.

    `variant="paper"` follows the paper's code: each stratum gives its rounded proportional share, and the remainder is drawn
    uniformly from all items not yet drawn. Its inclusion probabilities ignore these leftover draws: the stratum's rounded share
    over the stratum's items, and size / n_items where that share is 0. So the weights need not sum to 1, and the estimate is
    biased, upwards by the weight of the leftovers. Where rounding gives more than `size` items, the surplus is dropped at random
    here (the paper's code keeps it), and the probabilities are not changed.

    Missing responses: an item's mean is over the source models that answered it; an item without responses gets the mean of all
    others.

    Parameters
    ----------
    strata
        Number of clusters; fewer if there are fewer distinct means.
    signal
        `confidence` (falling back to correctness), or `correctness`.
    variant
        `default`, or `paper`.
    """

    strata: int = 10
    signal: Signal = "confidence"
    variant: Variant = "default"
    nested: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_signal("stratified_confidence", self.signal)
        if self.strata < 1:
            raise ConfigError("stratified_confidence: strata must be at least 1.", got=str(self.strata))
        if self.variant not in ("default", "paper"):
            raise ConfigError("stratified_confidence: unknown variant.", got=repr(self.variant), hint="use one of default, paper")

    @property
    def fit_key(self) -> str:
        """Names the clustering."""
        return f"strata-{self.strata}"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> NDArray[np.int32]:
        """(n_items,) int32, the stratum of every seen item."""
        assert seen.responses is not None
        means = item_means(seen.responses)
        n_clusters = min(self.strata, len(np.unique(means)))
        labels = kmeans(means[:, None], n_clusters, rng).labels
        return np.unique(labels, return_inverse=True)[1].astype(np.int32)

    def select(self, seen: SeenItems, fit: NDArray[np.int32], size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items, with weights 1 / (n_items × inclusion probability); by default 1 / size."""
        if self.variant == "paper":
            chosen = select_as_paper(fit, size, rng)
            assert chosen.weights is not None
            return Selection(chosen.items, seen.stand_for(chosen.items, chosen.weights))
        chosen = choose_by_group(fit, lambda sizes: randomised_proportional(sizes, size, rng), rng)
        return Selection(chosen.items, seen.stand_for(chosen.items, np.full(size, 1 / size)))

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of averaging, and of one-dimensional k-means."""
        return 0.02 + 1e-8 * n_source * n_items

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the responses."""
        return 12 * n_source * n_items


def randomised_proportional(sizes: NDArray[np.int64], total: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Share `total` so that the expected share of each group is exactly proportional to its size.

    Integer parts are given; the rest is drawn by systematic sampling (Madow 1949) over the groups in random order, with the
    fractional parts as probabilities. Computed in integers, so that the shares sum to `total`.
    """
    share, remainder = np.divmod(total * sizes, sizes.sum())
    order = rng.permutation(len(sizes))
    edges = np.concatenate([[0], np.cumsum(remainder[order])])
    start = rng.integers(sizes.sum())
    share[order] += np.diff((edges + start) // sizes.sum())
    return share


def select_as_paper(strata: NDArray[np.int32], size: int, rng: np.random.Generator) -> Selection:
    """Choose `size` items with the paper's allocation and its inclusion probabilities.

    Parameters
    ----------
    strata
        (n_items,) stratum of every item.
    """
    n_items = len(strata)
    sizes = np.bincount(strata).astype(np.int64)
    share = np.minimum(np.round(size * sizes / n_items).astype(np.int64), sizes)
    probability = np.where(share > 0, share, size * sizes / n_items) / sizes
    items = rng.permutation(choose_by_group(strata, lambda _: share, rng).items)[:size]
    others = np.setdiff1d(np.arange(n_items), items)
    items = np.concatenate([items, rng.choice(others, size - len(items), replace=False)])
    return Selection(items, 1 / (n_items * probability[strata[items]]))
