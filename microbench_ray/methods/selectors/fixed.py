"""A given list of items, to audit an existing micro-benchmark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.methods.base import SeenItems, Selection, SelectorWithoutFit
from microbench_ray.methods.item_lists import read_list


@dataclass(frozen=True)
class Fixed(SelectorWithoutFit):
    """A given list of item ids, with optional weights.

    It implies that all items are seen and that there is one run. Responses of source models are not read.

    Parameters
    ----------
    items
        The item ids.
    weights
        One non-negative weight per item; None for equal weights. They are scaled to sum to 1.
    path
        A file with the list instead: `.txt` (an id per line, as it is or as a JSON string), `.csv` (columns item_id and,
        optionally, weight) or `.json` (a list of ids, or an object from id to weight).
    built_from
        Models whose responses the list was built from: they are excluded from the targets.
    """

    items: Sequence[str] = ()
    weights: Sequence[float] | None = None
    path: str | None = None
    built_from: Sequence[str] = ()

    def __post_init__(self) -> None:
        if (self.path is None) == (not self.items):
            raise ConfigError(
                "fixed: give exactly one of items and path.",
                got=f"items: {len(self.items)} ids, path: {self.path}",
                hint="'methods=[{method: fixed, selector: {path: my_items.txt}}]'",
            )
        items, weights = (tuple(map(str, self.items)), self.weights) if self.path is None else read_list(Path(self.path))
        object.__setattr__(self, "items", items)
        object.__setattr__(self, "weights", None if weights is None else tuple(map(float, weights)))
        object.__setattr__(self, "built_from", tuple(self.built_from))
        object.__setattr__(self, "path", None)  # the identity of a method is the list, not the file
        repeated = sorted({item for item in items if items.count(item) > 1})[:3] if len(set(items)) < len(items) else []
        if repeated:
            raise ConfigError("fixed: an item is listed more than once.", got=", ".join(repeated), hint="list every item once")
        if self.weights is not None and (
            len(self.weights) != len(items)
            or not all(np.isfinite(weight) and weight >= 0 for weight in self.weights)
            or not 0 < sum(self.weights) < math.inf
        ):
            raise ConfigError(
                "fixed: weights must be one non-negative number per item, not all zero.",
                got=f"{len(self.weights)} weights for {len(items)} items",
            )

    def positions(self, item_ids: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Positions of the listed items among `item_ids`; DataError if some are missing."""
        position = {item: index for index, item in enumerate(item_ids)}
        missing = [item for item in self.items if item not in position]
        if missing:
            raise DataError(
                f"fixed: {len(missing)} of {len(self.items)} listed items are not in the benchmark.",
                got=", ".join(missing[:3]) + (" …" if len(missing) > 3 else ""),
                hint=f"use the benchmark's item ids, such as {next(iter(position), '(none)')}",
            )
        return np.array([position[item] for item in self.items], dtype=np.intp)

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        """Return the list itself; `size` is its length. Without weights, its items count the same also where others do not."""
        items = self.positions(list(seen.item_ids))
        if self.weights is None:
            return Selection(items, None if seen.weights is None else np.full(size, 1 / size))
        weights = np.array(self.weights)
        return Selection(items, weights / weights.sum())
