"""Instance-level JSON Lines of Every Eval Ever (`…_samples.jsonl`), with the aggregate JSON that declares the metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import LOGGED, ModelLog, Options, Sample, Scale, Tally, finite_number, matches, selects
from microbench_ray.ingest.identity import effort, few_shot, settings_of_arguments
from microbench_ray.ingest.jsonl import json_file, json_lines
from microbench_ray.ingest.metrics import most_common_metric
from microbench_ray.ingest.revisions import name_with_revision, parse_arguments, revision_argument
from microbench_ray.ingest.values import ENDED_IN_ERROR, files_below, item_digest, parse_score, require_logs, shorten, value_at

_FILTER = re.compile(r"\(filter: (.+)\)$")
_SIDECAR = "_samples.jsonl"


class EveryEvalEverReader:
    """Reads one log per file: one model's samples of one or more evaluations, which are the subtasks.

    The metric is `is_correct`, or a pattern that matches result ids, or metric ids and names in the aggregate. It is required
    if an evaluation has several results.

    Logs converted from lm-evaluation-harness hold an evaluation `task/filter` for every answer filter; the first filter of a task
    is read. Their items are compared by the hash of the document, because prompts differ by chat template.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the sample files. Reads the first line of each for the model's id."""
        logs = []
        listed: list[list[tuple[str, str]]] = []
        for file in files_below(path, ("*.jsonl",), tally):
            with tally.collect_error(file):
                _, first = next(json_lines(file, options.max_line_bytes), (1, None))
                if first is None:
                    tally.drop("logs without samples")
                    continue
                if file != path and not (isinstance(first, dict) and {"model_id", "evaluation_name", "evaluation"} <= first.keys()):
                    tally.drop("JSON Lines files of another format")
                    continue
                name = value_at(first, str, f"{file}: line 1", "model_id")
                aggregate = _aggregate(file)
                document = json_file(aggregate, options.max_line_bytes) if aggregate.is_file() else None
                model = name_with_revision(name, revision_argument(_arguments(document)))
                if selects(options.models, model, name):
                    listed.append(_task_filters(document))
                    files = (file,) if document is None else (file, aggregate)
                    logs.append(ModelLog(model=model, name=name, files=files, tasks=_tasks(first, document), sets=_sets(document)))
        return require_logs(_with_filters(logs, listed), path, "Every Eval Ever", options, tally)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the samples, reading one line at a time."""
        file, *aggregates = log.files
        results = _results(aggregates[0], options.max_line_bytes) if aggregates else {}
        result_of_task: dict[str, str] = {}
        filters: dict[str, str] = {}
        for number, line in json_lines(file, options.max_line_bytes):
            where = f"{file}: line {number}"
            if (model := value_at(line, str, where, "model_id")) != (log.name or log.model):
                got = f"{shorten(model)} after {shorten(log.model)}"
                raise DataError(
                    "The file holds samples of several models.", where=where, got=got, hint="split it: one file per model"
                )
            task, name = value_at(line, str, where, "evaluation_name"), value_at(line, str, where, "sample_id")
            if not matches(task, options.tasks):
                continue
            metadata = line.get("metadata")
            harness: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
            answer_filter = harness.get("filter")
            if isinstance(answer_filter, str) and task.endswith(f"/{answer_filter}"):
                base = task.removesuffix(f"/{answer_filter}")
                if base not in filters:
                    filters[base] = options.filter or log.filter or answer_filter
                    tally.choose(f"{base}: filter {filters[base]}")
                    tally.read_by(base, f"filter {filters[base]}")
                if answer_filter != filters[base]:
                    tally.drop("samples of another filter")
                    continue
            result = str(line.get("evaluation_result_id") or "")
            config = results.get(result, results.get(task, {}) if not result else {})
            if not _is_selected(result, config, options.metric):
                tally.drop("samples of another metric")
                continue
            if task not in result_of_task:
                metric = options.metric or config.get("metric_name") or config.get("metric_id")
                tally.choose(f"{task}: {f'metric {metric}' if metric else 'the only metric'}")
                if isinstance(metric, str):
                    tally.read_by(task, metric)
            if result_of_task.setdefault(task, result) != result:
                raise DataError(
                    "The evaluation has several metrics.",
                    where=f"{file}: {shorten(task)}",
                    got=f"results {first_few((result_of_task[task], result))}",
                    hint="choose one with metric=PATTERN, which matches result ids",
                )
            prompt = value_at(line, dict, where, "input")
            document = harness.get("doc_hash")
            asked = {"raw": prompt.get("raw")} if not isinstance(document, str) or not document else {"document": document}
            content = item_digest(where, **asked, reference=_list(prompt.get("reference")), choices=prompt.get("choices"))
            item = f"{task}/{name}"
            if line.get("error"):
                tally.drop(ENDED_IN_ERROR)
                score = None
            else:
                value = _value(value_at(line, dict, where, "evaluation"), config, options.metric, where, options.scale)
                score = parse_score(value, tally, file=file, item=item, metric=options.metric or result or task)
            yield Sample(
                item_id=item,
                subtask=task,
                score=score,
                content=content,
                position=name,
                text={"input": prompt.get("raw"), "choices": prompt.get("choices")},
            )


def _inside(document: Any, *names: str) -> Any:
    """`document[name][name]…`; None if one is missing."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _arguments(document: Any) -> Mapping[str, Any]:
    """The arguments that the aggregate records for the model."""
    return parse_arguments(_inside(document, "model_info", "additional_details", "model_args"))


