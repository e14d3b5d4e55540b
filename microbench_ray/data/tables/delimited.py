"""Tables whose columns are separated by commas, semicolons, tabs or bars, in UTF-8 or UTF-16, as programs write them."""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.core.parquet import OversizedTable
from microbench_ray.data.names import first_few
from microbench_ray.data.tables.bounded import open_text

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ROWS = 20
"""Number of rows that the separator is found from."""
CELLS = 1000
"""Number of cells that are looked at for each separator that fits."""
BLOCK_BYTES = 1 << 20
"""Bytes that Arrow parses at a time; more where lines are long, since a block must hold one."""
MAX_START = 32 << 20
"""Bytes of the first rows that are looked at."""
DECIMAL_COMMA = r"^\s*[+-]?\d*,\d+\s*$"
_NUMBER = re.compile(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?%?\s*")
_ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Dialect(NamedTuple):
    """How a file of text is a table."""

    encoding: str
    separator: str
    skip_rows: int
    """Rows before the header: Excel writes `sep=;` into the first."""
    header: list[str]
    longest: int = 0
    """Bytes of the longest of the first lines."""


@contextmanager
def long_fields() -> Iterator[None]:
    """Let `csv` read fields of any length: what is read is bounded elsewhere. The limit is that of the process, and restored."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def read_delimited(path: Path, texts: Callable[[Sequence[str]], Sequence[str]], check: Callable[[Sequence[str]], None]) -> pa.Table:
    """Read a table with a header; empty cells, NaN, NA and null are missing values, except in text columns.

    Numbers may have a decimal comma where the separator is another.

    Parameters
    ----------
    path
        The file; `.gz` and `.zst` are decompressed.
    texts
        Which of the columns are read as texts.
    check
        Called with the names of the columns before the rows are read.

    Raises
    ------
    DataError
        Two separators are equally likely.
    pyarrow.ArrowException, OSError, UnicodeDecodeError, csv.Error
        It is not such a table.
    """
    dialect = find_dialect(path)
    check(dialect.header)
    table = _read(path, dialect, texts(dialect.header), ".")
    if dialect.separator != "," and any(map(_has_decimal_comma, table.columns)):
        table = _read(path, dialect, texts(dialect.header), ",")
    return table.rename_columns([name.strip() for name in table.column_names])


def _read(path: Path, dialect: Dialect, texts: Sequence[str], decimal_point: str) -> pa.Table:
    names = [name for name in dialect.header if name.strip() in {text.strip() for text in texts}]
    with open_text(path) as source:
        return pa.csv.read_csv(
            source,
            read_options=pa.csv.ReadOptions(
                encoding=dialect.encoding.removesuffix("-sig"),
                skip_rows=dialect.skip_rows,
                block_size=max(BLOCK_BYTES, 2 * dialect.longest),
            ),
            parse_options=pa.csv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), decimal_point=decimal_point),
        )


def _has_decimal_comma(column: pa.ChunkedArray) -> bool:
    return pa.types.is_string(column.type) and bool(pc.any(pc.match_substring_regex(column, DECIMAL_COMMA)).as_py())


def find_dialect(path: Path) -> Dialect:
    """Find out encoding and separator from the first rows; raises as `read_delimited` does."""
    with open_text(path) as source:
        start = source.read(4)
    encoding = next((name for mark, name in _ENCODINGS.items() if start.startswith(mark)), "utf-8")
    with open_text(path) as source, io.TextIOWrapper(source, encoding=encoding, newline="") as text:
        lines = list(_first_lines(text))
    longest = max((len(line.encode(encoding)) for line in lines), default=0)
    given = re.fullmatch(r"sep=(.)\s*", lines[0]) if lines else None
    with long_fields():
        if given is not None:
            return Dialect(encoding, given[1], 1, next(_records(lines[1:], given[1]), []), longest)
        records = {separator: list(_records(lines, separator)) for separator in SEPARATORS}
    separator = _separator(path, records)
    return Dialect(encoding, separator, 0, records[separator][0] if records[separator] else [], longest)


def _first_lines(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of the first rows; fewer if they are long."""
    left = MAX_START
    for _ in range(ROWS + 1):
        line = text.readline(left)
        if len(line) == left == MAX_START:
            raise OversizedTable(f"more than {MAX_START:,} bytes in the first row")
        left -= len(line)
        if not line or left <= 0:
            return
        yield line


def _records(lines: Sequence[str], separator: str) -> Iterator[list[str]]:
    """The cells of the rows, up to one that cannot be read; a last one may be cut off."""
    reader = csv.reader(lines, delimiter=separator)
    for position in range(len(lines)):
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            if position == 0:
                raise
            return


def _separator(path: Path, records: dict[str, list[list[str]]]) -> str:
    """The separator that splits all rows into as many cells as the header; of several, the one that leaves most numbers."""
    likely = {}
    for separator, (header, *rows) in ((key, found) for key, found in records.items() if found):
        if len(header) > 1 and all(len(row) in (0, len(header)) for row in rows[:-1]):
            cells = list(islice((cell for row in rows for cell in row if cell), CELLS))
            numbers = sum(bool(_NUMBER.fullmatch(cell)) and not (separator == "," and "," in cell) for cell in cells)
            likely[separator] = numbers / max(1, len(cells))
    if not likely:
        return max(records, key=lambda separator: len(next(iter(records[separator]), [])))
    best = [separator for separator, share in likely.items() if share == max(likely.values())]
    if len(best) > 1:
        raise DataError(
            "The columns of the table can be separated in two ways.",
            where=str(path),
            got=f"{' or '.join(SEPARATORS[each] for each in best)}: {first_few(records[best[0]][0], 3)}, or "
            f"{first_few(records[best[1]][0], 3)}",
            hint=f"quote the names that contain {SEPARATORS[best[1]]}, or write a line such as sep=; above the header",
        )
    return best[0]
