"""Benchmarks from tables of scores, long or wide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.urls import without_query
from microbench_ray.data.benchmark import MAX_MISSING, Benchmark
from microbench_ray.data.columns import numbers_of
from microbench_ray.data.names import first_few
from microbench_ray.data.remote import local_copies
from microbench_ray.data.repeats import Repeats
from microbench_ray.data.suspicious import warn
from microbench_ray.data.table_files import SUFFIXES, read_table, row_name, split_suffix
from microbench_ray.data.table_hints import cell_hint
from microbench_ray.data.tables.aggregates import CLUSTER, COST, ITEM_COLUMNS, WEIGHT
from microbench_ray.data.tables.build import WideTable, to_wide
from microbench_ray.data.tables.keys import DEFAULT_KEYS, OF_ITEMS, ColumnNames, TableKeys, table_keys
from microbench_ray.data.tables.vocabulary import text_columns


def read_scores(
    path: str | Path,
    *,
    name: str | None = None,
    confidence: str | Path | None = "auto",
    metadata: str | Path | None = "auto",
    repeats: str | Path | None = "auto",
    max_missing: float = MAX_MISSING,
    shape: str = "auto",
    columns: ColumnNames | None = None,
    scale: float = 1.0,
    correct: str | Sequence[str] = (),
    sheet: str | None = None,
    truth: str = "micro",
) -> Benchmark:
    """Read a table of scores: Parquet, Feather (`.feather`, `.arrow`), delimited text (`.csv`, `.tsv`, `.tab`, `.txt`), JSON Lines
    (texts also `.gz` or `.zst`) or Excel (`.xlsx`).

    A table is long, with a row per response, or wide, with a row per item and a column per model, or the other way round. What each
    column was taken for is in `Benchmark.notes`, unless the table has the columns `item_id`, optionally `subtask`, and models.

    Missing responses (empty cells, nulls or NaN) do not count as wrong answers. Models with a larger share of them than
    `max_missing` are dropped with a note; for the others, accuracies are means over the non-missing responses.

    Parameters
    ----------
    path
        A path, or a URL such as `s3://bucket/X.parquet`. The plainest table has the columns `item_id` (unique texts or integers),
        optionally `subtask` and `label` (position of the correct answer), and one column per model with scores in [0, 1]. A folder
        written by `Benchmark.save` is memory-mapped; the options other than `name` do not apply to it.
    name
        Name of the benchmark; by default the file name without its suffix.
    confidence
        Table with the same items and models, and the probability that each model gave to the correct answer. "auto" reads
        `X.confidence.parquet` (or another suffix) next to `X.parquet` if it exists; None reads no confidences.
    metadata
        Table with a column `model_id` and any further columns about the models. "auto" reads `X.models.parquet`, `X.models.csv`,
        ... next to `X.parquet` if it exists; None reads no metadata.
    repeats
        Long table with the columns `model`, `item_id`, `repeat` and `score`: the repeats of which the scores are means. "auto"
        reads `X.repeats.parquet` (or another suffix) next to `X.parquet` if it exists; None reads no repeats. A long table with a
        column of repeats holds its own, which "auto" keeps.
    max_missing
        Share in [0, 1] of missing responses above which a model is dropped.
    shape
        `long`, `items` (a row per item), `models` (a row per model), or `auto`: guessed.
    columns
        The columns of roles where their names do not tell: `model`, `item`, `score`, `subtask`, `repeat` (repeats are
        averaged, and kept in `Benchmark.repeats`), `label`, `weight` (what an item counts in the mean that ranks the models),
        `cluster` (equal for items that are not independent of one another), `cost` (what answering an item costs; a mean where
        each response has its own), and `ignore` for columns to leave out.
    scale
        Scores are divided by it: 100 for percent.
    correct
        The words for a right answer, where scores are words.
    truth
        `macro` where the leaderboard ranks models by the mean over subtasks of their accuracies on each; by default by the mean
        over items. A saved folder keeps what it has unless this is `macro`.
    sheet
        The sheet of a workbook that has several.

    Raises
    ------
    ConfigError
        `shape`, `columns`, `scale` or `correct` is invalid.
    DataError
        The files are missing, damaged or invalid; the error names the file, column and row.
    """
    keys = table_keys(shape, columns, scale, correct, sheet)
    kinds = [kind for kind, given in (("confidence", confidence), ("models", metadata), ("repeats", repeats)) if given == "auto"]
    with local_copies() as copies:
        paths = Companions(
            *(
                given if given in ("auto", None) else copies.fetch(str(given), lambda file: False)
                for given in (confidence, metadata, repeats)
            )
        )
        local_path = copies.fetch(path, _companions(str(path), kinds))
        return _read_scores(local_path, name, paths, max_missing, keys, truth)


class Companions(NamedTuple):
    """The files beside a table of scores: paths, "auto", or None."""

    confidence: str | Path | None
    metadata: str | Path | None
    repeats: str | Path | None


def _companions(path: str, kinds: list[str]) -> Callable[[str], bool]:
    """The predicate of file names that are companions of a URL's file."""
    file = without_query(path).rpartition("/")[2]
    known_suffix = next((suffix for suffix in SUFFIXES if file.lower().endswith(suffix)), "")
    stem, suffix = file[: len(file) - len(known_suffix)], file[len(file) - len(known_suffix) :]
    names = {f"{stem}.{kind}{ending}" for kind in kinds for ending in (suffix, *SUFFIXES)}
    return names.__contains__


