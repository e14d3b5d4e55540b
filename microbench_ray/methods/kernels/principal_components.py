"""The items' principal components over the source models, used as points by some selectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems
from microbench_ray.methods.kernels.item_statistics import item_means

# A component with less than this share of the first one's variance is rounding error.
NO_VARIANCE = 1e-12


class FitsComponents:
    """Mixin of selectors that compute the items' principal components; one fit serves all with the same number of components."""

    components: int

    @property
    def fit_key(self) -> str:
        """Names the principal components."""
        return f"principal-components-{self.components}"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> NDArray[np.float64]:
        """The items' principal components, (n_items, ≤ components) float64."""
        assert seen.responses is not None
        return principal_components(seen.responses, self.components)


def check_components(selector: str, components: int) -> None:
    """Raise ConfigError unless `components` is at least 1."""
    if components < 1:
        raise ConfigError(f"{selector}: components must be at least 1.", got=str(components))


def principal_components(responses: NDArray[np.float32], components: int) -> NDArray[np.float64]:
    """Coordinates of the items on the first principal axes of their responses, from the models' Gram matrix.

    Parameters
    ----------
    responses
        (n_models, n_items), NaN where missing, which is set to the item's mean.
    components
        Maximum number of axes.

    Returns
    -------
    numpy.ndarray
        (n_items, ≤ components) float64 by decreasing variance, without axes of no variance. Signs are such that the model with the
        largest absolute loading on an axis has a positive one.
    """
    centred: NDArray[np.float64] = responses.astype(np.float64)
    gaps = np.isnan(centred)
    if gaps.any():
        centred = np.where(gaps, item_means(responses), centred)
    centred -= centred.mean(axis=1, keepdims=True)
    variance, axes = np.linalg.eigh(centred @ centred.T)
    variance, axes = variance[::-1], axes[:, ::-1]
    # Responses are at most 1, so the rounding errors of constant responses are far below the second bound.
    min_variance = NO_VARIANCE * max(float(variance[0]), centred.size * np.finfo(np.float64).eps)
    axes = axes[:, :components][:, variance[:components] > min_variance]
    largest = np.abs(axes).argmax(axis=0)
    coordinates: NDArray[np.float64] = centred.T @ (axes * np.sign(axes[largest, np.arange(axes.shape[1])]))
    return coordinates
