"""Items of intermediate difficulty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal
from microbench_ray.methods.kernels.item_statistics import item_means


@dataclass(frozen=True)
class MidRange:
    """Items that 30 to 70 % of the source models pass, in random order (Ndzomga 2026).

    The article keeps all such items; here a random sample of them is chosen. If there are fewer than are wanted, the nearest ones
    outside the range follow, equally near ones in random order. Sizes nest: the items of a smaller size are the first of a larger
    one. For graded responses the pass rate is the mean score; an item's mean is over the source models that answered it.

    The plain mean of such items orders models; it estimates their accuracy only if the items are as difficult as the others.

    Parameters
    ----------
    lowest, highest
        Ends of the range, fractions with 0 ≤ lowest ≤ highest ≤ 1; both belong to it.

    References
    ----------
    Ndzomga, F. (2026). Efficient benchmarking of AI agents. arXiv 2603.23749.
    """

    lowest: float = 0.3
    highest: float = 0.7
    signal: ClassVar[Signal] = "correctness"
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.lowest <= self.highest <= 1:
            raise ConfigError(
                "mid_range: lowest and highest must be fractions in this order.",
                got=f"lowest: {self.lowest!r}, highest: {self.highest!r}",
                hint="lowest: 0.3, highest: 0.7",
            )

    @property
    def fit_key(self) -> str:
        """Names the order of the items."""
        return f"mid_range({self.lowest!r}, {self.highest!r})"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> NDArray[np.intp]:
        """(n_items,) all items, in the order in which they are chosen."""
        assert seen.responses is not None
        means = item_means(seen.responses)
        # Means of float32 responses: an item at the end of the range belongs to it.
        outside = np.round(np.maximum(np.maximum(self.lowest - means, means - self.highest), 0.0), 6)
        return np.lexsort((rng.random(seen.n_items), outside))

    def select(self, seen: SeenItems, fit: NDArray[np.intp], size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order."""
        return Selection(fit[:size])

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of averaging."""
        return 2e-9 * n_source * n_items

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the responses, and of vectors."""
        return 4 * n_source * n_items + 40 * n_items
