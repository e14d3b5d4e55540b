"""Single runs: what random items, and the repeats of their answers, leave of the order of two models' expected scores.

The truth is the difference of two models' expectations over repeats, on all N items. A micro-score is the mean over n random items
of r repeats each. Its difference between two models has the variance

    S (1/n - 1/N)  +  (w_a + w_b) / (r n)  +  (u_a + u_b) / r

with S the variance, over items, of the difference of the expectations, w the variance between repeats of one item, and u that of an
effect of the run which is common to all items (`variance_components`). The truth is measured as well: by R repeats on all items,
with the variance t = (w/R)/N + u/R of each model. Measured differences are therefore larger than true ones: given a measured one d,
the true one is normal with mean k d and variance k t, where k is the share of true differences in the variance of measured ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from microbench_ray.metrics.normal import normal_share
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.variance_components import VarianceComponents, variance_components

if TYPE_CHECKING:
    from microbench_ray.metrics.answer_draws import AnswerDraws
    from microbench_ray.metrics.pair_moments import PairMoments

MAX_STEPS = 1000
"""Steps of the scores' grid, between 0 and 1, above which ties are as good as impossible."""
FEW_DIFFERING = 15
"""Expected number of answers that differ, below which the normal approximation is corrected by that of independent answers."""
DIFFERENCES = 128
"""Values of a difference of sums that are kept apart in that correction: up to ±63."""
NODES = 32
"""Points at which a true difference is taken, where the measured one leaves its sign open."""
PAIRS_PER_BLOCK = 1 << 11


@dataclass(frozen=True, eq=False)
class RunNoise:
    """The noise of repeated answers, for pairs of the models that it was measured on.

    Parameters
    ----------
    components
        Variance components of the models, by their positions.
    n_repeats
        Repeats of each item, each of another run, that a micro-score is the mean of.
    steps
        Grid of a single answer: 1 for right or wrong.
    with_runs
        Whether the effects of runs count.
    spread
        Variance of the true differences of two models; infinite where nothing is known of them.
    draws
        Samples of single answers, for what the normal approximation leaves out; None where it leaves out nothing that these know.
    """

    components: VarianceComponents
    n_repeats: int
    steps: int
    with_runs: bool = True
    spread: float = math.inf
    draws: AnswerDraws | None = None

    @classmethod
    def of(cls, repeats: npt.NDArray[Any], n_repeats: int = 1, weights: FloatArray | None = None) -> RunNoise:
        """The noise in (n_models, n_items, n_repeats) scores, NaN where a response has fewer repeats.

        `weights` are what the items count, (n_items,), 1 on average; None where all count the same.
        """
        parts = variance_components(repeats, weights)
        known = np.isfinite(parts.accuracy)
        n_answers = np.maximum(parts.answered * repeats.shape[1], 1)
        own = parts.within * parts.per_item / n_answers + parts.runs_used / np.maximum(parts.n_runs, 1)
        of_models = float(np.var(parts.accuracy[known], ddof=1) - own[known].mean()) if known.sum() > 1 else math.inf
        return cls(parts, n_repeats, grid_of(repeats), spread=2 * max(0.0, of_models))

    @property
    def units(self) -> int:
        """Grid of the mean of an item's repeats."""
        return min(self.steps * self.n_repeats, MAX_STEPS)

    def take(self, models: npt.NDArray[Any]) -> RunNoise:
        """The noise of the models at these positions, which are then counted from 0, without drawn samples."""
        return replace(self, draws=None, components=VarianceComponents(*(np.asarray(part)[models] for part in self.components)))

    def _share(self, pairs: PairMoments) -> FloatArray:
        """(n_pairs,) mean share of answered items, by which the moments of a pair are multiplied."""
        answered = self.components.answered
        share: FloatArray = (answered[pairs.higher] + answered[pairs.lower]) / 2
        return share

    def _sum(self, pairs: PairMoments, of_models: FloatArray) -> FloatArray:
        """(n_pairs,) sums of a value of both models."""
        total: FloatArray = of_models[pairs.higher] + of_models[pairs.lower]
        return total

    def single_square(self, pairs: PairMoments) -> FloatArray:
        """(n_pairs,) mean square over items of the difference of two single answers, in fractions."""
        kept = self._sum(pairs, self.components.within * (1 - self.components.per_item))
        square: FloatArray = pairs.square / pairs.units**2 + self._share(pairs) * kept
        return square

    def variance(self, pairs: PairMoments, size: int, *, population: bool = False) -> FloatArray:
        """(n_pairs,) variance of the difference of two micro-scores of `size` random items, in squared fractions.

        With `population`, items are drawn from the population that the benchmark's are a sample of.
        """
        n_items, share, parts = pairs.n_items, self._share(pairs), self.components
        of_means = pairs.variance / pairs.units**2 * n_items / max(1, n_items - 1)
        items = np.maximum(0.0, of_means - share * self._sum(pairs, parts.within * parts.per_item))
        drawn = 1 / size - (0.0 if population else 1 / n_items)
        variance: FloatArray = items * drawn + share * self._sum(pairs, parts.within) / (self.n_repeats * size)
        return variance + self._of_runs(pairs, 1 / self.n_repeats)

    def fresh_variance(self, pairs: PairMoments, size: int, correction: float) -> FloatArray:
        """(n_pairs,) as `variance`, where each of the two micro-scores has its own random items.

        `correction` is the factor of the items' variance for a finite number of items.
        """
        parts = self.components
        answers = correction * parts.items + parts.within / self.n_repeats
        return self._sum(pairs, answers) / size + self._of_runs(pairs, 1 / self.n_repeats)

    def _of_runs(self, pairs: PairMoments, per_run: float | FloatArray) -> FloatArray:
        effect = self.components.runs_used * per_run if self.with_runs else np.zeros(self.components.runs_used.size)
        variance: FloatArray = self._share(pairs) ** 2 * self._sum(pairs, effect)
        return variance

    def truth_variance(self, pairs: PairMoments) -> FloatArray:
        """(n_pairs,) variance of the measured difference on all items about that of the expectations, in squared fractions."""
        parts = self.components
        of_answers = self._share(pairs) * self._sum(pairs, parts.within * parts.per_item) / pairs.n_items
        variance: FloatArray = of_answers + self.truth_run_variance(pairs)
        return variance

    def truth_share(self, pairs: PairMoments, measured: FloatArray) -> FloatArray:
        """(n_pairs,) share of true differences in the variance of measured ones, which have the `measured` variance about them."""
        if math.isinf(self.spread):
            return np.ones(pairs.n_pairs)
        spread = self._share(pairs) ** 2 * self.spread
        with np.errstate(invalid="ignore"):
            return np.where(measured > 0, spread / (spread + measured), 1.0)

    def truth_run_variance(self, pairs: PairMoments) -> FloatArray:
        """(n_pairs,) the part of `truth_variance` that is of the effects of runs."""
        return self._of_runs(pairs, 1 / np.maximum(self.components.n_runs, 1))


