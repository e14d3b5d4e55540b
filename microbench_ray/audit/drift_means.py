"""Deviations of added models from what a baseline predicts, in units of their standard error, for many divisions of the models.

A division splits the models into a baseline and added models. In each, a curve is fitted to the models of the baseline alone, and
the added models are compared with it. As the error is estimated from the same baseline (a Student statistic), a small baseline,
or one with a model unlike the others, has a large error in its own division.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

N_TERMS = 3
"""Terms of a quadratic function."""
RIDGE = 1e-9
"""Added to the normal equations, relative to the number of models: a baseline that leaves its curve open gets a huge error."""


class BaselineFits(NamedTuple):
    """One fit per division. Models without a value count in none of them.

    Attributes
    ----------
    basis
        (n_models, n_terms) terms of the curve, 0 for models without a value.
    known
        (n_models,) 1 for models with a value, else 0.
    excess
        (n_models,) value − curve fitted to all models, 0 for models without a value; the deviations are the same from any curve.
    coefficients
        (n_divisions, n_terms) of the curve through `excess` of the baseline.
    inverse
        (n_divisions, n_terms, n_terms) inverse of the normal equations.
    error
        (n_divisions,) standard deviation of a model of the baseline about the curve.
    """

    basis: FloatArray
    known: FloatArray
    excess: FloatArray
    coefficients: FloatArray
    inverse: FloatArray
    error: FloatArray


class MeanDeviations(NamedTuple):
    """By division, the mean deviation of a group of models, and its standard error; NaN without a model that has a value."""

    deviation: FloatArray
    error: FloatArray


class LargestDeviations(NamedTuple):
    """By division, the deviation that is the largest in units of its standard error: its size, this error, and its model.

    Without a model that has a value, the size is 0.
    """

    deviation: FloatArray
    error: FloatArray
    model: NDArray[np.intp]


def fit_baselines(values: FloatArray, predictor: FloatArray | None, base: FloatArray, step: float) -> BaselineFits:
    """Fit the values of each baseline by their mean, or by a quadratic function of a predictor.

    Parameters
    ----------
    values
        (n_models,) NaN for models without a value; at least one has one.
    predictor
        (n_models,) of the quadratic function; None for the mean.
    base
        (n_divisions, n_models) 1 for models of the baseline, else 0.
    step
        The smallest difference between two values. The error counts one more model, which is off by this much, so that it is not
        0 if all models of a baseline have the same value.
    """
    known = ~np.isnan(values if predictor is None else values + predictor)
    basis = np.zeros((values.size, 1)) if predictor is None else np.zeros((values.size, N_TERMS))
    basis[known] = 1.0 if predictor is None else np.vander(_standardised(predictor[known]), N_TERMS)
    basis = _orthogonal(basis, int(known.sum()))
    n_terms = basis.shape[1]
    filled = np.where(known, values, 0.0)
    excess = filled - basis @ (basis.T @ filled) / max(known.sum(), 1)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(values.size, -1)
    columns = np.column_stack([products, basis * excess[:, None], excess**2, known])
    sums = base @ columns
    normal = sums[:, : n_terms**2].reshape(-1, n_terms, n_terms)
    right, squares, count = sums[:, n_terms**2 : -2], sums[:, -2], sums[:, -1]
    inverse = np.linalg.inv(normal + RIDGE * max(known.sum(), 1) * np.eye(n_terms))
    coefficients = np.einsum("dij,dj->di", inverse, right)
    rest = np.maximum(squares - (coefficients * right).sum(axis=1), 0.0)
    error = np.sqrt((rest + step**2) / (np.maximum(count - n_terms, 0.0) + 1))
    return BaselineFits(basis, known.astype(np.float64), excess, coefficients, inverse, error)


def mean_deviations(fits: BaselineFits, group: FloatArray) -> MeanDeviations:
    """The mean deviations of a group of added models.

    Parameters
    ----------
    fits
        From `fit_baselines`.
    group
        (n_divisions, n_models) 1 for models of the group, else 0.
    """
    sums = group @ np.column_stack([fits.basis, fits.excess, fits.known])
    count = np.where(sums[:, -1] > 0, sums[:, -1], np.nan)
    place, excess = sums[:, :-2] / count[:, None], sums[:, -2] / count
    deviation = excess - (place * fits.coefficients).sum(axis=1)
    leverage = np.einsum("di,dij,dj->d", place, fits.inverse, place)
    return MeanDeviations(deviation, fits.error * np.sqrt(1 / count + leverage))


def largest_deviations(fits: BaselineFits, members: NDArray[np.intp]) -> LargestDeviations:
    """The largest deviations of single added models.

    Parameters
    ----------
    fits
        From `fit_baselines`.
    members
        (n_divisions, n_members) positions of the added models.
    """
    place = fits.basis[members]
    deviation = np.abs(fits.excess[members] - np.einsum("dmi,di->dm", place, fits.coefficients)) * fits.known[members]
    leverage = np.einsum("dmi,dij,dmj->dm", place, fits.inverse, place)
    error = fits.error[:, None] * np.sqrt(1 + leverage)
    rows, worst = np.arange(len(members)), np.argmax(deviation / error, axis=1)
    return LargestDeviations(deviation[rows, worst], error[rows, worst], members[rows, worst])


def _standardised(values: FloatArray) -> FloatArray:
    spread = float(values.std())
    scaled: FloatArray = (values - values.mean()) / (spread if spread > 0 else 1.0)
    return scaled


def _orthogonal(basis: FloatArray, n_known: int) -> FloatArray:
    """Uncorrelated terms with a mean square of 1 that span the same functions; redundant terms are left out."""
    kept, sizes, _ = np.linalg.svd(basis, full_matrices=False)
    terms: FloatArray = kept[:, sizes > 1e-8 * max(sizes[0], 1e-300)] * np.sqrt(n_known)
    return terms
