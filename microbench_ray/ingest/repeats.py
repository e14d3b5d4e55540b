"""Repeats of responses, for the summary of an ingest and its refusals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few


def count_reduced(table: pa.Table, counts: Counter[Any]) -> None:
    """Add the responses with repeats, their scores and their means to `counts`."""
    for score, repeats in zip(table["score"].to_pylist(), table["repeats"].to_pylist(), strict=True):
        if repeats is None or score is None:
            counts["without"] += repeats is not None
            continue
        counts["responses"] += 1
        counts["score"] += score
        counts["mean"] += sum(repeats) / len(repeats)


def told_reduced(counts: Mapping[Any, float]) -> str:
    """A line of the summary: the mean score, and what it is where repeats are averaged, as most tools report it."""
    n = max(counts.get("responses", 0), 1)
    score, mean = counts.get("score", 0) / n, counts.get("mean", 0) / n
    return (
        f"repeats: {int(n):,} responses have a mean score of {score:.4f}, and averaged over their repeats, as tools report it, "
        f"of {mean:.4f}; {counts.get('without', 0):,} have no score by reduce"
    )


def repeats_apart(model: str, absent: Sequence[str]) -> DataError:
    """The error for logs that are repeats of ones that are not there any more."""
    return DataError(
        "With on_conflict=repeats, all logs of a model must be read together.",
        where=f"model {model!r}",
        got=f"without {first_few(absent)}",
        hint="give the folder that holds all of its logs with path=FOLDER, or a new out=DIR",
    )
