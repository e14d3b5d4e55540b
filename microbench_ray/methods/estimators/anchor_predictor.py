"""The anchor points predictor: the responses to every other item by a line from its best anchor (Vivek et al. 2024, §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SIGNALS, SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.kernels.item_statistics import item_means, standardised
from microbench_ray.methods.readout import weighted_mean

CLIP = 1e-4
"""Confidences are clipped to this distance from 0 and 1 before their logit is taken."""

VARIANTS = ("default", "paper")


class Logits(NamedTuple):
    """The source models' logits, per answer (a single one where only the confidence in the correct answer is read).

    Attributes
    ----------
    scaled
        (n_answers, n_source, n_items) float32, of mean 0 and length 1 per item: products of columns are correlations.
    mean, length
        (n_answers, n_items) float64, which turn `scaled` back into logits.
    """

    scaled: NDArray[np.float32]
    mean: NDArray[np.float64]
    length: NDArray[np.float64]


@dataclass(frozen=True)
class AnchorPredictor:
    """The accuracy of the labels that lines from the anchors predict.

    Over the source models, the logit of the confidence in each answer to an item is regressed on that of the same answer to each
    anchor, by least squares; the anchor with the smallest residual predicts the target models' confidences on the item. An item
    counts as right where the predicted confidence in the correct answer is the largest. Where only the confidence in the correct
    answer is known (or only correctness), that is predicted instead, and the estimate is its mean.

    Missing responses of the source models are set to the item's mean; of a target, the items that would be predicted from an
    unanswered anchor are left out of its mean.

    Parameters
    ----------
    signal
        `answers`, falling back to `confidence` and to `correctness`.
    variant
        `default` includes the target's own answers to the anchors; `paper` leaves them out, as the paper's code does (except
        when all items are selected).
    """

    signal: Signal = "answers"
    variant: Literal["default", "paper"] = "default"
    fit_key: ClassVar[str] = "logits"
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_signal("anchor_predictor", self.signal, (*SIGNALS, "answers"))
        if self.variant not in VARIANTS:
            raise ConfigError(
                "anchor_predictor: unknown variant.", got=repr(self.variant), hint=f"use one of {', '.join(VARIANTS)}"
            )

    @property
    def source_signal(self) -> Signal:
        """The same signal as of the targets."""
        return self.signal

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> Logits:
        """The logits from which the lines of every size are computed."""
        assert seen.responses is not None
        answers = np.moveaxis(np.atleast_3d(seen.responses), 2, 0)
        logits = [clipped_logit(each) for each in answers]
        means = [item_means(each) for each in logits]
        lengths = [np.sqrt(np.nansum(np.square(each - mean), axis=0)) for each, mean in zip(logits, means, strict=True)]
        return Logits(scaled=np.stack([standardised(each) for each in logits]), mean=np.stack(means), length=np.stack(lengths))

    def estimate(self, responses: NDArray[np.float64], selection: Selection, seen: SeenItems, fit: Logits) -> NDArray[np.float64]:
        """(n_target,) mean predicted correctness of the seen items."""
        from scipy.special import expit  # slow to import

        anchors = selection.items
        given = np.moveaxis(np.atleast_3d(responses), 2, 0)
        predicted = np.stack([predict(fit, c, anchors, clipped_logit(each)) for c, each in enumerate(given)])
        if responses.ndim == 2:
            right, own = expit(predicted[0]), responses
        else:
            assert seen.labels is not None
            right = correct(predicted, seen.labels)
            own = correct(given, seen.labels[anchors])
        right[:, anchors] = own
        if self.variant == "paper" and len(anchors) < seen.n_items:
            right[:, anchors] = np.nan
        right[np.isnan(own).all(axis=1)] = np.nan
        if seen.weights is not None:
            return weighted_mean(right, seen.weights)
        counted = np.count_nonzero(~np.isnan(right), axis=1)
        means = np.full(len(right), np.nan)
        np.divide(np.nansum(right, axis=1), counted, out=means, where=counted > 0)
        return means

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Logits, and correlations of a thousand anchors with all items, in one answer."""
        return 1e-7 * n_source * n_items

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """The responses and their logits, and the correlations of the anchors with all items, in one answer."""
        return 16 * n_source * n_items + 12 * size * n_items


def clipped_logit(confidence: NDArray[Any]) -> NDArray[Any]:
    """Logits of the confidences clipped to [`CLIP`, 1 − `CLIP`]; NaN stays NaN."""
    from scipy.special import logit  # slow to import

    logits: NDArray[Any] = logit(np.clip(confidence, CLIP, 1 - CLIP))
    return logits


def predict(fit: Logits, answer: int, anchors: NDArray[np.intp], given: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logits of one answer that the best anchors' lines predict for every item.

    Parameters
    ----------
    fit
        The source models' logits.
    answer
        Position of the answer.
    anchors
        (size,) positions of the anchors among the items.
    given
        (n_target, size) the targets' logits on the anchors.

    Returns
    -------
    numpy.ndarray
        (n_target, n_items).
    """
    scaled, mean, length = fit.scaled[answer], fit.mean[answer], fit.length[answer]
    correlation = scaled[:, anchors].T @ scaled
    # The residual is the item's own variation times 1 − r²: smallest where |r| is largest.
    best = np.abs(correlation).argmax(axis=0)
    r = correlation[best, np.arange(correlation.shape[1])].astype(np.float64)
    anchor_length = length[anchors[best]]
    slope = np.divide(r * length, anchor_length, out=np.zeros_like(r), where=(anchor_length > 0) & (r != 0))
    predicted: NDArray[np.float64] = mean + slope * (given[:, best] - mean[anchors[best]])
    return predicted


def correct(confidence: NDArray[np.float64], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """1 where the confidence in the correct answer is the largest, else 0; NaN where it is missing.

    Parameters
    ----------
    confidence
        (n_answers, n_target, n_items) confidences, or any increasing function of them.
    labels
        (n_items,) the correct answers.
    """
    missing = np.isnan(confidence).any(axis=0)
    right: NDArray[np.float64] = (np.where(missing, 0, confidence).argmax(axis=0) == labels).astype(np.float64)
    right[missing] = np.nan
    return right
