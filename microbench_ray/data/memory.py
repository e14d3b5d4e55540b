"""Benchmarks and responses from numpy arrays, pandas DataFrames and Arrow tables in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.benchmark import MAX_MISSING, Benchmark
from microbench_ray.data.scores import NamedTable, wide_benchmark, wide_columns
from microbench_ray.data.suspicious import find_suspicious, warn
from microbench_ray.data.table_hints import without_item_id

if TYPE_CHECKING:
    import pandas as pd

DIFFERENT_TYPES = "Scores and confidences must have the same type."
NAMES_HINT = "only for numpy arrays; a table has a column item_id, optionally subtask, and one column per model"


class Responses(NamedTuple):
    """Responses of models to items."""

    values: NDArray[np.float64]
    """(n_models, n_items), NaN for missing responses."""
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
    """Make a benchmark from scores in memory.

    Parameters
    ----------
    scores
        (n_models, n_items) numbers or booleans in [0, 1], NaN for missing responses. Or a table with the layout that `read_scores`
        reads: a row per item, a column `item_id` (in pandas also an index of that name), optionally `subtask` and `label`
        (position of the correct answer), and a column per model.
    item_ids, model_ids, subtask
        For an array: (n_items,), (n_models,) and (n_items,) texts. By default `item_0`, `model_0` and so on, and one subtask.
    confidence
        Probability that each model gave to the correct answer, for every score; same type, shape and names as `scores`.
    metadata
        One row per model with `model_id` (column or index) and any further columns, such as `params`, `family`, `release_date`.
    name
        Name of the benchmark in tables. Random draws depend on it: the same name and seed give the same numbers.
    max_missing
        Share in [0, 1] of missing responses above which a model is dropped, with a note in `Benchmark.notes`.

    Raises
    ------
    DataError
        The input is invalid; the error names the place.

    Warns
    -----
    DataWarning
        As for `Benchmark.from_arrays`.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.benchmark([[1, 0, 1], [0, 0, 1]], item_ids=["q1", "q2", "q3"], model_ids=["a", "b"], name="mine")
    >>> board
    Benchmark('mine', 2 models x 3 items, units=1)
    >>> print(board.to_markdown(), end="")
    | model | accuracy | answered |
    | :--- | ---: | ---: |
    | a | 0.6667 | 3 |
    | b | 0.3333 | 3 |
    """
    if (table := as_table(scores, "scores")) is not None:
        _check_no_names(item_ids=item_ids, model_ids=model_ids, subtask=subtask)
        return wide_benchmark(
            name,
            NamedTable(path=Path("scores"), table=table),
            confidence=None if confidence is None else _confidence_table(confidence),
            metadata=None if metadata is None else NamedTable(path=Path("metadata"), table=metadata),
            max_missing=max_missing,
        )
    if confidence is not None and as_table(confidence, "confidence") is not None:
        raise DataError(DIFFERENT_TYPES, where="confidence", got="a table, and an array of scores")
    matrix = _matrix(scores, "scores")
    models, items = _names("model", model_ids, matrix, axis=0), _names("item", item_ids, matrix, axis=1)
    return Benchmark.from_arrays(
        name,
        matrix,
        items,
        models,
        subtasks=subtask,
        confidence=None if confidence is None else _matrix(confidence, "confidence"),
        metadata=metadata,
        max_missing=max_missing,
    )


def responses(
    given: ArrayLike | pd.DataFrame | pa.Table, item_ids: Sequence[str] | None = None, model_ids: Sequence[str] | None = None
) -> Responses:
    """Make responses of any number of models from the types that `benchmark` takes as scores; an array needs `item_ids`.

    Raises
    ------
    DataError
        The input is invalid; the error names the place.

    Warns
    -----
    DataWarning
        A model or an item looks like a mean or another aggregate.
    """
    if (table := as_table(given, "responses")) is not None:
        _check_no_names(item_ids=item_ids, model_ids=model_ids)
        columns = wide_columns(NamedTable(path=Path("responses"), table=table))
        values = np.stack([np.asarray(column, np.float64) for column in columns.scores])
        return _checked(Responses(values=values, item_ids=columns.item_ids, model_ids=columns.model_ids))
    if item_ids is None:
        raise DataError("An array of responses needs item ids.", where="item_ids", hint="item_ids=[…], one per column")
    matrix = _matrix(given, "responses").astype(np.float64)
    models, items = _names("model", model_ids, matrix, axis=0), _names("item", item_ids, matrix, axis=1)
    return _checked(Responses(values=matrix, item_ids=items, model_ids=models))


def _checked(given: Responses) -> Responses:
    """The responses, after warning of aggregates among them."""
    warn(find_suspicious(given.values, given.model_ids, given.item_ids, where="responses", shape=False))
    return given


def as_table(given: Any, what: str) -> pa.Table | None:
    """Convert a pandas or Arrow table to an Arrow table; None for other types. DataError for columns that Arrow cannot hold."""
    if isinstance(given, pa.RecordBatch):
        return pa.Table.from_batches([given])
    if isinstance(given, pa.Table):
        return given
    if not hasattr(given, "iloc") or not hasattr(given, "columns"):
        return None
    frame = given.reset_index() if given.index.name == "item_id" else given
    if "item_id" not in frame.columns:
        has_ids = frame.index.is_unique and type(frame.index).__name__ != "RangeIndex"
        raise without_item_id(what, [str(name) for name in frame.columns], "rename_axis('item_id')" if has_ids else None)
    try:
        return pa.Table.from_pandas(frame.rename(columns=str), preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DataError("A column contains values of several types.", where=what, got=str(error).splitlines()[0]) from None


def _confidence_table(confidence: Any) -> NamedTable:
    table = as_table(confidence, "confidence")
    if table is None:
        raise DataError(DIFFERENT_TYPES, where="confidence", got="an array, and a table of scores")
    return NamedTable(path=Path("confidence"), table=table)


def _check_no_names(**given: object) -> None:
    for key, value in given.items():
        if value is not None:
            raise DataError("A table already has names.", where=key, got=f"a table and {key}", hint=f"{key} is {NAMES_HINT}")


def _matrix(given: ArrayLike, what: str) -> NDArray[Any]:
    try:
        matrix = np.asarray(given)
    except ValueError as error:
        raise DataError(f"{what} must be a matrix.", where=what, got=str(error)) from None
    if matrix.ndim != 2 or matrix.dtype.kind not in "buif":
        got = f"values of type {matrix.dtype}, shape {matrix.shape}"
        raise DataError(
            f"{what} must be an array of numbers of shape (n_models, n_items).",
            where=what,
            got=got,
            hint="use NaN for missing values",
        )
    return matrix


def _names(kind: str, given: Sequence[str] | None, matrix: NDArray[Any], axis: int) -> list[str]:
    """The ids along an axis; models are the rows and items the columns."""
    count = matrix.shape[axis]
    if given is None:
        return [f"{kind}_{k}" for k in range(count)]
    if len(given) != count:
        exchanged = len(given) == matrix.shape[1 - axis]
        raise DataError(
            f"There must be one {kind} id per {kind}.",
            where=f"{kind}_ids",
            got=f"{len(given)} for an array of the shape {matrix.shape}",
            hint="the array has a row per item: pass its transpose, which has a row per model (array.T)"
            if exchanged
            else f"the array has a row per model and a column per item: give {count} {kind}_ids",
        )
    return [str(name) for name in given]