def _listed(document: Any) -> list[Any]:
    """The results in the aggregate."""
    results = _inside(document, "evaluation_results")
    return results if isinstance(results, list) else []


def _tasks(first: Mapping[str, Any], document: Any) -> tuple[str, ...]:
    """The evaluations in a log: that of its first line, and those of its aggregate."""
    names = [first.get("evaluation_name"), *(_inside(result, "evaluation_name") for result in _listed(document))]
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def _task_filters(document: Any) -> list[tuple[str, str]]:
    """Tasks of lm-evaluation-harness and their answer filters, in the order of the aggregate; it has `metric (filter: NAME)`."""
    pairs = []
    for result in _listed(document):
        name, description = _inside(result, "evaluation_name"), _inside(result, "metric_config", "evaluation_description")
        found = _FILTER.search(description) if isinstance(description, str) else None
        if found is not None and isinstance(name, str) and name.endswith(f"/{found[1]}"):
            pairs.append((name.removesuffix(f"/{found[1]}"), found[1]))
    return pairs


def _with_filters(logs: Sequence[ModelLog], listed: Sequence[Sequence[tuple[str, str]]]) -> list[ModelLog]:
    """The logs with one filter for all logs of a task; without one where a log's tasks have different ones."""
    by_task: dict[str, list[list[str]]] = {}
    for pairs in listed:
        for task in dict(pairs):
            by_task.setdefault(task, []).append([name for each, name in pairs if each == task])
    chosen = {task: most_common_metric(filters) for task, filters in by_task.items()}
    of_log = [{chosen[task] for task, _ in pairs} for pairs in listed]
    return [replace(log, filter=names.pop() if len(names) == 1 else None) for log, names in zip(logs, of_log, strict=True)]


def _sets(document: Any) -> dict[str, str]:
    """What the run sets, where all results of the aggregate agree."""
    sets = settings_of_arguments(_arguments(document))
    configs = [_inside(result, "generation_config") for result in _listed(document)]
    parts = [[_inside(config, name) for name in ("generation_args", "additional_details")] for config in configs]
    merged = [{key: value for part in each if isinstance(part, dict) for key, value in part.items()} for each in parts]
    efforts, shots = {effort(each) for each in merged}, {str(each.get("num_fewshot")) for each in merged}
    if len(efforts) == 1 and "" not in efforts:
        sets["reasoning_effort"] = efforts.pop()
    return sets | (few_shot(shots.pop()) if len(shots) == 1 else {})


def _aggregate(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(_SIDECAR).removesuffix(".jsonl") + ".json")


def _results(file: Path, max_bytes: int) -> dict[str, dict[str, Any]]:
    """The metric configurations that the aggregate declares, by the result's id or else its name."""
    results = value_at(json_file(file, max_bytes), list, str(file), "evaluation_results")
    where = f"{file}: evaluation_results"
    return {
        str(value_at(result, dict, where).get("evaluation_result_id") or result.get("evaluation_name")): value_at(
            result, dict, where, "metric_config"
        )
        for result in results
    }


def _is_selected(result: str, config: dict[str, Any], metric: str | None) -> bool:
    if metric is None or metric == "is_correct":
        return True
    return any(matches(str(name), (metric,)) for name in (result, config.get("metric_id"), config.get("metric_name")) if name)


def _value(evaluation: dict[str, Any], config: dict[str, Any], metric: str | None, where: str, scale: Scale) -> Any:
    """The sample's score, rescaled to [0, 1] from the range that the aggregate declares unless a `scale` is given.

    Converters write 1 or 0 for a right or wrong sample whatever the scale of the aggregate. A score that equals `is_correct` is
    therefore not rescaled.
    """
    correct = evaluation.get("is_correct")
    if metric == "is_correct":
        return correct
    score, low, high = (
        finite_number(value) for value in (evaluation.get("score"), config.get("min_score"), config.get("max_score"))
    )
    if config.get("lower_is_better") and not scale.reversed:
        hint = "choose another with metric=PATTERN, or reverse it with scale=BEST offset=WORST (a rate: scale=0 offset=1)"
        raise DataError("The metric is an error rate, not a score.", where=where, got="lower_is_better: true", hint=hint)
    if scale != LOGGED:
        return score
    if score is None or low is None or high is None or low >= high or (low, high) == (0, 1):
        return evaluation.get("score")
    if isinstance(correct, bool) and score == correct:
        return score
    return (score - low) / (high - low)


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value
