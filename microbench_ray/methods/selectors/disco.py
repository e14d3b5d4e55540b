"""DISCO (Rubinstein et al. 2025): the items on which the source models disagree most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SIGNALS, SeenItems, Selection, Signal, check_signal

BLOCK_ITEMS = 256
"""Items that are processed at a time, to bound the memory of intermediate arrays."""
DIGITS = 12
"""Disagreements are rounded to this many digits, so that values equal up to rounding errors are ties."""


@dataclass(frozen=True)
class Disco:
    """The items with the largest disagreement of the source models. Similar items are not avoided.

    The disagreement on an item is the generalised Jensen–Shannon divergence of the models' predictions: the entropy of their mean
    minus the mean of their entropies. A prediction is the distribution over the answers, where these are known; otherwise the
    distribution over right and wrong given by a confidence or a score in [0, 1]. For right and wrong answers the divergence
    increases with the variance, so items that about half of the models answer correctly come first. Ties are broken by position.

    Missing responses: an item's disagreement is that of the models that answered it, and 0 if no model did.

    Parameters
    ----------
    signal
        `answers`, falling back to `confidence` and to `correctness`. Confidences that do not sum to 1 over the answers are
        rescaled.

    References
    ----------
    Rubinstein, A., Raible, B., Gubri, M. and Oh, S. J. (2025). DISCO: Diversifying sample condensation for efficient model
    evaluation. arXiv:2510.07959, §3.
    """

    signal: Signal = "answers"
    nested: ClassVar[bool] = True
    fit_key: ClassVar[str] = "disagreement"
    ignores_order: ClassVar[tuple[str, ...]] = ("models",)

    def __post_init__(self) -> None:
        check_signal("disco", self.signal, (*SIGNALS, "answers"))

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> NDArray[np.intp]:
        """(n_items,) positions of the items, by decreasing disagreement."""
        assert seen.responses is not None
        starts = range(0, seen.n_items, BLOCK_ITEMS)
        blocks = [disagreement(seen.responses[:, start : start + BLOCK_ITEMS]) for start in starts]
        return np.argsort(-np.round(np.concatenate(blocks), DIGITS), kind="stable")

    def select(self, seen: SeenItems, fit: NDArray[np.intp], size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order, without weights."""
        return Selection(fit[:size])

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of the logarithms of all responses."""
        return 1e-7 * n_source * n_items

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the responses and of the arrays for a block of items."""
        return n_source * (4 * n_items + 64 * BLOCK_ITEMS) + 40 * n_items


def disagreement(responses: NDArray[np.floating]) -> NDArray[np.float64]:
    """Generalised Jensen–Shannon divergence of the models' predictions, in nats.

    Parameters
    ----------
    responses
        (n_models, n_items) in [0, 1], or non-negative (n_models, n_items, n_answers); NaN where missing.

    Returns
    -------
    numpy.ndarray
        (n_items,), at least 0; 0 for an item that no model answered.
    """
    from scipy.special import xlogy  # slow to import

    given = responses.astype(np.float64)
    given = np.stack([given, 1 - given], axis=2) if given.ndim == 2 else given
    total = given.sum(axis=2, keepdims=True)
    answered = total > 0
    share = np.divide(given, total, out=np.zeros_like(given), where=answered)
    count = np.maximum(answered.sum(axis=0), 1)
    mean = share.sum(axis=0) / count
    mean_entropy = -xlogy(share, share).sum(axis=2).sum(axis=0) / count[:, 0]
    entropy_of_mean = -xlogy(mean, mean).sum(axis=1)
    divergence: NDArray[np.float64] = np.maximum(entropy_of_mean - mean_entropy, 0.0)
    return divergence
