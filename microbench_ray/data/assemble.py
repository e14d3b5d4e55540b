"""Build a benchmark's Arrow tables from arrays: validate them and drop models and items with too many missing responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from microbench_ray.core.errors import DataError, DataWarning
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.data.columns import number_array, text_array
from microbench_ray.data.metadata import RESERVED, align_metadata
from microbench_ray.data.missing import KeptCells, count_missing, drop_incomplete
from microbench_ray.data.names import check_ids, check_texts
from microbench_ray.data.repeats import repeat_column
from microbench_ray.data.score_grid import TOLERANCE, Rows, blocks, find_units, missing_value, quantise, score_dtype
from microbench_ray.data.suspicious import find_suspicious
from microbench_ray.data.truth import checked_costs, checked_weights

if TYPE_CHECKING:
    import pandas as pd

ONLY_SUBTASK = "all"
"""Name of the subtask of a benchmark without subtasks."""


class BenchmarkTables(NamedTuple):
    """The parts of a `Benchmark`, see there."""

    models: pa.Table
    items: pa.Table
    units: int
    notes: tuple[str, ...]
    suspicious: tuple[DataWarning, ...]
    """Signs that the scores are not what they are taken for; their notes are among `notes`."""


def build_tables(
    scores: Rows,
    item_ids: Sequence[str],
    model_ids: Sequence[str],
    *,
    subtasks: Sequence[str] | None,
    confidence: Rows | None,
    answers: NDArray[Any] | None,
    labels: ArrayLike | None,
    repeats: NDArray[Any] | None = None,
    metadata: pd.DataFrame | pa.Table | None,
    units: int | None,
    max_missing: float,
    weights: ArrayLike | None = None,
    clusters: Sequence[str] | None = None,
    costs: ArrayLike | None = None,
) -> BenchmarkTables:
    """Validate the arrays and build the tables; parameters and errors as for `Benchmark.from_arrays`."""
    scores, confidence = _as_rows(scores), None if confidence is None else _as_rows(confidence)
    models, items = check_ids(model_ids, "model"), check_ids(item_ids, "item")
    if len(models) < 2 or len(items) < 1:
        raise DataError("A benchmark needs at least 2 models and 1 item.", got=f"{len(models)} model(s), {len(items)} item(s)")
    if not 0 <= max_missing <= 1:
        raise DataError(
            "max_missing must be a share in [0, 1].",
            where="max_missing",
            got=repr(max_missing),
            hint=fraction_hint("max_missing", max_missing, "0.1"),
        )
    shape = (len(models), len(items))
    _check_shape("scores", scores, shape)
    subtask_names = [ONLY_SUBTASK] * shape[1] if subtasks is None else check_texts(subtasks, "subtask")
    if len(subtask_names) != shape[1]:
        raise DataError("There must be one subtask per item.", got=f"{len(subtask_names)} for {shape[1]} items")
    label_array = None if labels is None else _check_labels(labels, items)
    item_weights = None if weights is None else checked_weights(weights, items)
    item_costs = None if costs is None else checked_costs(costs, items)
    cluster_column = None if clusters is None else text_array(check_texts(clusters, "cluster"))
    if cluster_column is not None and len(cluster_column) != shape[1]:
        raise DataError("There must be one cluster per item.", got=f"{len(cluster_column)} for {shape[1]} items")
    if units is not None:
        scores = _in_fractions(scores, units)

    missing = count_missing(scores, models, items)
    suspicious = find_suspicious(scores, models, items)
    kept, notes = drop_incomplete(missing, scores, models, items, max_missing, subtask_names)
    notes = [*(each.note for each in suspicious), *notes]
    units = find_units((rows, kept.pick(block)) for rows, block in blocks(scores, kept.models))
    matrix = np.empty((kept.n_models, kept.n_items), score_dtype(units))
    for rows, block in blocks(scores, kept.models):
        matrix[rows] = quantise(kept.pick(block), units)
    models, items = [models[m] for m in kept.models], [items[i] for i in kept.items]

    columns: dict[str, pa.Array] = {"model_id": text_array(models), "score": _lists(matrix)}
    absent = missing_value(matrix.dtype) if missing.n_missing else None
    if answers is not None:
        if label_array is None:
            raise DataError("answers need labels.", where="answers", got="no labels", hint="give labels as well")
        _check_shape("answers", answers, shape)
        answer_probabilities = _probabilities("answers", answers, kept, matrix, absent, models, items)
        kept_labels = label_array[kept.items]
        if int(kept_labels.max()) >= answer_probabilities.shape[2]:
            largest = int(kept_labels.argmax())
            raise DataError(
                f"A label must be one of the {answer_probabilities.shape[2]} answers, counted from 0.",
                where=f"labels, item {items[largest]!r}",
                got=str(kept_labels[largest]),
            )
        if confidence is None:
            columns["confidence"] = _lists(answer_probabilities[:, np.arange(kept.n_items), kept_labels])
        columns["answers"] = _lists(answer_probabilities.reshape(kept.n_models, -1))
    if confidence is not None:
        _check_shape("confidence", confidence, shape)
        columns["confidence"] = _lists(_probabilities("confidence", confidence, kept, matrix, absent, models, items))
    if repeats is not None:
        columns |= repeat_column(repeats, kept, matrix, units, absent, models, items)
    if metadata is not None:
        metadata_columns, metadata_notes = align_metadata(metadata, models, [model_ids[m] for m in kept.dropped_models])
        columns |= metadata_columns
        notes += metadata_notes

    order = sorted(columns, key=lambda name: RESERVED.index(name) if name in RESERVED else len(RESERVED))
    item_columns = {"item_id": text_array(items)}
    item_columns["subtask"] = _coded([subtask_names[item] for item in kept.items.tolist()])
    if label_array is not None:
        item_columns["label"] = number_array(label_array[kept.items])
    if item_weights is not None:
        item_columns["weight"] = number_array(item_weights[kept.items])
    if cluster_column is not None:
        item_columns["cluster"] = cluster_column.take(number_array(kept.items)).dictionary_encode()
    if item_costs is not None:
        item_columns["cost"] = number_array(item_costs[kept.items])
    return BenchmarkTables(
        models=pa.table({name: columns[name] for name in order}),
        items=pa.table(item_columns),
        units=units,
        notes=tuple(notes),
        suspicious=tuple(suspicious),
    )


def _as_rows(rows: Rows) -> Rows:
    return rows if isinstance(rows, np.ndarray) else [np.asarray(row) for row in rows]


def _check_shape(what: str, rows: Rows, shape: tuple[int, int]) -> None:
    """Check the shape, which is (n_models, n_items) or, for answers, (n_models, n_items, n_answers), and the numeric type."""
    expected = "(n_models, n_items, n_answers)" if what == "answers" else "(n_models, n_items)"
    n_axes = 3 if what == "answers" else 2
    if isinstance(rows, np.ndarray):
        shapes, dtypes = {rows.shape}, {rows.dtype}
    else:
        shapes, dtypes = {(len(rows), *row.shape) for row in rows}, {row.dtype for row in rows}
    wrong = [actual for actual in shapes if actual[:2] != shape or len(actual) != n_axes]
    if wrong or not shapes:
        raise DataError(
            f"{what} must have the shape {expected}.",
            where=what,
            got=f"{wrong[0] if wrong else 'no rows'} for {shape[0]} models and {shape[1]} items",
        )
    for dtype in dtypes:
        if dtype.kind not in "buif":
            raise DataError(f"{what} must be numbers.", where=what, got=f"values of type {dtype}")


def _check_labels(labels: ArrayLike, items: list[str]) -> NDArray[np.int32]:
    values = np.asarray(labels)
    if values.shape != (len(items),) or values.dtype.kind not in "buif":
        raise DataError(
            "There must be one label per item, and labels must be numbers.",
            where="labels",
            got=f"{values.dtype} {values.shape}",
        )
    whole = np.isfinite(values) & (values >= 0) & (values < 2**31)
    whole[whole] = values[whole] == np.floor(values[whole])
    if not whole.all():
        bad = int(np.argmin(whole))
        raise DataError(
            "A label is the position of the correct answer, counted from 0.",
            where=f"labels, item {items[bad]!r}",
            got=str(values[bad]),
        )
    return values.astype(np.int32)


def _in_fractions(scores: Rows, units: int) -> Rows:
    """Scores in units of 1/`units` as fractions; the missing value of an unsigned type becomes NaN."""

    def convert(row: NDArray[Any]) -> NDArray[Any]:
        fractions = row / np.float64(units)
        if row.dtype.kind == "u":
            fractions[row == missing_value(row.dtype)] = np.nan
        return fractions

    return [convert(row) for row in scores]


def _probabilities(
    what: str,
    rows: Rows,
    kept: KeptCells,
    scores: NDArray[Any],
    absent: int | None,
    models: list[str],
    items: list[str],
) -> NDArray[np.float32]:
    """Check that rows are probabilities for all non-missing responses; float32, NaN for missing responses."""
    out: NDArray[np.float32] | None = None
    for positions, raw in blocks(rows, kept.models):
        picked = kept.pick(raw)
        valid = (picked >= -TOLERANCE) & (picked <= 1 + TOLERANCE)
        if not valid.all():
            _check_probabilities(what, picked, valid, scores[positions], absent, models[positions], items)
        block = np.clip(picked, 0, 1).astype(np.float32)
        if absent is not None:
            block[scores[positions] == absent] = np.nan
        if out is None:
            out = np.empty((kept.n_models, *block.shape[1:]), np.float32)
        block += 0.0  # removes negative zeros, so that equal content has equal bytes
        out[positions] = block
    assert out is not None
    return out


def _check_probabilities(
    what: str,
    block: NDArray[Any],
    valid: NDArray[np.bool_],
    scores: NDArray[Any],
    absent: int | None,
    models: list[str],
    items: list[str],
) -> None:
    """Raise DataError for the first invalid value of a non-missing response, if there is one."""
    wrong = ~valid
    if absent is not None:
        wrong[scores == absent] = False
    if not wrong.any():
        return
    row, item, *_ = (int(k) for k in np.argwhere(wrong)[0])
    value = block[tuple(np.argwhere(wrong)[0])]
    where = f"{what} of model {models[row]!r}, item {items[item]!r}"
    if np.isnan(value):
        raise DataError(
            "A response with a score has no confidence.",
            where=where,
            got="a missing value",
            hint="give a confidence for every score, or use the benchmark without confidences",
        )
    raise DataError("A confidence must be a probability in [0, 1].", where=where, got=f"{value:g}")


def _coded(texts: Sequence[str]) -> pa.DictionaryArray:
    """Texts as positions among the distinct ones, in the order of their first appearance."""
    positions = {text: position for position, text in enumerate(dict.fromkeys(texts))}
    codes = np.array([positions[text] for text in texts], np.int32)
    return pa.DictionaryArray.from_arrays(number_array(codes), text_array(list(positions)))


def _lists(matrix: NDArray[Any]) -> pa.Array:
    """Wrap a matrix (rows, width) as a FixedSizeList column without a copy."""
    return pa.FixedSizeListArray.from_arrays(number_array(matrix), matrix.shape[1])
