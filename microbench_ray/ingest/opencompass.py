"""OpenCompass results with per-sample details: `…/results/<model>/<dataset>.json`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.values import files_below, item_digest, parse_score, require_logs, value_at

_CORRECT = ("correct", "is_correct", "cascade_correct")
_TARGETS = ("references", "answer", "refr", "gold")


class OpenCompassReader:
    """Reads one log per model and dataset. The dataset is the subtask; several predictions for a sample are repetitions.

    The content of an item is its target alone, because prompts are formatted per model. There are no confidences: for a
    multiple-choice sample the log holds the perplexities of the answers but not their lengths.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the files `results/<model>/<dataset>.json`; model and dataset come from the path."""
        logs = []
        for file in files_below(path, ("*.json",)):
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
        by_equality = key is None and options.metric is None and _accuracy_is_exact_match(document, details)
        if key is None and not by_equality:
            tally.drop(f"logs whose details lack {' or '.join(names)}" if details else "logs without per-sample details")
            return
        for name, detail in details:
            item = f"{log.part}/{name}"
            target = next((detail[name] for name in _TARGETS if name in detail), None)
            content = None if target is None else item_digest(f"{file}: {item}", target=target)
            for value in _list(_equal(detail) if by_equality else detail.get(str(key))):
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


def _accuracy_is_exact_match(document: dict[str, Any], details: list[tuple[str, dict[str, Any]]]) -> bool:
    """Whether the logged accuracy is the share of predictions equal to their references, so that equality means correct."""
    accuracy = document.get("accuracy")
    if not details or isinstance(accuracy, bool) or not isinstance(accuracy, int | float):
        return False
    if not all({"predictions", "references"} <= detail.keys() for _, detail in details):
        return False
    return abs(100 * sum(map(_equal, (detail for _, detail in details))) / len(details) - accuracy) < 1e-6


def _equal(detail: dict[str, Any]) -> bool:
    return bool(detail["predictions"] == detail["references"])


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]
