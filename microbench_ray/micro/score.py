"""New models scored by an exported micro-benchmark: estimated accuracy, intervals of accuracy and rank, and warnings.

Read from the top: `score` aligns the responses, `score_model` scores each model by the readout and by random items, and takes the
narrower interval of those that are valid for the model. The rules of the intervals are in `intervals`, and which of them are valid
is in `choice`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.threads import one_thread
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.choice import IntervalChoice, RandomScore, contradict, interval_if_better, random_score, readout_interval
from microbench_ray.micro.intervals import AccuracyInterval, ScoreIntervalKind

FloatArray = NDArray[np.float64]

MIN_ANSWERED = 0.5
"""Share of the items below which a model is not scored."""
RESERVE_GIVES = (
    "The random items of reserve.txt give an interval that needs no known models: run them too, and score both lists together."
)

MAY_BE_BETTER = (
    "It may be better than the known models: the best of these, when held out, looked like it and were estimated too low."
)


class ScoreInterval(NamedTuple):
    """An interval of accuracies, fractions, and the ranks that it implies among the known models and the new one; 1 is the best."""

    low: float
    high: float
    rank_low: int
    rank_high: int
    kind: ScoreIntervalKind

    def to_json(self) -> dict[str, Any]:
        """The numbers, as in the JSON report."""
        return {"low": self.low, "high": self.high, "rank_low": self.rank_low, "rank_high": self.rank_high}


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The score of a new model.

    Attributes
    ----------
    model
        Its id.
    answered, missing
        Number of items of the micro-benchmark with and without a response.
    estimate
        Estimated accuracy on the whole benchmark, a fraction in [0, 1]; None where the model is refused.
    interval
        95 % interval of the true accuracy and of the true rank; None where the model is refused, and where no interval is valid for
        it without the reserve.
    neighbours
        Known models whose accuracy lies in the interval, the best first: the new model cannot be distinguished from them.
    warnings
        Sentences: why the model is unlike the known ones, and what the interval does not cover.
    refused
        Why the model is not scored; empty where it is.
    unlike
        Whether the model is unlike the known ones: by its responses to the items, or because its responses to random items
        contradict them.
    by_reserve
        Whether estimate and interval come from the reserve: the model is unlike the known ones, or the reserve's interval is the
        narrower one.
    needs_reserve
        Whether the model has no interval because it did not answer the reserve.
    """

    model: str
    answered: int
    missing: int
    estimate: float | None = None
    interval: ScoreInterval | None = None
    neighbours: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    refused: str = ""
    unlike: bool = False
    by_reserve: bool = False
    needs_reserve: bool = False

    @property
    def extrapolated_interval(self) -> ScoreInterval | None:
        """The interval, where it is that of a model which may be better than all known ones; else None."""
        return self.interval if self.interval_kind == "extrapolated" else None

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a report shows below its table: why the model is not scored, or the warnings."""
        return (self.refused,) if self.refused else self.warnings

    @property
    def gains_by_reserve(self) -> bool:
        """Whether the reserve, which the model did not answer, would give it an interval or a better one."""
        return RESERVE_GIVES in self.warnings

    @property
    def interval_kind(self) -> ScoreIntervalKind | None:
        """The rule that made `interval`; None where there is none."""
        return None if self.interval is None else self.interval.kind

    def to_json(self) -> dict[str, Any]:
        """The model's entry in the JSON report; `beyond` is `extrapolated_interval`."""
        return {
            "model": self.model,
            "answered": self.answered,
            "missing": self.missing,
            "estimate": self.estimate,
            "interval": None if self.interval is None else self.interval.to_json(),
            "interval_kind": self.interval_kind,
            "neighbours": list(self.neighbours),
            "beyond": None if self.extrapolated_interval is None else self.extrapolated_interval.to_json(),
            "warnings": list(self.warnings),
            "refused": self.refused,
            "unlike": self.unlike,
            "by_reserve": self.by_reserve,
            "needs_reserve": self.needs_reserve,
        }


