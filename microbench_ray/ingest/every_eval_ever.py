"""Instance-level JSON Lines of Every Eval Ever (`…_samples.jsonl`), beside the aggregate JSON that declares the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import Log, Options, Sample, Tally, fraction, wanted
from microbench_ray.ingest.jsonl import json_file, json_lines
from microbench_ray.ingest.values import ENDED_IN_ERROR, checked_score, files_below, found, item_digest, part, shortened

_SIDECAR = "_samples.jsonl"


class EveryEvalEverReader:
    """A file holds one model's samples of one or more evaluations, which are the subtasks. The metric is a pattern of the results'
    ids or of their metrics' ids and names in the aggregate, or `is_correct`; it must be given where an evaluation has several."""

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        """The files of samples; reads the first line of each for the model's id."""
        logs = []
        for file in files_below(path, ("*.jsonl",)):
            with tally.going_on(file):
                _, first = next(json_lines(file, options.max_line_bytes), (1, None))
                if first is None:
                    tally.drop("log without samples")
                    continue
                if file != path and not (isinstance(first, dict) and {"model_id", "evaluation_name", "evaluation"} <= first.keys()):
                    tally.drop("JSON Lines file that is none of Every Eval Ever")
                    continue
                model = part(first, str, f"{file}: line 1", "model_id")
                if wanted(model, options.models):
                    logs.append(Log(model, (file, *([about] if (about := _aggregate(file)).is_file() else []))))
        return found(logs, path, "Every Eval Ever", options, tally)

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        """Its samples, a line at a time."""
        file, *aggregates = log.files
        results = _results(aggregates[0], options.max_line_bytes) if aggregates else {}
        taken: dict[str, str] = {}
        for number, line in json_lines(file, options.max_line_bytes):
            where = f"{file}: line {number}"
            if part(line, str, where, "model_id") != log.model:
                got = f"{shortened(line['model_id'])} after {shortened(log.model)}"
                raise DataError("A file of samples is of one model.", where=where, got=got, hint="give every model a file")
            task, name = part(line, str, where, "evaluation_name"), part(line, str, where, "sample_id")
            if not wanted(task, options.tasks):
                continue
            result = str(line.get("evaluation_result_id") or "")
            config = results.get(result, results.get(task, {}) if not result else {})
            if not _asked(result, config, options.metric):
                tally.drop("sample of another metric")
                continue
            if taken.setdefault(task, result) != result:
                raise DataError(
                    "The evaluation has several metrics.",
                    where=f"{file}: {shortened(task)}",
                    got=f"results {first_few((taken[task], result))}",
                    hint="choose one: metric=PATTERN of the results' ids",
                )
            given = part(line, dict, where, "input")
            content = item_digest(
                where, raw=given.get("raw"), reference=_list(given.get("reference")), choices=given.get("choices")
            )
            item = f"{task}/{name}"
            if line.get("error"):
                tally.drop(ENDED_IN_ERROR)
                score = None
            else:
                value = _value(part(line, dict, where, "evaluation"), config, options.metric, where)
                score = checked_score(value, tally, file=file, item=item, metric=options.metric or result or task)
            yield Sample(item, task, score, content=content, position=name)


def _aggregate(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(_SIDECAR).removesuffix(".jsonl") + ".json")


def _results(file: Path, most: int) -> dict[str, dict[str, Any]]:
    """What the aggregate declares of each result's metric, by the result's id, or else its name."""
    results = part(json_file(file, most), list, str(file), "evaluation_results")
    where = f"{file}: evaluation_results"
    return {
        str(part(result, dict, where).get("evaluation_result_id") or result.get("evaluation_name")): part(
            result, dict, where, "metric_config"
        )
        for result in results
    }


def _asked(result: str, config: dict[str, Any], metric: str | None) -> bool:
    if metric is None or metric == "is_correct":
        return True
    return any(wanted(str(name), (metric,)) for name in (result, config.get("metric_id"), config.get("metric_name")) if name)


def _value(evaluation: dict[str, Any], config: dict[str, Any], metric: str | None, where: str) -> Any:
    """The sample's score, brought to [0, 1] from the range that the aggregate declares.

    Converters leave the score of a sample that is right or wrong at 1 or 0 whatever the scale of the aggregate: where `is_correct`
    says the same as the score, the score is taken as it is.
    """
    correct = evaluation.get("is_correct")
    if metric == "is_correct":
        return correct
    score, low, high = (fraction(value) for value in (evaluation.get("score"), config.get("min_score"), config.get("max_score")))
    if score is None or low is None or high is None or low >= high or (low, high) == (0, 1):
        lower, value = bool(config.get("lower_is_better")), evaluation.get("score")
    elif isinstance(correct, bool) and score == correct:
        lower, value = bool(config.get("lower_is_better")), score
    else:
        lower, value = bool(config.get("lower_is_better")), (score - low) / (high - low)
    if lower:
        got = "lower_is_better: true"
        raise DataError("The metric is an error, not a score.", where=where, got=got, hint="choose another: metric=PATTERN")
    return value


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value
