"""Annotations of AlpacaEval: `<model>/<annotator>/annotations.json`, a list of preferences between a baseline and a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, finite_number, matches
from microbench_ray.ingest.documents import find_logs, has_fields, read_document
from microbench_ray.ingest.values import CHECK_SOURCE, item_digest, parse_score, shorten, value_at

_BASELINE, _MODEL = "generator_1", "generator_2"
_FIELDS = ("instruction", "preference", "annotator", _BASELINE, _MODEL)
WIN_RATE = "win rate, not length-controlled"


class AlpacaEvalReader:
    """Reads one log per file and model. An instruction is an item, its dataset the subtask.

    The score is the preference for the model over the baseline: 0 if the baseline is better, 1 if the model is, 0.5 for a draw.
    `metric=PATTERN` selects an annotator, of which all logs must have the same one.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return a log for each model that the annotations compare with the baseline."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            if not (isinstance(document, list) and document and all(has_fields(row, *_FIELDS) for row in document)):
                return None
            chosen = [row for row in document if _is_selected(row, options)]
            return [ModelLog(model=name, files=(file,), part=name) for name in dict.fromkeys(str(row[_MODEL]) for row in chosen)]

        return find_logs(path, ("*.json",), "AlpacaEval", options, tally, logs_of)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per instruction."""
        (file,) = log.files
        tally.choose(WIN_RATE)
        place = str(file)
        for number, row in enumerate(value_at(read_document(file, options.max_line_bytes), list, place), 1):
            where = f"{place}: annotation {number}"
            instruction = value_at(row, str, where, "instruction")
            subtask = str(row.get("dataset") or "all")
            if row.get(_MODEL) != log.part or not _is_selected(row, options) or not matches(subtask, options.tasks):
                continue
            annotator = f"{row['annotator']}, against {row[_BASELINE]}"
            if tally.metrics.get("annotator") != annotator:
                tally.read_by("annotator", annotator)
                tally.choose(f"annotator: {annotator}")
            item = item_digest(where, instruction=instruction)
            score = parse_score(_score(row["preference"], where), tally, file=file, item=item, metric="preference")
            yield Sample(item_id=item, subtask=subtask, score=score, content=item, position=str(number - 1))


def _is_selected(row: dict[str, Any], options: Options) -> bool:
    return options.metric is None or matches(str(row.get("annotator")), (options.metric,))


def _score(preference: Any, where: str) -> float | None:
    """A preference from 1 (the baseline) to 2 (the model) as a score in [0, 1]; older annotations write a draw as 0."""
    number = finite_number(preference)
    if preference is None or preference == -1:
        return None
    if number is None or not (number == 0 or 1 <= number <= 2):
        got = shorten(preference)
        raise DataError("A preference must be 0 or a number from 1 to 2.", where=where, got=got, hint=CHECK_SOURCE)
    return 0.5 if number == 0 else number - 1
