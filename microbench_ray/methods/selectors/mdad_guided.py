"""Selection guided by the MDAD: items that order the pairs of source models near a target difference correctly."""

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
"""Candidate numbers of guided items per source model, among which the nested split chooses."""
JUDGED_SIZES = (25, 50, 100, 250, 500, 1000)
"""Sizes at which the nested split compares them."""
MIN_SOURCES = 8
"""Fewer source models are not split: the second of `PER_SOURCE` is used."""


@dataclass(frozen=True)
class GuidedOrder:
    """All items in the order in which they are chosen, and the number of guided ones among them."""

    order: NDArray[np.intp]
    n_guided: int


@dataclass(frozen=True)
class MdadGuided:
    """Forward selection for the order of the pairs near a target difference, then a balanced random sample of the rest.

    The first items are chosen by `PairsForward` (guided). Such a choice fits its source models better than other models, the more
    so the more items are chosen with few sources. So only a multiple of the number of sources is chosen this way, and the others
    are drawn by `balanced_order`. The multiple is selected by a nested split: items are chosen with one half of the sources, and
    evaluated by the error on the pairs of the other half. Sizes nest: the items of a smaller size are the first of a larger one.

    Intended for the estimator `ridge_remainder`, which weights the items. Missing responses are set to the item's mean.

    Parameters
    ----------
    difference
        The target difference, a fraction: pairs that differ by half to twice as much count.
    shrink
        The share of the covariances between items that is treated as chance, in [0, 1]: see `PairsForward`.
    per_source
        Number of guided items per source model; null for the nested split.
    balance
        Whether subtasks are kept in proportion among the guided items (among the others they always are).
    signal
        `both` to choose by confidences (falling back to correctness), or `correctness`.
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
            raise ConfigError(
                "mdad_guided: difference must be between 0 and 1.", got=repr(self.difference), hint="difference: 0.05"
            )
        if not 0 <= self.shrink <= 1:
            raise ConfigError("mdad_guided: shrink must be between 0 and 1.", got=repr(self.shrink), hint="shrink: 0.5")
        if self.per_source is not None and not 0 <= self.per_source < math.inf:
            raise ConfigError("mdad_guided: per_source must be at least 0.", got=repr(self.per_source), hint="per_source: 4")

    @property
    def fit_key(self) -> str:
        """Names the order of the items, which depends on all parameters but the signal."""
        return f"mdad_guided({self.difference!r}, {self.shrink!r}, {self.per_source!r}, {self.balance!r})"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> GuidedOrder:
        """Order all items."""
        known = source_accuracies(seen)
        n_source, n_items = known.responses.shape
        per_source = self.per_source
        if per_source is None:
            per_source = self._best_multiple(known, seen.subtask, rng) if n_source >= MIN_SOURCES else PER_SOURCE[1]
        n_guided = min(round(per_source * n_source), max(JUDGED_SIZES), n_items)
        guided = self._forward(known, seen.subtask).first(n_guided)
        return GuidedOrder(_with_balanced_rest(guided, known, seen.subtask, rng), n_guided)

    def select(self, seen: SeenItems, fit: GuidedOrder, size: int, rng: np.random.Generator) -> Selection:
        """The first `size` items of the order."""
        return Selection(fit.order[:size])

    def _forward(self, known: SourceAccuracies, subtask: NDArray[np.int32]) -> PairsForward:
        return PairsForward(known, self.difference, self.shrink, subtask if self.balance else None)

    def _best_multiple(self, known: SourceAccuracies, subtask: NDArray[np.int32], rng: np.random.Generator) -> int:
        """The multiple whose choices by one half of the sources give the smallest errors on the pairs of the other half."""
        n_source, n_items = known.responses.shape
        sizes = [size for size in JUDGED_SIZES if size < n_items]
        losses = np.zeros(len(PER_SOURCE))
        halves = np.array_split(rng.permutation(n_source), 2)
        for chosen_by, judged_by in (halves, halves[::-1]):
            train, test = _subset(known, np.sort(chosen_by)), _subset(known, np.sort(judged_by))
            forward = self._forward(train, subtask)
            form = pair_form(test.accuracy, self.difference)
            errors: dict[tuple[int, int], float] = {}
            for k, multiple in enumerate(PER_SOURCE):
                n_guided = min(multiple * len(train.accuracy), max(sizes, default=0))
                order = None
                for size in sizes:
                    key = min(n_guided, size), size
                    if key not in errors:
                        order = _with_balanced_rest(forward.first(n_guided), train, subtask, rng) if order is None else order
                        items = forward.first(size) if size <= n_guided else order[:size]
                        errors[key] = _pair_error(train, test, items, form)
                    losses[k] += math.log(max(errors[key], 1e-12))
        return PER_SOURCE[int(np.argmin(losses))]

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of three forward selections, two of them with half of the sources, and of the regressions that compare them."""
        steps = min(max(JUDGED_SIZES), 4 * n_source)
        return SECONDS_PER_RESPONSE * n_source * n_items + steps * n_source * n_items * 8e-10 + 3e-8 * n_source**3 / 4

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the responses of all sources and of their halves, of the rotated responses, and of the regressions."""
        signals = 1 if self.signal == "correctness" else 2
        judged = min(max(JUDGED_SIZES), n_items)
        return 8 * n_source * ((2 * signals + 2) * n_items + 2 * judged + 6 * n_source)


def _subset(known: SourceAccuracies, models: NDArray[np.intp]) -> SourceAccuracies:
    """The source models at these positions."""
    confidence = None if known.confidence is None else known.confidence[models]
    return SourceAccuracies(responses=known.responses[models], accuracy=known.accuracy[models], confidence=confidence)


def _with_balanced_rest(
    guided: NDArray[np.intp], known: SourceAccuracies, subtask: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.intp]:
    """The guided items, followed by all others in balanced order."""
    rest = np.setdiff1d(np.arange(known.responses.shape[1]), guided)
    means = known.responses.mean(axis=0) if len(known.responses) else np.zeros(known.responses.shape[1])
    return np.concatenate([guided, balanced_order(rest, means, subtask, rng)])


def _pair_error(train: SourceAccuracies, test: SourceAccuracies, items: NDArray[np.intp], form: FloatArray) -> float:
    """Mean squared error of pair differences of the test models, from a regression on these items fitted to the train models."""
    scores = train.responses[:, items]
    observed = 1 / train.responses.shape[1]
    line = predict_rest(scores, train.accuracy - observed * scores.sum(axis=1))
    errors = line.intercept + test.responses[:, items] @ (line.coefficients + observed) - test.accuracy
    return float(errors @ form @ errors)
