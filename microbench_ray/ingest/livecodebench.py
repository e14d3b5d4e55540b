"""Results of LiveCodeBench: `output/<model>/<scenario>_<n>_<temperature>_eval_all.json`, a list of questions with their grades."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, finite_number, matches
from microbench_ray.ingest.documents import find_logs, has_fields, read_document
from microbench_ray.ingest.values import WRITE_AGAIN_OR_CHECK, item_digest, parse_score, value_at

_SCENARIO = re.compile(r"(?:Scenario\.)?(?P<scenario>\w+?)_\d+_[\d.]+(?:_cot)?_eval_all")
_QUESTION = ("question_content", "code", "input", "output", "test_id", "starter_code")


class LiveCodeBenchReader:
    """Reads one log per file. A question is an item, scenario and difficulty its subtask; its answers are repetitions.

    The score of an item is its pass@1. The folder names the model.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the files `*_eval_all.json`."""
        return find_logs(path, ("*eval_all.json",), "LiveCodeBench", options, tally, _logs)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per graded answer."""
        (file,) = log.files
        tally.choose("metric graded_list of each answer, whose mean is pass@1")
        place = str(file)
        for number, question in enumerate(value_at(read_document(file, options.max_line_bytes), list, place), 1):
            where = f"{place}: question {number}"
            # One question has several tests where outputs are predicted, and several samples where code is executed.
            name = value_at(question, str, where, "question_id")
            for number_of in ("test_id", "id"):
                if number_of in question:
                    name += f"/{question[number_of]}"
            difficulty = question.get("difficulty")
            subtask = f"{log.part}/{difficulty}" if difficulty else log.part
            if not matches(subtask, options.tasks):
                continue
            grades = value_at(question, list, where, "graded_list")
            _check(question, grades, where)
            content = item_digest(where, **{key: question[key] for key in _QUESTION if key in question})
            item = f"{log.part}/{name}"
            for grade in grades:
                score = parse_score(grade, tally, file=file, item=name, metric="graded_list")
                yield Sample(item_id=item, subtask=subtask, score=score, content=content, position=name)


def _logs(file: Path, document: Any) -> Sequence[ModelLog] | None:
    if not (isinstance(document, list) and document and all(has_fields(each, "graded_list", "question_id") for each in document)):
        return None
    match = _SCENARIO.fullmatch(file.stem)
    return [ModelLog(model=file.absolute().parent.name, files=(file,), part=match["scenario"] if match else "livecodebench")]


def _check(question: dict[str, Any], grades: list[Any], where: str) -> None:
    """Check that the grades give the pass@1 that the tool has written."""
    logged = finite_number(question.get("pass@1"))
    if logged is None or not grades:
        return
    mean = grades.count(True) / len(grades)
    if abs(mean - logged) > 1e-9:
        got = f"pass@1 {logged:g}, and grades with mean {mean:g}"
        raise DataError("A question contradicts itself.", where=where, got=got, hint=WRITE_AGAIN_OR_CHECK)
