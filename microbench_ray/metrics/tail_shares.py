"""Student's, the F, the χ² and the binomial distribution functions, of single numbers.

`scipy.special` has them too, but importing it takes longer than all else that a comparison of two runs computes. The first, the
second and the last are regularised incomplete beta functions (DLMF 8.17).
"""

from __future__ import annotations

import math
from statistics import NormalDist

MANY_DF = 1e6
"""Degrees of freedom from which a normal approximation of Student's distribution is exact to 1e-12."""
STIRLING = 20.0
"""Arguments from which the first four terms of Stirling's series are exact to 1e-14."""
TINY, PRECISION, MAX_TERMS = 1e-300, 1e-15, 100_000
"""Of continued fractions and iterations."""


def student_share(df: float, t: float) -> float:
    """Share of Student's distribution with `df` degrees of freedom below `t`; both may be infinite."""
    if df >= MANY_DF or math.isinf(t):
        z = t if math.isinf(df) or math.isinf(t) else t * (1 - 0.25 / df) / math.sqrt(1 + t * t / (2 * df))  # Wallace (1959)
        return math.erfc(-z / math.sqrt(2)) / 2
    square = t * t
    tail = _beta_share(df / 2, 0.5, df / (df + square), square / (df + square)) / 2
    return tail if t < 0 else 1 - tail


def student_quantile(df: float, p: float) -> float:
    """The value below which Student's distribution has the share `p`, in (0, 1)."""
    if p < 0.5:
        return -student_quantile(df, 1 - p)
    t = NormalDist().inv_cdf(p)
    if math.isinf(df) or p == 0.5:
        return t
    # Newton's steps: the normal quantile is below Student's, and the distribution function is concave, so that none goes too far.
    for _ in range(MAX_TERMS):
        density = _beta_prefix(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t)) / t
        step = (student_share(df, -t) - (1 - p)) / density
        t += step
        if abs(step) <= 1e-13 * t:
            break
    return t


def f_tail(ratio: float, df: float, rest_df: float) -> float:
    """Probability that an F ratio with these degrees of freedom is above `ratio`."""
    if ratio <= 0:
        return 1.0
    total = df * ratio + rest_df
    return _beta_share(rest_df / 2, df / 2, rest_df / total, df * ratio / total)


def chi_square_tail(square: float, df: int) -> float:
    """Probability that a χ² variable with `df` degrees of freedom is above `square`, by the recurrence over `df` (DLMF 8.8.2)."""
    half = square / 2
    if half <= 0:
        return 1.0
    a = 0.5 if df % 2 else 1.0
    tail = math.erfc(math.sqrt(half)) if df % 2 else math.exp(-half)
    while a < df / 2:
        tail += math.exp(a * math.log(half) - half - math.lgamma(a + 1))
        a += 1
    return tail


def binomial_share(successes: int, trials: int, p: float) -> float:
    """Probability of at most `successes` in `trials` with the probability `p` in (0, 1)."""
    if successes >= trials:
        return 1.0
    return _beta_share(trials - successes, successes + 1, 1 - p, p)


def _beta_share(a: float, b: float, x: float, y: float) -> float:
    """The regularised incomplete beta function at x = 1 - y, by its continued fraction where that converges fast."""
    if x <= 0 or y <= 0:
        return float(y <= 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(b, a, y, x)
    fraction, numerator, denominator = 1.0, 1.0, 0.0  # Lentz (1976): ratios of successive numerators and denominators
    for k in range(1, MAX_TERMS):
        m = k // 2
        term = -(a + m) * (a + b + m) if k % 2 else m * (b - m)
        term *= x / ((a + k - 1) * (a + k))
        numerator, denominator = 1 + term / numerator or TINY, 1 / (1 + term * denominator or TINY)
        fraction *= numerator * denominator
        if abs(numerator * denominator - 1) < PRECISION:
            break
    return _beta_prefix(a, b, x, y) / (a * fraction)


def _beta_prefix(a: float, b: float, x: float, y: float) -> float:
    """x^a y^b / B(a, b), without loss of digits for large a and b (Loader 2000, "Fast and accurate computation of binomial
    probabilities")."""
    off = b * x - a * y
    exponent = a * _log_ratio(x * (a + b) / a, off / a) + b * _log_ratio(y * (a + b) / b, -off / b)
    rest = _stirling_rest(a + b) - _stirling_rest(a) - _stirling_rest(b)
    return math.sqrt(a * b / (2 * math.pi * (a + b))) * math.exp(exponent + rest)


def _log_ratio(ratio: float, less_one: float) -> float:
    return math.log1p(less_one) if abs(less_one) < 0.5 else math.log(ratio)


def _stirling_rest(z: float) -> float:
    """log Γ(z) less Stirling's (z - 1/2) log z - z + log √2π."""
    if z < STIRLING:
        return math.lgamma(z) - ((z - 0.5) * math.log(z) - z + 0.5 * math.log(2 * math.pi))
    square = z * z
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * square)) / square) / square) / z
