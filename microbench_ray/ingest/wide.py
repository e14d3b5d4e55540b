"""The wide score table (`item_id`, `subtask`, a column per model) as logs: one per column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.data.scores import ITEM_COLUMNS
from microbench_ray.data.table_files import SUFFIXES, read_table, row_name, split_suffix
from microbench_ray.ingest.base import Log, Options, Sample, Tally, wanted
from microbench_ray.ingest.values import checked_score, files_below, found

_TEXTS = ("item_id", "subtask")
_COMPANIONS = (".confidence", ".models")
_ONE_SUBTASK = "all"  # as a benchmark without subtasks has it


class WideReader:
    """A column is one model's log. Confidences come from `X.confidence.parquet` (or another suffix) beside `X.parquet`. Of Parquet
    one column is read at a time; other formats are read whole, once for all columns."""

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        """The columns of the table at `path`, or of all tables in that folder."""
        logs = []
        for file in files_below(path, [f"*{suffix}" for suffix in SUFFIXES]):
            stem, _ = split_suffix(file)
            if file != path and stem.endswith(_COMPANIONS):
                continue
            names = _names(file)
            if "item_id" not in names:
                got, hint = f"columns {first_few(names)}", "rename the column with the items' names to item_id"
                raise DataError("The table has no column item_id.", where=str(file), got=got, hint=hint)
            twin = _twin(file)
            inside = frozenset() if twin is None else frozenset(_names(twin))
            models = [name for name in names if name not in ITEM_COLUMNS and wanted(name, options.models)]
            logs += [Log(name, (file, twin) if twin is not None and name in inside else (file,), name) for name in models]
        return found(logs, path, "a wide table", options, tally)

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        """Its cells, in the order of the rows; empty ones are without a score."""
        file = log.files[0]
        table = _columns(file, log.part)
        items = _ids(table, file)
        subtasks = table.column("subtask").to_pylist() if "subtask" in table.column_names else [_ONE_SUBTASK] * len(items)
        labels = table.column("label").to_pylist() if "label" in table.column_names else [None] * len(items)
        confidences = _confidences(log.files[1], log.part) if len(log.files) > 1 else {}
        left_out = {subtask for subtask in set(subtasks) if not wanted(str(subtask), options.tasks)}
        for row, (item, subtask, label, value) in enumerate(
            zip(items, subtasks, labels, table.column(log.part).to_pylist(), strict=True)
        ):
            if subtask is None or subtask == "":
                raise DataError("Every item needs a subtask.", where=f"{file}: {row_name(file, row)}", got="nothing")
            if subtask in left_out:
                continue
            score = checked_score(value, tally, file=file, item=item, metric=log.part)
            confidence = confidences.get(item)
            if confidence is not None:
                confidence = checked_score(confidence, tally, file=log.files[1], item=item, metric=log.part)
            yield Sample(item, str(subtask), score, confidence=confidence, label=_label(label), position=str(row))


def _label(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value == value and value >= 0 and int(value) == value else None


def _names(file: Path) -> list[str]:
    if _is_parquet(file):
        return [str(name) for name in _opened(file).schema_arrow.names if not str(name).startswith("__index_level_")]
    table = _whole(file, *_identity(file))
    return list(table.column_names)


def _twin(file: Path) -> Path | None:
    stem, own = split_suffix(file)
    names = (file.with_name(f"{stem}.confidence{suffix}") for suffix in dict.fromkeys((own, *SUFFIXES)))
    return next((name for name in names if name.is_file()), None)


def _confidences(file: Path, model: str) -> dict[str, Any]:
    table = _columns(file, model)
    return dict(zip(_ids(table, file), table.column(model).to_pylist(), strict=True))


def _columns(file: Path, model: str) -> pa.Table:
    """One model's column with those about the items."""
    if not _is_parquet(file):
        return _whole(file, *_identity(file))
    with _opened(file) as opened:
        try:
            return opened.read(columns=[*ITEM_COLUMNS, model])
        except (pa.ArrowException, OSError) as error:
            raise _broken(file, error) from None


def _ids(table: pa.Table, file: Path) -> list[str]:
    ids = table.column("item_id").to_pylist() if "item_id" in table.column_names else []
    row = next((row for row, name in enumerate(ids) if name is None or name == ""), None)
    if row is not None or not ids:
        where = str(file) if row is None else f"{file}: {row_name(file, row)}"
        raise DataError("Every item needs an item_id.", where=where, got="nothing", hint="fill in the item_id")
    return [str(name) for name in ids]


def _is_parquet(file: Path) -> bool:
    return split_suffix(file)[1].lower() == ".parquet"


def _opened(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise _broken(file, error) from None


def _broken(file: Path, error: Exception) -> DataError:
    got = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError("The file is cut short, or not a Parquet file.", where=str(file), got=got, hint="write or copy it again")


def _identity(file: Path) -> tuple[int, int]:
    try:
        about = file.stat()
    except OSError as error:
        raise DataError("A table cannot be read.", where=str(file), got=str(error)) from None
    return about.st_mtime_ns, about.st_size


@lru_cache(maxsize=2)  # a table and its confidences, whose columns are asked for one after the other
def _whole(file: Path, changed: int, size: int) -> pa.Table:
    return read_table(file, texts=_TEXTS)
