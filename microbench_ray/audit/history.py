"""The nights that have been: one Parquet dataset, a file per night, appended to and never changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from microbench_ray.core.errors import ConfigError, StoreError
from microbench_ray.core.schemas import SCHEMAS, conform
from microbench_ray.core.storage.folders import io_error
from microbench_ray.core.storage.store import Store

HISTORY = "history"
_NIGHT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
_READ = "The history cannot be read."
_HINT = "put the file back from a copy, or move it away: the night is then as if it had never been"


def check_night(night: str) -> str:
    """The label itself; ConfigError where it could be no part of a file's name."""
    if not _NIGHT.fullmatch(night):
        raise ConfigError(
            "The label of a night is of letters, digits, and -_. alone.", where="night", got=repr(night), hint="night=2026-01-31"
        )
    return night


class History:
    """The history in an audit's folder.

    Parameters
    ----------
    store
        The folder; it must be held for `append`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def nights(self) -> list[str]:
        """Labels, in order."""
        folder = self._store.folder
        try:
            names = [name for name in folder.files(HISTORY) if name.endswith(".parquet") and name[0] != "."]
        except OSError as error:
            raise io_error(folder, HISTORY, error, _READ, "see that the folder can be read") from None
        return sorted(name.removesuffix(".parquet") for name in names)

    def read(self, nights: Sequence[str] | None = None) -> pa.Table:
        """The rows of some nights, or of all, in the order of nights; StoreError where a file is damaged."""
        wanted = self.nights() if nights is None else nights
        return pa.concat_tables([SCHEMAS[HISTORY].empty_table(), *(self._night(night) for night in wanted)])

    def _night(self, night: str) -> pa.Table:
        folder, name = self._store.folder, f"{HISTORY}/{night}.parquet"
        try:
            with pq.ParquetFile(pa.BufferReader(folder.read(name)), page_checksum_verification=True) as file:
                return conform(file.read(), HISTORY)
        except (pa.ArrowException, OSError, StoreError) as error:
            raise StoreError(_READ, where=folder.at(name), got=str(error).splitlines()[0], hint=_HINT) from None

    def append(self, night: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Add a night: it is there whole, or not at all.

        Parameters
        ----------
        night
            Its label, which sorts after those that are there.
        rows
            Of the schema `history`, without `night`; what they leave out is null, or empty where there can be no null.

        Raises
        ------
        StoreError
            The night is there already with other rows, or it would not be the last.
        """
        table = night_table(night, rows)
        before = self.nights()
        if night in before:
            if not self._night(night).equals(table):
                raise StoreError(
                    "The history holds this night already, with other rows: it is appended to, never changed.",
                    where=self._store.at(f"{HISTORY}/{night}.parquet"),
                    hint="night=LABEL with a label of its own, which sorts after the others",
                )
            return table
        check_order(night, before)
        self._store.write_table(f"{HISTORY}/{night}", table, HISTORY)
        return table


def check_order(night: str, before: Sequence[str]) -> None:
    """Raise ConfigError where a new night would not be the last of the nights."""
    if before and night < before[-1]:
        raise ConfigError(
            "Nights are appended: the label of a new one sorts after those that are there.",
            where="night",
            got=f"{night}; the last one there is {before[-1]}",
            hint="night=LABEL, such as the day",
        )


def night_table(night: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of the schema `history`, sorted by what they are about."""
    schema = SCHEMAS[HISTORY]
    filled = [{field.name: None if field.nullable else "" for field in schema} | dict(row) | {"night": night} for row in rows]
    keys = ("kind", "subject", "size", "subtask", "metric", "name")
    filled.sort(key=lambda row: tuple((row[key] is None, row[key] or "" if key != "size" else row[key] or 0) for key in keys))
    return pa.table([pa.array([row[field.name] for row in filled], field.type) for field in schema], schema=schema)
