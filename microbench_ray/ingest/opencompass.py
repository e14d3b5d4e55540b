"""OpenCompass results with per-sample details: `…/results/<model>/<dataset>.json`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.opencompass_judges import judge_reading
from microbench_ray.ingest.values import files_below, item_digest, parse_score, require_logs, value_at

_CORRECT = ("correct", "is_correct", "cascade_correct")
_RULES, _JUDGES = "rule_evaluation", "llm_evaluation"
"""Fields of a cascade: the verdicts by rule, and those of a judge, which is asked only about samples that are wrong by rule."""
_TARGETS = ("references", "answer", "refr", "gold")
_VERDICT = re.compile("[ABC]")
"""Verdicts of a judging model; A means correct."""
_WAYS = {"_cascade": "cascade", "_equal": "correct", "_judged": "judge"}
"""What the ways of reading are called in the summary. Predictions equal to the references are correct."""
_Detail = dict[str, Any]


class OpenCompassReader:
    """Reads one log per model and dataset. The dataset is the subtask; several predictions for a sample are repetitions.

    The content of an item is its target alone, because prompts are formatted per model. There are no confidences: for a
    multiple-choice sample the log holds the perplexities of the answers but not their lengths.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the files `results/<model>/<dataset>.json`; model and dataset come from the path."""
        logs = []
        for file in files_below(path, ("*.json",), tally):
            folder = file.absolute().parent
            if file != path and folder.parent.name != "results":
                continue  # predictions, summaries, configurations
            if matches(file.stem, options.tasks) and matches(folder.name, options.models):
                logs.append(ModelLog(model=folder.name, files=(file,), part=file.stem))
        return require_logs(logs, path, "OpenCompass", options, tally)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the samples; a file whose details are missing or do not record correctness is dropped."""
        (file,) = log.files
        document = value_at(json_file(file, options.max_line_bytes), dict, str(file))
        details = _details(document, file)
        names = (options.metric,) if options.metric else _CORRECT
        key = next((name for name in names for _, detail in details if name in detail), None)
        read: Callable[[_Detail], Any] | None = None
        way = "correct" if key in _CORRECT else str(key)
        if key == _CORRECT[-1]:
            read, way = _cascade, "cascade"
        elif key is not None:
            read = partial(_field, key)
        elif options.metric is None:
            samples = [detail for _, detail in details]
            read = _reading(document, samples)
            way = _WAYS.get(getattr(read, "__name__", ""), "")
            if read is None and (read := judge_reading(document, samples)) is not None:
                way = "judge"
        if read is None:
            tally.drop(f"logs whose details lack {' or '.join(names)}" if details else "logs without per-sample details")
            return
        tally.choose(f"{log.part}: {way}")
        tally.read_by(log.part, way)
        for name, detail in details:
            item = f"{log.part}/{name}"
            target = next((detail[name] for name in _TARGETS if name in detail), None)
            content = None if target is None else item_digest(f"{file}: {item}", target=target)
            for value in _list(read(detail)):
                score = parse_score(value, tally, file=file, item=item, metric=key or "predictions")
                yield Sample(item_id=item, subtask=log.part, score=score, content=content, position=name)


def _details(document: dict[str, Any], file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the samples with their names: the abbreviation, or else the position. `details` is a list, or an object that also
    holds `type`."""
    details = document.get("details") or []
    pairs = details.items() if isinstance(details, dict) else enumerate(value_at(details, list, f"{file}: details"))
    named = []
    for key, detail in pairs:
        if key != "type":
            sample = value_at(detail, dict, f"{file}: details, {key}")
            named.append((str(sample.get("example_abbr", key)), sample))
    return named


def _reading(document: _Detail, details: Sequence[_Detail]) -> Callable[[_Detail], Any] | None:
    """How details without a field of correctness are read: as a cascade that has ended with the rules, or in the first way whose
    mean is the logged accuracy. None if there is none."""
    if details and all(_RULES in detail for detail in details):
        return _cascade
    accuracy = document.get("accuracy")
    if not details or isinstance(accuracy, bool) or not isinstance(accuracy, int | float):
        return None
    for read in (_equal, _judged):
        values = [value for detail in details if (value := read(detail)) is not None]
        if len(values) == len(details) and abs(100 * sum(values) / len(values) - accuracy) < 1e-6:
            return read
    return None


def _field(name: str, detail: _Detail) -> Any:
    return detail.get(name)


def _equal(detail: _Detail) -> float | None:
    """Whether the prediction equals the reference."""
    return float(detail["predictions"] == detail["references"]) if {"predictions", "references"} <= detail.keys() else None


def _judged(detail: _Detail) -> float | None:
    """The share of a judge's verdicts that say that the sample is correct."""
    verdicts = [_VERDICT.search(each) if isinstance(each, str) else None for each in _list(detail.get("prediction"))]
    return sum(each[0] == "A" for each in verdicts if each) / len(verdicts) if verdicts and all(verdicts) else None


def _cascade(detail: _Detail) -> Any:
    """Correctness of each prediction by the rules or by the judge."""
    if _CORRECT[-1] in detail:
        return detail[_CORRECT[-1]]
    rules = [each.get("correct") if isinstance(each, dict) else None for each in _list(detail.get(_RULES))]
    judges = [each.get("llm_correct") if isinstance(each, dict) else None for each in _list(detail.get(_JUDGES))]
    return [rule or judge if judge is not None else rule for rule, judge in zip_longest(rules, judges[: len(rules)])]


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]
