"""Judgments of Arena-Hard: `model_judgment/<judge>/<model>.jsonl`, two games against a baseline for each question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import ModelLog, Options, OwnScore, Sample, Tally, matches
from microbench_ray.ingest.documents import find_logs, has_fields
from microbench_ray.ingest.jsonl import json_lines
from microbench_ray.ingest.values import CHECK_SOURCE, shorten, value_at

_OF_FIRST = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "A<B": 0.0, "A<<B": 0.0}
"""The score of the first answer by the judge's label; the labels may also begin with B."""
_MIRRORED = {"B>>A": "A<<B", "B>A": "A<B", "B=A": "A=B", "B<A": "A>B", "B<<A": "A>>B"}
NOT_JUDGED = "questions with a game that was not judged (Arena-Hard leaves them out too)"
UNWEIGHTED = "a clear win counts as any win (Arena-Hard counts it three times, and corrects for style if asked to)"
CLEAR = ("A>>B", "A<<B", "B>>A", "B<<A")
"""Labels of clear wins."""
CLEAR_GAMES = 3
"""How often Arena-Hard counts the game of a clear win."""


class ArenaHardReader:
    """Reads one log per file. A question is an item, its category the subtask; the two games are repetitions.

    The baseline has the first answer in the first game, and the second one in the second. A win scores 1, a draw 0.5.
    `metric=PATTERN` selects a judge, of which all logs must have the same one.
    """

    weighs = (
        "Arena-Hard's, without style control, which counts a clear win three times (and prints the mean of 100 bootstrap draws)"
    )

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the files of judgments."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            if not has_fields(document, "games", "judge", "model"):
                return None
            if options.metric is not None and not matches(str(document["judge"]), (options.metric,)):
                return ()
            return [ModelLog(model=value_at(document, str, f"{file}: line 1", "model"), files=(file,))]

        return find_logs(path, ("*.jsonl",), "Arena-Hard", options, tally, logs_of)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per game."""
        (file,) = log.files
        tally.choose(UNWEIGHTED)
        place = str(file)
        n_counted, counted = 0, 0.0
        for number, line in json_lines(file, options.max_line_bytes):
            where = f"{place}: line {number}"
            if (model := value_at(line, str, where, "model")) != log.model:
                got, hint = f"{shorten(model)} after {shorten(log.model)}", "split it: one file per model"
                raise DataError("The file holds judgments of several models.", where=where, got=got, hint=hint)
            name = value_at(line, str, where, "uid" if has_fields(line, "uid") else "question_id")
            subtask = str(line.get("category") or "all")
            if not matches(subtask, options.tasks):
                continue
            judge = f"{line.get('judge')}, against {line.get('baseline') or 'the default baseline'}"
            if tally.metrics.get("judge") != judge:
                tally.read_by("judge", judge)
                tally.choose(f"judge: {judge}")
            games = value_at(line, list, where, "games")
            labels = [game.get("score") if isinstance(game, dict) else None for game in games]
            if not labels or None in labels:
                tally.drop(NOT_JUDGED)
                yield Sample(item_id=name, subtask=subtask, score=None, position=name)
                continue
            for game, label in enumerate(labels):
                first = _of_first(label, where)
                score = first if game % 2 else 1 - first
                times = CLEAR_GAMES if label in CLEAR else 1
                n_counted, counted = n_counted + times, counted + times * score
                yield Sample(item_id=name, subtask=subtask, score=score, position=name)
        if n_counted:
            tally.own = OwnScore(counted / n_counted)


def _of_first(label: Any, where: str) -> float:
    try:
        return _OF_FIRST[_MIRRORED.get(label, label)]
    except (KeyError, TypeError):
        raise DataError("A judgment is not a label such as A>B.", where=where, got=shorten(label), hint=CHECK_SOURCE) from None
