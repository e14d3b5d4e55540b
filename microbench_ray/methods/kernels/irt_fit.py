"""The IRT model that selectors and estimators share: one fit to the source models serves all of them."""

from __future__ import annotations

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems
from microbench_ray.methods.kernels.irt import IrtFit, fit_irt


class FitsIrt:
    """Mixin of selectors and estimators that fit an IRT model to the source models; one fit serves all of them."""

    dims: int

    @property
    def fit_key(self) -> str:
        """Names the IRT model."""
        return irt_key(self.dims)

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> IrtFit:
        """Fit the IRT model to the source models' responses to the seen items."""
        assert seen.responses is not None
        return fit_irt(seen.responses, self.dims)

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of the IRT model."""
        return irt_seconds(self.dims, n_source, n_items)

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Cost of the IRT model."""
        return irt_bytes(self.dims, n_source, n_items)


def check_dims(owner: str, dims: int) -> None:
    """Raise ConfigError unless there is at least one dimension."""
    if dims < 1:
        raise ConfigError(f"{owner}: dims must be at least 1.", got=str(dims))


def irt_key(dims: int) -> str:
    """The key of the fit of an IRT model to all source models, which selectors and estimators share."""
    return f"irt-{dims}"


def irt_seconds(dims: int, n_source: int, n_items: int) -> float:
    """Expected CPU seconds of fitting an IRT model; with fewer models a pass is faster, but more passes are needed."""
    return 0.1 + 8e-9 * max(n_source, 300) * n_items * (dims + 1) ** 2


def irt_bytes(dims: int, n_source: int, n_items: int) -> int:
    """Bytes of the responses and of the posteriors of items and abilities."""
    packed = (dims + 1) * (dims + 2) // 2
    return 20 * n_source * n_items + 36 * n_items * packed + 16 * n_source * (dims + 1) ** 2
