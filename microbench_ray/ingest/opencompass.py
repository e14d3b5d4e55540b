"""Results of OpenCompass with the details of every sample: `…/results/<model>/<dataset>.json`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.ingest.base import Log, Options, Sample, Tally, wanted
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.values import checked_score, files_below, found, item_digest, part

_CORRECT = ("correct", "is_correct", "cascade_correct")
_TARGETS = ("references", "answer", "refr", "gold")


class OpenCompassReader:
    """A file is one model's run of one dataset, which is the subtask; several predictions of a sample are repetitions.

    The content of an item is its target alone: prompts are formatted for each model. There are no confidences: of a
    multiple-choice sample the log has the perplexities of its answers, not their lengths.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        """The files `results/<model>/<dataset>.json`; their names tell all that is needed."""
        logs = []
        for file in files_below(path, ("*.json",)):
            folder = file.absolute().parent
            if file != path and folder.parent.name != "results":
                continue  # predictions, summaries, configurations
            if wanted(file.stem, options.tasks) and wanted(folder.name, options.models):
                logs.append(Log(folder.name, (file,), file.stem))
        return found(logs, path, "OpenCompass", options, tally)

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        """Its samples; a file without details, or whose details do not tell what is correct, is dropped."""
        (file,) = log.files
        document = part(json_file(file, options.max_line_bytes), dict, str(file))
        details = _details(document, file)
        names = (options.metric,) if options.metric else _CORRECT
        key = next((name for name in names for _, detail in details if name in detail), None)
        compared = key is None and options.metric is None and _accuracy_is_of_equality(document, details)
        if key is None and not compared:
            tally.drop("log without details of samples" if not details else f"log whose details lack {' or '.join(names)}")
            return
        for name, detail in details:
            item = f"{log.part}/{name}"
            target = next((detail[name] for name in _TARGETS if name in detail), None)
            content = None if target is None else item_digest(f"{file}: {item}", target=target)
            for value in _list(_equal(detail) if compared else detail.get(str(key))):
                score = checked_score(value, tally, file=file, item=item, metric=key or "predictions")
                yield Sample(item, log.part, score, content=content, position=name)


def _details(document: dict[str, Any], file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Samples by name: their abbreviations, else their positions; in a list or by position, beside `type`."""
    details = document.get("details") or []
    pairs = details.items() if isinstance(details, dict) else enumerate(part(details, list, f"{file}: details"))
    named = []
    for key, detail in pairs:
        if key != "type":
            about = part(detail, dict, f"{file}: details, {key}")
            named.append((str(about.get("example_abbr", key)), about))
    return named


def _accuracy_is_of_equality(document: dict[str, Any], details: list[tuple[str, dict[str, Any]]]) -> bool:
    """Whether the log's own accuracy is the share of predictions equal to their references: then equality is what is correct."""
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
