"""What as many random items would do, in closed form: their error, and Wilson's interval for finite benchmarks and graded
scores."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

CHANCE = 2.0
"""Standard errors beyond which a difference of squared errors is not put down to chance."""


def sampling_variance(variance: FloatArray, n: int, n_items: int) -> FloatArray:
    """Variance of the mean of `n` items drawn without replacement from `n_items`.

    Parameters
    ----------
    variance
        Variance of a model's responses over all items, by their number: p (1 − p) for right and wrong answers.
    n, n_items
        Size of the sample, and the number of all items.
    """
    if n >= n_items:
        return np.zeros_like(variance)
    sampled: FloatArray = variance / n * (n_items - n) / (n_items - 1)
    return sampled


def dispersion(accuracy: FloatArray, variance: FloatArray) -> float:
    """Mean ratio of the variance of known models' responses to that of right and wrong answers; 1 for those, less for graded
    scores.

    Parameters
    ----------
    accuracy, variance
        (n_models,) of the responses over all items; models with a NaN or the accuracy 0 or 1 are left out.
    """
    binary = accuracy * (1 - accuracy)
    used = (binary > 0) & ~np.isnan(variance)
    return min(1.0, float((variance[used] / binary[used]).mean())) if used.any() else 1.0


def own_dispersion(responses: FloatArray) -> float:
    """The same ratio of one model's responses to random items, (n,) without NaN; 0 where it cannot be said."""
    mean = float(responses.mean())
    binary = mean * (1 - mean)
    return min(1.0, float(responses.var()) / binary) if binary > 0 else 0.0


class Comparison(NamedTuple):
    """The error of a micro-benchmark on held-out models beside that of as many random items read by their mean.

    Attributes
    ----------
    root_mean_square
        Of the held-out errors, a fraction.
    random
        The same that as many random items are expected to have on these models.
    verdict
        Which has the smaller error: `random`, `this`, or `either` where the difference may be chance.
    """

    root_mean_square: float
    random: float
    verdict: str


def compare_with_random(errors: FloatArray, variances: FloatArray, groups: NDArray[np.intp]) -> Comparison | None:
    """Compare held-out errors with the closed form of random items; None without errors.

    Parameters
    ----------
    errors
        (n,) held-out errors, NaN for a model without an estimate.
    variances
        (n,) `sampling_variance` of the same models.
    groups
        (n,) the models' groups, which are the units of chance.
    """
    used = ~np.isnan(errors) & ~np.isnan(variances)
    if not used.any():
        return None
    squares, expected = np.square(errors[used]), variances[used]
    _, codes = np.unique(groups[used], return_inverse=True)
    differences = np.bincount(codes, squares - expected) / np.bincount(codes)
    n = differences.size
    verdict, standard_error = "either", float(differences.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    if abs(float(differences.mean())) > CHANCE * standard_error:
        verdict = "random" if differences.mean() > 0 else "this"
    return Comparison(root_mean_square=math.sqrt(float(squares.mean())), random=math.sqrt(float(expected.mean())), verdict=verdict)
