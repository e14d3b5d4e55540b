"""The items of a folder of ingested responses, and their versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.folders import Folder, open_folder
from microbench_ray.data.names import first_few
from microbench_ray.data.responses import ModelFile, ModelRecord, list_model_files, read_responses

VERSION_COLUMNS = ("item_id", "content", "subtask", "label")
"""Columns that distinguish versions of an item."""
MAX_TABLES = 32
"""Number of tables after which equal rows are merged, to bound the memory."""
SHOWN_BEFORE, SHOWN_LENGTH = 20, 100
"""Characters of a text in a message before it differs from another one, and in all."""


Key = TypeVar("Key", str, tuple[str, str, int])


class Items(NamedTuple):
    """The items of all models, each in its most common version."""

    item_ids: list[str]
    subtasks: list[str]
    labels: list[int | None]
    contents: list[str]
    n_in_versions: int
    """Number of items that models saw in different versions."""


class ItemPositions:
    """Finds the positions among the items of each file's rows; positions are cached for models that answered the same items."""

    def __init__(self, folder: Folder, files: list[ModelFile], items: Items) -> None:
        self.items = items
        self._folder = folder
        self._n_files = Counter(file.record.items for file in files)
        self._ids, self._contents = (pa.array(texts, pa.string()) for texts in (items.item_ids, items.contents))
        self._cache: dict[str, NDArray[np.intp]] = {}

    def of(self, file: ModelFile) -> NDArray[np.intp]:
        """Positions of a file's rows among the items, (n_rows,); -1 for another version of an item."""
        digest = file.record.items
        if digest in self._cache:
            return self._cache[digest]
        table = read_responses(self._folder, file.name, ("item_id", "content"))
        index = pc.index_in(table["item_id"], self._ids)
        same_version = pc.equal(pc.fill_null(table["content"], ""), self._contents.take(index))
        positions = np.where(same_version.to_numpy(), index.to_numpy(), -1)
        if self._n_files[digest] > 1:
            self._cache[digest] = positions
        return positions


def gather_items(folder: Folder, files: list[ModelFile]) -> tuple[Items, list[str]]:
    """Gather the items of all models, sorted by subtask and id, each in the version that most models saw.

    Returns
    -------
    items, notes
        The items, and a note if models saw different versions.
    """
    rows = _distinct_rows(folder, files, VERSION_COLUMNS).to_pydict()
    versions: dict[str, Counter[tuple[str, str, int]]] = {}
    for item, content, subtask, label, models in zip(*(rows[name] for name in (*VERSION_COLUMNS, "models")), strict=True):
        versions.setdefault(item, Counter())[content or "", subtask, -1 if label is None else label] += models
    # Equally common versions are chosen in alphabetical order, independent of the order of the logs.
    chosen = {item: _most_common(counts) for item, counts in versions.items()}
    order = sorted(chosen, key=lambda item: (chosen[item][1], item))
    notes = []
    several = [item for item in order if len({version[0] for version in versions[item]}) > 1]
    if several:
        ignored = sum(count for item in several for version, count in versions[item].items() if version[0] != chosen[item][0])
        notes.append(
            f"{len(several)} items have several versions: {first_few(several)}; {ignored} responses to versions other than the "
            "most common one count as missing (microbench ingest join=id joins items by their ids)"
        )
    contents, subtasks, labels = zip(*(chosen[item] for item in order), strict=True) if order else ((), (), ())
    items = Items(
        item_ids=order,
        subtasks=list(subtasks),
        labels=[None if label < 0 else label for label in labels],
        contents=list(contents),
        n_in_versions=len(several),
    )
    return items, notes


def item_versions(path: str | Path) -> pa.Table:
    """List all items in the logs: `item_id`, `subtask`, `content` and `position`, one row per version, sorted.

    This includes items that `read_ingested` leaves out.
    """
    folder, schema = open_folder(path), SCHEMAS["snapshot_items"]
    table = _distinct_rows(folder, list_model_files(folder), tuple(schema.names))
    return table.select(schema.names).sort_by([(name, "ascending") for name in schema.names]).combine_chunks().cast(schema)


