"""The moments of pairs of models, from which the closed forms of random sampling are computed.

Where both models answered the same items, a pair is described by the sum D of its score differences and the sum Q of their squares.
Elsewhere each accuracy is a mean over the items that its model answered, a ratio. The order of two ratios is that of

    sum over the sample of  v = [i answered by a] (x_a - c) / p_a - [i answered by b] (x_b - c) / p_b

with c midway between the two accuracies and p the shares of answered items, to first order (Cochran 1977, "Sampling Techniques",
section 2.11). The mean of v over all items is the difference of the accuracies, and where both answered the same items, v is the
difference of scores divided by p.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from microbench_ray.core.errors import DataError
from microbench_ray.core.threads import one_thread
from microbench_ray.metrics.counts import BINS_PER_UNIT, IntArray
from microbench_ray.metrics.pairs import FloatArray, IndexArray, totals_of

if TYPE_CHECKING:
    from microbench_ray.metrics.order_simulation import SimulatedOrders
    from microbench_ray.metrics.run_noise import RunNoise

ITEMS_PER_BLOCK = 2048


@dataclass(frozen=True, eq=False)
class PairMoments:
    """The moments of all pairs of models, the better model on the leaderboard first.

    Parameters
    ----------
    higher, lower
        (n_pairs,) positions of the models; in stored order where they are tied.
    difference
        (n_pairs,) difference of their accuracies, each over the items that the model answered; a fraction, at least 0.
    bins
        (n_pairs,) bin of the difference, computed in integers; pairs tied on the whole benchmark are in bin 0.
    mean, square
        (n_pairs,) means over all items of v (module docstring), times the mean share of answered items, and of its square; in units
        of 1/units and 1/units². Where both models answered the same items these are D/N and Q/N.
    only_higher, only_lower
        (n_pairs,) items that only one of the two answered.
    accuracy
        (n_models,) accuracies, over the items that each model answered; NaN for none.
    units, n_items
        Grid of the scores; items in the benchmark.
    simulated
        Samples that order the pairs of small samples, where no closed form does; None where none is needed.
    noise
        The noise of single runs, where the benchmark has repeats and micro-scores are not means of all of them; None for scores
        that are taken as they are.
    weighted
        Whether items count differently: scores are then multiplied by their weights, which are 1 on average over the items.
    cluster_square
        (n_pairs,) sum over clusters of items of the squared sum of v in each, divided by the number of items: `square` where every
        item is a cluster by itself. None where items are independent.
    """

    higher: IndexArray
    lower: IndexArray
    difference: FloatArray
    bins: IntArray
    mean: FloatArray
    square: FloatArray
    only_higher: IntArray
    only_lower: IntArray
    accuracy: FloatArray
    units: int
    n_items: int
    simulated: SimulatedOrders | None = None
    noise: RunNoise | None = None
    weighted: bool = False
    cluster_square: FloatArray | None = None

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""
        return int(self.higher.size)

    @property
    def same_items(self) -> npt.NDArray[np.bool_]:
        """(n_pairs,) whether both models answered the same items."""
        same: npt.NDArray[np.bool_] = (self.only_higher == 0) & (self.only_lower == 0)
        return same

    @property
    def variance(self) -> FloatArray:
        """(n_pairs,) variance of v over all items, in units of 1/units²."""
        return np.maximum(0.0, self.square - self.mean**2)

    @cached_property
    def distinct(self) -> tuple[PairMoments, IndexArray] | None:
        """Pairs of which no two have equal moments, and (n_pairs,) the position of each pair's equal among them.

        Of 0/1 scores on the same items there are few: their moments are two whole numbers. None for other scores.
        """
        if self.units != 1 or self.weighted or self.noise is not None or not self.same_items.all():
            return None
        sums, squares = (np.rint(moment * self.n_items).astype(np.int64) for moment in (self.mean, self.square))
        _, first, place = np.unique(squares * (self.n_items + 1) + sums, return_index=True, return_inverse=True)
        return self.take(first), place

    def take(self, index: npt.NDArray[Any]) -> PairMoments:
        """Return the pairs at `index`: positions, or a boolean mask."""
        fields = ("higher", "lower", "difference", "bins", "mean", "square", "only_higher", "only_lower")
        of_clusters = None if self.cluster_square is None else self.cluster_square[index]
        return replace(self, **{name: getattr(self, name)[index] for name in fields}, cluster_square=of_clusters)


def pair_moments(
    scores: npt.NDArray[Any],
    missing: int | None = None,
    units: int = 1,
    weights: FloatArray | None = None,
    clusters: npt.NDArray[np.integer[Any]] | None = None,
    accuracy: FloatArray | None = None,
) -> PairMoments:
    """Compute the moments of all pairs by matrix products.

    Parameters
    ----------
    scores
        (n_models, n_items) whole numbers in units of 1/units.
    missing
        The number that marks a missing response; None where no response is missing.
    units
        Grid of the scores.
    weights
        (n_items,) what each item counts in an accuracy, 1 on average; None where all count the same. Differences within 5e-12 are
        ties (`pairs.totals_of`).
    clusters
        (n_items,) numbers from 0, equal for items that are not independent of one another; None where all are.
    accuracy
        With weights: (n_models,) the models' accuracies, NaN for none; by default weighted means over the items that each answered.

    Raises
    ------
    DataError
        Missing responses of items in clusters. Fewer than two models, no items, or no two models with
        responses.
    """
    if scores.ndim != 2 or scores.shape[0] < 2 or scores.shape[1] < 1:
        raise DataError(
            "At least two models and one item are needed to form pairs.", where="pair_moments", got=f"shape {scores.shape}"
        )
    if clusters is not None:
        if missing is not None:
            raise DataError(
                "Clusters of items are not available where responses are missing.",
                where="columns.cluster",
                got="missing responses",
                hint="leave out columns.cluster; or max_missing=0, which drops models with gaps",
            )
        moments = pair_moments(scores, None, units, weights, accuracy=accuracy)
        return replace(moments, cluster_square=_cluster_squares(moments, scores, weights, clusters))
    if weights is not None:
        return _weighted_moments(scores, missing, units, weights, accuracy)
    sums = _sums(scores, missing, units)
    first, second = np.nonzero(np.triu((sums.answered > 0)[:, None] & (sums.answered > 0), 1))
    if not first.size:
        raise DataError("No two models have responses.", where="pair_moments", got=f"{scores.shape[0]} models")
    total, answered = np.rint(sums.total).astype(np.int64), sums.answered
    cross = total[first] * answered[second] - total[second] * answered[first]
    swap = cross < 0
    higher, lower = np.where(swap, second, first), np.where(swap, first, second)
    n_higher, n_lower = answered[higher], answered[lower]
    difference = np.abs(cross) / (units * n_higher * n_lower)
    mean, square = _order_moments(sums, higher, lower, scores.shape[1])
    shared = n_higher if missing is None else np.rint(sums.shared[higher, lower]).astype(np.int64)
    return PairMoments(
        higher=higher,
        lower=lower,
        difference=difference,
        bins=np.abs(cross) * BINS_PER_UNIT // (units * n_higher * n_lower),
        mean=mean,
        square=square,
        only_higher=n_higher - shared,
        only_lower=n_lower - shared,
        accuracy=np.where(answered > 0, sums.total / (units * np.maximum(answered, 1)), np.nan),
        units=units,
        n_items=scores.shape[1],
    )


def _cluster_squares(
    pairs: PairMoments, scores: npt.NDArray[Any], weights: FloatArray | None, clusters: npt.NDArray[np.integer[Any]]
) -> FloatArray:
    """`PairMoments.cluster_square` of complete responses."""
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    values = scores[:, order].astype(np.float64)
    if weights is not None:
        values *= weights[order]
    sums = np.add.reduceat(values, starts, axis=1)
    with one_thread():
        products = sums @ sums.T
    squares = np.diag(products)
    of_pairs = squares[pairs.higher] + squares[pairs.lower] - 2 * products[pairs.higher, pairs.lower]
    found: FloatArray = np.maximum(0.0, of_pairs) / pairs.n_items
    return found


def _weighted_moments(
    scores: npt.NDArray[Any], missing: int | None, units: int, weights: FloatArray, accuracy: FloatArray | None
) -> PairMoments:
    """`pair_moments` of items that count differently.

    v has the items' weights as a factor, and p are the shares of the weights of answered items.
    """
    n_models, n_items = scores.shape
    counts, answered = np.zeros(n_models, np.int64), np.zeros(n_models)
    totals, products = np.zeros(n_models), np.zeros((n_models, n_models))
    partial, of_weights, both = np.zeros((3, n_models, n_models))
    with one_thread():  # the number of threads changes the last bits of products of floats
        for start in range(0, n_items, ITEMS_PER_BLOCK):
            block = slice(start, start + ITEMS_PER_BLOCK)
            known = np.ones(scores[:, block].shape, bool) if missing is None else scores[:, block] != missing
            present = known * weights[block]
            values = np.where(known, scores[:, block], 0) * weights[block]
            counts += known.sum(axis=1)
            answered += present.sum(axis=1)
            totals += values.sum(axis=1)
            products += values @ values.T
            if missing is not None:
                partial += values @ present.T
                of_weights += present @ present.T
                both += known.astype(np.float64) @ known.T.astype(np.float64)
    if accuracy is None:
        accuracy = np.divide(totals, units * answered, out=np.full(n_models, np.nan), where=answered > 0)
    first, second = np.nonzero(np.triu((counts > 0)[:, None] & (counts > 0), 1))
    if not first.size:
        raise DataError("No two models have responses.", where="pair_moments", got=f"{n_models} models")
    rounded = totals_of(accuracy)
    cross = rounded.sums[first] - rounded.sums[second]
    a, b = np.where(cross < 0, second, first), np.where(cross < 0, first, second)
    apart = np.abs(cross) * BINS_PER_UNIT
    apart = np.where(apart <= rounded.guard, 0, apart + rounded.guard)
    if missing is None:
        mean = (totals[a] - totals[b]) / n_items
        square = products[a, a] + products[b, b] - 2 * products[a, b]
        only = np.zeros((2, a.size), np.int64)
    else:
        centre, share = (totals[a] / answered[a] + totals[b] / answered[b]) / 2, (answered[a] + answered[b]) / (2 * n_items)
        own = [(products[k, k] - 2 * centre * partial[k, k] + centre**2 * of_weights[k, k]) / answered[k] ** 2 for k in (a, b)]
        shared = products[a, b] - centre * (partial[a, b] + partial[b, a]) + centre**2 * of_weights[a, b]
        mean = share * (totals[a] / answered[a] - totals[b] / answered[b])  # what samples estimate
        square = (share * n_items) ** 2 * (own[0] + own[1] - 2 * shared / (answered[a] * answered[b]))
        only = counts[np.stack([a, b])] - np.rint(both[a, b]).astype(np.int64)
    return PairMoments(
        higher=a,
        lower=b,
        difference=np.where(apart > 0, np.abs(cross) / rounded.units, 0.0),
        bins=apart // rounded.units,
        mean=mean,
        square=np.maximum(0.0, square) / n_items,
        only_higher=only[0],
        only_lower=only[1],
        accuracy=accuracy,
        units=units,
        n_items=n_items,
        weighted=True,
    )


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over items: per model of scores, squares and answered items; per pair over the items that both answered."""

    total: FloatArray
    squares: FloatArray
    answered: IntArray
    products: FloatArray
    """(n_models, n_models) of products of scores."""
    partial: FloatArray
    """(n_models, n_models) of the scores of the first model; empty where no response is missing."""
    shared: FloatArray
    """(n_models, n_models) items that both answered; empty where no response is missing."""


