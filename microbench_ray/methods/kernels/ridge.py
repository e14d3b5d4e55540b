"""Ridge regressions on the source models, with the penalty that minimises the leave-one-out error, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from microbench_ray.methods.readout import FloatArray

PENALTIES = np.logspace(-4, 3, 29)
"""Candidate penalties, in units of the mean eigenvalue of the source models' Gram matrix."""
COMMON_VARIANCES = (0.0, 1.0, 10.0, 100.0)
"""Candidate variances of the common coefficient of all responses, in units of the summed variance of the single coefficients."""
MIN_VARIANCE = 1e-3
"""Smallest variance of a response among the source models: smaller ones are raised to it."""


class Dual(NamedTuple):
    """A ridge regression in dual form: the coefficient of a response is its product with `weights` over the source models."""

    weights: FloatArray
    """(n_source,)"""
    penalty: float
    loo_error: float
    """Root mean squared error over the source models, each predicted from the others."""


class Regression(NamedTuple):
    """y ≈ intercept + responses @ coefficients."""

    intercept: float
    coefficients: FloatArray
    penalty: float
    loo_error: float


def fit_regression(responses: FloatArray, y: FloatArray) -> Regression:
    """Fit a ridge regression with an intercept, which is not penalised, and the penalty of the smallest leave-one-out error.

    Parameters
    ----------
    responses
        (n, size) without gaps.
    y
        (n,) outcomes of the same models.
    """
    centre, level = responses.mean(axis=0), float(y.mean())
    x = responses - centre
    dual = fit_dual(x @ x.T, y - level)
    coefficients = x.T @ dual.weights
    return Regression(
        intercept=level - float(centre @ coefficients),
        coefficients=coefficients,
        penalty=dual.penalty,
        loo_error=dual.loo_error,
    )


def fit_dual(gram: FloatArray, y: FloatArray) -> Dual:
    """Fit the ridge regression of a centred y, (n,), from the Gram matrix of centred responses, (n, n).

    The leave-one-out errors are those with an intercept.
    """
    n = len(y)
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    scale = float(values.mean())
    if scale <= 0:
        loo_error = float(np.sqrt(np.mean((y * n / (n - 1)) ** 2)))
        return Dual(weights=np.zeros(n), penalty=float("inf"), loo_error=loo_error)
    rotated = vectors.T @ y
    shrunk = values / (values + scale * PENALTIES[:, None])
    residuals = y - (shrunk * rotated) @ vectors.T
    leverage = 1 / n + shrunk @ (vectors**2).T
    errors = np.sqrt(np.mean((residuals / np.maximum(1 - leverage, 1e-9)) ** 2, axis=1))
    best = int(np.argmin(errors))
    penalty = scale * float(PENALTIES[best])
    return Dual(weights=vectors @ (rotated / (values + penalty)), penalty=penalty, loo_error=float(errors[best]))


def predict_rest(responses: FloatArray, rest: FloatArray) -> tuple[float, FloatArray]:
    """The intercept and the coefficients, (size,), of the regression of the unobserved rest, (n,), on the responses, (n, size)."""
    centre, level = responses.mean(axis=0), float(rest.mean())
    x = responses - centre
    scales = 1 / np.maximum(np.square(x).mean(axis=0), MIN_VARIANCE)
    gram, common = (x * scales) @ x.T, x.sum(axis=1)
    common_square = float(common @ common)
    unit = float(np.trace(gram)) / common_square if common_square > 0 else 0.0
    best: tuple[Dual, float] | None = None
    for variance in COMMON_VARIANCES if unit > 0 else COMMON_VARIANCES[:1]:
        dual = fit_dual(gram + variance * unit * np.outer(common, common), rest - level)
        if best is None or dual.loo_error < best[0].loo_error:
            best = dual, variance * unit
    assert best is not None
    dual, common_variance = best
    coefficients = scales * (x.T @ dual.weights) + common_variance * float(common @ dual.weights)
    return level - float(centre @ coefficients), coefficients
