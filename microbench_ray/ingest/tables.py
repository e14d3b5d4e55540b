"""Tables of scores of any shape as logs, one per model."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from os.path import commonpath
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pc, pq
from microbench_ray.data.columns import number_array, numbers_of, repeated_text, text_array
from microbench_ray.data.scores import probability_keys, read_wide
from microbench_ray.data.suspicious import aggregate_warning, named_like_aggregates
from microbench_ray.data.table_files import IN_FOLDERS, SUFFIXES, check_start, row_name, split_suffix
from microbench_ray.data.table_hints import cell_hint
from microbench_ray.data.tables.aggregates import ITEM_COLUMNS
from microbench_ray.data.tables.build import WideTable
from microbench_ray.data.tables.frame import is_number
from microbench_ray.data.tables.keys import TableKeys
from microbench_ray.data.tables.vocabulary import NO_MODEL, beside_scores, plain_name
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.columns import ItemColumns, are_storable, scores_of, table_of
from microbench_ray.ingest.parquet_limits import check_columns
from microbench_ray.ingest.values import files_below, item_digest, parse_score, require_logs

logger = logging.getLogger(__name__)

_COMPANIONS = (".confidence", ".models")
_ONE_SUBTASK = "all"  # the name that a benchmark without subtasks uses
_KEPT_BYTES = 256 << 20
"""Bytes of tables that are kept, because the models of a table are read one after the other."""
_BLOCK_BYTES = 8 << 20
"""Bytes of the scores that are read at once from a Parquet table."""
_SHOWN_FILES = 3
"""Number of tables whose first rows are shown."""


class TableReader:
    """Reads one log per model, with confidences from `X.confidence.parquet` (or another suffix) beside `X.parquet`.

    Wide Parquet tables with a column `item_id` are read some columns at a time; others are read whole.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the models of the table at `path`, or of all tables in that folder."""
        logs: list[ModelLog] = []
        shown = 0
        of_files: list[Path] = []
        for file in files_below(path, [f"*{suffix}" for suffix in IN_FOLDERS], tally):
            with tally.collect_error(file):
                stem, _ = split_suffix(file)
                if file != path and stem.endswith(_COMPANIONS):
                    continue
                names = _models(file, options.table)
                if not _is_plain(file, options.table):
                    wide = _whole(file, options.table)
                    shown += _show(file, wide, tally, preview=shown < _SHOWN_FILES and bool(wide.said or options.preview))
                    if wide.of_file:
                        of_files.append(file)
                        if _confidence_file(file) is not None:
                            tally.drop("files of confidences beside tables of one model, which are not read")
                        continue
                companion = _confidence_file(file)
                keys = probability_keys(options.table)
                with_confidences = frozenset() if companion is None else frozenset(_models(companion, keys))
                for name in names:
                    if matches(name, options.models):
                        files = (file, companion) if companion is not None and name in with_confidences else (file,)
                        logs.append(ModelLog(model=name, files=files, part=name))
                _suspect("model", [name for name in names if matches(name, options.models)], file, tally)
        named = _names_of(of_files)
        logs += [ModelLog(model=named[file], files=(file,)) for file in of_files if matches(named[file], options.models)]
        return require_logs(logs, path, "table", options, tally)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the model's cells in row order; an empty cell has no score."""
        file, model = log.files[0], _column(log, options.table)
        table = _columns(file, model, options.table, options.max_line_bytes)
        numbered = not _is_plain(file, options.table) and _whole(file, options.table).numbered
        items = _ids(table, file)
        _suspect("item", items, file, tally)
        subtasks = table.column("subtask").to_pylist() if "subtask" in table.column_names else [_ONE_SUBTASK] * len(items)
        labels = table.column("label").to_pylist() if "label" in table.column_names else [None] * len(items)
        confidences = {}
        if len(log.files) > 1:
            confidences = _confidences(log.files[1], log.part, probability_keys(options.table), options.max_line_bytes)
        repeats = {} if _is_plain(file, options.table) else _repeats(_whole(file, options.table), model)
        hint_of = partial(cell_hint, model)
        left_out = {subtask for subtask in set(subtasks) if not matches(str(subtask), options.tasks)}
        for row, (item, subtask, label, value) in enumerate(
            zip(items, subtasks, labels, table.column(model).to_pylist(), strict=True)
        ):
            if subtask is None or subtask == "":
                where = f"{file}: {row_name(file, row)}"
                raise DataError("A row has no subtask.", where=where, hint="fill in the subtask, or remove the column")
            if subtask in left_out:
                continue
            content = item_digest(str(file), table=file.name, row=row) if numbered else None
            score = parse_score(value, tally, file=file, item=item, metric=model, hint_of=hint_of)
            confidence = confidences.get(item)
            if confidence is not None:
                confidence = parse_score(confidence, tally, file=log.files[1], item=item, metric=log.part)
            sample = Sample(
                item_id=item,
                subtask=str(subtask),
                score=score,
                confidence=confidence,
                label=_label(label),
                content=content,  # the numbers of rows in another table are other items
                position=str(row),
            )
            own = repeats.get(item, ())
            if len(own) < 2:
                yield sample
            else:
                for repeat in own:
                    yield sample._replace(score=parse_score(repeat, tally, file=file, item=item, metric=model, hint_of=hint_of))

    def responses(self, log: ModelLog, options: Options, tally: Tally, name: str) -> pa.Table | None:
        """The model's responses, where its cells are scores, ids are unique and there are no confidences or repeats."""
        file, model = log.files[0], _column(log, options.table)
        if len(log.files) > 1 or (not _is_plain(file, options.table) and _repeats(_whole(file, options.table), model)):
            return None
        table = _columns(file, model, options.table, options.max_line_bytes)
        column = table.column(model)
        items = _table_items(file, *_identity(file), options.table, options.max_line_bytes)
        if items is None or not is_number(column.type) or pa.types.is_decimal(column.type) or pa.types.is_null(column.type):
            return None
        if items.aggregates:
            tally.suspect(aggregate_warning("item", items.aggregates, str(file), "by name"))
        about, rows = items.about, items.rows
        if options.tasks:
            chosen = {subtask: matches(subtask, options.tasks) for subtask in about.subtasks.unique().to_pylist()}
            kept = np.flatnonzero([chosen[subtask] for subtask in about.subtasks.to_pylist()])
            about, rows = about.take(kept), rows[kept]
        scores = scores_of(column.take(number_array(rows)), tally)
        return None if scores is None else table_of(about, scores, name)


