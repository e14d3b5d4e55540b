"""Minimum redundancy, maximum relevance: items that tell most of the accuracy and least of one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection, Signal
from microbench_ray.methods.kernels.mutual_information import ItemInformation, information_on_accuracy, response_levels
from microbench_ray.methods.kernels.sources import MIN_SOURCES, source_accuracies
from microbench_ray.methods.readout import FloatArray

SECONDS_PER_RESPONSE = 2e-6
"""CPU seconds of the relevance, and of about 500 steps, per source model and item."""
NOISE = 1e-7
"""Equal accuracies of source models are set apart by uniform noise of at most this."""
MIN_REDUNDANCY = 1e-9
"""Mean redundancy, in nats, below which items count as independent."""


class MrmrOrder:
    """The order in which items are chosen, computed lazily.

    Parameters
    ----------
    relevance
        (n_items,)
    information
        Mutual information of pairs of items.
    tie_order
        (n_items,) a permutation: of equal items, the first one in it is chosen.
    """

    def __init__(self, relevance: FloatArray, information: ItemInformation | None, tie_order: NDArray[np.intp]) -> None:
        self._relevance, self._information, self._tie_order = relevance[tie_order], information, tie_order
        self._redundancy = np.zeros(len(relevance))
        self._left = np.ones(len(relevance), bool)
        self._order: list[int] = []

    def first(self, size: int) -> NDArray[np.intp]:
        """(size,) positions of the first `size` chosen items."""
        while len(self._order) < size:
            chosen = len(self._order)
            quotient = self._relevance
            if chosen:
                quotient = quotient / np.maximum(self._redundancy / chosen, MIN_REDUNDANCY)
            place = int(np.argmax(np.where(self._left, quotient, -1.0)))
            item = int(self._tie_order[place])
            if self._information is not None:
                self._redundancy += self._information.with_item(item)[self._tie_order]
            self._left[place] = False
            self._order.append(item)
        return np.array(self._order[:size], np.intp)


@dataclass(frozen=True)
class Mrmr:
    """Greedy selection by the quotient of relevance and redundancy (Peng et al. 2005, Ding and Peng 2005; Bowyer et al. 2026).

    The first item is the most relevant one; each next one has the largest quotient of its relevance and its mean redundancy with
    the items already chosen. Relevance is the mutual information of the item's responses with the source models' accuracies, by
    nearest neighbours (Ross 2014, k = 3); redundancy is that of two items' responses, from the counts of models. Graded responses
    are cut at the item's terciles first, and equal accuracies are set apart by noise. Equal items, such as those without
    relevance, come in random order.

    Sizes nest: the items of a smaller size are the first of a larger one. A missing response counts as the item's mean. With fewer
    than four source models the order is random.

    References
    ----------
    Peng, H., Long, F. and Ding, C. (2005). Feature selection based on mutual information: criteria of max-dependency,
    max-relevance, and min-redundancy. IEEE TPAMI 27.
    Ding, C. and Peng, H. (2005). Minimum redundancy feature selection from microarray gene expression data. JBCB 3.
    Ross, B. C. (2014). Mutual information between discrete and continuous data sets. PLoS ONE 9(2).
    Bowyer, S., Locatelli, A. and Cao, K. (2026). Efficient benchmarking is just feature selection and multiple regression.
    arXiv 2605.25773.
    """

    signal: ClassVar[Signal] = "correctness"
    nested: ClassVar[bool] = True
    fit_key: ClassVar[str] = "mrmr"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> MrmrOrder:
        """Compute the relevance of all items."""
        known = source_accuracies(seen)
        tie_order = rng.permutation(seen.n_items)
        if len(known.accuracy) < MIN_SOURCES:
            return MrmrOrder(np.zeros(seen.n_items), None, tie_order)
        levels = response_levels(known.responses)
        relevance = information_on_accuracy(levels, known.accuracy + NOISE * rng.random(len(known.accuracy)))
        return MrmrOrder(relevance, ItemInformation(levels), tie_order)

    def select(self, seen: SeenItems, fit: MrmrOrder, size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order."""
        return Selection(fit.first(size))

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of the relevance of all items, and of about 500 steps."""
        return SECONDS_PER_RESPONSE * n_source * n_items

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of about a dozen arrays of the responses' shape."""
        return 8 * n_source * n_items * 14
