"""How the scores of an item's repeats become one score."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

from microbench_ray.core.errors import ConfigError

REDUCERS = ("mean", "max", "mode", "majority", "pass@k")
"""The ways, `pass@k` with a number for k."""
_PASS_AT = re.compile(r"pass@([1-9][0-9]{0,5})")
RIGHT = 1 - 1e-9
"""Scores from here on count as right where only right and wrong count."""


def reducer(how: str) -> Callable[[Sequence[float]], float | None]:
    """The function from the scores of an item's repeats, at least one, to one score; None where they give none.

    `mode` is the most common score, of equally common ones the first; `majority` the one that more than half of the repeats have;
    `pass@k` the probability that one of k repeats is right, by the unbiased estimator of Chen et al. (2021, arXiv 2107.03374,
    section 2.1), which needs at least k repeats.

    Raises
    ------
    ConfigError
        Another way, or a k that is not a whole number.
    """
    if how == "mean":
        return lambda scores: math.fsum(scores) / len(scores)
    if how == "max":
        return max
    if how in ("mode", "majority"):
        return _mode if how == "mode" else _majority
    match = _PASS_AT.fullmatch(how)
    if match is None:
        hint = "pass@5, for one right of five" if how.startswith("pass") else f"one of {', '.join(REDUCERS)}"
        raise ConfigError("This way to reduce repeats is unknown.", where="reduce", got=repr(how), hint=hint)
    k = int(match[1])
    return lambda scores: pass_at(k, len(scores), sum(score >= RIGHT for score in scores))


def pass_at(k: int, n: int, right: int) -> float | None:
    """1 - C(n - c, k) / C(n, k): the probability that one of k of n repeats, of which c are right, is right; None where n < k."""
    if n < k:
        return None
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def _mode(scores: Sequence[float]) -> float:
    return Counter(scores).most_common(1)[0][0]


def _majority(scores: Sequence[float]) -> float | None:
    score, count = Counter(scores).most_common(1)[0]
    return score if 2 * count > len(scores) else None
