"""Kernel ridge regression with a polynomial kernel, and the penalty that minimises the leave-one-out error, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from microbench_ray.methods.kernels.ridge import PENALTIES
from microbench_ray.methods.readout import FloatArray


class KernelRegression(NamedTuple):
    """y ≈ the sum over the fitted models of their weight × the kernel with their responses.

    Attributes
    ----------
    known
        (n, size) the fitted models' responses.
    weights
        (n,)
    degree
        Degree of the polynomial kernel.
    penalty
        The chosen penalty.
    loo_residuals
        (n,) each model's y minus the prediction of a regression without this model, at the chosen penalty.
    """

    known: FloatArray
    weights: FloatArray
    degree: int
    penalty: float
    loo_residuals: FloatArray

    @property
    def loo_error(self) -> float:
        """Root mean squared leave-one-out error."""
        return float(np.sqrt(np.mean(np.square(self.loo_residuals))))

    def predict(self, responses: FloatArray) -> FloatArray:
        """(n_target,) predictions from responses (n_target, size) without gaps.

        Each row is summed separately and in one order, so that models with the same responses get the same bits.
        """
        rows = np.ascontiguousarray(responses)
        products = np.stack([(rows * of_model).sum(axis=1) for of_model in self.known], axis=1)
        predictions: FloatArray = (_polynomial(products, rows.shape[1], self.degree) * self.weights).sum(axis=1)
        return predictions


def fit_kernel_ridge(known: FloatArray, y: FloatArray, degree: int) -> KernelRegression:
    """Fit y by kernel ridge regression with the kernel (1 + u · v / size)^degree.

    The kernel contains a constant, so there is no separate intercept. Responses are not centred: their common direction, the total
    score, then has by far the largest eigenvalue and is shrunk least. With G = (K + λI)⁻¹, the weights are Gy, and model i's
    leave-one-out residual is (Gy)ᵢ / Gᵢᵢ.

    Parameters
    ----------
    known
        (n, size) responses in [0, 1] without gaps.
    y
        (n,) outcomes of the same models.
    degree
        At least 1.
    """
    values, vectors = np.linalg.eigh(_polynomial(known @ known.T, known.shape[1], degree))
    values = np.maximum(values, 0.0)
    penalties = float(values.mean()) * PENALTIES
    inverses = 1 / (values + penalties[:, None])
    weights = (inverses * (vectors.T @ y)) @ vectors.T
    residuals = weights / (inverses @ np.square(vectors).T)
    best = int(np.argmin(np.square(residuals).mean(axis=1)))
    return KernelRegression(
        known=known,
        weights=weights[best],
        degree=degree,
        penalty=float(penalties[best]),
        loo_residuals=residuals[best],
    )


def _polynomial(products: FloatArray, size: int, degree: int) -> FloatArray:
    """The kernel's values, from the inner products of responses to `size` items."""
    values: FloatArray = (1 + products / size) ** degree
    return values
