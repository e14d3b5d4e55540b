"""The score that a tool itself gives a model, where it is no mean over items: told beside the mean that is used here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.lazy_arrow import pc
from microbench_ray.data.columns import numbers_of
from microbench_ray.ingest.base import OwnScore

MAX_NAMED = 3
"""Models or logs of which a summary gives both numbers."""


class SubtaskMean(NamedTuple):
    """The scored items of a subtask."""

    mean: float
    n_items: int


@runtime_checkable
class OverallReader(Protocol):
    """A `Reader` of a tool that weighs subtasks."""

    weighs: str
    """What the tool's own score is, such as `LiveBench's average over categories`."""

    def overall(self, subtasks: Mapping[str, SubtaskMean]) -> float | None:
        """Return the tool's own score in [0, 1] of a model with these means, None where they do not tell."""
        ...


class Comparison(NamedTuple):
    """A mean over items, and the tool's own score."""

    mean: float
    own: float
    within: float = 1e-9

    @property
    def difference(self) -> float:
        """By how much they differ; 0 where rounding explains it."""
        difference = abs(self.own - self.mean)
        return difference if difference > self.within else 0.0


def compare(reader: OverallReader, responses: pa.Table) -> Comparison | None:
    """Compare the mean over the scored items of a model, of schema `responses`, with the tool's own score."""
    scores: NDArray[np.float64] = np.asarray(numbers_of(responses["score"]), np.float64)
    names = np.array(responses["subtask"].to_pylist())
    scored = ~np.isnan(scores)
    found, codes = np.unique(names[scored], return_inverse=True)
    counts = np.bincount(codes, minlength=len(found))
    means = np.bincount(codes, scores[scored], minlength=len(found)) / counts
    subtasks = {str(name): SubtaskMean(float(mean), int(count)) for name, mean, count in zip(found, means, counts, strict=True)}
    overall = reader.overall(subtasks)
    return None if overall is None else Comparison(float(scores[scored].mean()), overall)


def compare_log(responses: pa.Table, own: OwnScore | None) -> Comparison | None:
    """Compare the mean over the scored items of a log, of schema `responses`, with the tool's own score for it."""
    mean = pc.mean(responses["score"]).as_py()
    return None if own is None or mean is None else Comparison(mean, *own)


def told(weighs: str, compared: Mapping[str, Comparison]) -> list[str]:
    """Sentences on models or logs whose mean over items is not the tool's own score, those that differ most first."""
    differing = {name: each for name, each in compared.items() if each.difference}
    if not differing:
        return []
    order = sorted(differing, key=lambda name: (-differing[name].difference, name))
    shown = [f"{name!r} {differing[name].mean:.4f} and {differing[name].own:.4f}" for name in order[:MAX_NAMED]]
    more = f"; {len(order) - MAX_NAMED:,} more differ less" if len(order) > MAX_NAMED else ""
    return [f"accuracy as the mean over items, which is used here, and as {weighs}: {', '.join(shown)}{more}"]
