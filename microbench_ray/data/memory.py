"""Benchmarks and responses from numpy arrays and tables in memory, and from paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.benchmark import MAX_MISSING, Benchmark
from microbench_ray.data.repeats import means
from microbench_ray.data.scores import NamedTable, probability_keys, read_scores, read_wide, wide_benchmark, wide_columns
from microbench_ray.data.suspicious import find_suspicious, warn
from microbench_ray.data.tables.build import to_wide
from microbench_ray.data.tables.keys import DEFAULT_KEYS, ColumnNames, TableKeys, table_keys
from microbench_ray.data.tables.objects import as_table

if TYPE_CHECKING:
    import pandas as pd

DIFFERENT_TYPES = "Scores and confidences must have the same type."
NAMES_HINT = "only for numpy arrays; a table has columns with the ids"
NEW_KEYS = TableKeys(ids_needed=True)
"""New responses are joined with the items of a micro-benchmark."""
TableLike: TypeAlias = "pd.DataFrame | pd.Series[Any] | pa.Table | Mapping[str, Any] | Sequence[Mapping[str, Any]]"
"""Tables in memory; also those of polars."""


class Responses(NamedTuple):
    """Responses of models to items."""

    values: NDArray[np.float64]
    """(n_models, n_items), NaN for missing responses."""
    item_ids: list[str]
    model_ids: list[str]


def benchmark(
    scores: ArrayLike | TableLike | str | Path,
    item_ids: Sequence[str] | None = None,
    model_ids: Sequence[str] | None = None,
    subtask: Sequence[str] | None = None,
    confidence: ArrayLike | TableLike | None = None,
    metadata: pd.DataFrame | pa.Table | None = None,
    name: str | None = None,
    max_missing: float = MAX_MISSING,
    shape: str = "auto",
    columns: ColumnNames | None = None,
    scale: float = 1.0,
    correct: str | Sequence[str] = (),
    *,
    sheet: str | None = None,
    truth: str = "micro",
    weights: ArrayLike | None = None,
    cluster: Sequence[str] | None = None,
    cost: ArrayLike | None = None,
) -> Benchmark:
    """Make a benchmark from scores in memory.

    Parameters
    ----------
    scores
        (n_models, n_items) numbers or booleans in [0, 1], NaN for missing responses; or (n_models, n_items, n_repeats), of which
        the scores are the means. Or a table of any shape that `read_scores` reads: of pandas (ids may be in the index), polars or
        Arrow, a dict of columns, a dict of models to dicts of items to scores, or a list of dicts, one for each row. Or the path of
        a file, as for `read_scores`.
    item_ids, model_ids, subtask
        For an array: (n_items,), (n_models,) and (n_items,) texts. By default `item_0`, `model_0` and so on, and one subtask.
    confidence
        Probability that each model gave to the correct answer, for every score; same type, shape and names as `scores`.
    metadata
        One row per model with `model_id` (column or index) and any further columns, such as `params`, `family`, `release_date`.
    name
        Name of the benchmark in tables, by default `benchmark`, or a path's. Random draws depend on it: the same name and seed give
        the same numbers.
    max_missing
        Share in [0, 1] of missing responses above which a model is dropped, with a note in `Benchmark.notes`.
    shape, columns, scale, correct, sheet
        How a table is read, as for `read_scores`.
    truth
        `macro` where the leaderboard ranks models by the mean over subtasks of their accuracies on each.
    weights, cluster
        For an array: (n_items,) positive numbers, what each item counts in the mean that ranks the models, and texts, equal for
        items that are not independent of one another. A table has columns for them (`columns`).
    cost
        For an array: (n_items,) positive numbers, what answering each item costs, in any unit (tokens, seconds, dollars).

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
    keys = table_keys(shape, columns, scale, correct, sheet)
    if isinstance(scores, str | Path):
        _check_no_names(
            item_ids=item_ids,
            model_ids=model_ids,
            subtask=subtask,
            confidence=confidence,
            metadata=metadata,
            weights=weights,
            cluster=cluster,
            cost=cost,
        )
        return read_scores(scores, name=name, max_missing=max_missing, truth=truth, **keys.settings())
    if keys.sheet is not None:
        raise DataError("sheet= is for Excel workbooks.", where="sheet", got=f"sheet={keys.sheet}", hint="leave out sheet=")
    name = "benchmark" if name is None else name
    if (table := as_table(scores, "scores")) is not None:
        _check_no_names(item_ids=item_ids, model_ids=model_ids, subtask=subtask, weights=weights, cluster=cluster, cost=cost)
        return wide_benchmark(
            name,
            Path("scores"),
            to_wide(table, Path("scores"), keys),
            confidence=None if confidence is None else _confidence_table(confidence, keys),
            metadata=None if metadata is None else NamedTable(path=Path("metadata"), table=metadata),
            max_missing=max_missing,
            truth=truth,
        )
    if keys != DEFAULT_KEYS:
        raise DataError(
            "shape, columns, scale and correct are for tables.", where=", ".join(keys.settings()), got="an array of scores"
        )
    if confidence is not None and as_table(confidence, "confidence") is not None:
        raise DataError(DIFFERENT_TYPES, where="confidence", got="a table, and an array of scores")
    matrix = _matrix(scores, "scores", axes=(2, 3))
    repeats = matrix if matrix.ndim == 3 else None
    if repeats is not None:
        matrix = means(repeats.astype(np.float64))
    models, items = _names("model", model_ids, matrix, axis=0), _names("item", item_ids, matrix, axis=1)
    return Benchmark.from_arrays(
        name,
        matrix,
        items,
        models,
        subtasks=subtask,
        confidence=None if confidence is None else _matrix(confidence, "confidence"),
        repeats=repeats,
        metadata=metadata,
        max_missing=max_missing,
        truth=truth,
        weights=weights,
        clusters=cluster,
        costs=cost,
    )


def responses(
    given: ArrayLike | TableLike | str | Path, item_ids: Sequence[str] | None = None, model_ids: Sequence[str] | None = None
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
    where = Path(given) if isinstance(given, str | Path) else Path("responses")
    table = None if isinstance(given, str | Path) else as_table(given, "responses")
    if table is not None or isinstance(given, str | Path):
        _check_no_names(item_ids=item_ids, model_ids=model_ids)
        wide = read_wide(where, NEW_KEYS) if table is None else to_wide(table, where, NEW_KEYS)
        warn(wide.warnings)
        columns = wide_columns(where, wide.table)
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


def _confidence_table(confidence: Any, keys: TableKeys) -> NamedTable:
    table = as_table(confidence, "confidence")
    if table is None:
        raise DataError(DIFFERENT_TYPES, where="confidence", got="an array, and a table of scores")
    path = Path("confidence")
    return NamedTable(path=path, table=to_wide(table, path, probability_keys(keys)).table)


def _check_no_names(**given: object) -> None:
    for key, value in given.items():
        if value is not None:
            raise DataError("A table already has names.", where=key, got=f"a table and {key}", hint=f"{key} is {NAMES_HINT}")


def _matrix(given: Any, what: str, axes: Sequence[int] = (2,)) -> NDArray[Any]:
    try:
        matrix = np.asarray(given)
    except ValueError as error:
        raise DataError(f"{what} must be a matrix.", where=what, got=str(error)) from None
    if matrix.ndim not in axes or matrix.dtype.kind not in "buif":
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