def score(micro: MicroBenchmark, responses: ArrayLike, item_ids: Sequence[str], model_ids: Sequence[str]) -> list[Scored]:
    """Score new models.

    Parameters
    ----------
    micro
        The micro-benchmark.
    responses
        (n_models, n_items) in [0, 1], NaN where missing: scores, or confidences where the micro-benchmark reads these
        (`MicroBenchmark.signal`).
    item_ids
        (n_items,) in any order. Items outside the micro-benchmark are ignored; its own may be missing.
    model_ids
        (n_models,)

    Returns
    -------
    list of Scored
        In the order of the models.

    Raises
    ------
    DataError
        A shape that does not fit, a repeated id, a response outside [0, 1], or no item of the micro-benchmark.
    """
    aligned = align(micro, responses, item_ids, model_ids)
    rows = zip(model_ids, aligned.items, aligned.reserve, strict=True)
    with one_thread():  # the matrices are too small to gain from more, which would change last bits
        choice = IntervalChoice(micro)
        return [score_model(micro, choice, str(model), answers, reserve) for model, answers, reserve in rows]


class AlignedResponses(NamedTuple):
    """Responses in the order of a micro-benchmark's items, NaN where missing."""

    items: FloatArray
    """(n_models, size)"""
    reserve: FloatArray
    """(n_models, n_reserve)"""


def align(micro: MicroBenchmark, responses: ArrayLike, item_ids: Sequence[str], model_ids: Sequence[str]) -> AlignedResponses:
    """Responses in the order of the micro-benchmark's items and of its reserve; errors as for `score`."""
    given = np.asarray(responses, dtype=np.float64)
    if given.shape != (len(model_ids), len(item_ids)):
        got = f"shape {given.shape} for {len(model_ids)} models and {len(item_ids)} items"
        raise DataError("The shape of the responses must be (models, items).", where="responses", got=got)
    for what, ids in (("item", item_ids), ("model", model_ids)):
        if len(set(ids)) < len(ids):
            repeated = next(name for k, name in enumerate(ids) if name in ids[:k])
            raise DataError(f"The {what} ids must be unique.", where="responses", got=f"{repeated!r} twice")
    if not any(name in micro.column_of for name in item_ids):
        raise no_matching_item(micro, item_ids, "responses")
    column_of = {name: column for column, name in enumerate(item_ids)}
    padded = np.column_stack([given, np.full(len(model_ids), np.nan)])  # column -1: items without a response
    items, reserve = (padded[:, [column_of.get(item.id, -1) for item in part]] for part in (micro.items, micro.reserve))
    for part in (items, reserve):
        if bool(((part < 0) | (part > 1)).any()):
            got = f"{np.nanmin(part):g} to {np.nanmax(part):g}"
            raise DataError("Responses must lie in [0, 1].", where="responses", got=got)
    return AlignedResponses(items=items, reserve=reserve)


def no_matching_item(micro: MicroBenchmark, item_ids: Sequence[str], where: str) -> DataError:
    """The error for responses none of which is to an item of the micro-benchmark."""
    got = f"{len(item_ids)} items, such as {item_ids[0]!r}" if item_ids else "no items"
    hint = f"responses to items such as {micro.items[0].id!r}: the same tasks and versions, read with the benchmark's settings"
    return DataError("None of the responses is to an item of the micro-benchmark.", where=where, got=got, hint=hint)


def score_model(micro: MicroBenchmark, choice: IntervalChoice, model: str, answers: FloatArray, reserve: FloatArray) -> Scored:
    """Score one model by the readout or by random items, whichever is valid for it and has the narrower interval.

    Parameters
    ----------
    micro, choice
        The micro-benchmark, and what is computed once for it.
    model
        The model's id.
    answers, reserve
        (size,) and (n_reserve,) its responses, NaN where missing.
    """
    missing = np.isnan(answers)
    n_missing = int(missing.sum())
    n_answered = micro.size - n_missing
    estimate = float(micro.readout.estimate(answers[None])[0]) if n_answered else math.nan
    if n_answered < MIN_ANSWERED * micro.size or math.isnan(estimate):
        refused = f"Not scored: it answered {n_answered} of {micro.size} items, and at least {MIN_ANSWERED:.0%} are needed."
        if n_answered and (lacking := subtasks_without_response(micro, missing)):
            refused += f" None of them is of {', '.join(lacking)}."
        return Scored(model=model, answered=n_answered, missing=n_missing, refused=refused)
    warnings = choice.novelty.warnings(answers, estimate)
    by_items, by_random = readout_interval(micro, estimate, missing), random_score(micro, answers, reserve)
    if by_items and by_random and contradict(by_items, estimate, by_random):
        warnings.append(
            f"Outside the range of the known models: random items give {by_random.mean:.1%}, the readout {estimate:.1%}, which "
            "contradict each other: 95 % of such differences are smaller."
        )
    scored = Scored(
        model=model,
        answered=n_answered,
        missing=n_missing,
        estimate=min(max(estimate, 0.0), 1.0),
        unlike=bool(warnings),
        warnings=tuple(warnings),
    )
    may_be_better = not scored.unlike and not micro.is_random_mean and choice.novelty.may_be_better(answers, estimate)
    if by_random and (scored.unlike or may_be_better or by_items is None or choice.prefers_random):
        scored = score_by_random_items(micro, scored, by_random)
    elif scored.unlike or may_be_better:
        if may_be_better:
            scored = replace(scored, warnings=(MAY_BE_BETTER,))
        scored = score_beyond(micro, scored, estimate, by_items, missing)
    elif by_items:
        scored = _with_interval(micro, scored, by_items)
    if scored.interval is None:
        why = "No 95 % interval is valid for it on these items alone"
        why += (
            "." if scored.warnings else f": the {len(micro.models)} known models are too few, or say too little about better ones."
        )
        scored = replace(scored, warnings=(*scored.warnings, why), needs_reserve=bool(micro.reserve))
    if micro.reserve and not scored.by_reserve and (scored.needs_reserve or scored.interval_kind == "extrapolated"):
        scored = replace(scored, warnings=(*scored.warnings, RESERVE_GIVES))
    if lacking := subtasks_without_response(micro, missing):
        sentence = f"No item of {', '.join(lacking)} has a response: the estimated mean over all rests on the others."
        scored = replace(scored, warnings=(*scored.warnings, sentence))
    elif n_missing and scored.interval and not scored.by_reserve:
        sentence = f"{n_missing} of {micro.size} items have no response: the interval is widened as if they were missing at random."
        scored = replace(scored, warnings=(*scored.warnings, sentence))
    return scored


