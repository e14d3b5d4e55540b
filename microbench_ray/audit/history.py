"""The history of an audit: a Parquet dataset with one file per night, appended to and never changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from microbench_ray.audit.findings import HistoryRow
from microbench_ray.core.errors import ConfigError, StoreError
from microbench_ray.core.parquet import read_parquet
from microbench_ray.core.schemas import SCHEMAS, conform
from microbench_ray.core.storage.folders import io_error
from microbench_ray.core.storage.store import Store

HISTORY = "history"
NIGHT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
_READ = "The history cannot be read."
_HINT = "restore the file from a copy, or move it away to drop this night from the history"


def check_night(night: str) -> str:
    """Return the label; ConfigError if it cannot be part of a file name."""
    if not NIGHT.fullmatch(night):
        raise ConfigError(
            "A night's label may contain only letters, digits, '-', '_' and '.', and starts with a letter or a digit.",
            where="night",
            got=repr(night),
            hint="night=2026-01-31",
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
        """Labels of the nights, sorted."""
        folder = self._store.folder
        try:
            names = [name for name in folder.files(HISTORY) if name.endswith(".parquet") and name[0] != "."]
        except OSError as error:
            raise io_error(folder, HISTORY, error, _READ, "check the permissions of the folder") from None
        return sorted(name.removesuffix(".parquet") for name in names)

    def read(self, nights: Sequence[str] | None = None) -> pa.Table:
        """Rows of the given nights, or of all, in the order of nights; StoreError if a file is damaged."""
        labels = self.nights() if nights is None else nights
        return pa.concat_tables([SCHEMAS[HISTORY].empty_table(), *(self._night(night) for night in labels)])

    def _night(self, night: str) -> pa.Table:
        folder, name = self._store.folder, f"{HISTORY}/{night}.parquet"
        try:
            content = folder.read(name)
            table = read_parquet(pa.BufferReader(content), len(content), page_checksum_verification=True)
            return conform(table, HISTORY)
        except (pa.ArrowException, OSError, StoreError) as error:
            raise StoreError(_READ, where=folder.at(name), got=str(error).splitlines()[0], hint=_HINT) from None

    def append(self, night: str, rows: Sequence[HistoryRow]) -> pa.Table:
        """Append a night, whole or not at all.

        Parameters
        ----------
        night
            Its label, which must sort after the existing ones.
        rows
            The rows of the night.

        Raises
        ------
        ConfigError
            The night would not be the last one.
        StoreError
            The night is already in the history with other rows.
        """
        table = night_table(night, rows)
        existing = self.nights()
        if night in existing:
            if not self._night(night).equals(table):
                raise StoreError(
                    "This night is already in the history with other rows, and the history is never changed.",
                    where=self._store.at(f"{HISTORY}/{night}.parquet"),
                    hint="choose another label with night=LABEL that sorts after the existing ones",
                )
            return table
        check_order(night, existing)
        self._store.write_table(f"{HISTORY}/{night}", table, HISTORY)
        return table


def check_order(night: str, existing: Sequence[str]) -> None:
    """Raise ConfigError if a new night would not be the last one, or if no dated night could follow it."""
    if not existing:
        return
    last = existing[-1]
    if night < last:
        last_date = night_date(last)
        reason = ", which is not a date" if last_date is None else ""
        if last_date is not None and last_date > datetime.now(UTC).date():
            reason = ", which is in the future"
        raise ConfigError(
            "The label of a new night must sort after the existing ones.",
            where="night",
            got=f"{night}; the last night in the history is {last}{reason}",
            hint=f"night=LABEL, such as the date; if {last} is wrong, set it aside with microbench accept out=DIR drop={last}",
        )
    if night_date(last) is not None and night_date(night) is None:
        raise ConfigError(
            "The label of a new night must start with a date, like the last one: no dated night could follow another label.",
            where="night",
            got=f"{night}; the last night in the history is {last}",
            hint="night=2026-01-31, or night=2026-01-31-rerun for a second one on a day",
        )


def night_date(night: str) -> date | None:
    """The date that a label starts with; None if it starts with none."""
    match = re.match(r"\d{4}-\d{2}-\d{2}(?!\d)", night, re.ASCII)
    try:
        return date.fromisoformat(match[0]) if match else None
    except ValueError:
        return None


def night_table(night: str, rows: Sequence[HistoryRow]) -> pa.Table:
    """Rows of a night as a table of the schema `history`, sorted by what they are about."""
    schema = SCHEMAS[HISTORY]
    records: list[dict[str, Any]] = [{"night": night, **asdict(row)} for row in sorted(rows, key=_sort_key)]
    return pa.table([pa.array([record[field.name] for record in records], field.type) for field in schema], schema=schema)


def _sort_key(row: HistoryRow) -> tuple[Any, ...]:
    return (row.kind, row.subject, row.size is None, row.size or 0, row.subtask, row.metric, row.name)
