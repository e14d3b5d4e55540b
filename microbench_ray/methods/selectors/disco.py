"""DISCO (Rubinstein et al. 2025): the items on which the source models disagree most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from microbench_ray.methods.base import SIGNALS, SeenItems, Selection, Signal, check_signal

BLOCK_ITEMS = 256
"""Items that are worked on at a time, so that what is computed on the way stays small."""
DIGITS = 12
"""Disagreements that are equal but for rounding are ties."""


@dataclass(frozen=True)
class Disco:
    """The items with the largest disagreement of the source models, one by one; nothing is done against choosing items alike.

    The disagreement on an item is the generalised Jensen–Shannon divergence of the models' predictions: the entropy of their mean
    less the mean of their entropies. A prediction is the distribution over the answers, where these are known; else the one over
    right and wrong that a confidence or a score in [0, 1] stands for. Of right and wrong answers it rises with the variance, and
    the items nearest to half the models right come first. Of equal ones the first among the items.

    Missing responses: an item's disagreement is that of the models that answered it; an item that none answered has none.

    Parameters
    ----------
    signal
        `answers`, falling back to `confidence` and to `correctness`. Answers whose confidences do not sum to 1 are scaled so.

    References
    ----------
    Rubinstein, A., Raible, B., Gubri, M. and Oh, S. J. (2025). DISCO: Diversifying sample condensation for efficient model
    evaluation. arXiv:2510.07959, §3.
    """

    signal: Signal = "answers"
    nested: ClassVar[bool] = True
    fit_key: ClassVar[str] = "disagreement"

    def __post_init__(self) -> None:
        check_signal("disco", self.signal, (*SIGNALS, "answers"))

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> NDArray[np.intp]:
        """(n_items,) the items in order of falling disagreement."""
        assert seen.responses is not None
        starts = range(0, seen.n_items, BLOCK_ITEMS)
        blocks = [disagreement(seen.responses[:, start : start + BLOCK_ITEMS]) for start in starts]
        return np.argsort(-np.round(np.concatenate(blocks), DIGITS), kind="stable")

    def select(self, seen: SeenItems, fit: NDArray[np.intp], size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order; they have no weights."""
        return Selection(fit[:size])

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Logarithms of all responses."""
        return 1e-7 * n_source * n_items

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """The responses, and what is computed of a block of items."""
        return n_source * (4 * n_items + 64 * BLOCK_ITEMS) + 40 * n_items


def disagreement(responses: NDArray[np.floating]) -> NDArray[np.float64]:
    """Generalised Jensen–Shannon divergence of the models' predictions, in nats.

    Parameters
    ----------
    responses
        (n_models, n_items) in [0, 1], or (n_models, n_items, n_answers) not negative; NaN where missing.

    Returns
    -------
    numpy.ndarray
        (n_items,), at least 0; 0 for an item that no model answered.
    """
    given = responses.astype(np.float64)
    given = np.stack([given, 1 - given], axis=2) if given.ndim == 2 else given
    total = given.sum(axis=2, keepdims=True)
    answered = total > 0
    share = np.divide(given, total, out=np.zeros_like(given), where=answered)
    count = np.maximum(answered.sum(axis=0), 1)
    mean = share.sum(axis=0) / count
    own = -xlogy(share, share).sum(axis=2).sum(axis=0) / count[:, 0]
    shared = -xlogy(mean, mean).sum(axis=1)
    divergence: NDArray[np.float64] = np.maximum(shared - own, 0.0)
    return divergence
