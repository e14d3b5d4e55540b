"""From a folder of responses, a file per model, to a benchmark."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.folders import Folder, LocalFolder, open_folder
from microbench_ray.data.benchmark import MAX_MISSING, Benchmark
from microbench_ray.data.ingested_items import Places, gather_items
from microbench_ray.data.names import first_few
from microbench_ray.data.responses import About, each_about, read_responses
from microbench_ray.data.table_files import SUFFIXES, read_table

MIN_ANSWERED = 0.5
"""Share of the models below which an item that few answered is left out, unless told otherwise."""
MAX_ANSWER_BYTES = 2**31
"""Above this, every answer's probability is left out: only one method reads it."""


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
            hint="microbench ingest source=FORMAT path=LOGS out=FOLDER first",
        )
    items, notes = gather_items(folder, found)
    places = Places(folder, found, items)
    scores, confidence, complete = _matrices(folder, found, places)
    answered = np.zeros(len(items.item_ids), int)
    for row in scores:
        answered += ~np.isnan(row)
    enough = answered >= max(min_answered * len(found), 1)
    kept = np.flatnonzero(enough)
    if len(kept) < len(answered):
        notes.append(
            f"{len(answered) - len(kept)} of {len(answered)} items left out, which fewer than {min_answered:.0%} of the models "
            f"answered (min_answered): {first_few(items.item_ids[k] for k in np.flatnonzero(~enough))}"
        )
    if not len(kept):
        raise DataError("No item was answered by enough models.", where=folder.at(), got=notes[-1], hint="min_answered=0")
    if len(kept) < len(answered):
        scores, confidence = ([row[kept] for row in rows] for rows in (scores, confidence))
    answers = _answers(folder, found, places, kept) if complete.answers and None not in items.labels else None
    benchmark = Benchmark.from_arrays(
        name or _name(folder),
        scores,
        [items.item_ids[k] for k in kept],
        [about.model for _, about in found],
        subtasks=[items.subtasks[k] for k in kept],
        confidence=confidence if complete.confidence else None,
        answers=answers,
        labels=None if answers is None else [items.labels[k] or 0 for k in kept],
        metadata=facts_table(folder, [about for _, about in found], metadata),
        max_missing=max_missing,
    )
    return Benchmark(benchmark.name, benchmark.models, benchmark.items, benchmark.units, (*notes, *benchmark.notes))


class Complete(NamedTuple):
    """Whether every response that has a score has these too."""

    confidence: bool
    answers: bool


def _matrices(
    folder: Folder, found: list[tuple[str, About]], places: Places
) -> tuple[list[NDArray[Any]], list[NDArray[np.float32]], Complete]:
    """Rows of scores and confidences per model, NaN where missing; no confidences where they are not complete."""
    scores, confidence = [], []
    every = Complete(True, True)
    for name, about in found:
        wanted = [each for each, there in every._asdict().items() if there]
        table = read_responses(folder, name, ("score", *wanted))
        where = places.of(name, about)
        scored = table["score"].is_valid().to_numpy() & (where >= 0)
        row = np.full(len(places.items.item_ids), np.nan)
        row[where[scored]] = table["score"].to_numpy()[scored]
        exact = row.astype(np.float32)
        scores.append(exact if np.array_equal(exact, row, equal_nan=True) else row)
        every = Complete(*(each in wanted and bool(table[each].is_valid().to_numpy()[scored].all()) for each in Complete._fields))
        if every.confidence:
            sure = np.full(row.size, np.nan, np.float32)
            sure[where[scored]] = table["confidence"].to_numpy()[scored]
            confidence.append(sure)
        else:
            confidence.clear()
    return scores, confidence, every


def _answers(folder: Folder, found: list[tuple[str, About]], places: Places, kept: NDArray[np.intp]) -> NDArray[np.float32] | None:
    """(n_models, n_items, n_answers) probabilities, 0 beyond an item's own answers; None where that would be too large."""
    where = np.full(len(places.items.item_ids) + 1, -1)  # the last one is where -1 leads
    where[kept] = np.arange(len(kept))
    out: NDArray[np.float32] | None = None
    for model, (name, about) in enumerate(found):
        table = read_responses(folder, name, ("score", "answers"))
        at = where[places.of(name, about)]
        table = table.append_column("at", pa.array(at)).filter(
            pc.and_(pc.is_valid(table["score"]), pc.greater_equal(pa.array(at), 0))
        )
        lengths = table["answers"].combine_chunks().value_lengths().to_numpy()
        width = int(lengths.max(initial=0))
        if out is None or width > out.shape[2]:
            if 4 * len(found) * len(kept) * width > MAX_ANSWER_BYTES:
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
        ids = table["model_id"].to_pylist()
        if len(set(ids)) < len(ids):
            twice = first_few(sorted({str(key) for key, count in Counter(ids).items() if count > 1}))
            raise DataError("Metadata must have one row per model.", where=str(metadata), got=f"{twice} more than once")
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
