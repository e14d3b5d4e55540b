"""Ridge regressions on the source models, with the penalty of the smallest leave-one-out error in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from microbench_ray.methods.readout import FloatArray

PENALTIES = np.logspace(-4, 3, 29)
"""Penalties that are tried, in units of the mean eigenvalue of the source models' Gram matrix."""
LEVELS = (0.0, 1.0, 10.0, 100.0)
"""How much more freely the common coefficient of all responses varies than a single one does, in units of the others' sum."""
MIN_VARIANCE = 1e-3
"""A response that hardly varies among the source models counts as if it had this variance."""


class Dual(NamedTuple):
    """A ridge regression by its source models: what a response counts is its covariance with `weights`."""

    weights: FloatArray
    """(n_source,)"""
    penalty: float
    loo_error: float
    """Root mean squared error of every source model predicted from the others."""


class Regression(NamedTuple):
    """y ≈ intercept + responses @ coefficients."""

    intercept: float
    coefficients: FloatArray
    penalty: float
    loo_error: float


def fit_regression(responses: FloatArray, y: FloatArray) -> Regression:
    """Ridge regression with an intercept that is not penalised, and the penalty with the smallest leave-one-out error.

    Parameters
    ----------
    responses
        (n, size) without gaps.
    y
        (n,) of the same models.
    """
    centre, level = responses.mean(axis=0), float(y.mean())
    x = responses - centre
    dual = fit_dual(x @ x.T, y - level)
    coefficients = x.T @ dual.weights
    return Regression(level - float(centre @ coefficients), coefficients, dual.penalty, dual.loo_error)


def fit_dual(gram: FloatArray, y: FloatArray) -> Dual:
    """The ridge regression of a centred y, (n,), by the Gram matrix of centred responses, (n, n).

    The leave-one-out errors are those with an intercept.
    """
    n = len(y)
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    scale = float(values.mean())
    if scale <= 0:
        return Dual(np.zeros(n), float("inf"), float(np.sqrt(np.mean((y * n / (n - 1)) ** 2))))
    turned = vectors.T @ y
    shrunk = values / (values + scale * PENALTIES[:, None])
    residuals = y - (shrunk * turned) @ vectors.T
    leverage = 1 / n + shrunk @ (vectors**2).T
    errors = np.sqrt(np.mean((residuals / np.maximum(1 - leverage, 1e-9)) ** 2, axis=1))
    best = int(np.argmin(errors))
    penalty = scale * float(PENALTIES[best])
    return Dual(vectors @ (turned / (values + penalty)), penalty, float(errors[best]))


def predict_rest(responses: FloatArray, rest: FloatArray) -> tuple[float, FloatArray]:
    """The intercept and coefficients, (size,), of the regression of what is left, (n,), on the responses, (n, size)."""
    centre, level = responses.mean(axis=0), float(rest.mean())
    x = responses - centre
    scales = 1 / np.maximum(np.square(x).mean(axis=0), MIN_VARIANCE)
    gram, common = (x * scales) @ x.T, x.sum(axis=1)
    spread = float(common @ common)
    unit = float(np.trace(gram)) / spread if spread > 0 else 0.0
    best = None
    for freedom in LEVELS if unit > 0 else LEVELS[:1]:
        dual = fit_dual(gram + freedom * unit * np.outer(common, common), rest - level)
        if best is None or dual.loo_error < best[0].loo_error:
            best = dual, freedom * unit
    assert best is not None
    weights = best[0].weights
    coefficients = scales * (x.T @ weights) + best[1] * float(common @ weights)
    return level - float(centre @ coefficients), coefficients
