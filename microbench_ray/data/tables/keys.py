"""`TableKeys`: what a user says about a table where its names do not, or where a guess is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, get_args

from microbench_ray.core.errors import ConfigError, unknown

Shape = Literal["auto", "long", "items", "models"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
ROLES = ("model", "item", "score", "subtask", "repeat", "label", "weight", "cluster", "cost", "ignore")
"""What a column can be. `model` and `item` may be several columns, whose values are joined by `/`; `ignore` leaves columns out."""
OF_ITEMS = ("weight", "cluster", "cost")
"""Roles of columns with a value for each item that no name of a column tells."""
SEVERAL = ("model", "item", "ignore")
"""Roles that several columns may have."""
ColumnNames = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class TableKeys:
    """How a table is read; see `table_keys`.

    Attributes
    ----------
    shape
        `long` (a row per response), `items` (a row per item and a column per model), `models` (a row per model and a column per
        item), or `auto`: guessed from the names of the columns.
    columns
        Pairs of a role and the names of its columns.
    scale
        Scores are divided by it: 100 for percent.
    correct
        Words that are a score of 1, where scores are words.
    sheet
        The sheet of a workbook; None for the only one.
    ids_needed
        Whether a table without ids is refused, because its items are joined with those of another; else they are numbered.
    """

    shape: Shape = "auto"
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    scale: float = 1.0
    correct: tuple[str, ...] = ()
    sheet: str | None = None
    ids_needed: bool = False

    def of(self, role: str) -> tuple[str, ...]:
        """The columns given for a role, empty by default."""
        return dict(self.columns).get(role, ())

    def gives(self, role: str) -> bool:
        """Whether columns, or none, are given for a role."""
        return role in dict(self.columns)

    def settings(self) -> dict[str, Any]:
        """The values given by the user that are not the defaults, as `table_keys` takes them and JSON holds them."""
        given: dict[str, Any] = {}
        if self.shape != "auto":
            given["shape"] = self.shape
        if self.columns:
            given["columns"] = {role: list(names) for role, names in self.columns}
        if self.scale != 1:
            given["scale"] = self.scale
        if self.correct:
            given["correct"] = list(self.correct)
        if self.sheet is not None:
            given["sheet"] = self.sheet
        return given


DEFAULT_KEYS = TableKeys()


def table_keys(
    shape: str = "auto",
    columns: ColumnNames | None = None,
    scale: float = 1.0,
    correct: str | Sequence[str] = (),
    sheet: str | None = None,
) -> TableKeys:
    """Check the keys of a table; parameters as the attributes of `TableKeys`.

    Parameters
    ----------
    shape, scale, sheet
        As the attributes of `TableKeys`.
    columns
        The name of the column of each role in `ROLES`, or a list of names where several may have it. The column of subtasks may be
        that of clusters as well.
    correct
        A word, or several.

    Raises
    ------
    ConfigError
        A shape or a role is unknown, a column has two roles, or the scale is not a positive number.
    """
    known = next((each for each in SHAPES if each == shape), None)
    if known is None:
        raise unknown("shape of a table", "shape", shape, SHAPES)
    pairs = []
    for role, given in (columns or {}).items():
        if role not in ROLES:
            raise unknown("role of a column", "columns", role, ROLES)
        names = (given,) if isinstance(given, str) else tuple(str(name) for name in given)
        if role not in SEVERAL and len(names) != 1:
            hint = f"columns={{{role}: NAME}}"
            raise ConfigError(f"One column must be the {role}.", where=f"columns.{role}", got=f"{len(names)} names", hint=hint)
        pairs.append((role, names))
    subtask = (columns or {}).get("subtask")  # may be the cluster as well
    all_names = [name for role, names in pairs for name in names if (role, name) != ("cluster", subtask)]
    repeated = next((name for name in all_names if all_names.count(name) > 1), None)
    if repeated is not None:
        raise ConfigError("A column has two roles.", where="columns", got=repr(repeated), hint="give each column one role")
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not isfinite(scale) or scale <= 0:
        raise ConfigError("scale must be a positive number.", where="scale", got=repr(scale), hint="scale=100 for percent")
    words = (correct,) if isinstance(correct, str | bool | int) else correct
    return TableKeys(
        shape=known,
        columns=tuple(sorted(pairs)),
        scale=float(scale),
        correct=tuple(str(word).strip() for word in words),
        sheet=None if sheet is None else str(sheet),
    )
