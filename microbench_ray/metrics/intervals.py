"""Confidence intervals of the agreement in each bin, from counts: by runs, by pairs, and by models; and their resamples.

All functions on counts take doubled counts (see `ties.doubled`), so that half an agreement is a whole number.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics.counts import IntArray
from microbench_ray.metrics.pairs import FloatArray

IntervalKind = Literal["runs", "pairs", "models"]
"""What is resampled: whole runs (default), pairs as if independent (the paper), or the models of a fixed list."""

INTERVAL_KINDS: tuple[IntervalKind, ...] = get_args(IntervalKind)


class Bounds(NamedTuple):
    """Lower and upper bound per bin, NaN in an empty bin."""

    low: FloatArray
    high: FloatArray


def check_interval(ci: IntervalKind, level: float, resampled: object) -> None:
    """Raise ConfigError on an unknown kind, a level outside (0, 1), or `models` without resampled counts."""
    if ci not in INTERVAL_KINDS:
        raise ConfigError("Unknown kind of interval.", where="ci", got=repr(ci), hint=f"use one of {', '.join(INTERVAL_KINDS)}")
    if not 0 < level < 1:
        raise ConfigError("The confidence level must be between 0 and 1.", where="level", got=repr(level))
    if ci == "models" and resampled is None:
        raise ConfigError(
            "An interval over models needs counts of resampled models.",
            where="ci",
            got="'models' without `resampled`",
            hint="use ci=runs, or pass bootstrap_models(...) as `resampled`",
        )


def by_runs(agree: IntArray, pairs: IntArray, level: float) -> Bounds:
    """Interval of the agreement with runs as clusters: a score interval with the bin's effective number of pairs.

    Pairs of one run share its micro-benchmark and are not independent, so a bin of n pairs is worth
    n_eff = p(1 − p) / v pairs (at most n), where v is the linearised variance of the ratio p = Σ agree / Σ pairs between runs
    (Cochran 1977, §6.3; leverage-corrected as in Bell and McCaffrey 2002). The interval is Wilson's (1927) with n_eff for
    n and Student's t with (runs in the bin − 1) degrees of freedom for the normal quantile, as Korn and Graubard (1998)
    do for Clopper and Pearson's. It lies within [0, 1], holds p and never has zero width.

    Where v cannot be estimated in a bin (all its pairs agree, or none does, or there is no spread between runs), the bin borrows
    the design effect n / n_eff of the bins where it can, averaged with their pairs as weights; n_eff is then at least the number of
    runs with a pair in the bin, as if each run's pairs were one. Where no bin has an estimate, n_eff is that number; with a single
    run, its number of pairs.

    Parameters
    ----------
    agree, pairs
        (n_runs, n_bins) doubled counts.
    level
        For example 0.95.
    """
    from scipy import special  # slow to import

    total, right = pairs.sum(axis=0), agree.sum(axis=0)
    runs = np.count_nonzero(pairs, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = right / total
        leverage = pairs / total
        residuals = (agree - p * pairs) / total
        variance = np.square(residuals / np.sqrt(1 - leverage)).sum(axis=0)
        n_eff = np.minimum(p * (1 - p) / variance, total / 2)
    # Below 1e-9 the variance is rounding, not spread.
    known = np.isfinite(n_eff) & (n_eff > 0) & (variance > 1e-18) & (runs > 1)
    effect = ((total * total / 2)[known] / n_eff[known]).sum() / total[known].sum() if known.any() else np.inf
    fallback = np.where(runs > 1, np.maximum(runs, total / 2 / effect), total / 2)
    quantile: FloatArray = special.stdtrit(np.where(runs > 1, runs - 1.0, np.inf), (1 + level) / 2).astype(np.float64)
    return score_interval(p, np.where(known, n_eff, fallback), quantile)


def score_interval(p: FloatArray, n: FloatArray | IntArray, quantile: FloatArray | float) -> Bounds:
    """Wilson's (1927) interval of a share p of n observations: the p' with |p − p'| <= quantile·sqrt(p'(1 − p')/n)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = quantile**2 / n
        centre = (p + weight / 2) / (1 + weight)
        half = np.sqrt(weight * (p * (1 - p) + weight / 4)) / (1 + weight)
    # Rounding may put the bound of p = 0 or 1 an ulp inside.
    return Bounds(np.minimum(p, np.maximum(0.0, centre - half)), np.maximum(p, np.minimum(1.0, centre + half)))


def by_pairs(agree: IntArray, pairs: IntArray, ties: IntArray, level: float) -> tuple[IntArray, IntArray]:
    """Percentiles of the number agreeing when a bin's pairs are resampled as if independent, in closed form.

    Parameters
    ----------
    agree, pairs
        (n_bins,) doubled counts, pooled over runs.
    ties
        (n_bins,) pairs that count half. Without any, the resampled number is Binomial(n, k/n). Otherwise it is a sum of n
        draws from {0, ½, 1}, and its distribution is computed from its characteristic function, exact up to rounding.
    level
        For example 0.95.

    Returns
    -------
    tuple of arrays
        (n_bins,) doubled numbers agreeing: lower and upper bounds. Divided by `pairs` they are shares. The width is zero
        where all pairs agree or none does, as in any bootstrap over pairs.
    """
    n = pairs // 2
    tails = (1 - level) / 2, (1 + level) / 2
    if not ties.any():
        low, high = (2 * _binomial_quantile(tail, n, agree // 2) for tail in tails)
        return low, high
    bounds = [_trinomial_quantiles(tails, *bin_) for bin_ in np.stack([n, (agree - ties) // 2, ties], axis=1).tolist()]
    return np.array([low for low, _ in bounds]), np.array([high for _, high in bounds])


def by_models(
    agree: IntArray, pairs: IntArray, resampled_agree: IntArray, resampled_pairs: IntArray, n_models: int, level: float
) -> Bounds:
    """Percentiles over resamples of the models.

    Resamples in which a bin is empty are left out for that bin. Where the percentiles coincide (few pairs, or all agree), Wilson's
    interval replaces them, with the smaller of the numbers of the bin's pairs and of models as n: its width is never zero.

    Parameters
    ----------
    agree, pairs
        (n_bins,) doubled counts of the models themselves.
    resampled_agree, resampled_pairs
        (n_resamples, n_bins) doubled counts of the resamples.
    n_models
        Number of audited models.
    level
        For example 0.95.
    """
    from scipy import special  # slow to import

    with np.errstate(divide="ignore", invalid="ignore"):
        p = agree / pairs
        shares = np.where(resampled_pairs > 0, resampled_agree / resampled_pairs, np.nan)
    shares.sort(axis=0)  # NaN last
    held = np.count_nonzero(resampled_pairs, axis=0)
    bins = np.arange(p.size)
    low, high = (shares[np.maximum(0, order_index(held, tail)), bins] for tail in ((1 - level) / 2, (1 + level) / 2))
    score = score_interval(p, np.minimum(pairs // 2, n_models), float(special.ndtri((1 + level) / 2)))
    flat = ~(high > low)
    return Bounds(np.minimum(p, np.where(flat, score.low, low)), np.maximum(p, np.where(flat, score.high, high)))


def order_index(n: int | IntArray, tail: float) -> IntArray:
    """Position of the `tail` quantile among n ascending values: an order statistic (inverse of the empirical CDF).

    It is never interpolated: between a finite MDAD and +∞ no value lies in between.
    """
    return np.maximum(0, np.ceil(np.asarray(n) * tail - 1e-9).astype(np.int64) - 1)


def run_weights(n_runs: int, n_resamples: int, rng: np.random.Generator) -> FloatArray:
    """(n_resamples, n_runs) how often each resample draws each run; every row sums to n_runs."""
    drawn = rng.integers(0, n_runs, (n_resamples, n_runs))
    drawn += np.arange(0, n_resamples * n_runs, n_runs)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_resamples * n_runs).reshape(n_resamples, n_runs).astype(np.float64)


def resample_pairs(agree: IntArray, pairs: IntArray, ties: IntArray, n_resamples: int, rng: np.random.Generator) -> IntArray:
    """(n_resamples, n_bins) doubled numbers agreeing when each bin's pairs are resampled as if independent.

    Parameters
    ----------
    agree, pairs, ties
        As for `by_pairs`.
    """
    n = pairs // 2
    ones = (agree - ties) // 2
    shape = (n_resamples, n.size)
    drawn = rng.binomial(n, ones / np.maximum(n, 1), shape)
    if not ties.any():
        return 2 * drawn
    rest = n - ones
    return 2 * drawn + rng.binomial(n - drawn, np.where(rest > 0, ties / np.maximum(rest, 1), 0.0))


def _binomial_quantile(tail: float, n: IntArray, k: IntArray) -> IntArray:
    """Smallest x with P(Binomial(n, k/n) <= x) >= tail; 0 where n is 0."""
    from scipy import special  # slow to import

    inside = (k > 0) & (k < n)
    trials, p = np.where(inside, n, 2), np.where(inside, k / np.maximum(n, 1), 0.5)
    x = np.ceil(special.bdtrik(tail, trials, p))
    # Rounding may put the continuous inverse on the wrong side of a whole number.
    below = np.maximum(x - 1, 0)
    x = np.where(special.bdtr(below, trials, p) >= tail, below, x)
    return np.where(inside, x, k).astype(np.int64)


def _trinomial_quantiles(tails: tuple[float, float], n: int, ones: int, halves: int) -> tuple[int, int]:
    """Quantiles of the sum of n draws from {0, 1, 2}, of which `ones` in n are 2 and `halves` in n are 1."""
    if ones in (0, n) and halves in (0, n):
        return 2 * ones + halves, 2 * ones + halves
    # The sum's standard deviation is at most sqrt(n). This many values hold all but 1e-13 of its probability, so the distribution
    # modulo `period` equals the distribution.
    period = 32 + 16 * math.isqrt(n)
    wave = np.exp(-2j * np.pi / period * np.arange(period // 2 + 1))
    characteristic = (n - ones - halves + halves * wave + ones * wave**2) / n
    mass = np.fft.irfft(characteristic**n, period)
    start = 2 * ones + halves - period // 2
    cumulative = np.cumsum(np.roll(mass, -start))
    low, high = (min(2 * n, max(0, start + int(np.argmax(cumulative >= tail - 1e-12)))) for tail in tails)
    return low, high
