"""Batches of small symmetric matrices: a P × P matrix is stored as its upper triangle by rows, P(P + 1)/2 numbers ("packed")."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def outer_packed(vectors: Floats) -> Floats:
    """Outer products of vectors with themselves: (n, P) to (n, packed)."""
    rows, columns = np.triu_indices(vectors.shape[1])
    product: Floats = vectors[:, rows] * vectors[:, columns]
    return product


def unpack(packed: Floats, n_params: int) -> NDArray[np.float64]:
    """Full matrices, (n, P, P)."""
    rows, columns = np.triu_indices(n_params)
    full = np.empty((len(packed), n_params, n_params))
    full[:, rows, columns] = full[:, columns, rows] = packed
    return full


def trace_weights(n_params: int) -> NDArray[np.float32]:
    """(packed,) weights with which the sum of products of two packed matrices is the trace of their product: 2 off the diagonal."""
    rows, columns = np.triu_indices(n_params)
    return np.where(rows == columns, 1, 2).astype(np.float32)


def congruence(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (packed, packed) matrix that maps packed S to packed M S Mᵀ for a given M, (P, P)."""
    rows, columns = np.triu_indices(len(matrix))
    packed = matrix[rows][:, rows] * matrix[columns][:, columns] + matrix[rows][:, columns] * matrix[columns][:, rows]
    packed[:, rows == columns] /= 2
    return packed


def invert(matrices: NDArray[np.float32]) -> float:
    """Invert many symmetric positive definite matrices in place, by sweeping one pivot after the other.

    Parameters
    ----------
    matrices
        (P, P, n): the n matrices lie along the last axis, so that each step is one operation on long rows.

    Returns
    -------
    float
        The sum of the logarithms of the determinants of the given matrices.
    """
    log_det = 0.0
    for k in range(len(matrices)):
        pivot = matrices[k, k].copy()
        log_det += float(np.log(pivot).sum(dtype=np.float64))
        row = matrices[k] / pivot
        column = matrices[:, k].copy()
        column[k] = 0
        matrices -= column[:, None] * row
        matrices[:, k] = -column / pivot
        matrices[k] = row
        matrices[k, k] = 1 / pivot
    return log_det