def _read_scores(
    path: Path, name: str | None, companions: Companions, max_missing: float, keys: TableKeys, truth: str
) -> Benchmark:
    if path.is_dir():
        stored = Benchmark.open(path, name=name)
        stored = stored if companions.repeats is not None else stored.without_repeats()
        return stored if truth == "micro" else stored.with_truth(truth)
    benchmark = _read(path, name, companions, max_missing, keys, truth)
    # Arrow keeps the memory of the table for reuse, which can be as much as the benchmark itself.
    pa.default_memory_pool().release_unused()
    return benchmark


def _read(path: Path, name: str | None, companions: Companions, max_missing: float, keys: TableKeys, truth: str) -> Benchmark:
    scores = read_wide(path, keys)  # before looking for companions
    confidence_path = _find_companion(path, "confidence", companions.confidence)
    metadata_path = _find_companion(path, "models", companions.metadata)
    repeats_path = None if scores.repeats is not None else _find_companion(path, "repeats", companions.repeats)
    if repeats_path is not None:
        scores = replace(scores, repeats=_read_repeats(repeats_path))
    elif companions.repeats is None:
        scores = replace(scores, repeats=None)
    return wide_benchmark(
        name or split_suffix(path)[0],
        path,
        scores,
        confidence=None
        if confidence_path is None
        else NamedTable(path=confidence_path, table=read_confidence(confidence_path, keys)),
        metadata=None
        if metadata_path is None
        else NamedTable(path=metadata_path, table=read_table(metadata_path, texts=("model_id",))),
        max_missing=max_missing,
        truth=truth,
    )


def read_wide(path: Path, keys: TableKeys = DEFAULT_KEYS) -> WideTable:
    """Read a table of scores of any shape as a wide one; errors as for `read_scores`."""
    given = {name for role, names in keys.columns for name in names if role != "score"}

    def texts(names: Sequence[str]) -> list[str]:
        return [*text_columns(names), *(name for name in names if name.strip() in given)]

    return to_wide(read_table(path, texts=texts, unnamed=True, sheet=keys.sheet), path, keys, split_suffix(path)[0])


def _read_repeats(path: Path) -> Repeats:
    """Read a long table of repeats; DataError if it has none."""
    repeats = read_wide(path, replace(DEFAULT_KEYS, ids_needed=True)).repeats
    if repeats is None:
        raise DataError(
            "The table of repeats has no response with several.",
            where=str(path),
            hint="a long table with the columns model, item_id, repeat and score, one row for each repeat",
        )
    return repeats


