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
"""Rows of the distance matrix that are processed at a time, so that they fit in a core's cache."""


class Correlated(NamedTuple):
    """The input of k-medoids.

    Attributes
    ----------
    items
        (n,) ascending positions, among the seen items, of the items that are clustered.
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

    An item on which all sources respond alike has no correlation: it is in no cluster, and the shares of the others sum to 1. Such
    items are chosen, at random, only if the size exceeds the number of clustered items; the share of all such items is then divided
    equally among the chosen ones. Missing responses are set to the item's mean for the correlations.

    Parameters
    ----------
    signal
        The responses that are correlated: `confidence` (falling back to correctness) or `correctness`. With `answers`, the
        correlations of the confidences in each answer are averaged over the answers (falling back to `confidence`).
    max_items
        Cluster at most this many items, a random subset; None for all. Bounds the memory, 4 bytes × max_items².
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
        """Names the correlation matrix."""
        return "correlation" if self.max_items is None else f"correlation-{self.max_items}"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> Correlated:
        """Compute the distances between all items whose responses vary."""
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
            product = kept.T @ kept  # the same array twice: BLAS does half the work
            distances = product if distances is None else np.add(distances, product, out=distances)
        assert distances is not None
        for start in range(0, len(distances), BLOCK_ROWS):
            rows = distances[start : start + BLOCK_ROWS]
            if len(scaled) > 1:
                rows /= np.float32(len(scaled))
            np.subtract(1, rows, out=rows)
            np.maximum(rows, 0, out=rows)
        np.fill_diagonal(distances, 0)
        return Correlated(items=items[vary], distances=distances)

    def select(self, seen: SeenItems, fit: Correlated, size: int, rng: np.random.Generator) -> Selection:
        """Choose the `size` medoids, weighted by the shares of their clusters."""
        clustered = len(fit.items)
        if size <= clustered:
            clusters = swap_medoids(fit.distances, rng.choice(clustered, size, replace=False))
            if seen.weights is None:
                return Selection(fit.items[clusters.medoids], np.bincount(clusters.labels, minlength=size) / clustered)
            of_clusters = np.bincount(clusters.labels, seen.weights[fit.items], minlength=size)
            return Selection(fit.items[clusters.medoids], of_clusters / of_clusters.sum())
        others = rng.permutation(np.setdiff1d(np.arange(seen.n_items), fit.items))[: size - clustered]
        weights = np.full(size, 1 / seen.n_items)
        weights[:clustered] = seen.stand_for(fit.items, weights[:clustered])
        weights[clustered:] = (1 - (clustered / seen.n_items if seen.weights is None else weights[:clustered].sum())) / len(others)
        return Selection(np.concatenate([fit.items, others]), weights)

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of the correlations, and of k-medoids for a handful of sizes."""
        n = n_items if self.max_items is None else min(n_items, self.max_items)
        return 0.05 + (3e-11 * n_source + 3e-8) * n * n

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the distances and of the responses."""
        n = n_items if self.max_items is None else min(n_items, self.max_items)
        return 4 * n * n + 18 * n_source * n + 4 * n_source * (n_items - n)
