"""Hints for tables that people have: other names of columns, separators and decimal commas, and columns that are not models."""

from __future__ import annotations

import re
from collections.abc import Sequence

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.data.suspicious import named_like_aggregates

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
ID_NAMES = frozenset(
    f"{kind}{rest}"
    for kind in ("", "item", "question", "doc", "sample", "example", "instance", "task", "prompt", "problem", "row")
    for rest in ("id", "index", "idx", "name", "key", "number", "no", "")
) | {"uid", "uuid", "qid"}
"""Names that columns with ids of items often have, without spaces and the like."""


def without_item_id(where: str, names: Sequence[str], index: str | None = None) -> DataError:
    """The error for a table without a column `item_id`.

    Parameters
    ----------
    where
        The file or the argument.
    names
        Its columns.
    index
        How to make a column of the index, of a DataFrame whose index may hold the ids.
    """
    got = f"columns {first_few(names)}"
    check_separator(where, names)
    alike = [name for name in names if re.sub(r"[\W_]", "", name).casefold() in ID_NAMES]
    if alike:
        hint = f"rename the column {alike[0]!r} to item_id, if it holds the ids of the items"
    elif index is not None:
        hint = f"{index} makes the ids in its index a column"
    else:
        hint = "add a column item_id with a unique id in every row, such as the number of the question"
    return DataError("The table has no column item_id.", where=where, got=got, hint=hint)


def check_separator(where: str, names: Sequence[str]) -> None:
    """Raise DataError if names of columns contain a separator of columns: the table is not separated by commas."""
    separator = next((each for each in SEPARATORS if any(each in name for name in names)), None)
    if separator is not None:
        raise DataError(
            "The columns of the table are not separated by commas.",
            where=where,
            got=f"columns {first_few(names)}",
            hint=f"the file has {SEPARATORS[separator]}: write it with commas, and with decimal points, such as with pandas: "
            f'read_csv(FILE, sep={separator!r}, decimal=",").to_csv(NEW, index=False)',
        )


def cell_hint(model: str, value: object) -> str:
    """The hint for a cell that is not a score in [0, 1]."""
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d*,\d+\s*", value):
        return f"write numbers with a decimal point: {value.strip().replace(',', '.')}, not {value.strip()}"
    if named_like_aggregates([model], "model"):
        return f"remove the column {model!r}: it is not a model's name"
    if isinstance(value, int | float) and 1 < value <= 100:
        return "divide the scores by the maximum score, percent by 100; leave the cell of a missing response empty (NaN)"
    return "scores are numbers in [0, 1]: leave the cell of a missing response empty, and remove columns that are not models"
