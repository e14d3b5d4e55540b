"""Convert the log-likelihoods logged by lm-evaluation-harness to probabilities of the answers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from microbench_ray.ingest.base import Tally, finite_number


class Confidence(NamedTuple):
    """Probabilities read from one line, as in `Sample`; each is None if the line does not determine it."""

    confidence: float | None = None
    answers: tuple[float, ...] | None = None
    label: int | None = None


NO_CONFIDENCE = Confidence()
GREEDY = (True, False, "True", "False", 0, 1)
"""Second element of a pair (log-likelihood, whether it is the greedy continuation), as the versions write it."""
_LIST = re.compile(r"\[\s*\d+(\s*,\s*\d+)*\s*\]")


def read_confidence(row: Mapping[str, Any], tally: Tally) -> Confidence:
    """Compute the answers' probabilities of a multiple-choice line: the softmax of the log-likelihoods of the whole answers.

    The log-likelihoods are not divided by the answers' lengths, even if the metric is `acc_norm`. Length-normalised values are not
    probabilities (their softmax gets flatter as answers get longer), and the harness itself computes `brier_score` without
    normalising. A task's confidences therefore do not depend on the metric, and with `acc_norm` the most probable answer may
    differ from the one that is scored.

    A line with a single likelihood (of the text itself, as in LAMBADA) has its exponential as confidence, and no answers. If
    several answers are correct, the confidence is the sum of their probabilities, and there is no label.

    Parameters
    ----------
    row
        A parsed line of a sample file.
    tally
        Counts lines whose likelihoods cannot be used.
    """
    likelihoods = log_likelihoods(row)
    if likelihoods is None:
        return NO_CONFIDENCE
    if not all(math.isfinite(value) for value in likelihoods):
        tally.drop("confidences with a non-finite log-likelihood")
        return NO_CONFIDENCE
    if len(likelihoods) == 1:
        return Confidence(confidence=math.exp(likelihoods[0])) if likelihoods[0] <= 0 else NO_CONFIDENCE
    texts = _continuations(row)
    half = len(likelihoods) // 2
    if "acc_mutual_info" in row and texts[:half] == texts[half:]:  # the second half has the answers without the question
        likelihoods, texts = likelihoods[:half], texts[:half]
    correct = _correct_answers(row, likelihoods, texts)
    if not correct:
        tally.drop("confidences whose correct answer is ambiguous")
        return NO_CONFIDENCE
    accuracy = finite_number(row.get("acc"))
    if accuracy is not None and (accuracy == 1) != (_most_probable(likelihoods) in correct):
        tally.drop("confidences that contradict acc")
        return NO_CONFIDENCE
    highest = max(likelihoods)
    weights = [math.exp(value - highest) for value in likelihoods]
    total = sum(weights)
    if len(correct) > 1:
        return Confidence(confidence=min(sum(weights[index] for index in correct) / total, 1.0))
    answers = tuple(weight / total for weight in weights)
    return Confidence(confidence=answers[correct[0]], answers=answers, label=correct[0])


def log_likelihoods(row: Mapping[str, Any]) -> list[float] | None:
    """Return the log-likelihood of every request of a line, in nats; None if the requests do not ask for likelihoods.

    Accepts pairs of likelihood and greediness as well as bare likelihoods, numbers as well as numeric texts, at any depth of
    nesting. Of repeated requests the first counts, as in the harness.
    """
    for name in ("filtered_resps", "resps"):
        requests = row.get(name)
        if isinstance(requests, list) and requests:
            values = [_log_likelihood(request, len(requests) > 1) for request in requests]
            if None not in values:
                return values  # type: ignore[return-value]  # mypy does not narrow on `not in`
    return None


def _log_likelihood(request: Any, allow_bare: bool) -> float | None:
    """The log-likelihood in the response to a request. A bare number may also be generated text: it is accepted only if
    `allow_bare` is set and it is not above 0."""
    while isinstance(request, list) and request and isinstance(request[0], list):
        request = request[0]
    if isinstance(request, list) and len(request) == 2 and request[1] in GREEDY:
        return _number(request[0])
    if isinstance(request, list) and len(request) == 1:
        request = request[0]
    value = _number(request) if allow_bare and not isinstance(request, list | bool) else None
    return None if value is not None and value > 0 else value


def _number(value: Any) -> float | None:
    if isinstance(value, str | int | float):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return None
    return None


def _continuations(row: Mapping[str, Any]) -> list[str]:
    """The stripped texts whose likelihoods were requested; empty if they are not logged."""
    arguments = row.get("arguments")
    if isinstance(arguments, dict):
        arguments = [list(each.values()) if isinstance(each, dict) else each for each in arguments.values()]
    if not isinstance(arguments, list):
        return []
    pairs = [each for each in arguments if isinstance(each, list | tuple) and len(each) > 1 and isinstance(each[1], str)]
    return [pair[1].strip() for pair in pairs] if len(pairs) == len(arguments) else []


def _correct_answers(row: Mapping[str, Any], likelihoods: Sequence[float], texts: Sequence[str]) -> list[int]:
    """Indices of the correct answers; empty if the line does not determine them.

    `target` is an index, a list of indices, or the text of an answer. A number may be an index or a text; it is used if both
    readings give the same answer, if only one reading is possible, or if the document holds it as a number. If the answers share
    one text and the questions differ (WinoGrande), the target does not determine the answer; of two answers, `acc` then does.
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
        return sorted(set(positions)) if max(positions) < len(likelihoods) else []
    same_text = [index for index, each in enumerate(texts) if each == text] if len(texts) == len(likelihoods) else []
    position = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else None
    if position is not None and position < len(likelihoods):
        if not same_text or same_text == [position] or (position in _integers(fields) and text not in _strings(fields)):
            return [position]
        return []
    if len(same_text) == 1:
        return same_text
    accuracy = finite_number(row.get("acc"))
    if len(likelihoods) == 2 and len(same_text) == 2 and accuracy is not None:
        chosen = _most_probable(likelihoods)
        return [chosen if accuracy == 1 else 1 - chosen]
    return []


def _most_probable(likelihoods: Sequence[float]) -> int:
    """Index of the most probable answer; the first one in a tie, as in the harness."""
    return max(range(len(likelihoods)), key=likelihoods.__getitem__)


def _integers(doc: Mapping[str, Any]) -> list[int]:
    return [value for value in doc.values() if type(value) is int]


def _strings(doc: Mapping[str, Any]) -> list[str]:
    return [value.strip() for value in doc.values() if isinstance(value, str)]
