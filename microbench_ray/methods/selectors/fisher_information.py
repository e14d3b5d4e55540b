"""The item selection of metabench (Kipnis et al. 2024): the most informative items at every level of ability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal
from microbench_ray.methods.kernels.irt import IrtFit, probabilities
from microbench_ray.methods.kernels.irt_fit import FitsIrt, check_dims


@dataclass(frozen=True)
class FisherInformation(FitsIrt):
    """Bins of ability take turns in choosing the remaining item that is most informative about their models.

    A two-parameter logistic model is fitted to the source models' correctness, and the models are divided into bins of equal
    numbers by their ability (by the accuracy that the model expects of them). An item's information for a bin is the mean, over
    the models in it, of the Fisher information p (1 − p) ‖a‖² at their abilities (in several dimensions the trace of the matrix).
    In every round each bin chooses one item. The order of the bins is such that the first few are always spread over all abilities:
    sizes nest, and small ones are balanced too. Of equally informative items the first is chosen.

    Missing responses are left out of the likelihood; graded ones enter as fractions.

    Parameters
    ----------
    bins
        Number of bins of ability; fewer if there are fewer source models.
    dims
        Maximum number of dimensions of the IRT model; if equal to the estimator's, one fit serves both.

    References
    ----------
    Kipnis, A., Voudouris, K., Schulze Buschoff, L. M. and Schulz, E. (2024). metabench: a sparse benchmark to measure general
    ability in large language models. arXiv:2407.12844.
    """

    bins: int = 10
    dims: int = 10
    signal: ClassVar[Signal] = "correctness"
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_dims("fisher_information", self.dims)
        if self.bins < 1:
            raise ConfigError("fisher_information: bins must be at least 1.", got=str(self.bins))

    def select(self, seen: SeenItems, fit: IrtFit, size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order, without weights."""
        return Selection(in_turns(information(fit, self.bins), size))


def information(fit: IrtFit, bins: int) -> NDArray[np.float64]:
    """(≤ bins, n_items) mean Fisher information for the fitted models of every bin, by increasing ability."""
    expected = np.concatenate([probabilities(fit, row[None]).mean(axis=1) for row in fit.ability])
    strength = np.square(fit.discrimination).sum(axis=1)
    by_bin = []
    for models in np.array_split(np.argsort(expected, kind="stable"), min(bins, len(expected))):
        right = probabilities(fit, fit.ability[models])
        by_bin.append((right * (1 - right)).mean(axis=0) * strength)
    return np.array(by_bin)


def in_turns(values: NDArray[np.float64], size: int) -> NDArray[np.intp]:
    """Columns chosen by the rows in turn, each the remaining column with the largest value in the row.

    Parameters
    ----------
    values
        (n_rows, n_columns).
    size
        At most n_columns.

    Returns
    -------
    numpy.ndarray
        (size,) in the order in which they are chosen.
    """
    order = np.argsort(-values, axis=1, kind="stable")
    turns = spread_order(len(values))
    position, taken = np.zeros(len(values), np.intp), np.zeros(values.shape[1], bool)
    chosen: list[int] = []
    while len(chosen) < size:
        row = turns[len(chosen) % len(turns)]
        while taken[order[row, position[row]]]:
            position[row] += 1
        column = int(order[row, position[row]])
        taken[column] = True
        chosen.append(column)
    return np.array(chosen, np.intp)


def spread_order(n: int) -> list[int]:
    """0 to n − 1, such that the first few are always spread out: each is farthest from those before, starting in the middle."""
    order = [n // 2] if n else []
    while len(order) < n:
        free = [k for k in range(n) if k not in order]
        order.append(max(free, key=lambda k: (min(abs(k - each) for each in order), -k)))
    return order
