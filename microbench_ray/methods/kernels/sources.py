"""The source models as regressions use them: their responses with gaps filled, and their accuracies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection, Signal
from microbench_ray.methods.readout import FloatArray, weighted_mean

FIT_KEY = "source_accuracies"
SECONDS_PER_RESPONSE = 2e-9
MIN_SOURCES = 4
"""With fewer source models, the mean replaces the regression."""


class SourceAccuracies(NamedTuple):
    """The source models that answered at least one item.

    Attributes
    ----------
    responses
        (n_source, n_items) scores; missing ones are filled with the mean over the models that answered the item.
    accuracy
        (n_source,) mean scores over the items that each model answered, weighted where items count differently.
    confidence
        (n_source, n_items) confidences in the correct answers, filled in the same way; None if they are not read.
    weights
        (n_items,) what each item counts in the accuracies, 1 on average; None where all count the same.
    """

    responses: FloatArray
    accuracy: FloatArray
    confidence: FloatArray | None = None
    weights: FloatArray | None = None


def source_accuracies(seen: SeenItems) -> SourceAccuracies:
    """Compute them from responses (n_source, n_items), or (n_source, n_items, 2) where scores and confidences are read."""
    assert seen.responses is not None
    responses = np.asarray(seen.responses, np.float64)
    scores = responses if responses.ndim == 2 else responses[:, :, 0]
    accuracy = weighted_mean(scores, np.ones(scores.shape[1]) if seen.weights is None else seen.weights)
    answered = ~np.isnan(accuracy)
    accuracy = accuracy[answered]
    level = float(accuracy.mean()) if accuracy.size else 0.0
    confidence = None if responses.ndim == 2 else _filled(responses[answered, :, 1], level)
    weights = None if seen.weights is None else seen.weights * seen.n_items
    return SourceAccuracies(_filled(scores[answered], level), accuracy, confidence, weights)


def _filled(responses: FloatArray, level: float) -> FloatArray:
    """Responses with gaps filled by the items' means, or by `level` for an item without responses."""
    missing = np.isnan(responses)
    if not missing.any():
        return responses
    means = weighted_mean(responses.T, np.ones(len(responses)))
    return np.where(missing, np.where(np.isnan(means), level, means), responses)


def read_items(known: SourceAccuracies, selection: Selection, signal: Signal) -> FloatArray:
    """The source models' responses to the selected items, in the signal that an estimator reads of the targets.

    Returns
    -------
    numpy.ndarray
        (n_source, size); (n_source, size, 2), scores and confidences, if both are read and confidences exist.
    """
    scores = known.responses[:, selection.items]
    if signal == "correctness" or known.confidence is None:
        return scores
    confidence = known.confidence[:, selection.items]
    return confidence if signal == "confidence" else np.stack([scores, confidence], axis=2)


def source_bytes(n_source: int, n_items: int, size: int, signal: Signal) -> int:
    """Bytes of the filled responses, those to the largest selection, and a few square matrices."""
    signals = 1 if signal == "correctness" else 2
    return 8 * n_source * (signals * (2 * n_items + 3 * size) + 4 * n_source)


def mean_coefficients(selection: Selection, seen: SeenItems, *, both: bool) -> NDArray[np.float64]:
    """Coefficients of the mean of the scores, in which they count as in the accuracy; with `both`, those of the confidences are 0.

    Divided by the number of seen items, each is the item's share of the accuracy.
    """
    coefficients = seen.stand_for(selection.items, np.ones(len(selection.items)))
    return np.stack([coefficients, np.zeros_like(coefficients)], axis=1) if both else coefficients
