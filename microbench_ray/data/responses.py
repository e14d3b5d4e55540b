"""The folder that logs are read into: a Parquet file of responses per model, so that adding one touches no other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from microbench_ray.core.errors import DataError, StoreError
from microbench_ray.core.schemas import conform
from microbench_ray.core.storage.folders import Folder, file_name, io_error

FORMAT_VERSION = 1
MODELS = "models"
_KEY = b"microbench_ray"
OF_ITEMS = ("item_id", "subtask", "label", "content", "position")
_READ = "The responses of a model cannot be read."
_HINT = "move the file away and ingest its logs again"


@dataclass(frozen=True)
class LogRecord:
    """A log that was read: while its files are of these bytes and times it is not read again.

    Attributes
    ----------
    files
        By path: bytes and modification time in nanoseconds.
    dropped
        What was left out of it, counted by reason.
    """

    files: Mapping[str, tuple[int, int]]
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """What a model's file says of itself, in its footer.

    Attributes
    ----------
    model
        The model's id.
    facts
        What its logs tell of the model.
    logs
        The logs that were read, by name.
    items
        Digest of the columns `OF_ITEMS`: equal in the files of models that answered the same items.
    """

    model: str
    facts: Mapping[str, Any]
    logs: Mapping[str, LogRecord]
    items: str = ""


def model_file(model: str) -> str:
    """Name of a model's file: readable, harmless, and another one for another model."""
    return f"{MODELS}/{file_name(model)}-{blake2b(model.encode(errors='replace'), digest_size=4).hexdigest()}.parquet"


def pack(responses: pa.Table, about: About) -> bytes:
    """A model's file.

    Parameters
    ----------
    responses
        Of the schema `responses`, one row per item.
    about
        What goes into the footer; `items` is worked out here.
    """
    table = conform(responses, "responses").combine_chunks().sort_by("item_id")
    content = asdict(about) | {"items": _digest(table), "version": FORMAT_VERSION}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(content, sort_keys=True).encode()}), sink, compression="zstd")
    return bytes(sink.getvalue())


def read_about(folder: Folder, name: str) -> About:
    """What a file says of itself, without reading its rows; DataError where it is no such file."""
    with _opened(folder, name) as file:
        return _about(folder, name, file.schema_arrow)


def read_responses(folder: Folder, name: str, columns: tuple[str, ...] | None = None) -> pa.Table:
    """The rows of a file, or some columns of them, sorted by `item_id`; DataError where it is no such file."""
    with _opened(folder, name) as file:
        try:
            _about(folder, name, file.schema_arrow)
            table = file.read(columns=None if columns is None else list(columns))
        except (pa.ArrowException, OSError, StoreError) as error:
            raise _bad(folder, name, str(error).splitlines()[0]) from None
        return table.replace_schema_metadata(None)


def each_about(folder: Folder) -> Iterator[tuple[str, About]]:
    """All the folder's files, in the order of their models, with what they say of themselves."""
    try:
        names = [f"{MODELS}/{name}" for name in folder.files(MODELS) if name.endswith(".parquet") and name[0] != "."]
    except OSError as error:
        raise io_error(folder, MODELS, error, "A folder of responses cannot be read.", "give another path") from None
    found = [(name, read_about(folder, name)) for name in names]
    yield from sorted(found, key=lambda pair: pair[1].model)


def _opened(folder: Folder, name: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(folder.open(name), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _bad(folder, name, str(error).splitlines()[0]) from None


def _about(folder: Folder, name: str, schema: pa.Schema) -> About:
    head = (schema.metadata or {}).get(_KEY)
    content: dict[str, Any] = json.loads(head) if head else {}
    if content.get("version") != FORMAT_VERSION:
        got = f"format version {content['version']}" if "version" in content else "a Parquet file of something else"
        raise _bad(folder, name, got)
    logs = {
        log: LogRecord({path: (size, time) for path, (size, time) in record["files"].items()}, record["dropped"])
        for log, record in content["logs"].items()
    }
    return About(content["model"], content["facts"], logs, content["items"])


def _bad(folder: Folder, name: str, got: str) -> DataError:
    return DataError(_READ, where=folder.at(name), got=got, hint=_HINT)


def _digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.select(OF_ITEMS).schema) as writer:
        writer.write_table(table.select(OF_ITEMS))
    return blake2b(sink.getvalue(), digest_size=16).hexdigest()