def item_positions(path: str | Path) -> dict[str, str]:
    """Map each item to its number or name in its log, in its most common version; items without one are left out."""
    folder = open_folder(path)
    rows = _distinct_rows(folder, list_model_files(folder), ("item_id", "content", "position")).to_pylist()
    versions: dict[str, Counter[str]] = {}
    for row in rows:
        versions.setdefault(row["item_id"], Counter())[row["content"] or ""] += row["models"]
    positions: dict[str, Counter[str]] = {}
    for row in rows:
        if row["position"] is not None and (row["content"] or "") == _most_common(versions[row["item_id"]]):
            positions.setdefault(row["item_id"], Counter())[row["position"]] += row["models"]
    return {item: _most_common(counts) for item, counts in sorted(positions.items())}


def nothing_joins(folder: Folder, records: Sequence[ModelRecord], notes: Sequence[str]) -> DataError:
    """The error for models that have no item in common, with an item of two of them."""
    pairs = ((first, second) for k, first in enumerate(records[:MAX_TABLES]) for second in records[k + 1 : MAX_TABLES])
    for first, second in pairs:
        item = next((name for name, text in sorted(first.examples.items()) if second.examples.get(name, text) != text), None)
        if item is not None:
            texts = (first.examples[item], second.examples[item])
            return DataError(
                "The models answered the same items in different versions.",
                where=folder.at(),
                got="; ".join([*notes[:1], _beside(item, (first.model, second.model), texts)]),
                hint="if they are the same items in another template or order of choices, ingest the logs again with join=id and a "
                "new out=DIR; otherwise run all models on the same items (fix the seed that shuffles them, and the prompt)",
            )
    shown = [
        f"{name!r} of {record.model!r}: {text!r}" for record in records[:2] for name, text in sorted(record.examples.items())[:1]
    ]
    return DataError(
        "No item was answered by two models.",
        where=folder.at(),
        got="; ".join([*notes[:1], *shown]) or None,
        hint="check that the models ran the same tasks; if their items have equal texts under other ids, ingest the logs again "
        "with join=hash and a new out=DIR",
    )


def _beside(item: str, models: tuple[str, str], texts: tuple[str, str]) -> str:
    """The texts of an item for two models, from shortly before they differ."""
    same = next((k for k, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), min(map(len, texts)))
    start = max(same - SHOWN_BEFORE, 0)
    parts = [f"{'…' if start else ''}{text[start : start + SHOWN_LENGTH]}" for text in texts]
    return f"item {item!r} is {parts[0]!r} for {models[0]!r} and {parts[1]!r} for {models[1]!r}"


def _most_common(counts: Counter[Key]) -> Key:
    """The most common key; of equally common ones the smallest."""
    return min(counts, key=lambda key: (-counts[key], key))


def _distinct_rows(folder: Folder, files: list[ModelFile], columns: tuple[str, ...]) -> pa.Table:
    """Distinct rows of all files in these columns, in no particular order; the column `models` counts the files with each row."""
    n_files = Counter(file.record.items for file in files)
    first_file = {file.record.items: file.name for file in reversed(files)}
    tables: list[pa.Table] = []
    for digest, models in n_files.items():
        table = read_responses(folder, first_file[digest], columns)
        tables.append(table.append_column("models", pa.repeat(pa.scalar(models, pa.int64()), len(table))))
        if len(tables) == MAX_TABLES:
            tables = [_merge_equal_rows(tables, columns)]
    return _merge_equal_rows(tables, columns)


def _merge_equal_rows(tables: list[pa.Table], columns: tuple[str, ...]) -> pa.Table:
    return pa.concat_tables(tables).group_by(list(columns)).aggregate([("models", "sum")]).rename_columns([*columns, "models"])
