"""Which shape a table has, and what each of its columns holds: guessed from names and contents, refused where two readings fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.data.tables.candidates import Candidates
from microbench_ray.data.tables.frame import Frame
from microbench_ray.data.tables.keys import OF_ITEMS, Shape, TableKeys
from microbench_ray.data.tables.layout import ITEM_ID, Layout, check_given
from microbench_ray.data.tables.vocabulary import (
    DESCRIPTIONS,
    LOWER_NAMES,
    MANY,
    NO_MODEL,
    REPEAT_TIERS,
    SCORE_NAMES,
    SUBTASK_NAMES,
    WEAK_IDS,
    beside_scores,
    kind_of,
    plain_name,
)


def recognise(frame: Frame, keys: TableKeys, of_file: str = "") -> Layout:
    """Find the shape of a table and the roles of its columns; `of_file` is the model that the file's name tells, if any.

    Raises
    ------
    DataError
        A given column does not exist, a needed one is missing, or two readings are equally likely; the hint names the key that
        decides.
    """
    check_given(frame, keys)
    guess = _Guess(frame, keys)
    if of_file and guess.is_of_one_model():
        return guess.long(of_file)
    shape = keys.shape if keys.shape != "auto" else guess.shape()
    layout = guess.long() if shape == "long" else guess.wide(shape)
    if of_file and keys.shape == "auto" and layout.shape == "items" and not layout.item:
        guess.check_ids_of_one_model(layout.values)
    if keys.ids_needed and not layout.item and shape == "items":
        raise DataError(
            "The table has no column with the ids of items.",
            where=str(frame.where),
            got=f"columns {first_few(frame.names)}",
            hint="add a column item_id with the ids that the items have elsewhere",
        )
    return layout


class _Guess(Candidates):
    """The shape, and the roles of the columns."""

    # -- the shape

    def shape(self) -> Shape:
        """The shape that the names of the columns, and of rows, tell."""
        frame, given = self.frame, self.keys
        if given.gives("score") or given.gives("repeat") or (given.gives("model") and given.gives("item")):
            return "long"
        if self.model and self.item:
            return self._long_or_not()
        if self.model:
            if given.gives("model") or self._unique(self.model):
                return self._against("models", self.model)
            if self._weak_items():
                return "long"
            raise DataError(
                "The rows of a model repeat, but no column is known to hold the items.",
                where=str(frame.where),
                got=f"columns {first_few(frame.names, 10)}",
                hint="columns={item: NAME} names the column that holds the ids of the items",
            )
        if self.item:
            self._check_repeated_items()
            return "items" if self.item == (ITEM_ID,) or given.gives("item") else self._against("items", self.item)
        return self._by_rows_and_columns()

    def _weak_items(self) -> bool:
        """Take a column such as `id` for the items of a long table, if its values repeat as those of items do."""
        weak = [
            name for name in self.free if plain_name(name) in WEAK_IDS - {""} and name not in self.model and self._holds_ids(name)
        ]
        if len(weak) != 1 or (self.frame.is_unique(weak[0]) and self.frame.n_distinct(self.model[0]) > 1):
            return False
        self.item = (weak[0],)
        return True

    def _unique(self, columns: Sequence[str]) -> bool:
        return len(columns) == 1 and self.frame.is_unique(columns[0])

    def _long_or_not(self) -> Shape:
        """A table with models and items in columns is long, unless each occurs once and many columns hold scores."""
        others = [name for name in self.free if name not in (*self.model, *self.item) and self._may_be_score(name)]
        unknown = [name for name in others if plain_name(name) not in SCORE_NAMES]
        if not self._unique(self.model) and not self._unique(self.item):
            return "long"
        n_models = self.frame.n_distinct(self.model[0])
        if n_models == 1 and len(unknown) < 2:
            return "long"
        if self._unique(self.model) and len(unknown) >= 2 and self.frame.has_row_numbers(self.item[0]) and self.item != (ITEM_ID,):
            self.left_out[self.item[0]] = "the numbers of the rows"
            self.free.remove(self.item[0])
            self.item = ()
            return "models"
        model, item = self.model[0], self.item[0]
        advice = [
            "shape=long if each row is one response",
            f"shape=models with columns={{ignore: [{item}]}} if each row is a model",
            f"shape=items with columns={{ignore: [{model}]}} if each row is an item",
        ]
        if len(unknown) >= 2:  # a long table has one column of scores
            advice = [*(advice[1:] if self._unique(self.model) else advice[:0:-1]), advice[0]]
        raise DataError(
            "The table has columns of models and of items, but every model, or every item, has only one row.",
            where=str(self.frame.where),
            got=f"models in {model!r}, items in {item!r}",
            hint="; ".join(advice),
        )

    def _check_repeated_items(self) -> None:
        """Refuse a long table whose column of models has an unknown name."""
        scores = self._named(SCORE_NAMES, self.item)
        if self.keys.gives("item") or len(self.item) != 1 or not scores or self._unique(self.item):
            return
        if self.frame.table.column(self.item[0]).null_count:
            return
        raise DataError(
            "The rows of an item repeat, but no column is known to hold the models.",
            where=str(self.frame.where),
            got=f"columns {first_few(self.frame.names, 10)}",
            hint="columns={model: NAME} names the column that holds the models; shape=items if it is a table with a row per item",
        )

    def _against(self, shape: Shape, ids: Sequence[str]) -> Shape:
        """The shape that the name of the id column tells, if the names of rows and columns do not contradict it."""
        rows, columns = self._kinds(ids)
        other = "models" if shape == "items" else "items"
        if columns == shape or rows == other:
            raise self._either(ids)
        return shape

    def _kinds(self, ids: Sequence[str]) -> tuple[str | None, str | None]:
        """What the names of rows, and of columns with scores, are like."""
        texts = [text or "" for name in ids[:1] for text in self.frame.texts(name, MANY)]
        return kind_of(texts), kind_of([name for name in self.free if name not in ids and self._may_be_score(name)])

    def _by_rows_and_columns(self) -> Shape:
        """The shape of a table whose id column has a name that tells nothing, or that has no id column."""
        ids = self._row_names()
        rows, columns = self._kinds(ids)
        if not ids:
            self._check_texts()
            if columns == "items":
                raise DataError(
                    "The columns have names like items, but no column holds the models.",
                    where=str(self.frame.where),
                    got=f"columns {first_few(self.frame.names)}",
                    hint="add a column model with a name in every row; or shape=items if every column is a model",
                )
            return "items"
        if rows != "models" and columns != "items" and (rows or columns):
            return "items"
        if rows != "items" and columns != "models" and (rows or columns):
            return "models"
        raise self._either(ids)

    def _row_names(self) -> tuple[str, ...]:
        """The column with the names of the rows: one with a name that ids have, the one without a name, or the only texts."""
        weak = [name for name in self.free if plain_name(name) in WEAK_IDS and (not plain_name(name) or self._holds_ids(name))]
        if len(weak) > 1:  # the numbers of the rows beside a name
            self._leave_out_numbers(weak)
            weak = [name for name in weak if name in self.free]
        if len(weak) > 1:
            raise self._two("Two columns may hold the names of the rows.", weak, "columns={item: NAME}, or columns={model: NAME}")
        if weak:
            return tuple(weak)
        texts = [
            name
            for name in self.free
            if self.frame.kind(name) in ("texts", "words") and self.frame.is_unique(name) and plain_name(name) not in DESCRIPTIONS
        ]
        return tuple(texts) if len(texts) == 1 and len(self.free) > 2 else ()

    def _check_texts(self) -> None:
        """Refuse a table without ids in which texts may be the ids."""
        texts = [name for name in self.free if self._is_unknown_text(name)]
        if texts:
            raise DataError(
                "No column is known to hold the ids of items.",
                where=str(self.frame.where),
                got=f"columns {first_few(self.frame.names, 10)}",
                hint="columns={model: NAME, item: NAME, score: NAME} for a row per response, columns={item: NAME} for a row per "
                f"item; columns={{ignore: [{', '.join(texts)}]}} to number the items by their rows",
            )

    def _is_unknown_text(self, name: str) -> bool:
        """Whether a column holds texts that are neither scores nor, by the column's name, a description."""
        if self.frame.kind(name) not in ("words", "texts") or plain_name(name) in DESCRIPTIONS | SUBTASK_NAMES:
            return False
        return not self.keys.correct and plain_name(name) not in SCORE_NAMES

    def _leave_out_numbers(self, names: Iterable[str]) -> None:
        for name in names:
            if self.frame.has_row_numbers(name):
                self.left_out[name] = "the numbers of the rows"
                self.free.remove(name)

    def _either(self, ids: Sequence[str]) -> DataError:
        texts = [text for text in self.frame.texts(ids[0]) if text]
        others = [name for name in self.free if name not in ids and self._may_be_score(name)]
        return DataError(
            "The rows may be the items or the models.",
            where=str(self.frame.where),
            got=f"rows {first_few(texts, 2)} in the column {ids[0]!r}; columns {first_few(others, 2)}",
            hint="shape=items if the rows are the items and the columns the models; shape=models if the rows are the models",
        )

    # -- a long table

    def long(self, of_file: str = "") -> Layout:
        """The roles in a table with a row per response, of one model if the file names it."""
        for role, columns in (("model", self.model), ("item", self.item)):
            if not columns and not (role == "model" and of_file):
                raise DataError(
                    f"A long table needs a column that holds the {role}s.",
                    where=str(self.frame.where),
                    got=f"columns {first_few(self.frame.names, 10)}",
                    hint=f"columns={{{role}: NAME}}",
                )
        used = [*self.model, *self.item]
        repeat = (
            self._one("repeat") or next(iter(self._by_tiers("repeat", REPEAT_TIERS, but=used)), None) or self._numbered_repeat(used)
        )
        used += [repeat] if repeat else []
        subtask = self._one("subtask") or self._subtask(used)
        used += [subtask] if subtask else []
        score = self._one("score") or self._score(used)
        self._check_direction(score)
        label = self._one("label")
        unused = {name: "not used" for name in self.free if name not in (*used, score) and name not in self.left_out}
        return Layout(
            shape="long",
            model=self.model,
            item=self.item,
            score=score,
            subtask=subtask,
            repeat=repeat,
            label=label,
            weight=self._one("weight"),
            cluster=self._one("cluster"),
            cost=self._one("cost"),
            of_file=of_file,
            left_out=self.left_out | unused,
        )

    def _one(self, role: str) -> str | None:
        return next(iter(self.keys.of(role)), None)

    def _numbered_repeat(self, used: Sequence[str]) -> str | None:
        """The column of repeats, numbered 0 and 1, which could also be scores but for its name."""
        names = frozenset().union(*REPEAT_TIERS)
        found = [name for name in self._named(names, used) if self.frame.kind(name) in ("numbers", "number texts")]
        return found[0] if len(found) == 1 else None

    def _subtask(self, used: Sequence[str]) -> str | None:
        """The column of subtasks: `subtask`, else the only one with a name that subtasks have."""
        if "subtask" in self.free and "subtask" not in used:
            return "subtask"
        in_ids = [name for name in self.item if plain_name(name) in SUBTASK_NAMES]
        if len(self.item) > 1 and len(in_ids) == 1:
            return in_ids[0]
        named = [name for name in self._named(SUBTASK_NAMES, used) if self.frame.kind(name) not in ("empty", "other", "mixed")]
        found = [name for name in named if not self._is_score_column(name)]
        if len(found) > 1:
            self.left_out |= dict.fromkeys(found, "not used; columns={subtask: NAME} uses one")
        return found[0] if len(found) == 1 else None

    def _is_score_column(self, name: str) -> bool:
        return name != "subtask" and self.frame.kind(name) in ("numbers", "number texts") and self._in_range(name)

    def _score(self, used: Sequence[str]) -> str:
        """The column of scores: the only one with a name that scores have, else the only one with numbers in the right range."""
        named = [name for name in self._named(SCORE_NAMES, used) if self.frame.kind(name) not in ("empty", "texts")]
        words = [name for name in named if self.frame.kind(name) == "words"]
        found = [name for name in named if name not in words] or words
        if self.keys.correct and words:
            found = words
        if not found:
            others = [name for name in self.free if name not in used and plain_name(name) not in DESCRIPTIONS | {"label"}]
            others = [name for name in others if name not in beside_scores(self.free)]
            kinds = ("words",) if self.keys.correct else ("numbers", "number texts")
            found = [name for name in others if self.frame.kind(name) in kinds and (self.keys.correct or self._in_range(name))]
        if len(found) == 1:
            return found[0]
        raise DataError(
            "Several columns may hold the scores." if found else "No column is known to hold the scores.",
            where=str(self.frame.where),
            got=f"columns {first_few(found or self.frame.names, 10)}",
            hint=f"columns={{score: {found[0] if found else 'NAME'}}}"
            + ("" if found else "; correct=WORD where scores are words, scale=100 where they are percent"),
        )

    def _check_direction(self, score: str) -> None:
        """Refuse a guess of a column of errors."""
        if not self.keys.gives("score") and plain_name(score) in LOWER_NAMES:
            raise DataError(
                "Lower values of the only column that may hold scores are better.",
                where=str(self.frame.where),
                got=f"column {score!r}",
                hint=f"columns={{score: {score}}}, and in microbench ingest scale=0 offset=1, which reverses a rate of errors",
            )

    # -- a wide table

    def wide(self, shape: Shape) -> Layout:
        """The roles in a table with a row per item (or per model) and a column per model (or per item)."""
        given = next((role for role in OF_ITEMS if self.keys.gives(role)), None)
        if shape == "models" and given:
            what, hint = (
                f"A table with a row per model has no {given} of each item.",
                "a table with a row per item, or per response",
            )
            raise DataError(what, where=str(self.frame.where), got=f"columns={{{given}: {self._one(given)}}}", hint=hint)
        if shape == "items":
            ids = self.keys.of("item") or self.item or self._row_names()
        else:
            ids = self.keys.of("model") or self.model or self._row_names() or self.item
            if not ids:
                raise DataError(
                    "A table with a row per model needs a column that holds the models.",
                    where=str(self.frame.where),
                    got=f"columns {first_few(self.frame.names, 10)}",
                    hint="columns={model: NAME}",
                )
        self.free = [name for name in self.free if name not in ids and name not in self.left_out]
        for name in [name for name in self.free if not plain_name(name)]:
            self.left_out[name] = "a column without a name beside the ids"
            self.free.remove(name)
        subtask = self._one("subtask") or self._subtask(ids) if shape == "items" else None
        label = (self._one("label") or ("label" if "label" in self.free else None)) if shape == "items" else None
        values = [name for name in self.free if name not in (subtask, label) and name not in self.left_out]
        self._leave_out_texts(values, shape)
        values = [name for name in values if name not in self.left_out]
        return Layout(
            shape=shape,
            model=tuple(ids) if shape == "models" else (),
            item=tuple(ids) if shape == "items" else (),
            subtask=subtask,
            label=label,
            weight=self._one("weight"),
            cluster=self._one("cluster"),
            cost=self._one("cost"),
            values=tuple(values),
            left_out=self.left_out,
        )

    def _leave_out_measures(self, values: Sequence[str], shape: Shape) -> None:
        """Leave out numbers beside the scores, such as their standard errors; `columns.ignore`, even as an empty list, decides."""
        beside = beside_scores(values)
        found = [name for name in values if plain_name(name) in NO_MODEL or name in beside]
        if not self.keys.gives("ignore") and len(found) < len(values):
            kind = "a model" if shape == "items" else "an item"
            self.left_out |= dict.fromkeys(found, f"not a name of {kind}; columns={{ignore: []}} keeps it")

    def _leave_out_texts(self, values: Sequence[str], shape: Shape) -> None:
        """Leave out columns that describe the rows, and numbers beside the scores that are known to be no scores by their names."""
        self._leave_out_measures(values, shape)
        for name in values:
            kind = self.frame.kind(name)
            described = kind in ("words", "texts") and plain_name(name) in DESCRIPTIONS
            if described or (kind == "texts" and not self.frame.has_word(name, self.keys.correct)):
                self.left_out[name] = "texts"
            elif kind in ("numbers", "number texts") and plain_name(name) in DESCRIPTIONS and not self._in_range(name):
                self.left_out[name] = f"not scores, and not a name of {'a model' if shape == 'items' else 'an item'}"
            elif kind == "other" and plain_name(name) in DESCRIPTIONS:
                self.left_out[name] = "neither texts nor numbers"
