"""Judgments of LiveBench: `…/model_judgment/ground_truth_judgment.jsonl`, of all models in one file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.documents import find_logs, has_fields
from microbench_ray.ingest.jsonl import json_lines
from microbench_ray.ingest.values import parse_score, value_at

_FIELDS = ("question_id", "task", "model", "score")
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

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return a log for each model of each file."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            if not has_fields(document, *_FIELDS):
                return None
            return [ModelLog(model=model, files=(file,), part=model) for model in _judgments(file, options.max_line_bytes)]

        return find_logs(path, ("*judgment*.jsonl",), "LiveBench", options, tally, logs_of)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per judgment."""
        (file,) = log.files
        for question, task, logged, failed in _judgments(file, options.max_line_bytes).get(log.model, ()):
            if not matches(task, options.tasks):
                continue
            if failed:
                tally.choose("answers whose scoring failed: 0, as LiveBench counts them")
            if logged == -1:
                tally.drop(NOT_JUDGED)
                score = None
            else:
                score = parse_score(logged, tally, file=file, item=question, metric="score")
            yield Sample(item_id=question, subtask=task, score=score, position=question)


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
