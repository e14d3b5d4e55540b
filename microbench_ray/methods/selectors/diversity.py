"""Diverse items, by a determinantal point process on the items' principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.kernels.dpp import inclusion_probabilities, polynomial_basis, sample_projection_dpp
from microbench_ray.methods.kernels.principal_components import FitsComponents, check_components

Variant = Literal["default", "paper"]


@dataclass(frozen=True)
class Diversity(FitsComponents):
    """A discrete orthogonal polynomial ensemble on the items' first principal components.

    Items are points: their coordinates are the principal components of the source models' responses, with trimmed tails, scaled to
    (-1, 1). The projection DPP of the first `size` multivariate monomials on these points is drawn (Bardenet, Ghosh and Lin 2021,
    "Determinantal point processes based on orthogonal polynomials for sampling minibatches in SGD").

    The items' inclusion probabilities are known and far from equal: greatest at the boundary, where few items lie. So a selected
    item weighs 1 / (n_items × its inclusion probability). With `horvitz_thompson` the estimate is unbiased for the mean over all
    seen items; `weighted_mean` is its ratio form (Hájek). As the constant is one of the monomials, no inclusion probability is
    below 1 / n_items, and no weight above 1.

    `variant="default"` moves the tails to the edge of the box, so that every item can be drawn. `variant="paper"` excludes the
    items outside the box, so that the estimate is of the mean over the others, and gives no weights: all selected items count the
    same, which is biased towards the boundary.

    Where the points support fewer than `size` monomials (fewer distinct points than items; in the paper's variant, a size larger
    than the number of items in the box), the DPP draws as many items as there are monomials, and the rest are drawn uniformly from
    the remaining items; the weights account for that. Without any variation among the items, all items but one are drawn uniformly.

    Missing responses are set to the item's mean over the source models that answered it.

    Parameters
    ----------
    components
        Number of principal components; fewer if fewer have any variance.
    trim
        Share of items in each tail of each component, in [0, 0.5).
    signal
        `confidence` (falling back to correctness), or `correctness`.
    variant
        `default`, or `paper`.
    """

    components: int = 4
    trim: float = 0.01
    signal: Signal = "confidence"
    variant: Variant = "default"
    nested: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_signal("diversity", self.signal)
        check_components("diversity", self.components)
        if not 0 <= self.trim < 0.5:
            raise ConfigError("diversity: trim must be a share in [0, 0.5).", got=str(self.trim))
        if self.variant not in ("default", "paper"):
            raise ConfigError("diversity: unknown variant.", got=repr(self.variant), hint="use one of default, paper")

    def select(self, seen: SeenItems, fit: NDArray[np.float64], size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items, with weights 1 / (n_items × inclusion probability); in the paper's variant without weights."""
        items, points = in_box(fit, self.trim, drop=self.variant == "paper")
        basis = polynomial_basis(points, size)
        drawn = items[sample_projection_dpp(basis, rng)]
        probability = np.zeros(seen.n_items)
        probability[items] = inclusion_probabilities(basis)
        missing = size - len(drawn)
        if missing:
            left = np.setdiff1d(np.arange(seen.n_items), drawn)
            drawn = np.concatenate([drawn, rng.choice(left, missing, replace=False)])
            probability += (1 - probability) * missing / len(left)
        if self.variant == "paper":
            return Selection(drawn)
        return Selection(drawn, seen.stand_for(drawn, 1 / (seen.n_items * probability[drawn])))

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of the sources' Gram matrix and its eigenvectors, and of the polynomials for sizes up to 1,000."""
        return 0.005 + 2.5e-4 * n_items + 1e-8 * n_source * n_items + 4e-11 * n_source**2 * n_items + 2e-9 * n_source**3

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the responses in double precision and their Gram matrix, or of three copies of the largest size's polynomials."""
        return max(28 * n_source * n_items + 24 * n_source**2, 4 * n_source * n_items + 26 * size * n_items)


def in_box(coordinates: NDArray[np.float64], trim: float, *, drop: bool) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Points with trimmed tails, scaled to [-0.99, 0.99].

    Parameters
    ----------
    coordinates
        (n_items, d).
    trim
        The box goes from the `trim` to the 1 - `trim` quantile of each coordinate.
    drop
        Whether items outside the box are excluded; otherwise they are moved to its edge.

    Returns
    -------
    items, points
        (m,) positions of the remaining items and their (m, ≤ d) coordinates; coordinates in which they do not differ
        are left out.
    """
    low, high = np.quantile(coordinates, [trim, 1 - trim], axis=0)
    items = np.arange(len(coordinates))
    if drop:
        items = items[((coordinates >= low) & (coordinates <= high)).all(axis=1)]
    points = np.clip(coordinates[items], low, high)
    if not len(items):
        return items, points
    low, high = points.min(axis=0), points.max(axis=0)
    differ = high > low
    points, low, high = points[:, differ], low[differ], high[differ]
    return items, 0.99 * (2 * (points - low) / (high - low) - 1)