def _sums(scores: npt.NDArray[Any], missing: int | None, units: int) -> _Sums:
    n_models, n_items = scores.shape
    # Products of one block are whole numbers that float32 holds exactly up to 2**24.
    kind: Any = np.float32 if units**2 * ITEMS_PER_BLOCK <= 1 << 24 else np.float64
    products = np.zeros((n_models, n_models))
    partial, shared = (np.zeros((0, 0) if missing is None else (n_models, n_models)) for _ in range(2))
    total, squares, answered = np.zeros(n_models), np.zeros(n_models), np.zeros(n_models, np.int64)
    for start in range(0, n_items, ITEMS_PER_BLOCK):
        block = scores[:, start : start + ITEMS_PER_BLOCK]
        if missing is None:
            values = block.astype(kind)
            answered += block.shape[1]
        else:
            present = (block != missing).astype(kind)
            values = np.where(block == missing, 0, block).astype(kind)
            partial += values @ present.T
            shared += present @ present.T
            answered += np.rint(present.sum(axis=1)).astype(np.int64)
        total += values.sum(axis=1)
        squares += np.square(values).sum(axis=1)
        products += values @ values.T
    return _Sums(total, squares, answered, products, partial, shared)


def _order_moments(sums: _Sums, higher: IndexArray, lower: IndexArray, n_items: int) -> tuple[FloatArray, FloatArray]:
    """(n_pairs,) `mean` and `square` of `PairMoments`."""
    total, squares, products = sums.total, sums.squares, sums.products[higher, lower]
    n_higher, n_lower = sums.answered[higher], sums.answered[lower]
    mean = (total[higher] - total[lower]) / n_items
    square = np.maximum(0.0, squares[higher] + squares[lower] - 2 * products) / n_items
    if not sums.shared.size:
        return mean, square
    shared = sums.shared[higher, lower]
    differ = np.flatnonzero((n_higher != shared) | (n_lower != shared))
    a, b, shared, products = higher[differ], lower[differ], shared[differ], products[differ]
    n_a, n_b = sums.answered[a], sums.answered[b]
    centre = (total[a] / n_a + total[b] / n_b) / 2
    own = [(squares[k] - 2 * centre * total[k] + centre**2 * n) / n**2 for k, n in ((a, n_a), (b, n_b))]
    both = products - centre * (sums.partial[a, b] + sums.partial[b, a]) + centre**2 * shared
    share = (n_a + n_b) / (2 * n_items)
    mean[differ] = share * (total[a] / n_a - total[b] / n_b)
    square[differ] = share**2 * n_items * np.maximum(0.0, own[0] + own[1] - 2 * both / (n_a * n_b))
    return mean, square
