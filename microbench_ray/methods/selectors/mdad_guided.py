"""The MDAD as a guide: items that put the pairs of source models near a wanted difference in order, as far as that generalises."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.kernels.filling import balanced_order
from microbench_ray.methods.kernels.pairs_forward import PairsForward, pair_form
from microbench_ray.methods.kernels.ridge import predict_rest
from microbench_ray.methods.kernels.sources import SECONDS_PER_RESPONSE, SourceAccuracies, source_accuracies
from microbench_ray.methods.readout import FloatArray

PER_SOURCE = (1, 2, 4, 8)
"""Items chosen by guidance, per source model: what the nested split decides between."""
JUDGED_SIZES = (25, 50, 100, 250, 500, 1000)
"""Sizes at which it does."""
MIN_SOURCES = 8
"""Fewer cannot be split: the second of `PER_SOURCE` is taken."""


@dataclass(frozen=True)
class Choice:
    """All items in the order in which they are chosen, and how many of them were chosen by guidance."""

    order: NDArray[np.intp]
    n_guided: int


@dataclass(frozen=True)
class MdadGuided:
    """Forward selection for the order of the pairs near a wanted difference, then a balanced random sample of the rest.

    Items are chosen by `PairsForward`. A choice fits its sources better than it fits other models, the more so the more items are
    chosen by few sources; so after some items, a multiple of the sources' number, the others are drawn by `balanced_order`.
    Which multiple is judged by a nested split: the items are chosen by one half of the sources, and judged by the error
    of the pairs of the other half. Sizes nest: the items of a smaller size are the first of a larger one.

    Made for the estimator `ridge_remainder`, which gives the items their weights. Missing responses: an item's mean.

    Parameters
    ----------
    difference
        The wanted difference, a fraction: pairs that differ by half to twice as much count.
    shrink
        How much of the covariance between items is taken for chance, in [0, 1]: see `PairsForward`.
    per_source
        Items chosen by guidance for each source model; null for the nested split.
    balance
        Whether subtasks are kept in proportion among the items chosen by guidance (the others always are).
    signal
        What items are chosen by: `both` for confidence where there is any, or correctness.
    """

    difference: float = 0.05
    shrink: float = 0.5
    per_source: float | None = None
    balance: bool = False
    signal: Signal = "both"
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_signal("mdad_guided", self.signal, ("correctness", "both"))
        if not 0 < self.difference < 1:
            raise ConfigError("mdad_guided: the difference is a fraction.", got=repr(self.difference), hint="difference: 0.05")
        if not 0 <= self.shrink <= 1:
            raise ConfigError("mdad_guided: shrink must be between 0 and 1.", got=repr(self.shrink), hint="shrink: 0.5")
        if self.per_source is not None and not 0 <= self.per_source < math.inf:
            raise ConfigError("mdad_guided: per_source must be at least 0.", got=repr(self.per_source), hint="per_source: 4")

    @property
    def fit_key(self) -> str:
        """The order of the items depends on all parameters."""
        return f"mdad_guided({self.difference!r}, {self.shrink!r}, {self.per_source!r}, {self.balance!r})"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> Choice:
        """The order of all items."""
        known = source_accuracies(seen)
        n_source, n_items = known.responses.shape
        per_source = self.per_source
        if per_source is None:
            per_source = self._judged(known, seen.subtask, rng) if n_source >= MIN_SOURCES else PER_SOURCE[1]
        n_guided = min(round(per_source * n_source), max(JUDGED_SIZES), n_items)
        guided = self._forward(known, seen.subtask).first(n_guided)
        return Choice(_filled_up(guided, known, seen.subtask, rng), n_guided)

    def select(self, seen: SeenItems, fit: Choice, size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order."""
        return Selection(fit.order[:size])

    def _forward(self, known: SourceAccuracies, subtask: NDArray[np.int32]) -> PairsForward:
        return PairsForward(known, self.difference, self.shrink, subtask if self.balance else None)

    def _judged(self, known: SourceAccuracies, subtask: NDArray[np.int32], rng: np.random.Generator) -> int:
        """The multiple whose choices by one half of the sources put the pairs of the other half in order best, over both halves."""
        n_source, n_items = known.responses.shape
        sizes = [size for size in JUDGED_SIZES if size < n_items]
        losses = np.zeros(len(PER_SOURCE))
        halves = np.array_split(rng.permutation(n_source), 2)
        for chosen_by, judged_by in (halves, halves[::-1]):
            train, test = _some(known, np.sort(chosen_by)), _some(known, np.sort(judged_by))
            forward = self._forward(train, subtask)
            form = pair_form(test.accuracy, self.difference)
            found: dict[tuple[int, int], float] = {}
            for k, multiple in enumerate(PER_SOURCE):
                n_guided = min(multiple * len(train.accuracy), max(sizes, default=0))
                order = None
                for size in sizes:
                    key = min(n_guided, size), size
                    if key not in found:
                        order = _filled_up(forward.first(n_guided), train, subtask, rng) if order is None else order
                        items = forward.first(size) if size <= n_guided else order[:size]
                        found[key] = _pair_error(train, test, items, form)
                    losses[k] += math.log(max(found[key], 1e-12))
        return PER_SOURCE[int(np.argmin(losses))]

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Three forward selections, two of them by half of the sources, and the regressions that judge them."""
        steps = min(max(JUDGED_SIZES), 4 * n_source)
        return SECONDS_PER_RESPONSE * n_source * n_items + steps * n_source * n_items * 8e-10 + 3e-8 * n_source**3 / 4

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """The responses, of all sources and of their halves, and once turned; the regressions of the judged sizes."""
        signals = 1 if self.signal == "correctness" else 2
        judged = min(max(JUDGED_SIZES), n_items)
        return 8 * n_source * ((2 * signals + 2) * n_items + 2 * judged + 6 * n_source)


def _some(known: SourceAccuracies, models: NDArray[np.intp]) -> SourceAccuracies:
    confidence = None if known.confidence is None else known.confidence[models]
    return SourceAccuracies(known.responses[models], known.accuracy[models], confidence)


def _filled_up(
    guided: NDArray[np.intp], known: SourceAccuracies, subtask: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.intp]:
    rest = np.setdiff1d(np.arange(known.responses.shape[1]), guided)
    means = known.responses.mean(axis=0) if len(known.responses) else np.zeros(known.responses.shape[1])
    return np.concatenate([guided, balanced_order(rest, means, subtask, rng)])


def _pair_error(train: SourceAccuracies, test: SourceAccuracies, items: NDArray[np.intp], form: FloatArray) -> float:
    """Mean squared error of the differences of pairs of models, read off these items as other models say."""
    scores = train.responses[:, items]
    observed = 1 / train.responses.shape[1]
    intercept, coefficients = predict_rest(scores, train.accuracy - observed * scores.sum(axis=1))
    errors = intercept + test.responses[:, items] @ (coefficients + observed) - test.accuracy
    return float(errors @ form @ errors)
