"""How many items a wanted difference would need.

The mean of n of N items drawn without replacement has a variance that goes as 1/n − 1/N (Cochran 1977, "Sampling Techniques",
section 2), and a difference that can be detected goes as its root. So from an MDAD m at n items,
1/n' = 1/N + (1/n − 1/N) (wanted / m)².
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from microbench_ray.core.errors import ConfigError


def items_needed(wanted: float, mdad: float | None, size: int, n_items: int) -> int | None:
    """Items of a list like this one that would detect a wanted difference.

    Parameters
    ----------
    wanted
        The difference, a fraction above 0.
    mdad
        What the list detects; None or NaN where it detects nothing. MDADs lie on edges of bins of 0.005: a small one is known
        with an error of up to a bin.
    size
        Items in the list, 1 to `n_items`.
    n_items
        Items in the benchmark.

    Returns
    -------
    int or None
        At most `n_items`; None where nothing is detected, or where the list detects already the smallest difference that there is
        (an MDAD of 0) and nothing follows for others.

    Raises
    ------
    ConfigError
        A wanted difference outside (0, 1], or a size outside the benchmark.
    """
    _check(wanted, size, n_items)
    if mdad is None or math.isnan(mdad) or mdad <= 0:
        return None
    needed = 1 / (1 / n_items + (1 / size - 1 / n_items) * (wanted / mdad) ** 2)
    return min(n_items, _up(needed))


def items_needed_by_curve(wanted: float, curve: Iterable[tuple[int, float | None]], n_items: int) -> int | None:
    """Items of a method that would detect a wanted difference, from its MDADs at several sizes.

    Parameters
    ----------
    wanted
        The difference, a fraction above 0.
    curve
        (size, mdad_monotone) in any order; None or NaN where it is never reached.
    n_items
        Items that are chosen from: those of the seen half, where there is one.

    Returns
    -------
    int or None
        The first size on the way up whose MDAD is at most `wanted`, interpolated with the one before (the MDAD's square is linear
        in 1/size); the smallest size itself where that suffices; from the largest by the law of `items_needed` where none does.
        None where that says nothing either.

    Raises
    ------
    ConfigError
        As for `items_needed`, and for an empty curve.
    """
    points = sorted((size, math.inf if mdad is None or math.isnan(mdad) else mdad) for size, mdad in curve)
    if not points:
        raise ConfigError("A curve of MDADs has at least one size.", where="items_needed_by_curve", got="none")
    for size, _ in points:
        _check(wanted, size, n_items)
    before: tuple[int, float] | None = None
    for size, mdad in points:
        if mdad <= wanted:
            if before is None or math.isinf(before[1]):
                return size
            smaller, worse = before
            way = (worse**2 - wanted**2) / (worse**2 - mdad**2)
            return min(size, _up(1 / (1 / smaller + way * (1 / size - 1 / smaller))))
        before = size, mdad
    size, mdad = points[-1]
    return items_needed(wanted, None if math.isinf(mdad) else mdad, size, n_items)


def _up(number: float) -> int:
    """The next whole number, but for rounding errors."""
    return math.ceil(number * (1 - 1e-12))


def _check(wanted: float, size: int, n_items: int) -> None:
    if not 0 < wanted <= 1:
        raise ConfigError(
            "The wanted difference is a fraction above 0.", where="wanted", got=repr(wanted), hint="0.01 for one point"
        )
    if not 1 <= size <= n_items:
        raise ConfigError("A size lies between 1 and the number of items.", where="size", got=f"{size} of {n_items}")
