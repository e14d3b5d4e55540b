"""From a folder of responses, a file per model, to a benchmark."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from microbench_ray.data.benchmark import MAX_MISSING, Benchmark
from microbench_ray.data.files import SUFFIXES, read_table
from microbench_ray.data.naming import first_few
from microbench_ray.data.responses import OF_ITEMS, About, each_about, read_responses
from microbench_ray.errors import DataError
from microbench_ray.folders import Folder, LocalFolder, open_folder
from microbench_ray.schemas import SCHEMAS

MIN_ANSWERED = 0.5
"""Share of the models below which an item that few answered is left out, unless told otherwise."""
MOST_ANSWER_BYTES = 2**31
"""Above this, every answer's probability is left out: only one method reads it."""


class Items(NamedTuple):
    """The items of all models: their columns, and per digest of items the rows' positions among them (-1: another version)."""

    item_ids: list[str]
    subtasks: list[str]
    labels: list[int | None]
    positions: dict[str, NDArray[np.intp]]


def read_ingested(
    path: str | Path,
    *,
    name: str | None = None,
    metadata: str | Path | None = "auto",
    max_missing: float = MAX_MISSING,
    min_answered: float = MIN_ANSWERED,
) -> Benchmark:
    """Read what `microbench ingest` wrote.

    Where models saw different versions of an item (its content digests differ), the version that most models saw stands, and the
    others' responses to it are missing.

    Parameters
    ----------
    path
        The folder, or its URL.
    name
        Name of the benchmark; by default the folder's.
    metadata
        Table with a column `model_id` and what is known of the models beside what their logs tell. "auto" takes `models.csv`,
        `models.parquet`, … in the folder where there is one; None takes none.
    max_missing
        Share in [0, 1] of missing responses above which a model is dropped.
    min_answered
        Share in [0, 1] of the models that must have answered an item, so that it counts.

    Raises
    ------
    DataError
        There are no responses, or a file is cut short or foreign.
    """
    folder = open_folder(path)
    if not 0 <= min_answered <= 1:
        raise DataError("min_answered must be a share in [0, 1].", where="min_answered", got=repr(min_answered))
    found = list(each_about(folder))
    if not found:
        raise DataError(
            "There are no responses in this folder.",
            where=folder.at(),
            got="no models/*.parquet",
            mend="microbench ingest source=FORMAT path=LOGS out=FOLDER first",
        )
    items, notes = gather_items(folder, found)
    scores, confidence, complete = _matrices(folder, found, items)
    answered = np.sum([~np.isnan(row) for row in scores], axis=0)
    enough = answered >= max(min_answered * len(found), 1)
    kept = np.flatnonzero(enough)
    if len(kept) < len(answered):
        notes.append(
            f"{len(answered) - len(kept)} of {len(answered)} items left out, which fewer than {min_answered:.0%} of the models "
            f"answered (min_answered): {first_few(items.item_ids[k] for k in np.flatnonzero(~enough))}"
        )
    if not len(kept):
        raise DataError("No item was answered by enough models.", where=folder.at(), got=notes[-1], mend="min_answered=0")
    answers = _answers(folder, found, items, kept) if complete.answers and None not in items.labels else None
    benchmark = Benchmark.from_arrays(
        name or _name(folder),
        [row[kept] for row in scores],
        [items.item_ids[k] for k in kept],
        [about.model for _, about in found],
        subtasks=[items.subtasks[k] for k in kept],
        confidence=[row[kept] for row in confidence] if complete.confidence else None,
        answers=answers,
        labels=None if answers is None else [items.labels[k] or 0 for k in kept],
        metadata=facts_table(folder, [about for _, about in found], metadata),
        max_missing=max_missing,
    )
    return Benchmark(benchmark.name, benchmark.models, benchmark.items, benchmark.units, (*notes, *benchmark.notes))


def gather_items(folder: Folder, found: list[tuple[str, About]]) -> tuple[Items, list[str]]:
    """The union of all models' items, sorted by subtask and id, each in the version that most models saw.

    Returns
    -------
    items, notes
        And a sentence where models saw different versions.
    """
    sharing = Counter(about.items for _, about in found)
    first = {about.items: name for name, about in reversed(found)}
    groups = {digest: read_responses(folder, first[digest], OF_ITEMS).to_pydict() for digest in sharing}
    versions: dict[str, Counter[tuple[str, str, int]]] = {}
    for digest, columns in groups.items():
        for key, *version in zip(*(columns[each] for each in ("item_id", "content", "subtask", "label")), strict=True):
            content, subtask, label = version
            versions.setdefault(key, Counter())[content or "", subtask, -1 if label is None else label] += sharing[digest]
    # The version that most saw; of equally many, the first in the alphabet: whatever order the logs came in.
    chosen = {key: min(counts, key=lambda version: (-counts[version], version)) for key, counts in versions.items()}
    order = sorted(chosen, key=lambda key: (chosen[key][1], key))
    place = {key: k for k, key in enumerate(order)}
    positions = {
        digest: np.array(
            [
                place[key] if (content or "") == chosen[key][0] else -1
                for key, content in zip(columns["item_id"], columns["content"], strict=True)
            ],
            np.intp,
        )
        for digest, columns in groups.items()
    }
    notes = []
    split = [key for key in order if len({version[0] for version in versions[key]}) > 1]
    if split:
        left_out = sum(sharing[digest] * int(np.count_nonzero(where < 0)) for digest, where in positions.items())
        notes.append(
            f"{len(split)} items were seen in different versions: {first_few(split)}; {left_out} responses to others than the most "
            "common one count as missing"
        )
    labels = [None if chosen[key][2] < 0 else chosen[key][2] for key in order]
    return Items(order, [chosen[key][1] for key in order], labels, positions), notes


