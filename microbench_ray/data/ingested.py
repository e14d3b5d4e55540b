"""Reader of folders of ingested responses, written by `microbench ingest`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.core.storage.folders import Folder, LocalFolder, open_folder
from microbench_ray.core.storage.urls import local_path
from microbench_ray.data.benchmark import MAX_MISSING, Benchmark
from microbench_ray.data.columns import numbers_of
from microbench_ray.data.ingested_items import ItemPositions, gather_items, nothing_joins
from microbench_ray.data.item_table import ItemTable, read_item_table
from microbench_ray.data.metadata import ONE_ROW, no_model_id
from microbench_ray.data.names import first_few
from microbench_ray.data.repeats import MEAN_TOLERANCE, means, too_large
from microbench_ray.data.responses import ModelFile, ModelRecord, has_repeats, list_model_files, read_responses
from microbench_ray.data.table_files import SUFFIXES, read_table

MIN_ANSWERED = 0.5
"""Default share of the models that must have answered an item for it to be kept."""
MAX_ANSWER_BYTES = 2**31
"""Size above which the probabilities of all answers are left out; only one method reads them."""


def read_ingested(
    path: str | Path,
    *,
    name: str | None = None,
    metadata: str | Path | None = "auto",
    max_missing: float = MAX_MISSING,
    min_answered: float = MIN_ANSWERED,
    repeats: bool = True,
    truth: str = "micro",
    items: str | Path | None = None,
) -> Benchmark:
    """Read a folder written by `microbench ingest`.

    If models saw different versions of an item (with different content digests), the most common version is used. Responses to
    other versions count as missing.

    Parameters
    ----------
    path
        The folder, or its URL.
    name
        Name of the benchmark; by default the folder's name.
    metadata
        Table with a column `model_id` and columns about the models, which take precedence over the metadata in the logs. "auto"
        reads `models.csv`, `models.parquet`, … in the folder if it exists; None reads only the logs' metadata.
    max_missing
        Share in [0, 1] of missing responses above which a model is dropped.
    min_answered
        Share in [0, 1] of the models that must have answered an item for it to be kept.
    repeats
        Whether to read the scores of repeated responses (`Benchmark.repeats`).
    truth
        `macro` where the leaderboard ranks models by the mean over subtasks of their accuracies on each.
    items
        Table with a column `item_id` and any of `subtask`, which replaces that of the logs, `weight` (what an item counts in the
        mean that ranks the models), `cluster` (equal for items that are not independent of one another) and `cost` (of answering
        it); a row for every item.

    Raises
    ------
    DataError
        There are no responses, or a file is truncated or of another format; the table of items lacks items of the board.
    """
    folder = open_folder(path)
    if not 0 <= min_answered <= 1:
        hint = fraction_hint("min_answered", min_answered, "0.5")
        raise DataError("min_answered must be a share in [0, 1].", where="min_answered", got=repr(min_answered), hint=hint)
    files = list_model_files(folder)
    if not files:
        if isinstance(folder, LocalFolder) and local_path(path).is_file():
            hint = "a table is read by benchmark=scores benchmark.path=FILE"
            raise DataError("The path is a file, not a folder of responses.", where=folder.at(), hint=hint)
        raise DataError(
            "The folder contains no responses.",
            where=folder.at(),
            got="no models/*.parquet",
            hint="run microbench ingest source=FORMAT path=LOGS out=FOLDER first",
        )
    found, notes = gather_items(folder, files)
    positions = ItemPositions(folder, files, found)
    scores, confidence, complete = _matrices(folder, files, positions)
    answered = np.zeros(len(found.item_ids), int)
    for row in scores:
        answered += ~np.isnan(row)
    enough = answered >= max(min_answered * len(files), 1)
    kept = np.flatnonzero(enough)
    if len(kept) < len(answered):
        notes.append(
            f"{len(answered) - len(kept)} of {len(answered)} items dropped, because fewer than {min_answered:.0%} of the models "
            f"answered them (min_answered): {first_few(found.item_ids[k] for k in np.flatnonzero(~enough))}"
        )
    if len(files) > 1 and not (answered > 1).any() and answered.any():
        raise nothing_joins(folder, [file.record for file in files], notes)
    if not len(kept):
        hint = "lower min_answered, for example to 0"
        raise DataError("No item was answered by enough models.", where=folder.at(), got=notes[-1], hint=hint)
    if len(kept) < len(answered):
        scores, confidence = ([row[kept] for row in rows] for rows in (scores, confidence))
    answers = _answers(folder, files, positions, kept) if complete.answers and None not in found.labels else None
    item_ids = [found.item_ids[k] for k in kept]
    about = ItemTable(None, None, None, None, None) if items is None else read_item_table(items, item_ids)
    if about.note is not None:
        notes.append(about.note)
    benchmark = Benchmark.from_arrays(
        name or _name(folder),
        scores,
        item_ids,
        [file.record.model for file in files],
        subtasks=about.subtasks or [found.subtasks[k] for k in kept],
        confidence=confidence if complete.confidence else None,
        answers=answers,
        labels=None if answers is None else [found.labels[k] or 0 for k in kept],
        repeats=_repeats(folder, files, positions, scores, kept, notes) if repeats else None,
        metadata=_metadata_table(folder, [file.record for file in files], metadata),
        max_missing=max_missing,
        truth=truth,
        weights=about.weights,
        clusters=about.clusters,
        costs=about.costs,
    )
    return replace(benchmark, notes=(*notes, *benchmark.notes))


class Complete(NamedTuple):
    """Whether all responses with a score also have a confidence and the probabilities of all answers."""

    confidence: bool
    answers: bool


class Matrices(NamedTuple):
    """Rows of scores and confidences, (n_items,) for each model, NaN for missing responses."""

    scores: list[NDArray[Any]]
    confidence: list[NDArray[np.float32]]
    """Empty if a response with a score has no confidence."""
    complete: Complete


def _matrices(folder: Folder, files: list[ModelFile], positions: ItemPositions) -> Matrices:
    scores: list[NDArray[Any]] = []
    confidence: list[NDArray[np.float32]] = []
    complete = Complete(confidence=True, answers=True)
    for file in files:
        columns = [column for column, is_complete in complete._asdict().items() if is_complete]
        table = read_responses(folder, file.name, ("score", *columns))
        row_positions = positions.of(file)
        scored = table["score"].is_valid().to_numpy() & (row_positions >= 0)
        row = np.full(len(positions.items.item_ids), np.nan)
        row[row_positions[scored]] = table["score"].to_numpy()[scored]
        single = row.astype(np.float32)
        scores.append(single if np.array_equal(single, row, equal_nan=True) else row)
        complete = Complete(
            **{name: name in columns and bool(table[name].is_valid().to_numpy()[scored].all()) for name in Complete._fields}
        )
        if complete.confidence:
            confidence_row = np.full(row.size, np.nan, np.float32)
            confidence_row[row_positions[scored]] = table["confidence"].to_numpy()[scored]
            confidence.append(confidence_row)
        else:
            confidence.clear()
    return Matrices(scores=scores, confidence=confidence, complete=complete)


def _answers(
    folder: Folder, files: list[ModelFile], positions: ItemPositions, kept: NDArray[np.intp]
) -> NDArray[np.float32] | None:
    """(n_models, n_items, n_answers) probabilities, padded with 0; None if they exceed `MAX_ANSWER_BYTES`."""
    kept_position = np.full(len(positions.items.item_ids) + 1, -1)  # the last element is for the position -1
    kept_position[kept] = np.arange(len(kept))
    out: NDArray[np.float32] | None = None
    for model, file in enumerate(files):
        table = read_responses(folder, file.name, ("score", "answers"))
        row_positions = kept_position[positions.of(file)]
        table = table.append_column("position", pa.array(row_positions)).filter(
            pc.and_(pc.is_valid(table["score"]), pc.greater_equal(pa.array(row_positions), 0))
        )
        lengths = table["answers"].combine_chunks().value_lengths().to_numpy()
        width = int(lengths.max(initial=0))
        if out is None or width > out.shape[2]:
            if 4 * len(files) * len(kept) * width > MAX_ANSWER_BYTES:
                return None
            wider = np.zeros((len(files), len(kept), width), np.float32)
            if out is not None:
                wider[:, :, : out.shape[2]] = out
            out = wider
        item = np.repeat(table["position"].to_numpy(), lengths)
        answer = np.arange(len(item)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        out[model, item, answer] = table["answers"].combine_chunks().flatten().to_numpy()
    return out


def _repeats(
    folder: Folder,
    files: list[ModelFile],
    positions: ItemPositions,
    scores: list[NDArray[Any]],
    kept: NDArray[np.intp],
    notes: list[str],
) -> NDArray[np.float32] | None:
    """(n_models, n_items, n_repeats) scores of repeats, NaN where a response has fewer; None without repeats.

    Parameters
    ----------
    folder, files, positions
        Of the responses.
    scores
        (n_kept,) scores of each model.
    kept
        The items that are kept.
    notes
        Gets a sentence where repeats cannot be used: they are too large, or the scores are not their means.
    """
    kept_position = np.full(len(positions.items.item_ids) + 1, -1)  # the last element is for the position -1
    kept_position[kept] = np.arange(len(kept))
    found: list[tuple[NDArray[Any], ...]] = []
    for file in files:
        lists = read_responses(folder, file.name, ("repeats",)) if has_repeats(folder, file.name) else None
        if lists is None or lists["repeats"].null_count == len(lists):
            continue
        column = lists["repeats"].combine_chunks()
        lengths = numbers_of(pc.fill_null(column.value_lengths(), 0).cast(pa.int64()))
        item = np.repeat(kept_position[positions.of(file)], lengths)
        number = np.arange(len(item)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        found.append((np.full(len(item), files.index(file)), item, number, numbers_of(column.flatten())))
    if not found:
        return None
    model, item, number, value = (np.concatenate(parts) for parts in zip(*found, strict=True))
    width = int(number.max()) + 1
    note = too_large(len(files), len(kept), width)
    values = np.full((len(files), len(kept), width if note is None else 0), np.nan, np.float32)
    if note is None:
        here = item >= 0
        values[model[here], item[here], number[here]] = value[here]
        differs = [np.abs(means(values[k : k + 1])[0] - row) > MEAN_TOLERANCE for k, row in enumerate(scores)]
        if any(each.any() for each in differs):
            note = "repeats are left out: the scores are not their means (reduce)"
    if note is not None:
        notes.append(note)
        return None
    return values


def _metadata_table(folder: Folder, records: list[ModelRecord], metadata: str | Path | None) -> pa.Table | None:
    """Metadata of the models from their logs and from a table, which takes precedence; one row per model. None without metadata."""
    facts: dict[str, dict[str, Any]] = {record.model: dict(record.facts) for record in records}
    if metadata == "auto":
        metadata = None
        if isinstance(folder, LocalFolder):
            metadata = next(
                (folder.path / f"models{suffix}" for suffix in SUFFIXES if (folder.path / f"models{suffix}").is_file()), None
            )
    if metadata is not None:
        table = read_table(local_path(metadata), texts=("model_id",))
        if "model_id" not in table.column_names:
            raise no_model_id(str(metadata), table)
        ids = table["model_id"].to_pylist()
        if len(set(ids)) < len(ids):
            repeated = first_few(sorted({str(key) for key, count in Counter(ids).items() if count > 1}))
            raise DataError(
                "Metadata must have one row per model.", where=str(metadata), got=f"several rows of {repeated}", hint=ONE_ROW
            )
        for row in table.to_pylist():
            if row["model_id"] in facts:
                facts[row["model_id"]] |= {key: value for key, value in row.items() if key != "model_id" and value is not None}
    names = sorted({key for each in facts.values() for key in each})
    if not names:
        return None
    return pa.table({"model_id": list(facts)} | {name: _column([each.get(name) for each in facts.values()]) for name in names})


def _column(values: list[Any]) -> pa.Array:
    """A column of one type; values of different types are converted to texts."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])


def _name(folder: Folder) -> str:
    location = folder.at().rstrip("/")
    return (Path(location).resolve().name if isinstance(folder, LocalFolder) else location.rpartition("/")[2]) or "ingested"
