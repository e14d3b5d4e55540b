"""Verdicts of a judging model in OpenCompass details, read as OpenCompass counts them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

_VERDICT = re.compile("[AB]")
_COUNT = re.compile(r"correct_count(?: \((?P<runs>\d+) runs average\))?")
_Detail = dict[str, Any]


def judge_reading(document: _Detail, details: Sequence[_Detail]) -> Callable[[_Detail], Any] | None:
    """How details with verdicts are read; None unless the scores give the number of correct samples that the log records.

    A verdict is the first A or B of the judge's answer. A means correct; an answer with neither is not correct. Where a sample was
    answered several times, `correct_count (n runs average)` is the mean over the runs.
    """
    match = next((found for found in map(_COUNT.fullmatch, document) if found is not None), None)
    logged = None if match is None else document[match[0]]
    if match is None or isinstance(logged, bool) or not isinstance(logged, int | float):
        return None
    scores = [_verdicts(detail) for detail in details]
    if not details or any(score is None for score in scores):
        return None
    correct = sum(sum(score) for score in scores if score is not None) / int(match["runs"] or 1)
    return _verdicts if abs(correct - logged) < 1e-6 else None


def _verdicts(detail: _Detail) -> list[float] | None:
    """The score of each answer to a sample; None if there are no verdicts."""
    answers = detail.get("prediction")
    answers = answers if isinstance(answers, list) else [answers]
    if not answers or not all(isinstance(answer, str) for answer in answers):
        return None
    found = (_VERDICT.search(answer) for answer in answers)
    return [float(verdict is not None and verdict[0] == "A") for verdict in found]