def read_confidence(path: Path, keys: TableKeys = DEFAULT_KEYS) -> pa.Table:
    """Read a table of confidences of the same shape as its scores, as a wide one."""
    return read_wide(path, probability_keys(keys)).table


def probability_keys(keys: TableKeys) -> TableKeys:
    """The keys of a table of confidences, which are probabilities already, beside scores."""
    columns = tuple((role, names) for role, names in keys.columns if role not in OF_ITEMS)
    return replace(keys, columns=columns, scale=1.0, correct=(), sheet=None, ids_needed=True)


class NamedTable(NamedTuple):
    """A table and the path that messages show for it."""

    path: Path
    table: Any


def wide_benchmark(
    name: str,
    path: Path,
    scores: WideTable,
    *,
    confidence: NamedTable | None,
    metadata: NamedTable | None,
    max_missing: float,
    truth: str = "micro",
) -> Benchmark:
    """Make a benchmark from wide tables; their content and the errors are those of `read_scores`."""
    table = scores.table
    item_ids, models, rows = wide_columns(path, table)
    subtasks = _texts(path, table, "subtask") if "subtask" in table.column_names else None
    labels = _numbers(path, table, "label", item_ids) if "label" in table.column_names else None
    weights = _item_numbers(path, table, WEIGHT, item_ids) if WEIGHT in table.column_names else None
    clusters = _texts(path, table, CLUSTER) if CLUSTER in table.column_names else None
    confidences = None if confidence is None else _aligned_confidence(confidence, path, item_ids, models)
    repeats = None if scores.repeats is None else scores.repeats.aligned(models, item_ids)
    warn(scores.warnings)
    try:
        benchmark = Benchmark.from_arrays(
            name,
            rows,
            item_ids,
            models,
            subtasks=subtasks,
            confidence=confidences,
            labels=labels,
            repeats=repeats,
            metadata=None if metadata is None else metadata.table,
            max_missing=max_missing,
            truth=truth,
            weights=weights,
            clusters=clusters,
            costs=_item_numbers(path, table, COST, item_ids) if COST in table.column_names else None,
        )
    except DataError as error:
        files = " with ".join(str(each) for each in (path, *(table.path for table in (confidence, metadata) if table is not None)))
        where = files if error.where is None else f"{files}: {error.where}"
        raise DataError(error.what, where=where, got=error.got, hint=error.hint) from None
    notes = (*scores.said, *(each.note for each in scores.warnings))
    return replace(benchmark, notes=(*notes, *benchmark.notes)) if notes else benchmark


def _item_numbers(path: Path, table: pa.Table, name: str, item_ids: list[str]) -> NDArray[np.float64]:
    column = table.column(name)
    texts = column.to_pylist()
    _refuse_empty(path, texts, name.removeprefix("#"))
    if isinstance(texts[0], str) and all(_is_number(text) for text in texts):  # of a long table
        return np.array([float(text) for text in texts])
    return np.asarray(_numbers(path, table, name, item_ids), np.float64)


class WideColumns(NamedTuple):
    """The parts of a wide table."""

    item_ids: list[str]
    model_ids: list[str]
    scores: list[NDArray[Any]]
    """(n_items,) numbers of each model."""


def _texts(path: Path, table: pa.Table, name: str) -> list[str]:
    """A column of texts, or of integers converted to texts."""
    column, shown = table.column(name), name.removeprefix("#")
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    textual = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    values = column.to_pylist()
    _refuse_empty(path, values, shown)
    if not (textual or pa.types.is_integer(kind)):
        where, hint = f"{path}: column {shown!r}", "write the column as text"
        raise DataError(f"The column {shown} must contain texts or integers.", where=where, got=str(kind), hint=hint)
    return [str(value) for value in values]