def _repeats(wide: WideTable, model: str) -> dict[str, list[float]]:
    """The scores of a model's repeats, by item; empty for a table without repeats."""
    if wide.repeats is None or model not in wide.repeats.model_ids:
        return {}
    scores = wide.repeats.values[list(wide.repeats.model_ids).index(model)]
    return {item: row[row == row].tolist() for item, row in zip(wide.repeats.item_ids, scores, strict=True)}


def _names_of(files: Sequence[Path]) -> dict[Path, str]:
    """The models of files that each hold one: the files' names, or if those repeat the folders', or else both."""
    names = {file: split_suffix(file)[0] for file in files}
    if len(set(names.values())) == len(names):
        return names
    folders = {file: file.absolute().parent.name for file in files}
    if len(set(folders.values())) == len(folders):
        return folders
    top = commonpath([file.absolute().parent for file in files])
    return {file: (file.absolute().parent / name).relative_to(top).as_posix() for file, name in names.items()}


def _column(log: ModelLog, keys: TableKeys) -> str:
    """The column of a log's scores: its part, or where the file names the model the only one."""
    return log.part or _whole(log.files[0], keys).of_file


class _TableItems(NamedTuple):
    """The items of a table."""

    about: ItemColumns
    """Sorted by id, as files of responses are."""
    rows: NDArray[np.int64]
    """The row of each."""
    aggregates: Sequence[str]
    """Items that are called like aggregates."""


