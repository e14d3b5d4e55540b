"""Anchor points (Vivek et al. 2024, "Anchor Points: Benchmarking Models with Much Fewer Examples", EACL)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SIGNALS, SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.kernels.fasterpam import swap_medoids
from microbench_ray.methods.kernels.item_statistics import standardised

BLOCK_ROWS = 16
"""Rows of the distances that are worked on at a time: they stay in a core's cache, where the whole matrix does not."""


class Correlated(NamedTuple):
    """What k-medoids works on.

    Attributes
    ----------
    items
        (n,) positions among the seen items of those that are clustered, ascending.
    distances
        (n, n) float32, 1 − the correlation of these items over the source models; 0 on the diagonal.
    """

    items: NDArray[np.intp]
    distances: NDArray[np.float32]


@dataclass(frozen=True)
class AnchorPoints:
    """The medoids of clusters of items on which the source models' responses correlate.

    Items are clustered by k-medoids (`fasterpam`, from a random start) on 1 − Pearson's correlation over the source models; an
    anchor's weight is the share of the items in its cluster.

    An item on which all sources respond alike has no correlation: it is in no cluster, and the others' shares, which sum to 1,
    speak for it. Such items are chosen, at random, only where the size is larger than the number of others; each of
    them then stands for its share of them all. Missing responses: an item's correlations are those of its responses with the
    missing ones at the item's mean.

    Parameters
    ----------
    signal
        `confidence` (falling back to correctness) or `correctness`: what the correlation is of. `answers`: the mean over the
        answers of the correlations of the confidences in each (falling back to `confidence`, and to the same clusters).
    max_items
        Cluster at most so many items, a random subset; None for all. Bounds the memory, 4 bytes × max_items².
    """

    signal: Signal = "confidence"
    max_items: int | None = None
    nested: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_signal("anchor_points", self.signal, (*SIGNALS, "answers"))
        if self.max_items is not None and self.max_items < 1:
            raise ConfigError(
                "anchor_points: max_items must be at least 1.", got=str(self.max_items), hint="max_items=null for all"
            )

    @property
    def fit_key(self) -> str:
        """Names the correlations."""
        return "correlation" if self.max_items is None else f"correlation-{self.max_items}"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> Correlated:
        """The distances between all items that have any."""
        assert seen.responses is not None
        items = np.arange(seen.n_items)
        if self.max_items is not None and self.max_items < seen.n_items:
            items = np.sort(rng.choice(seen.n_items, self.max_items, replace=False))
        responses = seen.responses[:, items]
        classes = [responses] if responses.ndim == 2 else [responses[:, :, c] for c in range(responses.shape[2])]
        scaled = [standardised(each) for each in classes]
        vary = np.logical_or.reduce([each.any(axis=0) for each in scaled])
        distances: NDArray[np.float32] | None = None
        for each in scaled:
            kept = each[:, vary]
            product = kept.T @ kept  # both the same array: half the work
            distances = product if distances is None else np.add(distances, product, out=distances)
        assert distances is not None
        for start in range(0, len(distances), BLOCK_ROWS):
            rows = distances[start : start + BLOCK_ROWS]
            if len(scaled) > 1:
                rows /= np.float32(len(scaled))
            np.subtract(1, rows, out=rows)
            np.maximum(rows, 0, out=rows)
        np.fill_diagonal(distances, 0)
        return Correlated(items[vary], distances)

    def select(self, seen: SeenItems, fit: Correlated, size: int, rng: np.random.Generator) -> Selection:
        """Choose the `size` medoids, weighted by the shares of their clusters."""
        clustered = len(fit.items)
        if size <= clustered:
            found = swap_medoids(fit.distances, rng.choice(clustered, size, replace=False))
            return Selection(fit.items[found.medoids], np.bincount(found.labels, minlength=size) / clustered)
        others = rng.permutation(np.setdiff1d(np.arange(seen.n_items), fit.items))[: size - clustered]
        weights = np.full(size, 1 / seen.n_items)
        weights[clustered:] = (1 - clustered / seen.n_items) / len(others)
        return Selection(np.concatenate([fit.items, others]), weights)

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Correlations, and k-medoids for a handful of sizes."""
        n = n_items if self.max_items is None else min(n_items, self.max_items)
        return 0.05 + (3e-11 * n_source + 3e-8) * n * n

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """The distances, and the responses that they come from."""
        n = n_items if self.max_items is None else min(n_items, self.max_items)
        return 4 * n * n + 18 * n_source * n + 4 * n_source * (n_items - n)
