"""Mean and standardised responses of every item over the source models."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray


def item_means(responses: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean response to every item over the models that answered it; for an item without responses, the mean of the other means.

    Parameters
    ----------
    responses
        (n_models, n_items), NaN where missing.
    """
    means: NDArray[np.float64] = responses.mean(axis=0, dtype=np.float64)
    gaps = np.isnan(means)
    if gaps.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # items without responses are handled in the next lines
            means[gaps] = np.nanmean(responses[:, gaps], axis=0, dtype=np.float64)
        unanswered = np.isnan(means)
        means[unanswered] = 0.5 if unanswered.all() else means[~unanswered].mean()
    return means


def standardised(responses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each item's responses minus their mean, scaled to length 1: products of columns are correlations.

    Parameters
    ----------
    responses
        (n_models, n_items), NaN where missing, which becomes 0, the item's mean.

    Returns
    -------
    numpy.ndarray
        (n_models, n_items) float32; a column of zeros for an item with equal responses.
    """
    centred = responses - item_means(responses).astype(np.float32)
    centred[np.isnan(centred)] = 0
    length = np.sqrt(np.square(centred).sum(axis=0, dtype=np.float64))
    # Responses in [0, 1] are float32, so a millionth is rounding error.
    constant = length <= 1e-6 * np.sqrt(len(responses))
    centred /= np.where(constant, 1, length).astype(np.float32)
    centred[:, constant] = 0
    return centred
