"""`Layout`: the shape of a table and the roles of its columns, and the sentences that tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from microbench_ray.core.errors import DataError, closest
from microbench_ray.data.names import first_few
from microbench_ray.data.tables.frame import Frame
from microbench_ray.data.tables.keys import Shape, TableKeys

ITEM_ID = "item_id"


@dataclass(frozen=True)
class Layout:
    """The shape of a table and the roles of its columns.

    Attributes
    ----------
    shape
        `long`, `items` (a row per item) or `models` (a row per model).
    model, item
        The columns whose values, joined by `/`, are the ids. Without an item column in the shape `items`, items are numbered.
    score, subtask, repeat, label, weight, cluster, cost
        Columns of single roles.
    values
        In wide tables the columns of scores: models, or in the shape `models` items.
    of_file
        The model that all rows of a long table are of, because it is named by the file and not by a column; empty otherwise.
    left_out
        Columns that are not used, with a reason.
    guessed
        Whether anything was decided that the layout with `item_id` and a column per model would not have said itself.
    """

    shape: Shape
    model: tuple[str, ...] = ()
    item: tuple[str, ...] = ()
    score: str | None = None
    subtask: str | None = None
    repeat: str | None = None
    label: str | None = None
    weight: str | None = None
    cluster: str | None = None
    cost: str | None = None
    values: tuple[str, ...] = ()
    of_file: str = ""
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def guessed(self) -> bool:
        """Whether the table has another layout than a column `item_id`, optionally `subtask`, and only models beside them."""
        return self.shape != "items" or self.item != (ITEM_ID,) or self.subtask not in (None, "subtask") or bool(self.left_out)


def describe(layout: Layout) -> str:
    """A sentence on what the columns were taken for."""
    if layout.shape == "long":
        models = f"models in {_joined(layout.model)}" if layout.model else "the file's name is the model"
        parts = [models, f"items in {_joined(layout.item)}", f"scores in {layout.score!r}"]
        parts += [f"{role} in {name!r}" for role, name in (("subtasks", layout.subtask), ("repeats", layout.repeat)) if name]
        return f"a row per response: {', '.join(parts)}{_of_items(layout)}"
    columns = f"{len(layout.values):,} column{'' if len(layout.values) == 1 else 's'}: {first_few(layout.values, 3)}"
    if layout.shape == "models":
        return f"a row per model, named in {_joined(layout.model)}; items are {columns}"
    subtasks = f", subtasks in {layout.subtask!r}" if layout.subtask else ""
    named = f", named in {_joined(layout.item)}" if layout.item else ""
    return f"a row per item{named}{subtasks}{_of_items(layout)}; models are {columns}"


def _of_items(layout: Layout) -> str:
    columns = (("weights", layout.weight), ("clusters", layout.cluster), ("costs", layout.cost))
    return "".join(f", {role} in {name!r}" for role, name in columns if name)


def _joined(names: Sequence[str]) -> str:
    return " and ".join(repr(name) if name else "the column without a name" for name in names)


def left_out(layout: Layout) -> list[str]:
    """Sentences on the columns that are not used."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in layout.left_out.items():
        by_reason.setdefault(reason, []).append(name or "the column without a name")
    return [f"left out ({reason}): {first_few(names)}" for reason, names in by_reason.items()]


def check_given(frame: Frame, keys: TableKeys) -> None:
    """Raise DataError for a given column that does not exist, and for a table without a header."""
    for role, names in keys.columns:
        for name in names:
            if name not in frame.names:
                raise DataError(
                    f"The table has no column {name!r}, which columns={{{role}: …}} names.",
                    where=str(frame.where),
                    got=f"columns {first_few(frame.names)}",
                    hint=closest(name, frame.names, 20),
                )
    if len(frame.names) >= 3 and all(_is_fraction(name) for name in frame.names):
        raise DataError(
            "The table has no header: the names of all columns are numbers in [0, 1].",
            where=str(frame.where),
            got=f"columns {first_few(frame.names)}",
            hint="write a first row with the names of the columns",
        )


def _is_fraction(name: str) -> bool:
    try:
        return 0 <= float(name) <= 1
    except ValueError:
        return False
