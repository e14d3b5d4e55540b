"""Scores as small unsigned integers on the grid of 1/units, so that sums and bins are exact."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LARGEST_SMALL_UNITS = 254
"""Finest grid that is kept in uint8 (255 marks a missing response)."""
FINE_UNITS = 1_000_000
"""Grid of scores that fit no small one; rounding to it moves a score by at most 5e-7."""
TOLERANCE = 1e-6
"""How far a score may lie from its grid point (float32 thirds do), and outside [0, 1]."""

_CELLS_PER_BLOCK = 1 << 17
_VALUES_PER_LOOK = 256

Rows = NDArray[Any] | Sequence[NDArray[Any]]
"""A matrix, or its rows one by one: what a column-wise file gives without another copy."""


def missing_value(dtype: DTypeLike) -> int:
    """Return the integer that marks a missing response: the largest of an unsigned type (255 in uint8)."""
    return int(np.iinfo(np.dtype(dtype)).max)


def score_dtype(units: int) -> np.dtype[Any]:
    """Return the type that holds scores in units of 1/`units`: uint8 up to 254, else uint32."""
    return np.dtype(np.uint8 if units <= LARGEST_SMALL_UNITS else np.uint32)


def blocks(rows: Rows, chosen: NDArray[np.intp] | None = None) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Cut rows into blocks of about 128 k cells, which stay in the processor's cache.

    Parameters
    ----------
    rows
        Array (n_models, n_items, ...) or a sequence of n_models arrays of one length.
    chosen
        Positions of the rows wanted, ascending; all by default.

    Yields
    ------
    place, block
        The slice of `chosen` that the block holds, and the block itself, (rows in it, n_items, ...).
    """
    count = len(rows) if chosen is None else len(chosen)
    width = max(1, math.prod(np.shape(rows[0]))) if len(rows) else 1
    step = max(1, _CELLS_PER_BLOCK // width)
    for start in range(0, count, step):
        place = slice(start, min(start + step, count))
        if isinstance(rows, np.ndarray):
            yield place, rows[place] if chosen is None else rows[chosen[place]]
        else:
            wanted = range(place.start, place.stop) if chosen is None else chosen[place]
            yield place, np.stack([rows[int(row)] for row in wanted])


def find_units(matrix: Iterator[tuple[slice, NDArray[Any]]]) -> int:
    """Find the smallest q in 1..254 with every score a multiple of 1/q (to 1e-6); 1,000,000 where there is none.

    Parameters
    ----------
    matrix
        Blocks of scores in [0, 1] as `blocks` yields them, NaN where missing.
    """
    units = 1
    for _, block in matrix:
        if block.dtype.kind in "bui":
            continue  # within [0, 1] integers are 0 and 1
        while True:
            nearest = np.rint(np.multiply(block, units, dtype=np.float64)) / units
            off = block[np.abs(nearest - block) > TOLERANCE]
            if not off.size:
                break
            found = _denominators(np.unique(off[:_VALUES_PER_LOOK]).astype(np.float64))
            if found is None or (units := math.lcm(units, *found)) > LARGEST_SMALL_UNITS:
                return FINE_UNITS
    return units


def quantise(block: NDArray[Any], units: int) -> NDArray[Any]:
    """Round scores in [0, 1] to integers in units of 1/`units`, NaN to the missing value.

    Returns
    -------
    ndarray
        Same shape, uint8 or uint32 (see `score_dtype`).
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
    """Denominators, in lowest terms, of fractions with one of at most 254; None where some value has none.

    Two such fractions lie 1.5e-5 apart or more, so the tolerance of 1e-6 leaves at most one candidate.
    """
    candidates = np.arange(1, LARGEST_SMALL_UNITS + 1)
    scaled = values[:, None] * candidates
    fits = np.abs(np.rint(scaled) / candidates - values[:, None]) <= TOLERANCE
    if not fits.any(axis=1).all():
        return None
    return [int(q) for q in np.unique(candidates[fits.argmax(axis=1)])]
