"""The best of many random selections for the ridge readout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal
from microbench_ray.methods.kernels.ridge import fit_dual
from microbench_ray.methods.kernels.sources import (
    FIT_KEY,
    MIN_SOURCES,
    SECONDS_PER_RESPONSE,
    SourceAccuracies,
    source_accuracies,
    source_bytes,
)
from microbench_ray.methods.readout import FloatArray

SECONDS_PER_DRAW, SECONDS_PER_CUBE = 1.5e-4, 4e-10
"""CPU seconds of a selection, and of the inverse of its Gram matrix per cubed number of source models."""
USUAL_SIZES = 7


@dataclass(frozen=True)
class RandomSearch:
    """Of many random selections, the one whose ridge regression has the smallest leave-one-out error over the source models.

    A baseline of Zhang et al. (2025), who draw 10,000 selections. The smallest of n such errors falls slowly with n (for normal
    ones, 2.7 standard deviations below the mean at 200 and 3.9 at 10,000), and the more are compared, the more of the difference
    is chance. The penalty is chosen once, on the first selection. With fewer than four source models, the first one is taken.

    Parameters
    ----------
    draws
        Number of random selections, at least 1.

    References
    ----------
    Zhang, G., Dorner, F. E. and Hardt, M. (2025). How benchmark prediction from fewer data misses the mark. arXiv 2506.07673.
    """

    draws: int = 200
    signal: ClassVar[Signal] = "correctness"
    nested: ClassVar[bool] = False
    fit_key: ClassVar[str] = FIT_KEY

    def __post_init__(self) -> None:
        if not isinstance(self.draws, int) or self.draws < 1:
            raise ConfigError("random_search: draws must be a whole number of at least 1.", got=repr(self.draws), hint="draws: 200")

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> SourceAccuracies:
        """Responses with gaps filled, and accuracies over the items that each model answered."""
        return source_accuracies(seen)

    def select(self, seen: SeenItems, fit: SourceAccuracies, size: int, rng: np.random.Generator) -> Selection:
        """The best of the random selections of `size` items; the first one of equally good ones."""
        first = rng.choice(seen.n_items, size, replace=False)
        if len(fit.accuracy) < MIN_SOURCES or size == seen.n_items:
            return Selection(first)
        centred, y = fit.responses - fit.responses.mean(axis=0), fit.accuracy - fit.accuracy.mean()
        gram = centred[:, first] @ centred[:, first].T
        dual = fit_dual(gram, y)
        if not np.isfinite(dual.penalty):  # equal responses of all sources
            return Selection(first)
        best, smallest = first, loo_error(gram, y, dual.penalty)
        for _ in range(self.draws - 1):
            items = rng.choice(seen.n_items, size, replace=False)
            error = loo_error(centred[:, items] @ centred[:, items].T, y, dual.penalty)
            if error < smallest:
                best, smallest = items, error
        return Selection(best)

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of filling gaps, and of the search at seven sizes."""
        seconds_per_draw = SECONDS_PER_DRAW + SECONDS_PER_CUBE * n_source**3
        return SECONDS_PER_RESPONSE * n_source * n_items + USUAL_SIZES * self.draws * seconds_per_draw

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """The responses, those to the largest selection, and a few square matrices."""
        return source_bytes(n_source, n_items, size, "correctness")


def loo_error(gram: FloatArray, y: FloatArray, penalty: float) -> float:
    """Root mean squared leave-one-out error of the ridge regression of a centred y, (n,), with an intercept, at this penalty.

    Parameters
    ----------
    gram
        (n, n) inner products of centred responses.
    """
    inverse = np.linalg.inv(gram + penalty * np.eye(len(y)))
    # The residuals are λ(K + λI)⁻¹y, and the leverages those of λ(K + λI)⁻¹ and the intercept.
    kept = penalty * np.diagonal(inverse) - 1 / len(y)
    residuals = penalty * (inverse @ y) / np.maximum(kept, 1e-9)
    return float(np.sqrt(np.mean(np.square(residuals))))
