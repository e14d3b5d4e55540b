"""The bootstrap over models for closed forms: an interval of the number of items that detect a difference, and of the MDAD."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from microbench_ray.core.threads import one_thread
from microbench_ray.metrics.closed_form import order_probabilities, population_probabilities
from microbench_ray.metrics.counts import BINS_PER_UNIT, N_BINS
from microbench_ray.metrics.model_bootstrap import model_weights
from microbench_ray.metrics.pair_moments import PairMoments
from microbench_ray.metrics.pairs import IndexArray
from microbench_ray.metrics.ties import TiePolicy

RESAMPLES = 200
MIN_RESAMPLES = 40
MAX_PRODUCTS = 1 << 23
"""Products of weights held in memory, 4 bytes each: many models have fewer resamples, whose percentiles vary less."""
TAIL = 0.025
"""Share of the resamples below the interval, and above it, where they are not biased."""
PRECISION = 0.03
"""Relative error of the ends of an interval of sizes: less than that of a percentile of `RESAMPLES` values."""


class ResampledMdads:
    """MDADs of resamples of the models by the number of random items, in closed form.

    A pair of models drawn w_i and w_j times counts w_i·w_j times, as in `bootstrap_models`.

    Parameters
    ----------
    pairs
        Of all models.
    threshold, tie_policy
        As for `expected_mdad`.
    population
        As for `expected_counts`.
    rng
        Draws the resamples.
    """

    def __init__(
        self, pairs: PairMoments, threshold: float, tie_policy: TiePolicy, population: bool, rng: np.random.Generator
    ) -> None:
        differ = np.flatnonzero(pairs.difference > 0)
        self._pairs = pairs.take(differ[np.argsort(pairs.bins[differ], kind="stable")])
        self._threshold, self._tie_policy, self._population = threshold, tie_policy, population
        self._rng = rng
        self._bins_by_size: dict[int, IndexArray] = {}
        self.n_resamples = int(min(RESAMPLES, max(MIN_RESAMPLES, MAX_PRODUCTS // max(self._pairs.n_pairs, 1))))

    @cached_property
    def _products(self) -> npt.NDArray[np.float32]:
        """(n_resamples, n_pairs) how often each resample holds each pair."""
        pairs = self._pairs
        models, position = np.unique(np.concatenate([pairs.higher, pairs.lower]), return_inverse=True)
        weights = model_weights(np.arange(models.size), models.size, self.n_resamples, self._rng).astype(np.float32)
        higher, lower = position[: pairs.n_pairs], position[pairs.n_pairs :]
        products = np.empty((self.n_resamples, pairs.n_pairs), np.float32)
        for row, weight in zip(products, weights, strict=True):  # one row at a time stays in the cache
            np.multiply(weight[higher], weight[lower], out=row)
        return products

    @cached_property
    def _occupied(self) -> tuple[IndexArray, IndexArray, IndexArray]:
        """The bins that hold pairs, and the first and the last position, exclusive, of the pairs in each."""
        occupied, starts = np.unique(self._pairs.bins, return_index=True)
        return occupied, starts, np.append(starts[1:], self._pairs.n_pairs)

    def bins(self, size: int) -> IndexArray:
        """(n_resamples,) bin of each resample's MDAD with `size` random items; N_BINS where the threshold is never reached."""
        if size not in self._bins_by_size:
            self._bins_by_size[size] = self._compute_bins(size)
        return self._bins_by_size[size]

    def _compute_bins(self, size: int) -> IndexArray:
        pairs, products = self._pairs, self._products
        order = (population_probabilities if self._population else order_probabilities)(pairs, size)
        agree, out_of = order.right, 1.0 - order.tied if self._tie_policy == "drop" else 1.0
        if self._tie_policy == "half":
            agree = agree + order.tied / 2
        excess = (agree - (self._threshold - 1e-9) * out_of).astype(np.float32)
        occupied, starts, ends = self._occupied
        sums = np.zeros((len(products), occupied.size + 1))
        with one_thread():  # the products are too small to gain from more
            for column, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
                sums[:, column + 1] = products[:, start:end] @ excess[start:end]
        prefix = np.cumsum(sums, axis=1)
        # The last minimum of the prefix sums marks the crossing, as in `expected_mdad`; it lies just before an occupied bin.
        last = occupied.size - np.argmin(prefix[:, ::-1], axis=1)
        bins: IndexArray = np.append(occupied, N_BINS)[last].astype(np.intp)
        return bins

    def mdad_interval(self, size: int, mdad: float) -> tuple[float | None, float | None]:
        """95 % interval over models of the MDAD with `size` random items, around the one of all models.

        An end is None where no difference is detected.
        """
        bins = self.bins(size)
        own = N_BINS if math.isnan(mdad) else round(mdad * BINS_PER_UNIT)
        below = float(np.mean(bins < own) + np.mean(bins <= own)) / 2
        shares = corrected_tails(below, bins.size)
        ends = [int(np.quantile(bins, share, method="closest_observation")) for share in shares]
        low, high = (None if end >= N_BINS else end / BINS_PER_UNIT for end in (min(ends[0], own), max(ends[1], own)))
        return low, high

    def size_interval(self, target_difference: float, size: int) -> tuple[int, int | None]:
        """95 % interval over models of the number of items that detect a difference, around the number that all models give.

        Parameters
        ----------
        target_difference
            A fraction.
        size
            The number that all models give.

        Returns
        -------
        low, high
            To within `PRECISION`. `high` is None where not even all items suffice for the resamples at that end.
        """

        def share_at(number: int) -> float:
            return float(np.mean(self.bins(number) <= math.floor(target_difference * BINS_PER_UNIT + 1e-9)))

        below, above = corrected_tails(share_at(size), self.n_resamples)
        low = _bracket(share_at, below, size, self._pairs.n_items)
        high = _bracket(share_at, above, size, self._pairs.n_items)
        return min(size, low[0]) if low else size, max(size, high[1]) if high else None


def corrected_tails(share: float, n_resamples: int) -> tuple[float, float]:
    """The shares of resamples at the ends of a bias-corrected percentile interval.

    Efron 1987, "Better bootstrap confidence intervals", with no acceleration.

    Parameters
    ----------
    share
        Of the resamples below the value of all models. Resamples hold fewer different pairs, and lie more often above it.
    n_resamples
        Their number.
    """
    from statistics import NormalDist

    normal, least = NormalDist(), 1 / (2 * n_resamples)
    bias = normal.inv_cdf(min(1 - least, max(least, share)))
    low, high = (normal.cdf(2 * bias + sign * normal.inv_cdf(1 - TAIL)) for sign in (-1, 1))
    return max(low, least), min(high, 1 - least)


def _bracket(share_at: Callable[[int], float], share: float, start: int, n_items: int) -> tuple[int, int] | None:
    """Two sizes between which the share of the resamples that suffice reaches `share`; None where all items do not suffice.

    The search leaves the start by steps that grow, then bisects.
    """
    low, high, ratio = start, start, 1 + PRECISION
    if share_at(start) >= share:
        while share_at(low) >= share:
            if low == 1:
                return 1, 1
            high, low, ratio = low, max(1, min(low - 1, round(low / ratio))), ratio**2
    else:
        while share_at(high) < share:
            if high == n_items:
                return None
            low, high, ratio = high, min(n_items, max(high + 1, round(high * ratio))), ratio**2
    while high - low > max(1, PRECISION * low):
        middle = round(math.sqrt(low * high))
        low, high = (low, middle) if share_at(middle) >= share else (middle, high)
    return (high, high) if high - low == 1 else (low, high)
