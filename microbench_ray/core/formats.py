"""Tables as text: aligned columns, Markdown, LaTeX, HTML and CSV, without further packages. Every text ends with a newline."""

from __future__ import annotations

import csv as csv_files
import html as html_text
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from microbench_ray.core.shown import escape_controls

if TYPE_CHECKING:
    import pandas as pd

LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "∞": r"$\infty$",
        "×": r"$\times$",
        "–": "--",
        "…": r"\dots{}",
    }
)
"""How characters with a meaning in LaTeX, or without a place in its default fonts, are written."""
MARKDOWN = re.compile(r"[\\|`*<>\[\]]|(?<![^\W_])_|_(?![^\W_])")
"""Characters of the syntax of Markdown; an underscore inside a word is none."""


BETWEEN = "; "
"""Separates the entries of a list in a cell of a CSV file."""


class Table(NamedTuple):
    """A table of plain values: texts, numbers, booleans, lists of these, None where there is no value."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Table:
        """The values of these columns in every row; KeyError for a missing one."""
        return cls(columns=tuple(columns), rows=tuple(tuple(row[name] for name in columns) for row in rows))

    @classmethod
    def of_frame(cls, frame: pd.DataFrame) -> Table:
        """The content of a DataFrame, after the levels of its index that have a name; missing values are None."""
        if any(name is not None for name in frame.index.names):
            frame = frame.reset_index()
        values = frame.astype(object).where(frame.notna(), None)
        return cls(columns=tuple(map(str, frame.columns)), rows=tuple(values.itertuples(index=False, name=None)))

    def first(self, count: int) -> Table:
        """The first rows."""
        return self._replace(rows=self.rows[:count])


def text(table: Table) -> str:
    """Aligned columns, two spaces apart: numbers to the right, texts to the left."""
    cells, right = _cells(table), _right_aligned(table)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = (_aligned(cell, width, to_right) for cell, width, to_right in zip(row, widths, right, strict=True))
        lines.append("  ".join(padded).rstrip())
    return _joined(lines)


def markdown(table: Table) -> str:
    """A pipe table, as GitHub and most notebooks read it; characters of the syntax are escaped."""
    header, *rows = _cells(table, lambda given: MARKDOWN.sub(r"\\\g<0>", given))
    rule = ["---:" if to_right else ":---" for to_right in _right_aligned(table)]
    return _joined(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def latex(table: Table) -> str:
    r"""A `tabular` with the rules of the package booktabs (`\usepackage{booktabs}`); special characters are escaped."""
    header, *rows = (f"{' & '.join(row)} \\\\" for row in _cells(table, lambda given: given.translate(LATEX)))
    columns = "".join("r" if to_right else "l" for to_right in _right_aligned(table))
    lines = [r"\toprule", header, r"\midrule", *rows, r"\bottomrule"]
    return _joined([f"\\begin{{tabular}}{{{columns}}}", *lines, r"\end{tabular}"])


def html(table: Table) -> str:
    """A `table` element without styles or scripts, for notebooks; texts are escaped."""
    styles = ["text-align: right" if to_right else "text-align: left" for to_right in _right_aligned(table)]

    def row(cells: Sequence[str], tag: str) -> str:
        parts = (f'<{tag} style="{style}">{html_text.escape(cell)}</{tag}>' for cell, style in zip(cells, styles, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    header, *rows = _cells(table)
    body = [row(cells, "td") for cells in rows]
    return _joined(["<table>", f"<thead>{row(header, 'th')}</thead>", "<tbody>", *body, "</tbody>", "</table>"])


def csv(table: Table) -> str:
    """Comma-separated values with a header: numbers with all their digits, `true` and `false`, nothing where there is no value."""
    return _joined(_csv_line(row) for row in (table.columns, *table.rows))


def cell(value: Any) -> str:
    """A value for people: four digits of a number with a fraction, ∞, yes or no, nothing for None and NaN; one line."""
    value = _scalar(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("inf", "∞")
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    return escape_controls(str(value))


def _csv_line(row: Iterable[Any]) -> str:
    """A row without its end; the writer's own end makes it quote both characters of line breaks."""
    line = io.StringIO()
    csv_files.writer(line, lineterminator="\r\n").writerow(map(_csv_cell, row))
    return line.getvalue().removesuffix("\r\n")


def _csv_cell(value: Any) -> Any:
    value = _scalar(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return BETWEEN.join(map(str, value)) if isinstance(value, list | tuple) else value


def _scalar(value: Any) -> Any:
    """The value, of a NumPy scalar the Python number."""
    return value.item() if hasattr(value, "item") else value


def _cells(table: Table, escape: Callable[[str], str] = str) -> list[list[str]]:
    """The header and the rows as texts."""
    return [[escape(cell(value)) for value in row] for row in (table.columns, *table.rows)]


def _right_aligned(table: Table) -> list[bool]:
    """Whether each column holds numbers."""
    columns = [[value for row in table.rows if (value := _scalar(row[k])) is not None] for k in range(len(table.columns))]
    return [bool(values) and all(isinstance(value, Real) and not isinstance(value, bool) for value in values) for values in columns]


def _aligned(given: str, width: int, to_right: bool) -> str:
    return given.rjust(width) if to_right else given.ljust(width)


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
