"""Folders of ingested responses: one Parquet file per model, so that adding a model changes no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.core.errors import DataError, StoreError
from microbench_ray.core.lazy_arrow import pc, pq
from microbench_ray.core.parquet import read_parquet
from microbench_ray.core.schemas import SCHEMAS, conform
from microbench_ray.core.storage.folders import Folder, file_name, io_error
from microbench_ray.data.names import storable

FORMAT_VERSION = 1
MODELS = "models"
DIGESTED_COLUMNS = ("item_id", "subtask", "label", "content", "position")
"""Columns of a model's file that `ModelRecord.items` is the digest of."""
_KEY = b"microbench_ray"
_CODED = ("subtask", "score", "log")
"""Columns of a model's file that are written by their distinct values: ids of items are distinct already."""
_WITH_STATISTICS = ("repeats.list.element",)
"""Columns whose statistics `has_repeats` reads."""


@dataclass(frozen=True)
class LogRecord:
    """A log that was ingested; it is skipped while the sizes and times of its files are unchanged.

    Attributes
    ----------
    files
        Size in bytes and modification time in nanoseconds of each file, by path.
    dropped
        Numbers of dropped samples, by reason.
    revision
        The revision of the model; empty if the log does not record it.
    metrics
        The metric that the log was read by, by task.
    name
        The model's id before settings were added to it; empty if there are none.
    tasks
        The tasks that the log holds.
    sets
        What the run sets, by setting.
    """

    files: Mapping[str, tuple[int, int]]
    dropped: Mapping[str, int] = field(default_factory=dict)
    revision: str = ""
    metrics: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    tasks: tuple[str, ...] = ()
    sets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelRecord:
    """The metadata in the footer of a model's file.

    Attributes
    ----------
    model
        The model's id.
    facts
        Metadata of the model from its logs.
    logs
        The ingested logs, by name.
    items
        Digest of the columns `DIGESTED_COLUMNS`, equal for models that answered the same items.
    examples
        Beginnings of the texts of a few items, by the tool's own ids.
    """

    model: str
    facts: Mapping[str, Any]
    logs: Mapping[str, LogRecord]
    items: str = ""
    examples: Mapping[str, str] = field(default_factory=dict)


class ModelFile(NamedTuple):
    """The file of a model."""

    name: str
    """Name in the folder."""
    record: ModelRecord


def model_file(model: str) -> str:
    """Name of a model's file: readable, safe as a path, and unique."""
    return f"{MODELS}/{file_name(model)}-{blake2b(model.encode(errors='replace'), digest_size=4).hexdigest()}.parquet"


def pack(responses: pa.Table, record: ModelRecord) -> bytes:
    """Encode a model's file.

    Parameters
    ----------
    responses
        Table of the schema `responses`, one row per item.
    record
        Metadata for the footer; `items` is computed here.
    """
    table = _sorted(conform(responses, "responses").combine_chunks())
    logs = {name: vars(log) for name, log in record.logs.items()}
    content = vars(record) | {"logs": logs, "items": _digest(table), "version": FORMAT_VERSION}
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({_KEY: json.dumps(content, sort_keys=True).encode()}),
        sink,
        compression="zstd",
        use_dictionary=[*_CODED],
        write_statistics=[*_WITH_STATISTICS],
    )
    return bytes(sink.getvalue())


def _sorted(table: pa.Table) -> pa.Table:
    """The rows by the ids of items; most readers give them in this order."""
    ids = table["item_id"]
    if pc.all(pc.less_equal(ids.slice(0, max(len(ids) - 1, 0)), ids.slice(1))).as_py():
        return table
    return table.sort_by("item_id")


def read_record(folder: Folder, name: str) -> ModelRecord:
    """Read the footer of a model's file; DataError if it cannot be read or has another format."""
    with _open(folder, name) as file:
        return _record(folder, name, file.schema_arrow)


