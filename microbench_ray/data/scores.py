"""The wide score table: one row per item, one column per model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.urls import shown
from microbench_ray.data.benchmark import MAX_MISSING, Benchmark
from microbench_ray.data.columns import numbers_of
from microbench_ray.data.names import first_few
from microbench_ray.data.remote import copies
from microbench_ray.data.table_files import SUFFIXES, read_table, row_name, split_suffix

ITEM_COLUMNS = ("item_id", "subtask", "label")
"""Columns that are about the item; every other one is a model."""


def read_scores(
    path: str | Path,
    *,
    name: str | None = None,
    confidence: str | Path | None = "auto",
    metadata: str | Path | None = "auto",
    max_missing: float = MAX_MISSING,
) -> Benchmark:
    """Read a wide score table: Parquet, Feather (`.feather`, `.arrow`) or CSV (`.csv`, `.csv.gz`).

    A missing response (an empty cell, null or NaN) is never a wrong answer: models with more than `max_missing` of
    them are dropped with a note, the rest is handled by masked means on both halves.

    Parameters
    ----------
    path
        A path, or a URL such as `s3://bucket/X.parquet`: a table with the columns `item_id` (texts or integers, unique), optionally
        `subtask`, optionally `label` (position of the correct answer), and one column per model with scores in [0, 1]. Or a folder
        written by `Benchmark.save`, which is memory-mapped; then the options other than `name` do not apply.
    name
        Name of the benchmark; by default that of the file without its suffix.
    confidence
        Table of the same items and models with the probability given to the correct answer. "auto" takes
        `X.confidence.parquet` (or another suffix) beside `X.parquet` where there is one; None takes none.
    metadata
        Table with a column `model_id` and anything else that is known of the models. "auto" takes `X.models.parquet`,
        `X.models.csv`, ... beside `X.parquet` where there is one; None takes none.
    max_missing
        Share in [0, 1] of missing responses above which a model is dropped.

    Raises
    ------
    DataError
        Whatever is wrong with the files, saying which file, column and row.
    """
    kinds = [kind for kind, given in (("confidence", confidence), ("models", metadata)) if given == "auto"]
    with copies() as copy:
        twin, about = (given if given in ("auto", None) else copy.of(str(given), _none) for given in (confidence, metadata))
        return _read_scores(copy.of(path, _companions(str(path), kinds)), name, twin, about, max_missing)


def _companions(path: str, kinds: list[str]) -> Callable[[str], bool]:
    """Whether a file beside the one of a URL belongs to it, by its name."""
    file = shown(path).rpartition("/")[2]
    own = next((suffix for suffix in SUFFIXES if file.lower().endswith(suffix)), "")
    stem, suffix = file[: len(file) - len(own)], file[len(file) - len(own) :]
    names = {f"{stem}.{kind}{ending}" for kind in kinds for ending in (suffix, *SUFFIXES)}
    return names.__contains__


def _none(name: str) -> bool:
    return False


def _read_scores(
    path: Path, name: str | None, confidence: str | Path | None, metadata: str | Path | None, max_missing: float
) -> Benchmark:
    if path.is_dir():
        return Benchmark.open(path, name=name)
    benchmark = _read(path, name, confidence, metadata, max_missing)
    # The table is gone, and Arrow keeps its memory for another: with large ones that is as much as the benchmark itself.
    pa.default_memory_pool().release_unused()
    return benchmark


def _read(
    path: Path, name: str | None, confidence: str | Path | None, metadata: str | Path | None, max_missing: float
) -> Benchmark:
    table = read_table(path, texts=("item_id", "subtask"))
    _layout(path, table)  # before other files are looked for
    twin = _beside(path, "confidence", confidence)
    about = _beside(path, "models", metadata)
    return wide_benchmark(
        name or split_suffix(path)[0],
        (path, table),
        confidence=None if twin is None else (twin, read_table(twin, texts=("item_id", "subtask"))),
        metadata=None if about is None else (about, read_table(about, texts=("model_id",))),
        max_missing=max_missing,
    )


Named = tuple[Path, Any]
"""A table and what messages call it: its file."""


def wide_benchmark(name: str, scores: Named, *, confidence: Named | None, metadata: Named | None, max_missing: float) -> Benchmark:
    """A benchmark from wide tables: see `read_scores` for what they hold and what is raised."""
    path, table = scores
    item_ids, models, rows = wide_columns(path, table)
    subtasks = _texts(path, table, "subtask") if "subtask" in table.column_names else None
    labels = _numbers(path, table, "label", item_ids) if "label" in table.column_names else None
    confidences = None if confidence is None else _twin(*confidence, path, item_ids, models)
    try:
        return Benchmark.from_arrays(
            name,
            rows,
            item_ids,
            models,
            subtasks=subtasks,
            confidence=confidences,
            labels=labels,
            metadata=None if metadata is None else metadata[1],
            max_missing=max_missing,
        )
    except DataError as error:
        files = " with ".join(str(file) for file, _ in filter(None, (scores, confidence, metadata)))
        where = files if error.where is None else f"{files}: {error.where}"
        raise DataError(error.what, where=where, got=error.got, hint=error.hint) from None


def _layout(path: Path, table: pa.Table) -> tuple[list[str], list[str]]:
    """Item ids and model columns of a wide table."""
    columns = table.column_names
    if "item_id" not in columns:
        raise DataError(
            "The table has no column item_id.",
            where=str(path),
            got=f"columns {first_few(columns)}",
            hint="one row per item: rename the column with the items' names to item_id"
            if len(columns) > 1
            else "separate the columns by commas",
        )
    models = [column for column in columns if column not in ITEM_COLUMNS]
    if not models:
        raise DataError(
            "The table has no column with a model's scores.",
            where=str(path),
            got=f"columns {first_few(columns)}",
            hint="add one column per model, named after it, with scores in [0, 1]",
        )
    if not table.num_rows:
        raise DataError("The table has no rows.", where=str(path), hint="give one row per item")
    return _texts(path, table, "item_id"), models


def _texts(path: Path, table: pa.Table, name: str) -> list[str]:
    """A column of texts, or of integers that are taken as such."""
    column = table.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    textual = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    values = column.to_pylist()
    empty = next((row for row, value in enumerate(values) if value is None or value == ""), None)
    if empty is not None:
        raise DataError(
            f"Every item needs {'an item_id' if name == 'item_id' else 'a ' + name}.",
            where=f"{path}: column {name!r}, {row_name(path, empty)}",
            got="nothing",
            hint=f"fill in the {name}" + ("" if name == "item_id" else ", or leave the column out"),
        )
    if not (textual or pa.types.is_integer(kind)):
        raise DataError(f"The column {name} must hold texts or integers.", where=f"{path}: column {name!r}", got=str(kind))
    return [str(value) for value in values]


def _numbers(path: Path, table: pa.Table, name: str, item_ids: list[str]) -> NDArray[Any]:
    """A column of numbers or booleans; NaN where null."""
    column = table.column(name)
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_null(kind) or (pa.types.is_boolean(kind) and column.null_count):
        column = column.cast(pa.float64() if not pa.types.is_boolean(kind) else pa.uint8())
        kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return numbers_of(column)
    values = column.to_pylist()
    # where all are numbers kept as text, the first one is shown
    row = next((k for k, value in enumerate(values) if value is not None and not _is_number(value)), 0)
    value = values[row]
    raise DataError(
        f"There is {'text' if isinstance(value, str) else 'no number'} where a "
        f"{'label' if name == 'label' else 'score'} should be.",
        where=f"{path}: column {name!r}, {row_name(path, row)}, item {item_ids[row]!r}",
        got=repr(value),
        hint="scores are numbers in [0, 1]: leave the cell empty where there is no response, and keep columns that are "
        "not models out of the table",
    )


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str) and "_" not in value  # Python alone reads 1_0


def _twin(twin: Path, table: pa.Table, path: Path, item_ids: list[str], models: list[str]) -> list[NDArray[Any]]:
    """Columns of the confidence table, in the order of the scores' models and items."""
    twin_ids, twin_models = _layout(twin, table)
    for kind, ours, theirs in (("items", item_ids, twin_ids), ("model columns", models, twin_models)):
        lacking, foreign = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
        got = [f"without {first_few(lacking)}"] * bool(lacking) + [f"with {first_few(foreign)}"] * bool(foreign)
        if not got and len(theirs) != len(ours):
            got = [f"{len(theirs)} {kind} for {len(ours)}, some more than once"]
        if got:
            raise DataError(
                f"The confidences are not of the same {kind} as the scores.",
                where=f"{twin} beside {path}",
                got="; ".join(got),
                hint="give both tables the same rows and columns, or read without confidences (confidence=null)",
            )
    columns = [_numbers(twin, table, model, twin_ids) for model in models]
    if twin_ids == item_ids:
        return columns
    position = {item: row for row, item in enumerate(twin_ids)}
    order = np.array([position[item] for item in item_ids])
    return [column[order] for column in columns]


def wide_columns(path: Path, table: pa.Table) -> tuple[list[str], list[str], list[NDArray[Any]]]:
    """Item ids, model ids, and each model's column of numbers; DataError where the table is no wide one. `path` is for messages."""
    item_ids, models = _layout(path, table)
    return item_ids, models, [_numbers(path, table, model, item_ids) for model in models]


def _beside(path: Path, kind: str, given: str | Path | None) -> Path | None:
    """The file that belongs to `path`: the given one, or with "auto" `X.<kind>.<suffix>`, its own suffix first."""
    if given != "auto":
        return None if given is None else Path(given)
    stem, suffix = split_suffix(path)
    candidates = (path.with_name(f"{stem}.{kind}{ending}") for ending in dict.fromkeys((suffix, *SUFFIXES)))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
