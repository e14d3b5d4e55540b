"""The order in which the method `auto` chooses items."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.kernels.filling import balanced_order
from microbench_ray.methods.kernels.guided import Guidance
from microbench_ray.methods.kernels.pairs_forward import PairsForward, all_pairs_form, pair_form
from microbench_ray.methods.kernels.sources import MIN_SOURCES, SourceAccuracies
from microbench_ray.methods.readout import FloatArray

Positions = NDArray[np.intp]

ALL_PAIRS_SOURCES = 50
"""With up to so many source models the mean over all pairs counts as much as that over near pairs; with more, its weight falls with
their square, to a quarter with 100 and a 36th with 300."""
GUIDED = 1.5
"""Guided items, times as many as the nested split of `mdad_guided` supports: beside random ones, more of them do no harm."""
RANDOM_SHARE, MAX_RANDOM_SHARE = 5.0, 0.5
"""Share of random items, times the number of source models (copies counted once); and the largest share. Half with ten models, a
tenth with 50."""
BEST_SHARE, MIN_BEST = 0.25, 3
"""The best source models are this share of them, and at least so many."""
OPEN_BELOW = 0.7
"""An item is open if the mean score of the best source models on it is smaller, and not above the median of the items."""
OPEN_SHARE = 0.5
"""Open items are added where fewer of the first items are open than this share, while fewer than `MAX_RANDOM_SHARE` are random or
added."""
MAX_ADDED_SHARE, ADDED_SOURCES = 0.25, 70
"""Largest share of added items: a quarter with up to so many source models; with more it falls with their square, to an eighth with
100 and a 73rd with 300."""
MIN_VARIANCE = 0.05
"""Added items are drawn in proportion to p (1 − p), p the mean score of the best source models, but at least to this."""


def auto_order(
    known: SourceAccuracies,
    groups: Positions,
    subtask: NDArray[np.int32],
    rng: np.random.Generator,
    per_source: float | None,
    costs: FloatArray | None,
) -> tuple[Positions, int]:
    """Order all items, and count those that the sources support to be guided (`Guidance.count`).

    Guided items reduce the expected error of the differences between source models: of pairs that are near one another, as for
    `mdad_guided`, because these decide who is ahead; and of all pairs, because items for these fit few sources less closely. Random
    items are spread among them, and bound the error: the fewer the sources, the more. Items that separate the sources are mostly
    solved by every model that is better than the sources, and order none of these: where too few items are open, open ones are
    added. Every guided item is chosen with all items before it in mind, random and added ones too.

    Sources that are copies of one another count once. With costs, cheap items are preferred throughout.

    Parameters
    ----------
    known
        Responses (n_source, n_items) and accuracies.
    groups
        (n_source,) labels of copies.
    subtask
        (n_items,) codes.
    rng
        Draws the halves of the nested split, and the random items.
    per_source
        Items per group that the nested split of `Guidance` supports; None to let it decide.
    costs
        (n_items,) positive, 1 on average; None where all cost the same.
    """
    n_source, n_items = known.responses.shape
    means = known.responses.mean(axis=0) if n_source else np.zeros(n_items)
    if n_source < MIN_SOURCES:
        return balanced_order(np.arange(n_items), means, subtask, rng, costs, known.weights), 0
    random = balanced_order(np.arange(n_items), means, subtask, rng, costs, known.weights)
    added = open_items(known, groups, subtask, rng, costs)
    single = _single(known)
    guidance = Guidance(per_source=per_source)
    n_supported = guidance.count(single, subtask, rng, groups, costs)
    n_groups = np.unique(groups).size
    form = pair_form(known.accuracy, guidance.difference) + min(1.0, ALL_PAIRS_SOURCES / n_groups) ** 2 * all_pairs_form(groups)
    share = min(MAX_RANDOM_SHARE, RANDOM_SHARE / n_groups)
    added_share = MAX_ADDED_SHARE * min(1.0, ADDED_SOURCES / n_groups) ** 2
    guided = PairsForward(single, form, guidance.shrink, costs=costs)
    return mixed(guided, round(GUIDED * n_supported), random, share, added, added_share), n_supported


def open_items(
    known: SourceAccuracies, groups: Positions, subtask: NDArray[np.int32], rng: np.random.Generator, costs: FloatArray | None
) -> Positions:
    """The open items in random order, those first on which the best source models differ."""
    best = means_of_the_best(known, groups)
    variance = np.maximum(best * (1 - best), MIN_VARIANCE)
    weights = variance if known.weights is None else variance * known.weights
    is_open = (best < OPEN_BELOW) & (best <= np.median(best))
    return balanced_order(np.flatnonzero(is_open), best, subtask, rng, costs, weights)


def means_of_the_best(known: SourceAccuracies, groups: Positions) -> FloatArray:
    """(n_items,) mean scores of the most accurate source models, of copies only the first."""
    models = np.unique(groups, return_index=True)[1]
    n_best = min(len(models), max(MIN_BEST, math.ceil(BEST_SHARE * len(models))))
    best = models[np.argsort(-known.accuracy[models], kind="stable")[:n_best]]
    means: FloatArray = known.responses[best].mean(axis=0, dtype=np.float64)
    return means


def _single(known: SourceAccuracies) -> SourceAccuracies:
    """Responses in single precision, which halves the time of the selections."""
    single: Any = np.float32
    confidence = None if known.confidence is None else known.confidence.astype(single)
    return known._replace(responses=known.responses.astype(single), confidence=confidence)


class Guided(Protocol):
    """A selection that chooses items one at a time, with those in mind that were taken before."""

    def best(self) -> int: ...  # noqa: D102
    def take(self, item: int) -> None: ...  # noqa: D102


def mixed(guided: Guided, n_guided: int, random: Positions, share: float, added: Positions, added_share: float) -> Positions:
    """The items of `random`, all there are, in an order that begins with `n_guided` guided ones, and others among them.

    At the k-th place the next of `random` is taken if fewer than ⌊share × k⌋ would be random. Otherwise the next of `added`, the
    open items, if fewer than ⌊`OPEN_SHARE` × k⌋ of the first items would be open, ⌊added_share × k⌋ added, and
    ⌊`MAX_RANDOM_SHARE` × k⌋ random or added; otherwise a guided one. After the last of these, the other random ones follow.
    """
    order: list[int] = []
    taken, is_open = np.zeros(len(random), bool), np.zeros(len(random), bool)
    is_open[added] = True
    queues = {"random": iter(random.tolist()), "added": iter(added.tolist())}
    counts = {"guided": 0, "random": 0, "added": 0}
    n_open = 0
    for k in range(1, len(random) + 1):
        lacks_open = n_open < int(OPEN_SHARE * k) and counts["added"] < int(added_share * k)
        queue = "random" if counts["random"] < int(share * k) else "added"
        may_draw = queue == "random" or (lacks_open and counts["random"] + counts["added"] < int(MAX_RANDOM_SHARE * k))
        item = next((each for each in queues[queue] if not taken[each]), None) if may_draw else None
        if item is None:
            if counts["guided"] == n_guided:
                break
            queue, item = "guided", guided.best()
        guided.take(item)
        counts[queue] += 1
        n_open += bool(is_open[item])
        order.append(item)
        taken[item] = True
    rest = random[~taken[random]]
    return np.concatenate([np.array(order, np.intp), rest])
