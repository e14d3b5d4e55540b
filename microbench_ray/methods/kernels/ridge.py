"""Ridge regressions on the source models, with the penalty that minimises the leave-one-out error, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    loo_residuals: FloatArray
    """(n_source,) each model's y minus its prediction from the models of other groups, at this penalty."""

    @property
    def loo_error(self) -> float:
        """Root mean squared leave-one-out error."""
        return float(np.sqrt(np.mean(np.square(self.loo_residuals))))


class Regression(NamedTuple):
    """y ≈ intercept + responses @ coefficients."""

    intercept: float
    coefficients: FloatArray
    dual: Dual
    """The regression in dual form, with its penalty and leave-one-out residuals."""


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
        dual=dual,
    )


def fit_dual(gram: FloatArray, y: FloatArray, groups: NDArray[np.intp] | None = None) -> Dual:
    """Fit the ridge regression of a centred y, (n,), from the Gram matrix of centred responses, (n, n).

    The leave-one-out errors are those with an intercept. Models with the same label of `groups`, (n,), are left out together; None
    where each is its own.
    """
    n = len(y)
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    scale = float(values.mean())
    if scale <= 0:
        return Dual(weights=np.zeros(n), penalty=float("inf"), loo_residuals=y * n / (n - 1))
    rotated = vectors.T @ y
    shrunk = values / (values + scale * PENALTIES[:, None])
    residuals = y - (shrunk * rotated) @ vectors.T
    leverage = 1 / n + shrunk @ (vectors**2).T
    loo_residuals = residuals / np.maximum(1 - leverage, 1e-9)
    for members in () if groups is None else _shared(groups):
        n_groups, size = members.shape
        one, other = np.repeat(members, size, axis=1).ravel(), np.tile(members, size).ravel()
        smoother = 1 / n + (shrunk @ (vectors[one] * vectors[other]).T).reshape(-1, n_groups, size, size)
        left = np.eye(size) * (1 + 1e-9) - smoother
        loo_residuals[:, members] = np.linalg.solve(left, residuals[:, members, None])[..., 0]
    best = int(np.argmin(np.sqrt(np.mean(loo_residuals**2, axis=1))))
    penalty = scale * float(PENALTIES[best])
    return Dual(weights=vectors @ (rotated / (values + penalty)), penalty=penalty, loo_residuals=loo_residuals[best])


def _shared(groups: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Positions of the models of all groups of more than one: (n_groups, size) for each size."""
    labels, sizes = np.unique(groups, return_counts=True)
    return [np.stack([np.flatnonzero(groups == label) for label in labels[sizes == size]]) for size in np.unique(sizes[sizes > 1])]


def predict_rest(responses: FloatArray, rest: FloatArray, groups: NDArray[np.intp] | None = None) -> Regression:
    """The regression of the unobserved rest, (n,), on the responses, (n, size).

    Its leave-one-out residuals take the responses' variances from all models. Models with the same label of `groups`, (n,), are
    left out together.
    """
    centre, level = responses.mean(axis=0), float(rest.mean())
    x = responses - centre
    scales = 1 / np.maximum(np.square(x).mean(axis=0), MIN_VARIANCE)
    gram, common = (x * scales) @ x.T, x.sum(axis=1)
    common_square = float(common @ common)
    unit = float(np.trace(gram)) / common_square if common_square > 0 else 0.0
    best: tuple[Dual, float] | None = None
    for variance in COMMON_VARIANCES if unit > 0 else COMMON_VARIANCES[:1]:
        dual = fit_dual(gram + variance * unit * np.outer(common, common), rest - level, groups)
        if best is None or dual.loo_error < best[0].loo_error:
            best = dual, variance * unit
    assert best is not None
    dual, common_variance = best
    coefficients = scales * (x.T @ dual.weights) + common_variance * float(common @ dual.weights)
    return Regression(intercept=level - float(centre @ coefficients), coefficients=coefficients, dual=dual)