def subtasks_without_response(micro: MicroBenchmark, missing: NDArray[np.bool_]) -> list[str]:
    """Subtasks, such as boards of a suite, none of whose items the model answered; empty where models are not ranked by them.

    Parameters
    ----------
    missing
        (size,) which of its responses are missing.
    """
    if micro.truth != "macro":
        return []
    subtasks = np.array([item.subtask for item in micro.items])
    return [subtask for subtask in dict.fromkeys(subtasks.tolist()) if missing[subtasks == subtask].all()]


def score_by_random_items(micro: MicroBenchmark, scored: Scored, by_random: RandomScore) -> Scored:
    """The score from the mean of random items."""
    warnings = scored.warnings
    if scored.unlike:
        place = "random items of reserve.txt" if by_random.from_reserve else "random items"
        warnings = (*warnings, f"Its accuracy is therefore the plain mean of {by_random.n} {place}, which needs no known models.")
    scored = replace(scored, estimate=by_random.mean, warnings=warnings, by_reserve=by_random.from_reserve)
    return _with_interval(micro, scored, by_random.interval)


def score_beyond(
    micro: MicroBenchmark, scored: Scored, estimate: float, by_items: AccuracyInterval | None, missing: NDArray[np.bool_]
) -> Scored:
    """The score of a model unlike the known ones, without random items: by errors on better models, or without an interval."""
    outer, open_above = interval_if_better(micro, estimate, by_items, missing)
    if outer is None:
        sentence = "Errors on models better than the known ones could not be measured."
        return replace(scored, warnings=(*scored.warnings, sentence))
    sentence = "The interval uses errors measured on models better than all those that a micro-benchmark was built from."
    if open_above:
        sentence += " Its upper end is 100 %: these items cannot show how much better the model is."
    return _with_interval(micro, replace(scored, warnings=(*scored.warnings, sentence)), outer)


def _with_interval(micro: MicroBenchmark, scored: Scored, interval: AccuracyInterval) -> Scored:
    return replace(scored, interval=with_ranks(micro, interval), neighbours=known_models_in(micro, interval))


def with_ranks(micro: MicroBenchmark, interval: AccuracyInterval) -> ScoreInterval:
    """The interval with the ranks that its ends would have among the known models' accuracies."""
    known = micro.accuracy[~np.isnan(micro.accuracy)]
    return ScoreInterval(
        low=interval.low,
        high=interval.high,
        rank_low=1 + int((known > interval.high).sum()),
        rank_high=1 + int((known > interval.low).sum()),
        kind=interval.kind,
    )


def known_models_in(micro: MicroBenchmark, interval: AccuracyInterval) -> tuple[str, ...]:
    """Known models whose accuracy lies in the interval, the best first."""
    order = np.argsort(-micro.accuracy, kind="stable")
    return tuple(micro.models[k] for k in order if interval.low <= micro.accuracy[k] <= interval.high)
