"""Judgments of LiveBench: `…/model_judgment/ground_truth_judgment.jsonl`, of all models in one file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.lazy_arrow import pc
from microbench_ray.data.columns import numbers_of
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.columns import ItemColumns, are_storable, scores_of, table_of
from microbench_ray.ingest.documents import find_logs, has_fields
from microbench_ray.ingest.jsonl import json_columns, json_lines
from microbench_ray.ingest.overall import SubtaskMean
from microbench_ray.ingest.values import parse_score, value_at

_FIELDS = ("question_id", "task", "model", "score")
_KINDS = {
    **dict.fromkeys(("question_id", "task", "model", "category", "eval_status"), pa.string()),
    "score": pa.float64(),
}
_Columns = tuple[ItemColumns, NDArray[np.float64], NDArray[np.bool_]]
UNJUDGED = -1
METRIC = "metric score of each judgment"
FAILED = "answers whose scoring failed: 0, as LiveBench counts them"
NOT_JUDGED = "answers without a judgment (score -1)"
_MAX_CACHED = 64
"""Files whose judgments are kept in memory, as each is read for one model after the other."""


class _Judgment(NamedTuple):
    question: str
    task: str
    score: Any
    failed: bool


class LiveBenchReader:
    """Reads one log per file and model. A question is an item, category and task its subtask; several judgments are repetitions."""

    weighs = "LiveBench's average, the mean over categories of the mean over their tasks"

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return a log for each model of each file."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            if not has_fields(document, *_FIELDS):
                return None
            return [ModelLog(model=model, files=(file,), part=model) for model in _models(file, options.max_line_bytes)]

        return find_logs(path, ("*judgment*.jsonl",), "LiveBench", options, tally, logs_of)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per judgment."""
        (file,) = log.files
        tally.choose(METRIC)
        for question, task, logged, failed in _judgments(file, options.max_line_bytes).get(log.model, ()):
            if not matches(task, options.tasks):
                continue
            if failed:
                tally.choose(FAILED)
            if logged == UNJUDGED:
                tally.drop(NOT_JUDGED)
                score = None
            else:
                score = parse_score(logged, tally, file=file, item=question, metric="score")
            yield Sample(item_id=question, subtask=task, score=score, position=question)

    def responses(self, log: ModelLog, options: Options, tally: Tally, name: str) -> pa.Table | None:
        """The judgments of a model, where all of the file are plain."""
        (file,) = log.files
        status = file.stat()
        of_file = _columns(file, status.st_size, status.st_mtime_ns, options.max_line_bytes)
        found = None if of_file is None else of_file.get(log.model)
        if found is None:
            return None
        about, scores, failed = found
        if options.tasks:
            kept = np.flatnonzero([matches(task, options.tasks) for task in about.subtasks.to_pylist()])
            about, scores, failed = about.take(kept), scores[kept], failed[kept]
        judged = scores != UNJUDGED
        given = scores_of(pa.array(scores[judged]), tally)
        if given is None:
            return None
        values = np.full(len(scores), np.nan)
        values[judged] = given
        if not judged.all():
            tally.drop(NOT_JUDGED, int(np.count_nonzero(~judged)))
        tally.choose(METRIC)
        if failed.any():
            tally.choose(FAILED)
        return table_of(about, values, name)

    def overall(self, subtasks: Mapping[str, SubtaskMean]) -> float | None:
        """The mean over categories of the mean over tasks, as `show_livebench_result.py` computes it; None without categories."""
        tasks: defaultdict[str, list[float]] = defaultdict(list)
        for name, each in subtasks.items():
            category, _, task = name.partition("/")
            if not task:
                return None
            tasks[category].append(each.mean)
        return fmean(fmean(means) for means in tasks.values()) if tasks else None


@lru_cache(maxsize=_MAX_CACHED)
def _columns(file: Path, size: int, time: int, max_bytes: int) -> Mapping[str, _Columns] | None:
    """The judgments of a file by model, if they are plain; `size` and `time` tell its versions apart."""
    table = json_columns(file, _KINDS, max_bytes)
    if table is None or not table.num_rows or any(table[name].null_count for name in _FIELDS):
        return None
    table = table.combine_chunks()
    questions, tasks, models = (table[name].combine_chunks() for name in _FIELDS[:3])
    categories = pc.fill_null(table["category"].combine_chunks(), "")
    subtasks = pc.if_else(pc.equal(categories, ""), tasks, pc.binary_join_element_wise(categories, tasks, "/"))
    if not are_storable(questions, subtasks, models):
        return None
    about = ItemColumns(items=questions, subtasks=subtasks, positions=questions)
    scores = np.asarray(numbers_of(table["score"]), np.float64)
    failed = np.asarray(numbers_of(pc.fill_null(pc.equal(table["eval_status"], "eval_error"), False)), np.bool_)
    encoded = models.dictionary_encode()
    codes = np.asarray(numbers_of(encoded.indices.cast(pa.int64())), np.intp)
    order = np.argsort(codes, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    return {
        model: (about.take(chosen), scores[chosen], failed[chosen])
        for model, chosen in zip(encoded.dictionary.to_pylist(), rows, strict=True)
    }


def _models(file: Path, max_bytes: int) -> Iterable[str]:
    status = file.stat()
    plain = _columns(file, status.st_size, status.st_mtime_ns, max_bytes)
    return _judgments(file, max_bytes) if plain is None else plain


def _judgments(file: Path, max_bytes: int) -> Mapping[str, Sequence[_Judgment]]:
    status = file.stat()
    return _cached(file, status.st_size, status.st_mtime_ns, max_bytes)


@lru_cache(maxsize=_MAX_CACHED)
def _cached(file: Path, size: int, time: int, max_bytes: int) -> Mapping[str, Sequence[_Judgment]]:
    """The judgments of a file by model; `size` and `time` tell its versions apart."""
    by_model: defaultdict[str, list[_Judgment]] = defaultdict(list)
    for number, line in json_lines(file, max_bytes):
        where = f"{file}: line {number}"
        question, task, model = (str(value_at(line, object, where, name)) for name in _FIELDS[:3])
        category = line.get("category")
        judgment = _Judgment(
            question=question,
            task=f"{category}/{task}" if category else task,
            score=value_at(line, object, where, "score"),
            failed=line.get("eval_status") == "eval_error",
        )
        by_model[model].append(judgment)
    return by_model
