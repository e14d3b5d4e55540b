"""Mean response and standardised responses of every item over the source models."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray


def item_means(responses: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean response of every item over the models that answered it; the mean of these where none did.

    Parameters
    ----------
    responses
        (n_models, n_items), NaN where missing.
    """
    means: NDArray[np.float64] = responses.mean(axis=0, dtype=np.float64)
    gaps = np.isnan(means)
    if gaps.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is dealt with in the next lines
            means[gaps] = np.nanmean(responses[:, gaps], axis=0, dtype=np.float64)
        unanswered = np.isnan(means)
        means[unanswered] = 0.5 if unanswered.all() else means[~unanswered].mean()
    return means


def standardised(responses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each item's responses less their mean, scaled to length 1: products of columns are correlations.

    Parameters
    ----------
    responses
        (n_models, n_items), NaN where missing: these become 0, the item's mean.

    Returns
    -------
    numpy.ndarray
        (n_models, n_items) float32; a column of zeros for an item on which all responses are the same.
    """
    centred = responses - item_means(responses).astype(np.float32)
    centred[np.isnan(centred)] = 0
    length = np.sqrt(np.square(centred).sum(axis=0, dtype=np.float64))
    # A millionth is rounding: responses in [0, 1] are float32.
    constant = length <= 1e-6 * np.sqrt(len(responses))
    centred /= np.where(constant, 1, length).astype(np.float32)
    centred[:, constant] = 0
    return centred
