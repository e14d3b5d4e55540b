"""Which columns of a table may have which role, by their names and contents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.data.tables.frame import Frame
from microbench_ray.data.tables.keys import TableKeys
from microbench_ray.data.tables.layout import ITEM_ID
from microbench_ray.data.tables.vocabulary import (
    DESCRIPTIONS,
    MANY,
    METRIC_NAMES,
    MODEL_TIERS,
    REPEAT_TIERS,
    SCORE_NAMES,
    STRONG_ITEM_TIERS,
    SUBTASK_NAMES,
    WEAK_IDS,
    beside_scores,
    kind_of,
    plain_name,
)

TEXTS_OF_ITEMS = ("question", "doc", "example", "instance", "instruction", "query", "case", "problem", "prompt")
"""Names of a column that may hold the texts of items, beside their ids."""
NAMES_OF_ANYTHING = ("", "name", "key")
"""Names of a column that holds models as often as items."""
VALUE_KINDS = ("numbers", "number texts", "mixed", "other")


class Candidates:
    """The columns that have no role yet, and what their names say."""

    def __init__(self, frame: Frame, keys: TableKeys) -> None:
        self.frame, self.keys = frame, keys
        self.left_out = dict.fromkeys(keys.of("ignore"), "ignore")
        shared = {name for name in keys.of("cluster") if plain_name(name) in SUBTASK_NAMES}
        given = {name for _, names in keys.columns for name in names} - shared
        self.free = [name for name in frame.names if name not in given]
        self.model = keys.of("model") or self._by_tiers("model", MODEL_TIERS)
        self.item = keys.of("item") or self._by_tiers("item", STRONG_ITEM_TIERS, but=self.model)

    def _by_tiers(self, role: str, tiers: Iterable[frozenset[str]], but: Sequence[str] = ()) -> tuple[str, ...]:
        """The column with the clearest name for a role, if it can hold ids."""
        for tier in tiers:
            found = [name for name in self.free if plain_name(name) in tier and name not in but and self._holds_ids(name)]
            exact = [name for name in found if name == ITEM_ID]
            if len(found) > 1 and not exact:
                found = sorted(found, key=self.frame.n_distinct, reverse=True)
                hint = f"columns={{{role}: {found[0]}}}, or another of them; columns={{{role}: [{', '.join(found)}]}} joins them"
                raise self._two(f"Two columns may hold the {role}s.", found, hint)
            if found:
                return tuple(exact or found)
        return ()

    def _holds_ids(self, name: str) -> bool:
        """Whether a column can hold ids: texts, or numbers that are not scores."""
        if name == ITEM_ID:
            return True
        kind = self.frame.kind(name)
        if kind not in ("numbers", "number texts"):
            return kind not in ("empty", "other")
        return self.frame.n_rows < 2 or not self._in_range(name)

    def _in_range(self, name: str) -> bool:
        low, high = self.frame.bounds(name)
        return low >= 0 and high <= max(1.0, self.keys.scale if self.keys.scale != 1 else 1.0)

    def _named(self, names: frozenset[str], but: Sequence[str]) -> list[str]:
        return [name for name in self.free if plain_name(name) in names and name not in but]

    def _two(self, what: str, found: Sequence[str], hint: str) -> DataError:
        return DataError(what, where=str(self.frame.where), got=f"columns {first_few(found)}", hint=hint)

    def is_of_one_model(self) -> bool:
        """Whether the table holds the responses of one model: ids, scores named so, and no column of models or of other scores."""
        if self.model or self.keys.shape not in ("auto", "long"):
            return False
        weak = [name for name in self.free if plain_name(name) in WEAK_IDS and self._holds_ids(name)]
        item = self.item or (tuple(weak) if len(weak) == 1 else ())
        if len(weak) == 1 and not self.keys.gives("item") and plain_name(weak[0]) not in NAMES_OF_ANYTHING:
            texts = plain_name(item[0]) in TEXTS_OF_ITEMS and not self.frame.has_row_numbers(weak[0])
            item = tuple(weak) if texts and self.frame.is_unique(weak[0]) else item
        if not item:
            return False
        rows = kind_of([text or "" for text in self.frame.texts(item[0], MANY)])
        if rows == "models" or (rows is None and plain_name(item[0]) in NAMES_OF_ANYTHING):
            return False
        known = METRIC_NAMES | SUBTASK_NAMES | DESCRIPTIONS | frozenset({"label"}).union(*REPEAT_TIERS)
        known |= {plain_name(name) for name in beside_scores(self.free)}
        others = [name for name in self.free if name not in item and plain_name(name) not in known]
        others = [name for name in others if self._may_be_in_range(name)]
        if not self.keys.gives("score"):
            named = self._named(SCORE_NAMES, item)
            if not named or kind_of(others) == "models":
                return False
            if others:
                hint = f"columns={{score: {named[0]}}} if the file's name is the model; shape=items if every column is a model"
                raise self._two("The table may be of one model, or of one in each column.", [*named, *others], hint)
        self.item = item
        return True

    def check_ids_of_one_model(self, values: Sequence[str]) -> None:
        """Refuse columns of scores, and nothing that says of which model and which items."""
        if all(plain_name(name) in METRIC_NAMES for name in values):
            raise DataError(
                "The table has scores, but no ids of items.",
                where=str(self.frame.where),
                got=f"columns {first_few(self.frame.names)}",
                hint="add a column item_id, by which the items of other files are known; shape=items if every column is a model",
            )

    def _may_be_score(self, name: str) -> bool:
        kind = self.frame.kind(name)
        return kind in VALUE_KINDS or kind == "empty" or bool(self.keys.correct and kind == "words")

    def _may_be_in_range(self, name: str) -> bool:
        """Whether a column may hold scores, by its content alone."""
        kind = self.frame.kind(name)
        if kind in ("numbers", "number texts"):
            return self._in_range(name)
        return kind == "mixed" or bool(self.keys.correct and kind == "words")
