"""What drawing single answers says about the order of two micro-scores that the normal approximation does not.

Grades with heavy tails, and answers of items that count differently, need more than a hundred items before the normal approximation
of `run_noise` is good. The order of pairs is therefore also counted in samples of an item's answers, and what the share has beyond
the normal approximation of the same samples is added to the closed form, which knows the finite number of items and what the truth
is.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from microbench_ray.core.threads import one_thread
from microbench_ray.metrics.normal import normal_share
from microbench_ray.metrics.order_simulation import MAX_COMPARISONS, SAMPLES, SIMULATED_SIZES
from microbench_ray.metrics.pairs import TIE_TOLERANCE, FloatArray, IndexArray

MAX_CELLS = 1 << 22
"""Answers that samples are drawn from, at most: more are a random part."""


class AnswerDraws:
    """Samples of answers, drawn once for all pairs and sizes; the answers of a smaller sample are among those of a larger one.

    Parameters
    ----------
    repeats
        (n_models, n_items, n_repeats) scores, NaN where missing; the repeats of a response that has fewer stand for the others.
    n_repeats
        Repeats of each item that a micro-score is the mean of, at most those that there are.
    steps
        Grid of a single answer.
    rng
        Draws the samples.
    weights
        (n_items,) what each item counts, 1 on average; None where all count the same.
    """

    def __init__(
        self, repeats: npt.NDArray[Any], n_repeats: int, steps: int, rng: np.random.Generator, weights: FloatArray | None = None
    ) -> None:
        n_models, n_items, n_all = repeats.shape
        columns = np.arange(n_items * (n_all // n_repeats))
        if n_models * columns.size > MAX_CELLS:
            columns = rng.permutation(columns)[: MAX_CELLS // n_models]
        item, part = columns % n_items, columns // n_items
        missing = np.isnan(repeats)
        first = np.take_along_axis(repeats, np.argsort(missing, axis=2, kind="stable"), axis=2)
        n_known = n_all - missing.sum(axis=2)[:, item]
        present = n_known > 0
        whole = np.zeros(present.shape, np.int64)
        for k in range(n_repeats):
            answers = first[np.arange(n_models)[:, None], item, (part * n_repeats + k) % np.maximum(n_known, 1)]
            whole += np.rint(np.where(present, answers, 0.0) * steps).astype(np.int64)
        counts = None if weights is None else weights[item]
        self._largest = 0 if counts is None else int(whole.max(initial=0))
        self._values = np.ascontiguousarray(whole.T if counts is None else (whole * counts).T)
        self._present = np.ascontiguousarray(present.T if counts is None else (present * counts).T)
        self.n_samples = int(max(100, min(SAMPLES, MAX_COMPARISONS // n_models**2)))
        self._order = rng.integers(0, columns.size, (self.n_samples, SIMULATED_SIZES), np.int32)
        self._shares = lru_cache(maxsize=64)(self._added)
        self._whole = counts is None

    def covers(self, size: int) -> bool:
        """Whether samples of a size are drawn."""
        return size <= SIMULATED_SIZES

    def added(self, higher: IndexArray, lower: IndexArray, size: int) -> FloatArray:
        """(n_pairs,) what the share of samples in which the first model is ahead has beyond the normal approximation."""
        found: FloatArray = self._shares(size)[higher, lower]
        return found

    def _added(self, size: int) -> FloatArray:
        from microbench_ray.metrics.order_kernel import order_counts  # imports numba

        tolerance = TIE_TOLERANCE * self._largest * size * size if self._largest else 0
        drawn = order_counts(self._values, self._present, self._order, size, tolerance) / self.n_samples
        mean, variance, same = self._moments
        half = np.where(same, 0.5, 0.0) if self._whole else 0.0  # of a step; other denominators, and weights, tie rarely
        with np.errstate(divide="ignore", invalid="ignore"):
            normal = normal_share((size * mean - half) / np.sqrt(size * variance))
        return np.where(variance > 0, drawn - normal, 0.0)

    @cached_property
    def _moments(self) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """(n_models, n_models) means and variances of the difference that an answer makes, and whether both answered the same."""
        values, present = self._values.astype(np.float64), self._present.astype(np.float64)
        shares = present.mean(axis=0)
        some = shares > 0
        means = np.divide(values.mean(axis=0), shares, out=np.zeros(some.size), where=some)
        # Of ratios, to first order; where all answered the same, the centre cancels.
        terms = np.divide(values - present * means[some].mean(), shares, out=np.zeros(values.shape), where=some)
        terms -= terms.mean(axis=0)
        with one_thread():  # the number of threads changes the last bits of products of floats
            products, answered = terms.T @ terms / len(terms), present.T @ present
        squares = np.diag(products)
        same = (answered == np.diag(answered)) & (answered == np.diag(answered)[:, None])
        return means[:, None] - means, np.maximum(0.0, squares[:, None] + squares - 2 * products), same