def read_responses(folder: Folder, name: str, columns: tuple[str, ...] | None = None) -> pa.Table:
    """Read all or some columns of a model's file, sorted by `item_id`; DataError if it cannot be read or has another format."""
    try:
        source = folder.open(name)
        table = read_parquet(source, source.size(), columns, page_checksum_verification=True)
        _record(folder, name, table.schema)
    except (pa.ArrowException, OSError, StoreError) as error:
        raise _unreadable(folder, name, str(error).splitlines()[0]) from None
    if columns is None and "repeats" not in table.column_names:  # written by 0.1, which kept means only
        kind = SCHEMAS["responses"].field("repeats")
        table = table.append_column(kind, pa.nulls(len(table), kind.type)).select(SCHEMAS["responses"].names)
    return table.replace_schema_metadata(None)


def has_repeats(folder: Folder, name: str) -> bool:
    """Whether a model's file may hold repeats, from its footer alone; files written by 0.1 have no such column."""
    with _open(folder, name) as file:
        if "repeats" not in file.schema_arrow.names:
            return False
        leaf = next(k for k in range(len(file.schema)) if file.schema.column(k).path.startswith("repeats."))
        columns = [file.metadata.row_group(k).column(leaf) for k in range(file.metadata.num_row_groups)]
        return any(not each.is_stats_set or each.statistics.null_count < each.num_values for each in columns)


def list_model_files(folder: Folder) -> list[ModelFile]:
    """List the files of all models, sorted by model id; DataError if a file cannot be read or has another format."""
    try:
        names = [f"{MODELS}/{name}" for name in folder.files(MODELS) if name.endswith(".parquet") and name[0] != "."]
    except OSError as error:
        raise io_error(folder, MODELS, error, "A folder of responses cannot be read.", "give another path") from None
    files = [ModelFile(name=name, record=read_record(folder, name)) for name in names]
    return sorted(files, key=lambda file: file.record.model)


def _open(folder: Folder, name: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(folder.open(name), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(folder, name, str(error).splitlines()[0]) from None


def _record(folder: Folder, name: str, schema: pa.Schema) -> ModelRecord:
    head = (schema.metadata or {}).get(_KEY)
    content: dict[str, Any] = json.loads(head) if head else {}
    if content.get("version") != FORMAT_VERSION:
        got = f"format version {content['version']}" if "version" in content else "a Parquet file of another program"
        raise _unreadable(folder, name, got)
    logs = {
        log: LogRecord(
            files={path: (size, time) for path, (size, time) in entry["files"].items()},
            dropped=entry["dropped"],
            revision=entry.get("revision", ""),
            metrics=entry.get("metrics", {}),
            name=entry.get("name", ""),
            tasks=tuple(entry.get("tasks", ())),
            sets=entry.get("sets", {}),
        )
        for log, entry in content["logs"].items()
    }
    texts = [content["model"], *content["facts"], *(value for value in content["facts"].values() if isinstance(value, str))]
    invalid = next((text for text in texts if text and not storable(text)), None)
    if invalid is not None:
        raise _unreadable(folder, name, f"a name or fact that is not valid Unicode: {invalid!a}")
    return ModelRecord(
        model=content["model"], facts=content["facts"], logs=logs, items=content["items"], examples=content.get("examples", {})
    )


def _unreadable(folder: Folder, name: str, got: str) -> DataError:
    return DataError(
        "The responses of a model cannot be read.",
        where=folder.at(name),
        got=got,
        hint="move the file away and ingest the model's logs again",
    )


def _digest(table: pa.Table) -> str:
    """The digest of the items; computed once for models that are packed one after the other and have the same items."""
    items = table.select(DIGESTED_COLUMNS)
    for digest, known in _last_items.items():
        if known.equals(items):
            return digest
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, items.schema) as writer:
        writer.write_table(items)
    digest = blake2b(sink.getvalue(), digest_size=16).hexdigest()
    _last_items.clear()
    _last_items[digest] = items
    return digest


_last_items: dict[str, pa.Table] = {}
"""The items of the model that was packed last, by their digest."""