def item_versions(path: str | Path) -> pa.Table:
    """What the logs tell of items: `item_id`, `subtask`, `content` and `position`, a row per version, sorted.

    Whether a benchmark counts an item or not: here stands what any model's log knows.
    """
    folder = open_folder(path)
    columns = ("item_id", "subtask", "content", "position")
    first = {about.items: name for name, about in each_about(folder)}
    found = {
        row for name in first.values() for row in zip(*read_responses(folder, name, columns).to_pydict().values(), strict=True)
    }
    rows = sorted(found, key=lambda row: tuple(value or "" for value in row))
    schema = SCHEMAS["snapshot_items"]
    return pa.table([pa.array([row[k] for row in rows], field.type) for k, field in enumerate(schema)], schema=schema)


class Complete(NamedTuple):
    """Whether every response that has a score has these too."""

    confidence: bool
    answers: bool


def _matrices(
    folder: Folder, found: list[tuple[str, About]], items: Items
) -> tuple[list[NDArray[Any]], list[NDArray[np.float32]], Complete]:
    """Rows of scores and confidences per model, NaN where missing."""
    scores, confidence = [], []
    every = Complete(True, True)
    for name, about in found:
        table = read_responses(folder, name, ("score", "confidence", "answers"))
        where = items.positions[about.items]
        scored = table["score"].is_valid().to_numpy() & (where >= 0)
        row = np.full(len(items.item_ids), np.nan)
        row[where[scored]] = table["score"].to_numpy()[scored]
        exact = row.astype(np.float32)
        scores.append(exact if np.array_equal(exact, row, equal_nan=True) else row)
        has = (table[each].is_valid().to_numpy()[scored] for each in ("confidence", "answers"))
        every = Complete(*(before and bool(now.all()) for before, now in zip(every, has, strict=True)))
        sure = np.full(len(items.item_ids), np.nan, np.float32)
        if every.confidence:
            sure[where[scored]] = table["confidence"].to_numpy()[scored]
        confidence.append(sure)
    return scores, confidence, every


def _answers(folder: Folder, found: list[tuple[str, About]], items: Items, kept: NDArray[np.intp]) -> NDArray[np.float32] | None:
    """(n_models, n_items, n_answers) probabilities, 0 beyond an item's own answers; None where that would be too large."""
    where = np.full(len(items.item_ids), -1)
    where[kept] = np.arange(len(kept))
    out: NDArray[np.float32] | None = None
    for model, (name, about) in enumerate(found):
        table = read_responses(folder, name, ("score", "answers"))
        at = np.where(items.positions[about.items] < 0, -1, where[items.positions[about.items]])
        table = table.append_column("at", pa.array(at)).filter(
            pc.and_(pc.is_valid(table["score"]), pc.greater_equal(pa.array(at), 0))
        )
        lengths = table["answers"].combine_chunks().value_lengths().to_numpy()
        width = int(lengths.max(initial=0))
        if out is None or width > out.shape[2]:
            if 4 * len(found) * len(kept) * width > MOST_ANSWER_BYTES:
                return None
            wider = np.zeros((len(found), len(kept), width), np.float32)
            if out is not None:
                wider[:, :, : out.shape[2]] = out
            out = wider
        rows = np.repeat(table["at"].to_numpy(), lengths)
        columns = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        out[model, rows, columns] = table["answers"].combine_chunks().flatten().to_numpy()
    return out


def facts_table(folder: Folder, found: list[About], metadata: str | Path | None) -> pa.Table | None:
    """What the logs and a table beside them tell of the models, one row per model; the table's word counts."""
    facts: dict[str, dict[str, Any]] = {about.model: dict(about.facts) for about in found}
    if metadata == "auto":
        metadata = None
        if isinstance(folder, LocalFolder):
            metadata = next(
                (folder.path / f"models{suffix}" for suffix in SUFFIXES if (folder.path / f"models{suffix}").is_file()), None
            )
    if metadata is not None:
        table = read_table(Path(metadata), texts=("model_id",))
        if "model_id" not in table.column_names:
            raise DataError("Metadata needs a column model_id.", where=str(metadata), got=f"columns {table.column_names}")
        for row in table.to_pylist():
            if row["model_id"] in facts:
                facts[row["model_id"]] |= {key: value for key, value in row.items() if key != "model_id" and value is not None}
    names = sorted({key for each in facts.values() for key in each})
    if not names:
        return None
    return pa.table({"model_id": list(facts)} | {name: _column([each.get(name) for each in facts.values()]) for name in names})


def _column(values: list[Any]) -> pa.Array:
    """One type for all: texts where logs disagree."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])


def _name(folder: Folder) -> str:
    at = folder.at().rstrip("/")
    return (Path(at).resolve().name if isinstance(folder, LocalFolder) else at.rpartition("/")[2]) or "ingested"