def grid_of(repeats: npt.NDArray[Any]) -> int:
    """The number of steps between 0 and 1 of single answers, at most `MAX_STEPS`."""
    values = np.unique(np.asarray(repeats)[~np.isnan(repeats)].astype(np.float64))
    fits = (steps for steps in range(1, MAX_STEPS) if np.abs(values * steps - np.rint(values * steps)).max(initial=0) < 1e-5)
    return next(fits, MAX_STEPS) if values.size <= MAX_STEPS + 1 else MAX_STEPS


def with_noise(pairs: PairMoments, noise: RunNoise) -> PairMoments:
    """The pairs, for micro-scores of single runs (or of the mean of `noise.n_repeats`): on the grid of their scores."""
    scale = noise.units / pairs.units
    clusters = None if pairs.cluster_square is None else pairs.cluster_square * scale**2
    moments = replace(pairs, mean=pairs.mean * scale, square=pairs.square * scale**2, cluster_square=clusters)
    return replace(moments, units=noise.units, noise=noise, simulated=None)


def noisy_order(pairs: PairMoments, size: int, noise: RunNoise) -> tuple[FloatArray, FloatArray]:
    """(n_pairs,) probabilities that a micro-score of `size` random items orders each pair as its expectations, and ties it.

    By the normal approximation with a correction for the scores' grid, and where few answers differ, by what the exact distribution
    of independent answers adds to it.
    """
    variance, measured = noise.variance(pairs, size), noise.truth_variance(pairs)
    share = noise.truth_share(pairs, measured)
    mean, truth = share * pairs.mean / pairs.units, share * measured
    half = half_step(pairs, size, noise)
    extra_right, extra_wrong = beyond_normal(pairs, size, noise)
    right, wrong = (
        np.clip(above(sign * mean, half, variance + truth) + extra, 0.0, 1.0)
        for sign, extra in ((1, extra_right), (-1, extra_wrong))
    )
    tied = np.maximum(0.0, 1 - right - wrong)
    open_sign = np.flatnonzero((mean < 3 * np.sqrt(truth)) & (truth > 0))
    if open_sign.size:
        m, v, t, h = mean[open_sign], variance[open_sign], truth[open_sign], half[open_sign]
        agree = np.zeros(open_sign.size)
        for node in _nodes():
            true = m + node * np.sqrt(t)
            agree += above(np.abs(true), h, v) / NODES
        right[open_sign] = np.clip(agree + extra_right[open_sign], 0.0, 1.0)
        right[open_sign] = np.minimum(right[open_sign], 1 - tied[open_sign])
    return right, tied


