"""metabench's choice of items (Kipnis et al. 2024): the most informative ones at every level of ability."""

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
    """Items in turns: every bin of ability takes the item left that tells most about the models in it.

    A two-parameter logistic model is fitted to the source models' correctness, and the models are parted into bins of equal
    numbers by their ability (by the accuracy that the model expects of them). An item's information for a bin is the mean, over
    the models in it, of the Fisher information p (1 − p) ‖a‖² at their abilities (in several dimensions the trace of the matrix).
    In every round each bin takes one item; the bins come in an order in which any first few of them are spread out, so that
    sizes nest and small ones are balanced too. Of equally informative items the first is taken.

    Missing responses are left out of the likelihood; graded ones enter as fractions.

    Parameters
    ----------
    bins
        Of ability; fewer where there are fewer source models.
    dims
        Dimensions of the IRT model, an upper limit. With the estimator's, one fit serves both.

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
        """The first `size` items of the order; they have no weights."""
        return Selection(in_turns(information(fit, self.bins), size))


def information(fit: IrtFit, bins: int) -> NDArray[np.float64]:
    """(≤ bins, n_items) mean Fisher information for the fitted models of every bin, from the least able ones to the ablest."""
    expected = np.concatenate([probabilities(fit, row[None]).mean(axis=1) for row in fit.ability])
    strength = np.square(fit.discrimination).sum(axis=1)
    found = []
    for models in np.array_split(np.argsort(expected, kind="stable"), min(bins, len(expected))):
        right = probabilities(fit, fit.ability[models])
        found.append((right * (1 - right)).mean(axis=0) * strength)
    return np.array(found)


def in_turns(values: NDArray[np.float64], size: int) -> NDArray[np.intp]:
    """Columns taken one after the other by the rows in turn, each the largest of its row that is left.

    Parameters
    ----------
    values
        (n_rows, n_columns).
    size
        At most n_columns.

    Returns
    -------
    numpy.ndarray
        (size,) in the order in which they are taken.
    """
    order = np.argsort(-values, axis=1, kind="stable")
    turns = spread_order(len(values))
    place, taken = np.zeros(len(values), np.intp), np.zeros(values.shape[1], bool)
    chosen: list[int] = []
    while len(chosen) < size:
        row = turns[len(chosen) % len(turns)]
        while taken[order[row, place[row]]]:
            place[row] += 1
        column = int(order[row, place[row]])
        taken[column] = True
        chosen.append(column)
    return np.array(chosen, np.intp)


def spread_order(n: int) -> list[int]:
    """0 to n − 1 such that any first few are spread out: the middle, then middles of the largest gaps; of equal ones the first."""
    left, order = list(range(n)), [n // 2] if n else []
    while len(order) < n:
        free = [k for k in left if k not in order]
        order.append(max(free, key=lambda k: (min(abs(k - each) for each in order), -k)))
    return order
