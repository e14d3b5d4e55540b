"""The format of logs that commands other than `microbench ingest` read, and its keys, which these commands do not have."""

from __future__ import annotations

import re
from pathlib import Path

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data.table_files import SUFFIXES
from microbench_ray.ingest.registry import READERS

TABLES = tuple(suffix for suffix in SUFFIXES if "json" not in suffix)
"""Suffixes that only tables have; JSON Lines may also be logs."""
KEYS_OF_INGEST = re.compile(r"\b(scale|columns|correct|shape|sheet|items)=")
"""Keys of tables in hints."""


def source_of(path: Path, source: str | None) -> str:
    """The format of logs: the one that is given, or that of the file's suffix; ConfigError where neither is known."""
    if source is not None:
        return source
    name = path.name.lower()
    if name.endswith(".eval"):
        return "inspect"
    if name.endswith(TABLES):
        return "table"
    raise ConfigError(
        "The format of the logs is missing.",
        where="source",
        got=str(path),
        hint=f"source=lm_eval, or another: {', '.join(READERS)}",
    )


def without_keys_of_ingest(error: DataError, path: str, advice: str) -> DataError:
    """An error of reading logs, with a hint that does not advise keys which only `microbench ingest` has.

    Parameters
    ----------
    error
        Raised by a reader.
    path
        What stands for `path=…` in the command that reads.
    advice
        Put around a hint that names keys of tables, as a format: where these keys can be given.
    """
    hint = re.sub(r"\bpath=…?", path, error.hint or "")
    if KEYS_OF_INGEST.search(hint):
        hint = advice.format(hint)
    return DataError(error.what, where=error.where, got=error.got, hint=hint or None)