def _refuse_empty(path: Path, values: Sequence[object], shown: str) -> None:
    """Raise DataError if an item lacks a value of the column that is shown by this name."""
    empty = next((row for row, value in enumerate(values) if value is None or value == ""), None)
    if empty is not None:
        raise DataError(
            f"Every item needs {'an item_id' if shown == 'item_id' else 'a ' + shown}.",
            where=f"{path}: column {shown!r}, {row_name(path, empty)}",
            got="an empty cell",
            hint=f"fill in the {shown}" + ("" if shown == "item_id" else ", or remove the column"),
        )


def _numbers(path: Path, table: pa.Table, name: str, item_ids: list[str]) -> NDArray[Any]:
    """A column of numbers or booleans, with NaN for nulls."""
    column = table.column(name)
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_null(kind) or (pa.types.is_boolean(kind) and column.null_count):
        column = column.cast(pa.float64() if not pa.types.is_boolean(kind) else pa.uint8())
        kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return numbers_of(column)
    values = column.to_pylist()
    # if all texts are numbers, report the first one
    row = next((k for k, value in enumerate(values) if value is not None and not _is_number(value)), 0)
    value = values[row]
    shown = name.removeprefix("#")
    raise DataError(
        f"There is {'text' if isinstance(value, str) else 'no number'} where a "
        f"{shown if name in ('label', WEIGHT) else 'score'} should be.",
        where=f"{path}: column {shown!r}, {row_name(path, row)}, item {item_ids[row]!r}",
        got=repr(value),
        hint="weights are positive numbers: columns={weight: NAME} names their column"
        if name == WEIGHT
        else cell_hint(name, value),
    )


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str) and "_" not in value  # a number only in Python: 1_0


def _aligned_confidence(confidence: NamedTable, scores_path: Path, item_ids: list[str], models: list[str]) -> list[NDArray[Any]]:
    """Columns of the confidence table, in the order of the models and items of the scores."""
    path, table = confidence
    confidence_ids, confidence_models, rows = wide_columns(path, table)
    for kind, expected, actual in (("items", item_ids, confidence_ids), ("model columns", models, confidence_models)):
        missing, extra = sorted(set(expected) - set(actual)), sorted(set(actual) - set(expected))
        got = [f"missing: {first_few(missing)}"] * bool(missing) + [f"extra: {first_few(extra)}"] * bool(extra)
        if not got and len(actual) != len(expected):
            got = [f"{len(actual)} {kind} for {len(expected)}, some more than once"]
        if got:
            raise DataError(
                f"The confidences do not have the same {kind} as the scores.",
                where=f"{path} for {scores_path}",
                got="; ".join(got),
                hint="use the same rows and columns in both tables, or ignore the confidences with confidence=null",
            )
    by_model = dict(zip(confidence_models, rows, strict=True))
    columns = [by_model[model] for model in models]
    if confidence_ids == item_ids:
        return columns
    position = {item: row for row, item in enumerate(confidence_ids)}
    order = np.array([position[item] for item in item_ids])
    return [column[order] for column in columns]


def wide_columns(path: Path, table: pa.Table) -> WideColumns:
    """Split a wide table with a column `item_id` into its parts; `path` is its place in messages."""
    item_ids = _texts(path, table, "item_id")
    models = [column for column in table.column_names if column not in ITEM_COLUMNS]
    return WideColumns(item_ids=item_ids, model_ids=models, scores=[_numbers(path, table, model, item_ids) for model in models])


def _find_companion(path: Path, kind: str, given: str | Path | None) -> Path | None:
    """The given path or, with "auto", an existing file `X.<kind>.<suffix>`, preferably with the suffix of `path`."""
    if given != "auto":
        return None if given is None else Path(given)
    stem, suffix = split_suffix(path)
    candidates = (path.with_name(f"{stem}.{kind}{ending}") for ending in dict.fromkeys((suffix, *SUFFIXES)))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
