"""Scores as unsigned integers in units of 1/units, so that sums and bins are exact."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LARGEST_SMALL_UNITS = 254
"""Finest grid stored in uint8 (255 marks a missing response)."""
FINE_UNITS = 1_000_000
"""Grid for scores that fit no coarser one; rounding to it changes a score by at most 5e-7."""
TOLERANCE = 1e-6
"""Allowed distance of a score from its grid point (as for thirds in float32) and from [0, 1]."""

_CELLS_PER_BLOCK = 1 << 17
_VALUES_PER_STEP = 256

Rows = NDArray[Any] | Sequence[NDArray[Any]]
"""A matrix or a list of its rows, as column-wise files provide them without a copy."""


def missing_value(dtype: DTypeLike) -> int:
    """Return the integer that marks a missing response: the largest of an unsigned type (255 in uint8)."""
    return int(np.iinfo(np.dtype(dtype)).max)


def score_dtype(units: int) -> np.dtype[Any]:
    """Return the type that holds scores in units of 1/`units`: uint8 up to 254, else uint32."""
    return np.dtype(np.uint8 if units <= LARGEST_SMALL_UNITS else np.uint32)


def blocks(rows: Rows, chosen: NDArray[np.intp] | None = None) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Split rows into blocks of about 128 k cells, which fit into the processor's cache.

    Parameters
    ----------
    rows
        Array (n_models, n_items, ...) or a sequence of n_models arrays of one length.
    chosen
        Positions of the rows to yield, ascending; all by default.

    Yields
    ------
    positions, block
        The slice of `chosen` in the block, and the block, (n_rows, n_items, ...).
    """
    count = len(rows) if chosen is None else len(chosen)
    width = max(1, math.prod(np.shape(rows[0]))) if len(rows) else 1
    step = max(1, _CELLS_PER_BLOCK // width)
    for start in range(0, count, step):
        positions = slice(start, min(start + step, count))
        if isinstance(rows, np.ndarray):
            yield positions, rows[positions] if chosen is None else rows[chosen[positions]]
        else:
            selected = range(positions.start, positions.stop) if chosen is None else chosen[positions]
            yield positions, np.stack([rows[int(row)] for row in selected])


def find_units(matrix: Iterator[tuple[slice, NDArray[Any]]]) -> int:
    """Find the smallest q in 1..254 such that every score is a multiple of 1/q (to 1e-6); 1,000,000 if there is none.

    Parameters
    ----------
    matrix
        Blocks of scores in [0, 1] from `blocks`, NaN for missing responses.
    """
    units = 1
    for _, block in matrix:
        if block.dtype.kind in "bui":
            continue  # integers in [0, 1] are 0 and 1
        while True:
            nearest = np.rint(np.multiply(block, units, dtype=np.float64)) / units
            off = block[np.abs(nearest - block) > TOLERANCE]
            if not off.size:
                break
            denominators = _denominators(np.unique(off[:_VALUES_PER_STEP]).astype(np.float64))
            if denominators is None or (units := math.lcm(units, *denominators)) > LARGEST_SMALL_UNITS:
                return FINE_UNITS
    return units


def quantise(block: NDArray[Any], units: int) -> NDArray[Any]:
    """Round scores in [0, 1] to integers in units of 1/`units`; NaN becomes the missing value.

    Returns
    -------
    ndarray
        Array of the same shape, uint8 or uint32 (see `score_dtype`).
    """
    dtype = score_dtype(units)
    if block.dtype.kind in "bui":
        whole: NDArray[Any] = block.astype(dtype) * dtype.type(units)
        return whole
    scaled = np.multiply(block, units, dtype=np.float64)
    np.rint(scaled, out=scaled)
    np.clip(scaled, 0, units, out=scaled)
    absent = np.isnan(scaled)
    if absent.any():
        scaled[absent] = missing_value(dtype)
    rounded: NDArray[Any] = scaled.astype(dtype)
    return rounded


def _denominators(values: NDArray[np.float64]) -> list[int] | None:
    """Denominators, in lowest terms, of values that are fractions with denominators of at most 254; None if a value is not.

    Two such fractions differ by at least 1.5e-5, so at most one is within the tolerance of 1e-6.
    """
    candidates = np.arange(1, LARGEST_SMALL_UNITS + 1)
    scaled = values[:, None] * candidates
    fits = np.abs(np.rint(scaled) / candidates - values[:, None]) <= TOLERANCE
    if not fits.any(axis=1).all():
        return None
    return [int(q) for q in np.unique(candidates[fits.argmax(axis=1)])]
