"""The IRT model that selectors and estimators share: one fit to all source models serves all of them."""

from __future__ import annotations

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems
from microbench_ray.methods.kernels.irt import IrtFit, fit_irt


class FitsIrt:
    """The part of a selector, or of an estimator, that fits an IRT model to all source models; one fit serves all of them."""

    dims: int

    @property
    def fit_key(self) -> str:
        """Names the IRT model."""
        return irt_key(self.dims)

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> IrtFit:
        """The IRT model of the source models' responses to the seen items."""
        assert seen.responses is not None
        return fit_irt(seen.responses, self.dims)

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Of the IRT model."""
        return irt_seconds(self.dims, n_source, n_items)

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Of the IRT model."""
        return irt_bytes(self.dims, n_source, n_items)


def check_dims(owner: str, dims: int) -> None:
    """Raise ConfigError unless there is at least one dimension."""
    if dims < 1:
        raise ConfigError(f"{owner}: dims must be at least 1.", got=str(dims))


def irt_key(dims: int) -> str:
    """The name of the fit of an IRT model to all source models, which selector and estimators share."""
    return f"irt-{dims}"


def irt_seconds(dims: int, n_source: int, n_items: int) -> float:
    """Expected CPU seconds of fitting an IRT model; from fewer models a pass takes less, but there are more of them."""
    return 0.1 + 8e-9 * max(n_source, 300) * n_items * (dims + 1) ** 2


def irt_bytes(dims: int, n_source: int, n_items: int) -> int:
    """Bytes of the responses as they are read, and of the items' and abilities' posteriors."""
    packed = (dims + 1) * (dims + 2) // 2
    return 20 * n_source * n_items + 36 * n_items * packed + 16 * n_source * (dims + 1) ** 2
