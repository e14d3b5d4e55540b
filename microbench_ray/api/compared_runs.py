"""Runs that `mb.compare` is given: scores in memory, or models of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError, DataError, closest
from microbench_ray.data import Benchmark
from microbench_ray.micro.compare.runs import Run

SCORES_BY_ITEM = "scores by item: {'q1': 1, 'q2': 0}, a pandas Series with the ids as its index, or an array"


def runs_of_models(benchmark: Benchmark, names: Sequence[Any]) -> list[Run]:
    """The runs of models of a benchmark; ConfigError for one that it does not have, and for one that is named twice."""
    unnamed = next((name for name in names if not isinstance(name, str)), None)
    if unnamed is not None:
        hint = "leave out benchmark=, or give names of its models"
        raise ConfigError("With a benchmark, runs are names of its models.", where="runs", got=type(unnamed).__name__, hint=hint)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError("A run is named twice.", where="runs", got=str(twice), hint="name each run once")
    return [_of_model(benchmark, name) for name in names]


def _of_model(benchmark: Benchmark, name: str) -> Run:
    found = np.flatnonzero(benchmark.model_ids == name)
    if not found.size:
        known = list(map(str, benchmark.model_ids))
        raise ConfigError("The benchmark has no such model.", where="runs", got=str(name), hint=closest(name, known, count=10))
    scores = benchmark.scores[found[0]]
    subtasks = [benchmark.subtask_names[code] for code in benchmark.subtask_codes]
    missing = (scores == benchmark.missing).tolist()
    ids = list(map(str, benchmark.item_ids))
    repeats = (scores / benchmark.units)[:, None] if benchmark.repeats is None else benchmark.repeats[found[0]].astype(np.float64)
    own = [tuple(each[each == each].tolist()) for each in repeats]
    return Run(
        name=str(name),
        scores={item: () if absent else values for item, values, absent in zip(ids, own, missing, strict=True)},
        subtask=dict(zip(ids, subtasks, strict=True)),
        content=dict.fromkeys(ids),
    )


def runs_in_memory(given: Sequence[Any], names: Sequence[str] | None, subtask: Mapping[str, Any]) -> list[Run]:
    """Runs that are scores; errors as for `mb.compare`."""
    labels = [f"run_{k}" for k in range(len(given))] if names is None else [str(name) for name in names]
    if len(labels) != len(given) or len(set(labels)) < len(labels):
        raise ConfigError(
            "There must be one name for each run.", where="names", got=", ".join(labels), hint="names=['base', 'new']"
        )
    runs = [_in_memory(run, label, subtask) for run, label in zip(given, labels, strict=True)]
    lengths = {len(run.scores) for run, each in zip(runs, given, strict=True) if not hasattr(each, "items")}
    if len(lengths) > 1:
        raise DataError(
            "Arrays must be of the same items.",
            where="runs",
            got=f"{' and '.join(map(str, sorted(lengths)))} items",
            hint="fill missing items with NaN, or give mappings from the items' ids to their scores",
        )
    return runs


def by_item(key: str, given: Any, runs: Sequence[Any], benchmark: Benchmark | None) -> dict[str, Any] | Any:
    """A value of each item by its id: from a mapping, or an array in the order of the items of runs that are arrays."""
    if given is None or (key == "cluster" and isinstance(given, str) and given == "subtask"):
        return given
    if hasattr(given, "items") and getattr(given, "ndim", 1) == 1:
        return {str(item): value for item, value in given.items() if value is not None and value == value}
    of_arrays = benchmark is None and runs and not hasattr(runs[0], "items")
    n_items = len(np.atleast_1d(runs[0])) if of_arrays else None
    if isinstance(given, str) or n_items is None or np.shape(given) != (n_items,):
        got = repr(given) if isinstance(given, str) else f"{type(given).__name__} of the shape {np.shape(given)}"
        also = "'subtask', " if key == "cluster" else ""
        hint = f"{key}={also}a mapping from the items' ids, or for runs that are arrays an array of their items"
        raise ConfigError(f"{key} must be known for each item.", where=key, got=got, hint=hint)
    return {f"item_{k}": value for k, value in enumerate(np.asarray(given).tolist())}


def _in_memory(given: Any, name: str, subtask: Mapping[str, Any]) -> Run:
    if isinstance(given, str | Path):
        hint = "benchmark=… for names of models; microbench compare reads logs"
        raise ConfigError("A run must be scores by item.", where=name, got=str(given), hint=hint)
    if hasattr(given, "columns"):
        raise ConfigError("A run must be scores by item.", where=name, got=type(given).__name__, hint=SCORES_BY_ITEM)
    if hasattr(given, "items"):  # a mapping, or a pandas Series, in which an item's repeats are several rows
        repeats: dict[str, list[float]] = {}
        for item, value in given.items():
            several = [value] if type(value) is float else np.atleast_1d(_numbers(value, f"{name}, item {str(item)!r}")).tolist()
            repeats.setdefault(str(item), []).extend(several)
    else:
        matrix = _numbers(given, name)
        if matrix.ndim not in (1, 2):
            raise DataError(
                "An array of scores has the shape (n_items,) or (n_items, n_repeats).", where=name, got=str(matrix.shape)
            )
        repeats = {f"item_{k}": np.atleast_1d(row).tolist() for k, row in enumerate(matrix)}
    scores = {item: tuple([value for value in values if value == value]) for item, values in repeats.items()}
    wrong = next(((item, value) for item, values in scores.items() for value in values if not 0 <= value <= 1), None)
    if wrong is not None:
        raise DataError("A score is outside [0, 1].", where=f"{name}, item {wrong[0]!r}", got=f"{wrong[1]:g}")
    return Run(name, scores, {item: str(subtask.get(item, "all")) for item in scores}, dict.fromkeys(scores))


def _numbers(given: Any, where: str) -> NDArray[np.float64]:
    try:
        return np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise DataError("A score is not a number.", where=where, got=f"{given!r:.40}", hint=SCORES_BY_ITEM) from None
