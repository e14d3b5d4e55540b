"""Benchmarks and responses from what a notebook holds: numpy arrays, pandas DataFrames, Arrow tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.benchmark import MAX_MISSING, Benchmark
from microbench_ray.data.scores import Named, wide_benchmark, wide_columns

if TYPE_CHECKING:
    import pandas as pd

NAMES_APART = "numpy arrays alone: a table has a column item_id, perhaps one subtask, and one column per model"


class Responses(NamedTuple):
    """Responses of models to items."""

    values: NDArray[np.float64]
    """(n_models, n_items), NaN where missing."""
    item_ids: list[str]
    model_ids: list[str]


def benchmark(
    scores: ArrayLike | pd.DataFrame | pa.Table,
    item_ids: Sequence[str] | None = None,
    model_ids: Sequence[str] | None = None,
    subtask: Sequence[str] | None = None,
    confidence: ArrayLike | pd.DataFrame | pa.Table | None = None,
    metadata: pd.DataFrame | pa.Table | None = None,
    name: str = "benchmark",
    max_missing: float = MAX_MISSING,
) -> Benchmark:
    """Make a benchmark of scores that are in memory already.

    Parameters
    ----------
    scores
        (n_models, n_items) numbers or booleans in [0, 1], NaN where a response is missing. Or a table as `read_scores` reads it
        from a file: a row per item, a column `item_id` (in pandas also an index of that name), perhaps `subtask` and `label`
        (position of the correct answer), and a column per model.
    item_ids, model_ids, subtask
        Of an array: (n_items,), (n_models,) and (n_items,) texts. By default `item_0`, `model_0` and so on, and one subtask.
    confidence
        Of the same kind, shape and names: the probability given to the correct answer, wherever there is a score.
    metadata
        One row per model with `model_id` (column or index) and whatever else is known: `params`, `family`, `release_date`.
    name
        Of the benchmark, in tables. Random draws depend on it: the same name and seed give the same numbers.
    max_missing
        Share in [0, 1] of missing responses above which a model is dropped, with a sentence in `Benchmark.notes`.

    Raises
    ------
    DataError
        Whatever is wrong with the input, saying where.
    """
    if (table := as_table(scores, "scores")) is not None:
        _alone(item_ids=item_ids, model_ids=model_ids, subtask=subtask)
        twin = None if confidence is None else _table_too(confidence)
        known = None if metadata is None else (Path("metadata"), metadata)
        return wide_benchmark(name, (Path("scores"), table), confidence=twin, metadata=known, max_missing=max_missing)
    if confidence is not None and as_table(confidence, "confidence") is not None:
        raise DataError("Scores and confidences are of one kind.", where="confidence", got="a table beside an array")
    matrix = _matrix(scores, "scores")
    models, items = _names("model", model_ids, len(matrix)), _names("item", item_ids, matrix.shape[1])
    sure = None if confidence is None else _matrix(confidence, "confidence")
    return Benchmark.from_arrays(
        name, matrix, items, models, subtasks=subtask, confidence=sure, metadata=metadata, max_missing=max_missing
    )


def responses(
    given: ArrayLike | pd.DataFrame | pa.Table, item_ids: Sequence[str] | None = None, model_ids: Sequence[str] | None = None
) -> Responses:
    """Responses of any number of models: as the scores of `benchmark`, where an array needs the ids of its items.

    Raises
    ------
    DataError
        Whatever is wrong with the input, saying where.
    """
    if (table := as_table(given, "responses")) is not None:
        _alone(item_ids=item_ids, model_ids=model_ids)
        ids, models, columns = wide_columns(Path("responses"), table)
        return Responses(np.stack([np.asarray(column, np.float64) for column in columns]), ids, models)
    if item_ids is None:
        raise DataError("An array of responses needs the ids of its items.", where="item_ids", hint="item_ids=[…], one per column")
    matrix = _matrix(given, "responses").astype(np.float64)
    return Responses(matrix, [str(item) for item in item_ids], _names("model", model_ids, len(matrix)))


def as_table(given: Any, what: str) -> pa.Table | None:
    """Arrow's form of a table of pandas or Arrow; None for anything else. DataError where pandas holds what Arrow cannot."""
    if isinstance(given, pa.RecordBatch):
        return pa.Table.from_batches([given])
    if isinstance(given, pa.Table):
        return given
    if not hasattr(given, "iloc") or not hasattr(given, "columns"):
        return None
    frame = given.reset_index() if given.index.name == "item_id" else given
    try:
        return pa.Table.from_pandas(frame.rename(columns=str), preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DataError("A column holds values of several kinds.", where=what, got=str(error).splitlines()[0]) from None


def _table_too(confidence: Any) -> Named:
    table = as_table(confidence, "confidence")
    if table is None:
        raise DataError("Scores and confidences are of one kind.", where="confidence", got="an array beside a table")
    return Path("confidence"), table


def _alone(**given: object) -> None:
    for key, value in given.items():
        if value is not None:
            raise DataError(
                "A table brings its names along.", where=key, got="a table and names", hint=f"{key} is for {NAMES_APART}"
            )


def _matrix(given: ArrayLike, what: str) -> NDArray[Any]:
    try:
        matrix = np.asarray(given)
    except ValueError as error:
        raise DataError(f"The {what} are no matrix.", where=what, got=str(error)) from None
    if matrix.ndim != 2 or matrix.dtype.kind not in "buif":
        got = f"values of type {matrix.dtype}, shape {matrix.shape}"
        raise DataError(f"The {what} are numbers, (n_models, n_items).", where=what, got=got, hint="NaN where one is missing")
    return matrix


def _names(kind: str, given: Sequence[str] | None, count: int) -> list[str]:
    if given is None:
        return [f"{kind}_{k}" for k in range(count)]
    if len(given) != count:
        raise DataError(f"There is one {kind} id per {kind}.", where=f"{kind}_ids", got=f"{len(given)} for {count}")
    return [str(name) for name in given]
