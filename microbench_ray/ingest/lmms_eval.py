"""Samples of lmms-eval: `<model>/<time>_samples_<task>.jsonl` beside `<time>_results.json`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.data.tables.vocabulary import LOWER_IS_BETTER
from microbench_ray.ingest.base import ModelLog, Options, Sample, Scale, Tally, finite_number, matches
from microbench_ray.ingest.documents import find_logs, has_fields
from microbench_ray.ingest.jsonl import json_file, json_lines
from microbench_ray.ingest.values import CHECK_SOURCE, item_digest, parse_score, value_at

_NAME = re.compile(r"(?P<time>.+?)_samples_(?P<task>.+)\.jsonl")
LOWER = "lower is better"
_FIELDS = ("doc_id", "doc", "target", "input", "input_media", "arguments", "resps", "filtered_resps", "token_counts", "doc_hash")
"""Fields of a line other than metrics."""


class LmmsEvalReader:
    """Reads one log per file. A document is an item, the task its subtask; the default metric is the first with scores.

    Items are joined on the number of the document in its task: its hash differs from run to run where a document holds an image.
    The content of an item is its target alone, because prompts are formatted per model.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the sample files; the results beside them, or else the folder, name the model."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            match = _NAME.fullmatch(file.name)
            if match is None or not has_fields(document, "doc_id", "filtered_resps"):
                return None
            if not matches(match["task"], options.tasks):
                return ()
            results = file.with_name(f"{match['time']}_results.json")
            if not results.is_file():
                return [ModelLog(model=file.absolute().parent.name.replace("__", "/"), files=(file,), part=match["task"])]
            model = value_at(json_file(results, options.max_line_bytes), str, str(results), "model_name")
            return [ModelLog(model=model, files=(file, results), part=match["task"])]

        return find_logs(path, ("*_samples_*.jsonl",), "lmms-eval", options, tally, logs_of)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the samples, reading one line at a time."""
        file, *results = log.files
        lower = LOWER_IS_BETTER.union(_lower_is_better(results[0], log.part, options.max_line_bytes) if results else ())
        lower = frozenset() if options.scale.reversed else lower
        metric = options.metric
        place = str(file)
        for number, line in json_lines(file, options.max_line_bytes):
            where = f"{place}: line {number}"
            name = str(value_at(line, int, where, "doc_id"))
            if number == 1 or metric is None:
                metric = _metric(line, metric, lower, options.scale, where)
                tally.read_by(log.part, metric)
                if isinstance(line.get(metric), dict):
                    tally.choose(f"{log.part}: {metric} of each sample, which lmms-eval aggregates in a way of its own")
            item = f"{log.part}/{name}"
            score = parse_score(_value(line.get(metric)), tally, file=file, item=item, metric=metric)
            content = item_digest(where, target=line.get("target"))
            yield Sample(item_id=item, subtask=log.part, score=score, content=content, position=name)


def _value(logged: Any) -> Any:
    """The value of a metric: a number, or the `score` of an object."""
    return logged.get("score") if isinstance(logged, dict) else logged


def _metric(line: Mapping[str, Any], metric: str | None, lower: Collection[str], scale: Scale, where: str) -> str:
    reasons = {name: _unfit(name, value, lower, scale) for name, value in line.items() if name not in _FIELDS}
    chosen = metric or next((name for name, reason in reasons.items() if reason is None), None)
    if chosen is not None and reasons.get(chosen, "missing") is None:
        return chosen
    what = "The task has no metric with a score in [0, 1]." if metric is None else f"The metric {metric!r} holds no scores."
    got = "; ".join(f"{name}: {reason or 'scores'}" for name, reason in reasons.items()) or "no metrics"
    fit = [name for name, reason in reasons.items() if reason is None]
    hint = f"choose one with metric=NAME: {first_few(fit)}" if fit else f"exclude the task with tasks=[…], or {CHECK_SOURCE}"
    worse = next((name for name, reason in reasons.items() if reason == LOWER), None)
    hint += f"; or reverse a metric with metric={worse} scale=BEST offset=WORST (a rate: scale=0 offset=1)" if worse else ""
    raise DataError(what, where=where, got=got, hint=hint)


def _unfit(name: str, logged: Any, lower: Collection[str], scale: Scale) -> str | None:
    """Why a metric does not score samples; None if it does."""
    value = _value(logged)
    number = finite_number(value)
    if name in lower:
        return LOWER
    if isinstance(logged, dict) and value is None:
        return "an object without a score"
    if number is None:
        return "a list" if isinstance(value, list) else "not a number"
    return None if 0 <= scale.score(number) <= 1 else f"{number:g} is outside [0, 1]"


def _lower_is_better(results: Path, task: str, max_bytes: int) -> Sequence[str]:
    """The metrics of a task of which the results say that lower values are better."""
    by_task = value_at(json_file(results, max_bytes), dict, str(results)).get("higher_is_better")
    metrics = by_task.get(task) if isinstance(by_task, dict) else None
    return [name for name, higher in metrics.items() if higher is False] if isinstance(metrics, dict) else []
