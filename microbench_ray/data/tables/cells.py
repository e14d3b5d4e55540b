"""Cells as scores in [0, 1]: numbers, percent, and words that are right or wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.shown import key_value
from microbench_ray.data.names import first_few
from microbench_ray.data.table_files import row_name
from microbench_ray.data.table_hints import cell_hint
from microbench_ray.data.tables.frame import Frame, is_number, parse_numbers
from microbench_ray.data.tables.keys import TableKeys


class ScoreColumns:
    """Converts columns of scores by the keys `scale` and `correct`.

    Parameters
    ----------
    frame, keys
        The table and what is said about it.
    columns
        All columns that hold scores.

    Raises
    ------
    DataError
        `scale` or `correct` do not fit the table.
    """

    def __init__(self, frame: Frame, keys: TableKeys, columns: Sequence[str]) -> None:
        self._frame, self._keys, self._columns = frame, keys, columns
        self._correct = frozenset(word.casefold() for word in keys.correct)
        self.wrong_words: frozenset[str] = frozenset()
        if keys.correct:
            self._find_words(columns)
        if keys.scale > 1:
            self._check_scale(columns)

    def changes(self, name: str) -> bool:
        """Whether a column is anything but numbers in [0, 1] as they are."""
        return self._keys.scale != 1 or not is_number(self._frame.table.column(name).type)

    def of(self, name: str, row_of: Sequence[str] | None = None) -> NDArray[np.float64]:
        """The scores of a column.

        Parameters
        ----------
        name
            The column.
        row_of
            What to call the rows in a message, beside their numbers.

        Returns
        -------
        ndarray
            (n_rows,), NaN for missing values.

        Raises
        ------
        DataError
            A cell is neither a number nor one of the words.
        """
        column = self._frame.table.column(name)
        kind = self._frame.kind(name)
        if self._correct and kind in ("words", "texts") and not is_number(column.type):
            return self._words(column)
        if kind == "other":
            raise self._no_number(name, next(row for row, value in enumerate(column.to_pylist()) if value is not None), row_of)
        parsed = parse_numbers(column, percent=self._keys.scale == 100)
        if parsed.bad is not None:
            raise self._no_number(name, parsed.bad, row_of)
        return parsed.values if self._keys.scale == 1 else parsed.values / self._keys.scale

    def _words(self, column: pa.ChunkedArray) -> NDArray[np.float64]:
        known = dict.fromkeys(self.wrong_words, 0.0) | dict.fromkeys(self._correct, 1.0)
        return np.array([np.nan if text is None else known.get(text.strip().casefold(), np.nan) for text in column.to_pylist()])

    def _find_words(self, columns: Sequence[str]) -> None:
        """Find the words that are wrong: all others in the columns that hold words."""
        words = {name: set(self._frame.words(name)) for name in columns if self._frame.kind(name) in ("words", "texts")}
        with_correct = [found for found in words.values() if found & self._correct]
        if not with_correct:
            found = sorted(set().union(*words.values()))
            raise DataError(
                "No score is one of the words that correct= names.",
                where=str(self._frame.where),
                got=f"correct={list(self._keys.correct)}; {f'words {first_few(found)}' if found else 'no column of words'}",
                hint="give the word that stands for a right answer, such as correct=yes; numbers need none",
            )
        known = set().union(*with_correct)
        self.wrong_words = frozenset(known - self._correct)
        strange = next((name for name, found in words.items() if found - known), None)
        if strange is not None:
            raise DataError(
                "A column holds other words than the others.",
                where=f"{self._frame.where}: column {strange!r}",
                got=f"{first_few(sorted(words[strange]))}, where others have {first_few(sorted(known))}",
                hint=f"columns={{ignore: [{strange}]}} if it holds no scores",
            )

    def _check_scale(self, columns: Sequence[str]) -> None:
        """Refuse a scale where no score is above 1: those scores are fractions already."""
        numbers = [name for name in columns if self._frame.kind(name) != "other"]
        highest = max((_highest(parse_numbers(self._frame.table.column(name), True).values) for name in numbers), default=0)
        if 0 < highest <= 1:
            raise DataError(
                "The scores are fractions already, and scale= would divide them.",
                where=str(self._frame.where),
                got=f"scale={self._keys.scale:g}; the highest score is {highest:g}",
                hint="leave out scale=",
            )

    def _no_number(self, name: str, row: int, row_of: Sequence[str] | None) -> DataError:
        value = self._frame.table.column(name)[row].as_py()
        place = f"{self._frame.where}: column {name!r}, {row_name(self._frame.where, row)}"
        if isinstance(value, str) and value.startswith(("{", "[")):
            hint = "the cell holds an object or a list: write the table with a column per model, or a row per response"
        elif self._frame.kind(name) in ("words", "texts"):
            ignore = f"columns={{ignore: [{name}]}} if it holds no scores"
            correct = f"{key_value('correct', _example(self._frame.words(name)))} if that word is a right answer"
            others = [each for each in self._columns if self._frame.kind(each) not in ("words", "empty")]
            hint = "; ".join([ignore, correct] if others else [correct, ignore])
        else:
            hint = cell_hint(name, value)
        return DataError(
            f"There is {'text' if isinstance(value, str) else 'no number'} where a score should be.",
            where=place if row_of is None else f"{place}, item {row_of[row]!r}",
            got=repr(value),
            hint=hint,
        )


def _example(words: Sequence[str]) -> str:
    """The word that most likely stands for a right answer."""
    return next((word for word in words if re.match(r"y(es)?$|right|correct|pass|ok|true|t$|solved|resolved|win", word)), words[0])


def _highest(values: NDArray[np.float64]) -> float:
    valid = values[~np.isnan(values)]
    return float(valid.max()) if valid.size else -np.inf