@lru_cache(maxsize=4)  # the same for all models of a table
def _table_items(file: Path, changed: int, size: int, keys: TableKeys, max_bytes: int) -> _TableItems | None:
    """The items of a table; None if ids are missing or repeated, or subtasks missing."""
    if _is_plain(file, keys):
        _check_items(file, changed, size, max_bytes)
        with _opened(file) as opened:
            table, numbered = opened.read(columns=[*ITEM_COLUMNS]), False
    else:
        table, numbered = _whole(file, keys).table, _whole(file, keys).numbered
    count = len(table)
    items = _as_texts(table.column("item_id"))
    subtasks = _as_texts(table.column("subtask")) if "subtask" in table.column_names else repeated_text(_ONE_SUBTASK, count)
    if not count or items is None or subtasks is None or len(items.unique()) < count:
        return None
    contents = [item_digest(str(file), table=file.name, row=row) for row in range(count)] if numbered else None
    about = ItemColumns(
        items=items,
        subtasks=subtasks,
        positions=number_array(np.arange(count)).cast(pa.string()),
        contents=None if contents is None else text_array(contents),
        distinct=True,
    )
    rows = numbers_of(pc.sort_indices(items)).astype(np.int64)
    return _TableItems(about.take(rows), rows, named_like_aggregates(items.to_pylist(), "item"))


def _as_texts(column: pa.ChunkedArray) -> pa.Array | None:
    """A column as texts; None if one is missing, empty or not storable."""
    if column.null_count:
        return None
    whole = column.combine_chunks()
    if not pa.types.is_string(whole.type):
        try:
            whole = text_array([str(value) for value in whole.to_pylist()])
        except UnicodeEncodeError:
            return None
    return whole if are_storable(whole) else None


def _show(file: Path, wide: WideTable, tally: Tally, *, preview: bool) -> bool:
    """Say what the columns of a table were taken for, and show its first rows, before the rest is read."""
    for sentence in wide.said:
        tally.choose(sentence)
    for warning in wide.warnings:
        tally.suspect(warning)
    if preview and wide.preview:
        logger.info("%s:", str(file))
        for line in (*wide.said, *wide.preview):
            logger.info("  %s", line)
    return preview


def _suspect(kind: str, names: Sequence[str], file: Path, tally: Tally) -> None:
    """Warn of models or items that are called like aggregates; their content is looked at when the benchmark is read."""
    if found := named_like_aggregates(names, kind):
        tally.suspect(aggregate_warning(kind, found, str(file), "by name"))


