"""How many items are needed to detect a target difference.

The mean of n of N items drawn without replacement has a variance that goes as 1/n − 1/N (Cochran 1977, "Sampling Techniques",
section 2), and a difference that can be detected goes as its root. So from an MDAD m at n items,
1/n' = 1/N + (1/n − 1/N) (target_difference / m)².
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.fractions import fraction_hint, fractions_hint


def items_needed(target_difference: float, mdad: float | None, size: int, n_items: int) -> int | None:
    """Number of items with which a list of this kind would detect a target difference.

    Parameters
    ----------
    target_difference
        A fraction above 0.
    mdad
        The MDAD of the list; None or NaN where it detects nothing. MDADs lie on edges of bins of 0.005: a small one is known
        with an error of up to a bin.
    size
        Items in the list, 1 to `n_items`.
    n_items
        Items in the benchmark.

    Returns
    -------
    int or None
        At most `n_items`. None where nothing is detected, or where the list already detects the smallest difference (an MDAD
        of 0), from which nothing follows for other sizes.

    Raises
    ------
    ConfigError
        A target difference outside (0, 1], or a size outside the benchmark.
    """
    check_target_difference(target_difference)
    check_size(size, n_items)
    if mdad is None or math.isnan(mdad) or mdad <= 0:
        return None
    needed = 1 / (1 / n_items + (1 / size - 1 / n_items) * (target_difference / mdad) ** 2)
    return min(n_items, _round_up(needed))


def items_needed_by_curve(target_difference: float, curve: Iterable[tuple[int, float | None]], n_items: int) -> int | None:
    """Number of items with which a method would detect a target difference, from its MDADs at several sizes.

    Parameters
    ----------
    target_difference
        A fraction above 0.
    curve
        (size, mdad_monotone) in any order; None or NaN where the threshold is never reached.
    n_items
        Items that are chosen from: those of the seen half, where the items are split.

    Returns
    -------
    int or None
        The smallest size whose MDAD is at most `target_difference`, interpolated with the size before (the square of the MDAD is
        linear in 1/size); the smallest size of the curve where that one suffices. Where no size does, extrapolated from the largest
        by the law of `items_needed`, which may give None.

    Raises
    ------
    ConfigError
        As for `items_needed`, and for an empty curve.
    """
    points = sorted((size, math.inf if mdad is None or math.isnan(mdad) else mdad) for size, mdad in curve)
    if not points:
        raise ConfigError("A curve of MDADs needs at least one size.", where="items_needed_by_curve", got="no sizes")
    check_target_difference(target_difference)
    for size, _ in points:
        check_size(size, n_items)
    previous: tuple[int, float] | None = None
    for size, mdad in points:
        if mdad <= target_difference:
            if previous is None or math.isinf(previous[1]):
                return size
            smaller_size, larger_mdad = previous
            position = (larger_mdad**2 - target_difference**2) / (larger_mdad**2 - mdad**2)
            return min(size, _round_up(1 / (1 / smaller_size + position * (1 / size - 1 / smaller_size))))
        previous = size, mdad
    size, mdad = points[-1]
    return items_needed(target_difference, None if math.isinf(mdad) else mdad, size, n_items)


def curve_reaches(target_difference: float, curve: Iterable[tuple[int, float | None]]) -> bool:
    """Whether a method detects a target difference at one of the sizes of its curve; elsewhere a size is extrapolated."""
    return any(mdad is not None and mdad <= target_difference for _, mdad in curve)


def check_differences(differences: Sequence[float]) -> None:
    """Raise ConfigError unless all differences are numbers in (0, 1]."""
    numbers = [each for each in differences if isinstance(each, int | float | np.number)]
    if len(numbers) < len(differences) or not all(0 < each <= 1 for each in numbers):
        raise ConfigError(
            "Differences must be fractions above 0 and at most 1.",
            where="differences",
            got=str(list(differences)),
            hint=fractions_hint("differences", numbers, "[0.02] for two points"),
        )


def check_target_difference(target_difference: float) -> None:
    """Raise ConfigError for a target difference outside (0, 1]."""
    if not 0 < target_difference <= 1:
        raise ConfigError(
            "The target difference must be a fraction above 0 and at most 1.",
            where="target_difference",
            got=repr(target_difference),
            hint=fraction_hint("target_difference", target_difference, "0.01 for one point"),
        )


def check_threshold(threshold: float) -> None:
    """Raise ConfigError for an agreement threshold outside (0, 1]."""
    if not 0 < threshold <= 1:
        raise ConfigError(
            "The threshold must be an agreement above 0 and at most 1.",
            where="threshold",
            got=repr(threshold),
            hint=fraction_hint("threshold", threshold, "0.8"),
        )


def check_size(size: int, n_items: int) -> None:
    """Raise ConfigError for a size outside 1 to n_items."""
    if not 1 <= size <= n_items:
        raise ConfigError(
            "The size must be between 1 and the number of items.",
            where="size",
            got=f"{size} of {n_items} items",
            hint=f"size={min(100, n_items)}",
        )


def _round_up(number: float) -> int:
    """The next whole number, allowing for rounding errors."""
    return math.ceil(number * (1 - 1e-12))
