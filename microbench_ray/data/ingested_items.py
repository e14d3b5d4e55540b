"""The items that the models of a folder of responses answered, and in which versions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.folders import Folder, open_folder
from microbench_ray.data.names import first_few
from microbench_ray.data.responses import About, each_about, read_responses

OF_VERSIONS = ("item_id", "content", "subtask", "label")
OF_PLACES = ("item_id", "content")
AT_ONCE = 32
"""How many files' items are held together before what is equal in them becomes one row."""


class Items(NamedTuple):
    """The items of all models, each in the version that stands."""

    item_ids: list[str]
    subtasks: list[str]
    labels: list[int | None]
    contents: list[str]


class Places:
    """Where among the items each model's rows are: asked for model by model, and kept where several answered the same items."""

    def __init__(self, folder: Folder, found: list[tuple[str, About]], items: Items) -> None:
        self.items = items
        self._folder = folder
        self._sharing = Counter(about.items for _, about in found)
        self._ids, self._contents = (pa.array(texts, pa.string()) for texts in (items.item_ids, items.contents))
        self._known: dict[str, NDArray[np.intp]] = {}

    def of(self, name: str, about: About) -> NDArray[np.intp]:
        """(n_rows,) positions of a file's rows among the items; -1 for another version than the one that stands."""
        if about.items in self._known:
            return self._known[about.items]
        table = read_responses(self._folder, name, OF_PLACES)
        at = pc.index_in(table["item_id"], self._ids)
        same = pc.equal(pc.fill_null(table["content"], ""), self._contents.take(at))
        places = np.where(same.to_numpy(), at.to_numpy(), -1)
        if self._sharing[about.items] > 1:
            self._known[about.items] = places
        return places


def gather_items(folder: Folder, found: list[tuple[str, About]]) -> tuple[Items, list[str]]:
    """The union of all models' items, sorted by subtask and id, each in the version that most models saw.

    Returns
    -------
    items, notes
        And a sentence where models saw different versions.
    """
    rows = _different_rows(folder, found, OF_VERSIONS).to_pydict()
    versions: dict[str, Counter[tuple[str, str, int]]] = {}
    for key, content, subtask, label, models in zip(*(rows[name] for name in (*OF_VERSIONS, "models")), strict=True):
        versions.setdefault(key, Counter())[content or "", subtask, -1 if label is None else label] += models
    # The version that most saw; of equally many, the first in the alphabet: whatever order the logs came in.
    chosen = {key: min(counts, key=lambda version: (-counts[version], version)) for key, counts in versions.items()}
    order = sorted(chosen, key=lambda key: (chosen[key][1], key))
    notes = []
    split = [key for key in order if len({version[0] for version in versions[key]}) > 1]
    if split:
        left_out = sum(count for key in split for version, count in versions[key].items() if version[0] != chosen[key][0])
        notes.append(
            f"{len(split)} items were seen in different versions: {first_few(split)}; {left_out} responses to others than the most "
            "common one count as missing"
        )
    contents, subtasks, labels = zip(*(chosen[key] for key in order), strict=True) if order else ((), (), ())
    return Items(order, list(subtasks), [None if label < 0 else label for label in labels], list(contents)), notes


def item_versions(path: str | Path) -> pa.Table:
    """What the logs tell of items: `item_id`, `subtask`, `content` and `position`, a row per version, sorted.

    Whether a benchmark counts an item or not: here stands what any model's log knows.
    """
    folder, schema = open_folder(path), SCHEMAS["snapshot_items"]
    table = _different_rows(folder, list(each_about(folder)), tuple(schema.names))
    return table.select(schema.names).sort_by([(name, "ascending") for name in schema.names]).combine_chunks().cast(schema)


def item_positions(path: str | Path) -> dict[str, str]:
    """By item, its own number or name in its log, in the version that most models saw; items without one are left out."""
    folder = open_folder(path)
    rows = _different_rows(folder, list(each_about(folder)), ("item_id", "content", "position")).to_pylist()
    versions: dict[str, Counter[str]] = {}
    for row in rows:
        versions.setdefault(row["item_id"], Counter())[row["content"] or ""] += row["models"]
    positions: dict[str, Counter[str]] = {}
    for row in rows:
        counts = versions[row["item_id"]]
        if row["position"] is not None and (row["content"] or "") == min(counts, key=lambda each: (-counts[each], each)):
            positions.setdefault(row["item_id"], Counter())[row["position"]] += row["models"]
    return {item: min(counts, key=lambda each: (-counts[each], each)) for item, counts in sorted(positions.items())}


def _different_rows(folder: Folder, found: list[tuple[str, About]], columns: tuple[str, ...]) -> pa.Table:
    """The rows of all files that differ in these columns, in no order, and in a column `models` how many files hold them."""
    sharing = Counter(about.items for _, about in found)
    first = {about.items: name for name, about in reversed(found)}
    waiting: list[pa.Table] = []
    for digest, models in sharing.items():
        table = read_responses(folder, first[digest], columns)
        waiting.append(table.append_column("models", pa.repeat(pa.scalar(models, pa.int64()), len(table))))
        if len(waiting) == AT_ONCE:
            waiting = [_grouped(waiting, columns)]
    return _grouped(waiting, columns)


def _grouped(tables: list[pa.Table], columns: tuple[str, ...]) -> pa.Table:
    return pa.concat_tables(tables).group_by(list(columns)).aggregate([("models", "sum")]).rename_columns([*columns, "models"])
