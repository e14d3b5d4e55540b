"""Reader of the paper's released results: `.npy` matrices with all subtasks combined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.urls import parent_and_name
from microbench_ray.data.benchmark import MAX_MISSING, Benchmark
from microbench_ray.data.names import first_few
from microbench_ray.data.remote import local_copies
from microbench_ray.data.table_files import check_start

_CONFIDENCE = "_models-by-confidence_combined.npy"
_CORRECTNESS = "_models-by-correctness_combined.npy"
_LABELS = "_labels_combined.npy"
_RANGES = "_subtask-idx-ranges.json"
_NAMES = ("_model-names-in-order.json", "_model-names.json", "_model-names.txt")


def read_release(prefix_or_folder: str | Path, *, name: str | None = None, max_missing: float = MAX_MISSING) -> Benchmark:
    """Read a benchmark in the layout of the paper's release (Yauney et al., arXiv 2510.08730).

    The files are

    - `<name>_models-by-confidence_combined.npy`: (models, items, answers) probabilities; the one at the label is the confidence in
      the correct answer;
    - `<name>_models-by-correctness_combined.npy`: (models, items) scores;
    - `<name>_labels_combined.npy`: (items,) positions of the correct answers;
    - `<name>_subtask-idx-ranges.json`: the subtasks, [[start, end), ...];
    - optionally `<name>_model-names-in-order.json`, `<name>_model-names.json` or `<name>_model-names.txt` (one name per line).

    Without a file of names, models are called model_000, ...; subtasks are called subtask_00, ... and items subtask_00/0, ....

    Parameters
    ----------
    prefix_or_folder
        A path or a URL: `FOLDER/<name>`, or a folder with one benchmark or with the benchmark called `name`.
    name
        Name of the benchmark; `<name>` by default.
    max_missing
        Share in [0, 1] of missing (NaN) responses above which a model is dropped.

    Raises
    ------
    DataError
        If a file is missing, truncated or pickled, if the shapes do not match, or if the ranges of the subtasks overlap or do not
        cover all items.
    """
    with local_copies() as copies:
        file_prefix = f"{parent_and_name(str(prefix_or_folder))[1]}_"
        return _read_release(copies.fetch(prefix_or_folder, lambda file: file.startswith(file_prefix)), name, max_missing)


class Release(NamedTuple):
    """The content of a release's files; their shapes are checked, their values are not.

    Attributes
    ----------
    prefix
        Common prefix of the files, which ends with the name of the benchmark.
    answers, scores, labels
        (n_models, n_items, n_answers), (n_models, n_items) and (n_items,) numbers, memory-mapped.
    models, item_ids, subtasks
        Names of models and items, and (n_items,) names of subtasks.
    files
        All files of the release.
    """

    prefix: Path
    answers: NDArray[Any]
    scores: NDArray[Any]
    labels: NDArray[Any]
    models: list[str]
    item_ids: list[str]
    subtasks: list[str]
    files: tuple[Path, ...]


def open_release(prefix_or_folder: Path, name: str | None = None) -> Release:
    """Open the files of a release; parameters and errors as for `read_release`."""
    prefix = _find_prefix(prefix_or_folder, name)
    matrices = [_part(prefix, suffix) for suffix in (_CONFIDENCE, _CORRECTNESS, _LABELS)]
    answers, scores, labels = map(_load, matrices)
    if answers.ndim != 3 or scores.shape != answers.shape[:2] or labels.shape != answers.shape[1:2]:
        raise DataError(
            "The shapes of the matrices do not match: expected (models, items, answers), (models, items) and (items,).",
            where=f"{prefix}_*_combined.npy",
            got=f"confidence {answers.shape}, correctness {scores.shape}, labels {labels.shape}",
        )
    n_models, n_items = scores.shape
    ranges, names = _part(prefix, _RANGES), _names_file(prefix)
    subtasks, item_ids = _name_items(ranges, n_items)
    files = (*matrices, ranges, *([] if names is None else [names]))
    return Release(
        prefix=prefix,
        answers=answers,
        scores=scores,
        labels=labels,
        models=_name_models(names, n_models),
        item_ids=item_ids,
        subtasks=subtasks,
        files=files,
    )


def _read_release(given: Path, name: str | None, max_missing: float) -> Benchmark:
    release = open_release(given, name)
    try:
        return Benchmark.from_arrays(
            name or release.prefix.name,
            release.scores,
            release.item_ids,
            release.models,
            subtasks=release.subtasks,
            answers=release.answers,
            labels=release.labels,
            max_missing=max_missing,
        )
    except DataError as error:
        where = f"{release.prefix}_*" if error.where is None else f"{release.prefix}_*: {error.where}"
        raise DataError(error.what, where=where, got=error.got, hint=error.hint) from None


def _part(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(prefix.name + suffix)


def _find_prefix(given: Path, name: str | None) -> Path:
    if not given.is_dir():
        return given
    names = sorted(path.name.removesuffix(_CONFIDENCE) for path in given.glob(f"*{_CONFIDENCE}"))
    if name in names:
        names = [str(name)]
    if len(names) != 1:
        raise DataError(
            "The folder must contain exactly one benchmark in the paper's layout.",
            where=str(given),
            got=first_few(names) if names else f"no file *{_CONFIDENCE}",
            hint=f"give {given}/NAME for the file NAME{_CONFIDENCE}",
        )
    return given / names[0]


def _load(path: Path) -> NDArray[Any]:
    """Memory-map an array of numbers; pickled objects are never loaded."""
    if not path.is_file():
        raise DataError(
            "A file of the paper's layout is missing.",
            where=str(path),
            got="no such file",
            hint="give the folder, or the path up to the name of the benchmark, for example FOLDER/mmlu-pro",
        )
    check_start(path)
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            "The file is truncated or not a .npy file of numbers.",
            where=str(path),
            got=(str(error).splitlines() or [type(error).__name__])[0],
            hint="copy it again; pickled objects are not supported",
        ) from None
    return array


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("The file cannot be read as JSON.", where=str(path), got=str(error).splitlines()[0]) from None


def _name_items(path: Path, n_items: int) -> tuple[list[str], list[str]]:
    """Subtasks and ids of the items, from the positions [start, end) of the subtasks."""
    ranges = _read_json(path)
    pairs = isinstance(ranges, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(edge) is int for edge in pair) for pair in ranges
    )
    hint = f"the ranges [start, end) must cover the positions 0 to {n_items} once each"
    if not pairs:
        raise DataError("The ranges of the subtasks must be a list of [start, end].", where=str(path), hint=hint)
    subtasks, item_ids = [""] * n_items, [""] * n_items
    expected = 0
    width = len(str(max(len(ranges) - 1, 10)))
    for number, (start, end) in sorted(enumerate(ranges), key=lambda entry: (entry[1][0], entry[1][1])):
        if start != expected or end <= start or end > n_items:
            problem = "overlap" if start < expected else "are empty or run past the items"
            problem = "leave out items" if start > expected else problem
            raise DataError(f"The ranges of the subtasks {problem}.", where=str(path), got=f"[{start}, {end})", hint=hint)
        subtask = f"subtask_{number:0{width}d}"
        subtasks[start:end] = [subtask] * (end - start)
        item_ids[start:end] = [f"{subtask}/{k}" for k in range(end - start)]
        expected = end
    if expected != n_items:
        raise DataError(
            "The ranges of the subtasks leave out items.", where=str(path), got=f"none from {expected} to {n_items}", hint=hint
        )
    return subtasks, item_ids


def _names_file(prefix: Path) -> Path | None:
    return next((part for suffix in _NAMES if (part := _part(prefix, suffix)).is_file()), None)


def _name_models(path: Path | None, n_models: int) -> list[str]:
    """Names from the file if there is one, otherwise numbered names."""
    if path is None:
        width = len(str(max(n_models - 1, 100)))
        return [f"model_{k:0{width}d}" for k in range(n_models)]
    if path.suffix == ".json":
        names = _read_json(path)
    else:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not isinstance(names, list) or len(names) != n_models:
        got = f"{len(names)} names" if isinstance(names, list) else f"a JSON {type(names).__name__}"
        raise DataError(f"The file must be a list of {n_models} model names.", where=str(path), got=got)
    return names