def half_step(pairs: PairMoments, size: int, noise: RunNoise) -> FloatArray:
    """(n_pairs,) half the smallest difference of two micro-scores; 0 where there is none: fine grids, weights, other items."""
    if noise.units >= MAX_STEPS or pairs.weighted:
        return np.zeros(pairs.n_pairs)
    return np.where(pairs.same_items, 0.5 / (noise.units * size), 0.0)


def above(mean: FloatArray, half: FloatArray, variance: FloatArray) -> FloatArray:
    """(n_pairs,) probability that a difference is above half a step."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = normal_share((mean - half) / np.sqrt(variance))
    return np.where(variance > 0, share, np.asarray(mean > half, np.float64))


def beyond_normal(pairs: PairMoments, size: int, noise: RunNoise) -> tuple[FloatArray, FloatArray]:
    """(n_pairs,) what is added to the normal approximation: to the probability of the right order, and of the wrong one."""
    if noise.draws is None:
        return few_differ(pairs, size, noise)
    if not noise.draws.covers(size):
        return np.zeros(pairs.n_pairs), np.zeros(pairs.n_pairs)
    return noise.draws.added(pairs.higher, pairs.lower, size), noise.draws.added(pairs.lower, pairs.higher, size)


def few_differ(pairs: PairMoments, size: int, noise: RunNoise) -> tuple[FloatArray, FloatArray]:
    """(n_pairs,) what the exact distribution of independent answers adds to its normal approximation: right, and wrong order.

    For answers that are right or wrong, of which few differ: each is +1, -1 or 0 with the mean and the mean square of the pair.
    """
    right, wrong = np.zeros(pairs.n_pairs), np.zeros(pairs.n_pairs)
    if noise.steps != 1 or pairs.weighted:
        return right, wrong
    n_draws = size * noise.n_repeats
    mean, square = pairs.mean / pairs.units, np.minimum(noise.single_square(pairs), 1.0)
    few = np.flatnonzero((n_draws * square < FEW_DIFFERING) & pairs.same_items & (square > 0))
    angles = np.exp(2j * np.pi * np.arange(DIFFERENCES) / DIFFERENCES)
    for start in range(0, few.size, PAIRS_PER_BLOCK):
        block = few[start : start + PAIRS_PER_BLOCK]
        m, q = mean[block], np.maximum(square[block], np.abs(mean[block]))
        up, down = (q + m) / 2, (q - m) / 2
        characteristic = (1 - q)[:, None] + up[:, None] * angles + down[:, None] * angles.conj()
        shares = np.fft.fft(characteristic**n_draws, axis=1).real / DIFFERENCES
        ahead, behind = shares[:, 1 : DIFFERENCES // 2].sum(axis=1), shares[:, DIFFERENCES // 2 :].sum(axis=1)
        variance, half = np.maximum(0.0, q - m**2) / n_draws, np.full(block.size, 0.5 / n_draws)
        right[block] = ahead - above(m, half, variance)
        wrong[block] = behind - above(-m, half, variance)
    return right, wrong


def _nodes() -> FloatArray:
    """(NODES,) standard normal quantiles in the middle of equally probable parts."""
    from statistics import NormalDist

    return np.array([NormalDist().inv_cdf((k + 0.5) / NODES) for k in range(NODES)])


def noise_floor(deviations: FloatArray, threshold: float = 0.8) -> float:
    """The smallest difference that is ordered right with probability `threshold`, on average over pairs; a fraction.

    Parameters
    ----------
    deviations
        (n_pairs,) standard deviations of the difference of two scores.
    threshold
        A probability above 1/2.
    """
    low, high = 0.0, 10 * float(deviations.max(initial=0.0))
    if not high > 0:
        return 0.0

    def share(difference: float) -> float:
        zeros = np.zeros(deviations.size)
        return float(above(np.full(deviations.size, difference), zeros, np.square(deviations)).mean())

    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (low, middle) if share(middle) >= threshold else (middle, high)
    return high
