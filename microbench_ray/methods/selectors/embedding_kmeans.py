"""Representatives of clusters of items in an embedding computed from the source models' responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.kernels.principal_components import FitsComponents, check_components
from microbench_ray.methods.selectors.tinybenchmarks import choose_representatives


@dataclass(frozen=True)
class EmbeddingKmeans(FitsComponents):
    """One item of each k-means cluster of the items' embeddings, weighted by the cluster's share of items.

    The embedding is a truncated singular value decomposition of the source models' responses minus each model's mean (Eckart
    and Young 1936): the squared distance of two items is, as nearly as that many coordinates allow, the sum over the models of the
    squared difference of their responses. A cluster is represented by the item nearest to its centroid.

    Where there are fewer distinct items than `size`, large clusters give several items. Missing responses are set to the item's
    mean over the source models that answered it.

    Parameters
    ----------
    components
        Number of coordinates of the embedding; fewer if fewer have any variance.
    signal
        `confidence` (falling back to correctness), or `correctness`.

    References
    ----------
    Eckart, C. and Young, G. (1936). The approximation of one matrix by another of lower rank. Psychometrika 1.
    Lloyd, S. P. (1982). Least squares quantization in PCM. IEEE Transactions on Information Theory 28.
    """

    components: int = 10
    signal: Signal = "confidence"
    nested: ClassVar[bool] = False
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_signal("embedding_kmeans", self.signal)
        check_components("embedding_kmeans", self.components)

    def select(self, seen: SeenItems, fit: NDArray[np.float64], size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items; their weights sum to 1."""
        points = fit if fit.shape[1] else np.zeros((seen.n_items, 1))
        return choose_representatives(points, size, rng, seen.weights)

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of the sources' Gram matrix and its eigenvectors, and of k-means for sizes up to 1,000."""
        return 0.02 + 2.5e-4 * n_items + 1e-8 * n_source * n_items + 4e-11 * n_source**2 * n_items + 2e-9 * n_source**3

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the responses in double precision, their Gram matrix, and the embeddings."""
        return 28 * n_source * n_items + 24 * n_source**2 + 32 * self.components * n_items
