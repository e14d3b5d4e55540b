"""Annotations of AlpacaEval: `<model>/<annotator>/annotations.json`, a list of preferences between a baseline and a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError, DataWarning
from microbench_ray.ingest.base import ModelLog, Options, OwnScore, Sample, Tally, finite_number, matches
from microbench_ray.ingest.documents import find_logs, has_fields, read_document
from microbench_ray.ingest.separated import separated_rows
from microbench_ray.ingest.values import CHECK_SOURCE, item_digest, parse_score, shorten, value_at

_BASELINE, _MODEL = "generator_1", "generator_2"
_FIELDS = ("instruction", "preference", "annotator", _BASELINE, _MODEL)
WIN_RATE = "win rate, not length-controlled"
LEADERBOARD, RATE, CONTROLLED = "leaderboard.csv", "win_rate", "length_controlled_winrate"
SAME = 1e-9


class AlpacaEvalReader:
    """Reads one log per file and model. An instruction is an item, its dataset the subtask.

    The score is the preference for the model over the baseline: 0 if the baseline is better, 1 if the model is, 0.5 for a draw.
    `metric=PATTERN` selects an annotator, of which all logs must have the same one. Win rates are compared with those of the file
    `leaderboard.csv` beside the annotations, if there is one.
    """

    weighs = "AlpacaEval's length-controlled win rate"

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return a log for each model that the annotations compare with the baseline."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            if not (isinstance(document, list) and document and all(has_fields(row, *_FIELDS) for row in document)):
                return None
            chosen = [row for row in document if _is_selected(row, options)]
            table = file.with_name(LEADERBOARD)
            files = (file, table) if table.is_file() else (file,)
            return [ModelLog(model=name, files=files, part=name) for name in dict.fromkeys(str(row[_MODEL]) for row in chosen)]

        return find_logs(path, ("*.json",), "AlpacaEval", options, tally, logs_of)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per instruction."""
        file, *tables = log.files
        tally.choose(WIN_RATE)
        n_scored, total = 0, 0.0
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
            n_scored, total = n_scored + (score is not None), total + (score or 0.0)
            yield Sample(item_id=item, subtask=subtask, score=score, content=item, position=str(number - 1))
        if n_scored and tables and not options.tasks:
            _compare(tables[0], log.part, total / n_scored, tally, options.max_line_bytes)


def _compare(file: Path, model: str, rate: float, tally: Tally, max_bytes: int) -> None:
    """Compare a model's win rate with the one in a leaderboard, and note its length-controlled one."""
    try:
        rows = {next(iter(row.values()), None): row for row in separated_rows(file, ",", max_bytes)}
    except (DataError, OSError):
        return
    own, controlled = (finite_number(rows.get(model, {}).get(name)) for name in (RATE, CONTROLLED))
    if own is not None and abs(own / 100 - rate) > SAME:
        tally.suspect(
            DataWarning(
                "The win rate of the annotations is not that of the leaderboard beside them.",
                where=f"{file}: {model!r}",
                got=f"{rate:.6f} by the annotations, {own / 100:.6f} there",
                hint="check that both are of one run",
            )
        )
    if controlled is not None:
        tally.own = OwnScore(controlled / 100)


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
