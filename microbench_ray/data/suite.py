"""A suite: several boards with the same models, read as one benchmark whose subtasks are the boards."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError, closest
from microbench_ray.data.benchmark import Benchmark
from microbench_ray.data.columns import number_array
from microbench_ray.data.metadata import RESERVED
from microbench_ray.data.names import first_few
from microbench_ray.data.truth import item_shares

MAX_NAMED = 10
"""Models left out that a note names."""

FloatArray = NDArray[np.float64]


def suite(boards: Sequence[Benchmark], *, weights: Mapping[str, float] | None = None, name: str = "suite") -> Benchmark:
    """Join boards into one benchmark that ranks models by the suite's average: the mean over boards of their accuracy on each.

    The accuracy on a board is the one that the board ranks models by (`Benchmark.truth`). Boards become subtasks, and `truth` is
    `macro`. Items keep their ids where no two boards have the same, and are otherwise called `board/item`. Models that lack a board
    have no such average; they are left out, and `notes` names them with the boards that they lack. Costs and confidences are kept
    where all boards have them, clusters where any does, and repeats and confidences in all answers are not.

    Parameters
    ----------
    boards
        At least two benchmarks with different names.
    weights
        What boards count in the average, positive numbers by their names; 1 for a board that is not named.
    name
        Name of the suite.

    Returns
    -------
    Benchmark
        The models of all boards, in the order of the first, and all items, board after board. Items have weights where boards, or
        the items of one, do not count the same; a missing response is left out of its board's mean.

    Raises
    ------
    DataError
        Fewer than two boards, two of the same name or with the same content, a weight for another board or that is not positive,
        fewer than two models that are on all boards, or ids that collide.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> a = mb.benchmark([[1, 0], [1, 1]], ["q1", "q2"], ["m1", "m2"], name="a")
    >>> b = mb.benchmark([[0, 0, 1], [1, 0, 1]], ["q1", "q2", "q3"], ["m1", "m2"], name="b")
    >>> both = mb.suite([a, b])
    >>> both.item_ids.tolist()
    ['a/q1', 'a/q2', 'b/q1', 'b/q2', 'b/q3']
    >>> both.accuracies().round(3).tolist()
    [0.417, 0.833]
    """
    _check_boards(boards, name)
    counts = _board_weights(boards, weights or {})
    models, notes = _shared_models(boards)
    rows = [_rows_of(board, models) for board in boards]
    scores = np.concatenate([_fractions(board, at) for board, at in zip(boards, rows, strict=True)], axis=1)
    confidence = [None if b.confidence is None else b.confidence[at] for b, at in zip(boards, rows, strict=True)]
    made = Benchmark.from_arrays(
        name,
        scores,
        _item_ids(boards),
        models,
        subtasks=[board.name for board in boards for _ in range(board.n_items)],
        confidence=_of_all("confidences", confidence, boards, notes),
        metadata=_metadata(boards, rows, models),
        max_missing=1.0,  # of each board, which is how the boards were read
        weights=_item_weights(boards, counts),
        clusters=_clusters(boards),
        costs=_of_all("costs of items", [board.costs for board in boards], boards, notes),
    )
    if len(set(counts.values())) > 1:
        notes.append(f"boards count {', '.join(f'{board} {weight:.3g}' for board, weight in counts.items())}")
    notes += [f"{board.name}: {note}" for board in boards for note in board.notes]
    return replace(made, truth="macro", notes=(*notes, *made.notes))


def _check_boards(boards: Sequence[Benchmark], name: str) -> None:
    names = [board.name for board in boards]
    if len(boards) < 2:
        raise DataError("A suite needs at least two boards.", where=name, got=f"{len(boards)} board(s)", hint="boards=[A,B,…]")
    twice = [each for k, each in enumerate(names) if each in names[:k]]
    if twice:
        hint = "give each board once, and boards in files of the same name a name: {path: FILE, name: NAME}"
        raise DataError("Two boards of a suite have the same name.", where=name, got=first_few(twice), hint=hint)
    first: dict[str, str] = {}
    for board in boards:
        other = first.setdefault(board.digest, board.name)
        if other != board.name:
            got = f"{other!r} and {board.name!r}"
            raise DataError("Two boards of a suite have the same content.", where=name, got=got, hint="give each board once")


def _board_weights(boards: Sequence[Benchmark], weights: Mapping[str, float]) -> dict[str, float]:
    """What each board counts, by its name; the weights sum to 1."""
    names = [board.name for board in boards]
    for board, weight in weights.items():
        if board not in names:
            raise DataError("A weight is for no board of the suite.", where="weights", got=repr(board), hint=closest(board, names))
        if not isinstance(weight, int | float) or not 0 < weight < math.inf:
            hint = "a positive number, or leave out the board"
            raise DataError(
                "The weight of a board must be a positive number.", where=f"weights.{board}", got=repr(weight), hint=hint
            )
    total = math.fsum(weights.get(board, 1) for board in names)
    return {board: weights.get(board, 1) / total for board in names}


def _shared_models(boards: Sequence[Benchmark]) -> tuple[list[str], list[str]]:
    """The models of all boards, in the order of the first, and a note about those that lack some."""
    of_board = {board.name: set(board.model_ids) for board in boards}
    shared = [str(model) for model in boards[0].model_ids if all(model in models for models in of_board.values())]
    if len(shared) < 2:
        got = "; ".join(f"{name} has {len(models)} models, such as {min(models)!r}" for name, models in of_board.items())
        hint = "a model needs the same name on every board"
        raise DataError("Fewer than two models are on all boards of the suite.", got=f"{len(shared)} on all; {got}", hint=hint)
    left_out = [
        model for model in dict.fromkeys(str(model) for board in boards for model in board.model_ids) if model not in set(shared)
    ]
    if not left_out:
        return shared, []
    lacks = {model: [name for name, models in of_board.items() if model not in models] for model in left_out}
    named = [f"{model!r} (not on {', '.join(names)})" for model, names in lacks.items()]
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    note = f"{len(left_out)} of {len(left_out) + len(shared)} models left out, which are not on every board: "
    alone = Counter(names[0] for names in lacks.values() if len(names) == 1 and len(boards) > 2)
    kept = f" ({', '.join(f'{count} more without {name}' for name, count in alone.items())})" if alone else ""
    return shared, [f"{note}{', '.join(named[:MAX_NAMED])}{more}; to keep them, evaluate them there, or leave out a board{kept}"]


def _rows_of(board: Benchmark, models: Iterable[str]) -> NDArray[np.intp]:
    row_of = {model: row for row, model in enumerate(board.model_ids)}
    return np.array([row_of[model] for model in models], np.intp)


def _fractions(board: Benchmark, rows: NDArray[np.intp]) -> FloatArray:
    """(n_models, n_items) scores in [0, 1], NaN where missing."""
    scores = board.scores[rows]
    return np.where(scores == board.missing, np.nan, scores / board.units)


def _of_all(what: str, parts: Sequence[NDArray[Any] | None], boards: Sequence[Benchmark], notes: list[str]) -> NDArray[Any] | None:
    """What all boards have, (…, n_items); None, with a note, where only some have it."""
    known = [part for part in parts if part is not None]
    if len(known) == len(parts):
        return np.concatenate(known, axis=-1)
    if known:
        lacking = [board.name for board, part in zip(boards, parts, strict=True) if part is None]
        notes.append(f"{what} left out, which not every board has: none for {', '.join(lacking)}")
    return None


def _item_ids(boards: Sequence[Benchmark]) -> list[str]:
    ids = [str(item) for board in boards for item in board.item_ids]
    if len(set(ids)) == len(ids):
        return ids
    return [f"{board.name}/{item}" for board in boards for item in board.item_ids]


def _item_weights(boards: Sequence[Benchmark], counts: Mapping[str, float]) -> FloatArray | None:
    """(n_items,) weights that sum to a board's weight within it; None where boards, and the items of each, count the same."""
    shares = [item_shares(board, np.arange(board.n_items)) for board in boards]
    if len(set(counts.values())) == 1 and all(share is None for share in shares):
        return None
    parts = zip(boards, shares, strict=True)
    return np.concatenate([counts[b.name] * (np.full(b.n_items, 1 / b.n_items) if s is None else s) for b, s in parts])


def _clusters(boards: Sequence[Benchmark]) -> list[str] | None:
    """(n_items,) clusters; an item of a board without clusters is one by itself."""
    if all(board.cluster_codes is None for board in boards):
        return None
    codes = [np.arange(board.n_items) if board.cluster_codes is None else board.cluster_codes for board in boards]
    return [f"{board.name}/{code}" for board, of_items in zip(boards, codes, strict=True) for code in of_items.tolist()]


def _metadata(boards: Sequence[Benchmark], rows: Sequence[NDArray[np.intp]], models: list[str]) -> pa.Table | None:
    """The metadata of the models, each column from the first board that has it."""
    columns: dict[str, Any] = {}
    for board, at in zip(boards, rows, strict=True):
        for column in board.models.column_names:
            if column not in RESERVED and column not in columns:
                columns[column] = board.models.column(column).take(number_array(at))
    return pa.table({"model_id": pa.array(models, pa.string()), **columns}) if columns else None
