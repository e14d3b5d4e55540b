"""From the log-likelihoods that lm-evaluation-harness logs to the probabilities of the answers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from microbench_ray.ingest.base import Tally, fraction


class Confidence(NamedTuple):
    """What a line tells of its answers' probabilities: each None where it does not; as in `Sample`."""

    confidence: float | None = None
    answers: tuple[float, ...] | None = None
    label: int | None = None


NONE = Confidence()
GREEDY = (True, False, "True", "False", 0, 1)
"""Second of a pair (log-likelihood, whether it is the greedy continuation), as versions write it."""
_LIST = re.compile(r"\[\s*\d+(\s*,\s*\d+)*\s*\]")


def confidence(row: Mapping[str, Any], tally: Tally) -> Confidence:
    """Probabilities of the answers of a multiple-choice line, as the softmax of the log-likelihoods of the whole answers.

    They are not divided by the answers' lengths, also where the metric is `acc_norm`: what is left after that division is no
    probability (its softmax is the flatter the longer the answers are), the harness itself scores probabilities (`brier_score`)
    without it, and so a task's confidences are the same numbers whichever metric is asked for. With `acc_norm` the likeliest answer
    may therefore be another than the one that is scored.

    A line with one likelihood (the text's own, as in LAMBADA) has its exponential as confidence, and no answers. Where several
    answers are right, the confidence is their sum, and there is no label.

    Parameters
    ----------
    row
        A line.
    tally
        Counts what has likelihoods, but none that can be used.
    """
    found = log_likelihoods(row)
    if found is None:
        return NONE
    if not all(math.isfinite(value) for value in found):
        tally.drop("confidences with a log-likelihood that is not finite")
        return NONE
    if len(found) == 1:
        return Confidence(math.exp(found[0])) if found[0] <= 0 else NONE
    texts = _continuations(row)
    half = len(found) // 2
    if "acc_mutual_info" in row and texts[:half] == texts[half:]:  # the second half is the answers without the question
        found, texts = found[:half], texts[:half]
    right = _right_answers(row, found, texts)
    if not right:
        tally.drop("confidences where the right answer cannot be told")
        return NONE
    accuracy = fraction(row.get("acc"))
    if accuracy is not None and (accuracy == 1) != (_likeliest(found) in right):
        tally.drop("confidences that contradict acc")
        return NONE
    highest = max(found)
    weights = [math.exp(value - highest) for value in found]
    total = sum(weights)
    if len(right) > 1:
        return Confidence(min(sum(weights[index] for index in right) / total, 1.0))
    answers = tuple(weight / total for weight in weights)
    return Confidence(answers[right[0]], answers, right[0])


def log_likelihoods(row: Mapping[str, Any]) -> list[float] | None:
    """The log-likelihood of every request of a line, in nats; None where its requests are not for likelihoods.

    Pairs of likelihood and greediness, or likelihoods alone, numbers or texts of numbers, with as many lists around as a version
    writes; of repeated requests the first, as the harness itself takes it.
    """
    for name in ("filtered_resps", "resps"):
        requests = row.get(name)
        if isinstance(requests, list) and requests:
            values = [_log_likelihood(request, len(requests) > 1) for request in requests]
            if None not in values:
                return values  # type: ignore[return-value]  # mypy does not see the line before
    return None


def _log_likelihood(request: Any, alone: bool) -> float | None:
    """The likelihood in a request's answer. One without greediness may be a generated number as well: it counts only where `alone`
    allows it, and never above 0."""
    while isinstance(request, list) and request and isinstance(request[0], list):
        request = request[0]
    if isinstance(request, list) and len(request) == 2 and request[1] in GREEDY:
        return _number(request[0])
    if isinstance(request, list) and len(request) == 1:
        request = request[0]
    value = _number(request) if alone and not isinstance(request, list | bool) else None
    return None if value is not None and value > 0 else value


def _number(value: Any) -> float | None:
    if isinstance(value, str | int | float):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return None
    return None


def _continuations(row: Mapping[str, Any]) -> list[str]:
    """The texts whose likelihoods were asked for, without blanks around; empty where they are not logged."""
    arguments = row.get("arguments")
    if isinstance(arguments, dict):
        arguments = [list(each.values()) if isinstance(each, dict) else each for each in arguments.values()]
    if not isinstance(arguments, list):
        return []
    pairs = [each for each in arguments if isinstance(each, list | tuple) and len(each) > 1 and isinstance(each[1], str)]
    return [pair[1].strip() for pair in pairs] if len(pairs) == len(arguments) else []


def _right_answers(row: Mapping[str, Any], found: Sequence[float], texts: Sequence[str]) -> list[int]:
    """Positions of the right answers; empty where the line does not tell them for sure.

    `target` is a position, a list of them, or the answer's text; a number may be either, and is believed where both are the same
    answer, or only one is possible, or the document holds it as a number. Where the question differs between the answers and the
    text does not (WinoGrande), the target tells nothing: of two answers `acc` then tells which is right.
    """
    target = row.get("target")
    doc = row.get("doc")
    fields = doc if isinstance(doc, dict) else {}
    if target is None:
        target = next((fields[name] for name in ("gold", "label", "answer") if type(fields.get(name)) is int), None)
    if isinstance(target, list) and all(type(each) is int for each in target):
        target = str(target)
    if not isinstance(target, str | int):
        return []
    text = str(target).strip()
    if _LIST.fullmatch(text):
        positions = [int(each) for each in text[1:-1].split(",")]
        return sorted(set(positions)) if max(positions) < len(found) else []
    same = [index for index, each in enumerate(texts) if each == text] if len(texts) == len(found) else []
    position = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else None
    if position is not None and position < len(found):
        if not same or same == [position] or (position in _integers(fields) and text not in _strings(fields)):
            return [position]
        return []
    if len(same) == 1:
        return same
    accuracy = fraction(row.get("acc"))
    if len(found) == 2 and len(same) == 2 and accuracy is not None:
        likeliest = _likeliest(found)
        return [likeliest if accuracy == 1 else 1 - likeliest]
    return []


def _likeliest(found: Sequence[float]) -> int:
    """Of equal ones the first, as the harness takes it."""
    return max(range(len(found)), key=found.__getitem__)


def _integers(doc: Mapping[str, Any]) -> list[int]:
    return [value for value in doc.values() if type(value) is int]


def _strings(doc: Mapping[str, Any]) -> list[str]:
    return [value.strip() for value in doc.values() if isinstance(value, str)]
