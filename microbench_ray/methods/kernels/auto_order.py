"""The order in which the method `auto` chooses items."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.kernels.filling import balanced_order
from microbench_ray.methods.kernels.forward import ForwardSelection
from microbench_ray.methods.kernels.guided import Guidance
from microbench_ray.methods.kernels.sources import MIN_SOURCES, SourceAccuracies
from microbench_ray.methods.readout import FloatArray

Positions = NDArray[np.intp]

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
ADDED_SHARE, MAX_ADDED_SHARE = 25.0, 0.25
"""Largest share of added items, times the number of source models, and in any case: a quarter with up to 100 models, a twelfth with
300."""
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
    """Order all items, and count those that each selection chooses.

    Items guided by pairs and those of forward selection come in turn. Two selections that err differently are taken together,
    because either one's choice fits its source models better than others. Each chooses as many items as the nested split of the
    first one supports. Random items are spread among them, and bound the error of both: the fewer the sources, the more. Items
    that separate the sources are mostly solved by every model that is better than the sources, and order none of these: where too
    few items are open, open ones are added.

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
        Guided items per group and selection; None to let the nested split decide.
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
    by_pairs = Guidance(per_source=per_source).order(single, subtask, rng, groups, costs)
    n_guided = by_pairs.n_guided
    read = single if single.confidence is None else single._replace(responses=single.confidence)
    guided = in_turn(by_pairs.order[:n_guided], ForwardSelection(read, 1.0, costs).first(n_guided))
    n_groups = np.unique(groups).size
    share, added_share = min(MAX_RANDOM_SHARE, RANDOM_SHARE / n_groups), min(MAX_ADDED_SHARE, ADDED_SHARE / n_groups)
    return mixed(guided, random, share, added, added_share), n_guided


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


def in_turn(one: Positions, other: Positions) -> Positions:
    """The distinct items of two orders, which take turns."""
    items, first = np.unique(np.stack([one, other], axis=1).ravel(), return_index=True)
    order: Positions = items[np.argsort(first)]
    return order


def mixed(guided: Positions, random: Positions, share: float, added: Positions, added_share: float) -> Positions:
    """The items of `random`, all there are, in an order that begins with those of `guided`, with others among them.

    At the k-th place the next of `random` is taken if fewer than ⌊share × k⌋ would be random. Otherwise the next of `added`, the
    open items, if fewer than ⌊`OPEN_SHARE` × k⌋ of the first items would be open, ⌊added_share × k⌋ added, and
    ⌊`MAX_RANDOM_SHARE` × k⌋ random or added. When none is left of `guided`, the other random ones follow.
    """
    order: list[int] = []
    taken, is_open = np.zeros(len(random), bool), np.zeros(len(random), bool)
    is_open[added] = True
    queues = {"guided": iter(guided.tolist()), "random": iter(random.tolist()), "added": iter(added.tolist())}
    counts = {"guided": 0, "random": 0, "added": 0}
    n_open = 0

    def following(queue: str) -> int | None:
        return next((item for item in queues[queue] if not taken[item]), None)

    for k in range(1, len(random) + 1):
        lacks_open = n_open < int(OPEN_SHARE * k) and counts["added"] < int(added_share * k)
        queue = "random" if counts["random"] < int(share * k) else "added"
        may_draw = queue == "random" or (lacks_open and counts["random"] + counts["added"] < int(MAX_RANDOM_SHARE * k))
        item = following(queue) if may_draw else None
        if item is None:
            queue, item = "guided", following("guided")
        if item is None:
            break
        counts[queue] += 1
        n_open += bool(is_open[item])
        order.append(item)
        taken[item] = True
    rest = random[~taken[random]]
    return np.concatenate([np.array(order, np.intp), rest])