def _label(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value == value and value >= 0 and int(value) == value else None


def _models(file: Path, keys: TableKeys) -> list[str]:
    if _is_plain(file, keys):
        return [name for name in _plain_names(file, *_identity(file)) if name not in ITEM_COLUMNS]
    return [name for name in _whole(file, keys).table.column_names if name not in ITEM_COLUMNS]


def _is_plain(file: Path, keys: TableKeys) -> bool:
    """Whether a table is Parquet that needs no guess: the column `item_id`, and numbers of models."""
    return split_suffix(file)[1].lower() == ".parquet" and not keys.settings() and bool(_plain_names(file, *_identity(file)))


@lru_cache(maxsize=1024)
def _plain_names(file: Path, changed: int, size: int) -> list[str]:
    """The columns of a plain table; empty where it has other columns, or some that need a look at their content."""
    check_start(file)
    with _opened(file) as opened:
        fields = {field.name: field.type for field in opened.schema_arrow if not str(field.name).startswith("__index_level_")}
    models = [name for name in fields if name not in ITEM_COLUMNS]
    plain = (
        "item_id" in fields
        and not pa.types.is_floating(fields["item_id"])
        and bool(models)
        and all(is_number(fields[name]) and name.strip() for name in models)
    )
    measured = bool(beside_scores(models)) or any(plain_name(name) in NO_MODEL for name in models)
    return [str(name) for name in fields] if plain and not measured and not named_like_aggregates(models, "model") else []


def _confidence_file(file: Path) -> Path | None:
    stem, suffix = split_suffix(file)
    candidates = (file.with_name(f"{stem}.confidence{each}") for each in dict.fromkeys((suffix, *SUFFIXES)))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _confidences(file: Path, model: str, keys: TableKeys, max_bytes: int) -> dict[str, Any]:
    table = _columns(file, model, keys, max_bytes)
    return dict(zip(_ids(table, file), table.column(model).to_pylist(), strict=True))


def _columns(file: Path, model: str, keys: TableKeys, max_bytes: int) -> pa.Table:
    """The model's column and the columns about the items."""
    if not _is_plain(file, keys):
        return _whole(file, keys).table
    stamp = _identity(file)
    _check_items(file, *stamp, max_bytes)
    block = _blocks(file, *stamp).get(model, (model,))
    try:
        return _block(file, *stamp, block, max_bytes).select([*_item_columns(file, stamp), model])
    except DataError:
        if len(block) == 1:
            raise
    return _block(file, *stamp, (model,), max_bytes)  # one of the other columns is damaged


def _item_columns(file: Path, stamp: tuple[int, int]) -> list[str]:
    return [name for name in _plain_names(file, *stamp) if name in ITEM_COLUMNS]


@lru_cache(maxsize=4)
def _blocks(file: Path, changed: int, size: int) -> dict[str, tuple[str, ...]]:
    """For each model the models that are read together with it: they are ingested one after the other."""
    with _opened(file) as opened:
        width = max(1, _BLOCK_BYTES // (8 * max(1, opened.metadata.num_rows)))
    models = sorted(name for name in _plain_names(file, changed, size) if name not in ITEM_COLUMNS)
    return {model: tuple(models[k - k % width : k - k % width + width]) for k, model in enumerate(models)}


@lru_cache(maxsize=1)
def _block(file: Path, changed: int, size: int, models: tuple[str, ...], max_bytes: int) -> pa.Table:
    with _opened(file) as opened:
        try:
            check_columns(file, models, max_bytes)
            return opened.read(columns=[*ITEM_COLUMNS, *models])
        except (pa.ArrowException, OSError) as error:
            raise _broken(file, error) from None


def _ids(table: pa.Table, file: Path) -> list[str]:
    ids = table.column("item_id").to_pylist()
    if not ids:
        raise DataError("The table has no rows with an item_id.", where=str(file), hint="add rows, or remove the table")
    row = next((row for row, name in enumerate(ids) if name is None or name == ""), None)
    if row is not None:
        raise DataError("A row has no item_id.", where=f"{file}: {row_name(file, row)}", hint="fill in the item_id")
    return [str(name) for name in ids]


def _opened(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise _broken(file, error) from None


def _broken(file: Path, error: Exception) -> DataError:
    got = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError("The file is truncated or not a Parquet file.", where=str(file), got=got, hint="write or copy the file again")


def _identity(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise DataError("A table cannot be read.", where=str(file), got=str(error)) from None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=2)  # the same for all columns of models
def _check_items(file: Path, changed: int, size: int, max_bytes: int) -> None:
    check_columns(file, ITEM_COLUMNS, max_bytes)


_kept: OrderedDict[tuple[Path, int, int, TableKeys], tuple[WideTable, int]] = OrderedDict()
"""The tables that were read last, up to `_KEPT_BYTES`, with their sizes."""


def _whole(file: Path, keys: TableKeys) -> WideTable:
    key = (file, *_identity(file), keys)
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key][0]
    wide = read_wide(file, keys)
    _kept[key] = wide, wide.table.nbytes
    total = sum(n_bytes for _, n_bytes in _kept.values())
    while total > _KEPT_BYTES and len(_kept) > 2:  # a table and its confidences
        _, (_, n_bytes) = _kept.popitem(last=False)
        total -= n_bytes
    return wide
