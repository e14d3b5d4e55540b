"""New models scored by an exported micro-benchmark: estimated accuracy, intervals of accuracy and rank, and warnings.

Read from the top: `score` aligns the responses, `score_model` scores each model by the readout and, where the model is unlike the
known ones, by the reserve. The rules of the intervals are in `intervals`; the sentences below say which one was taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.micro.artifact import HeldOut, MicroBenchmark
from microbench_ray.micro.intervals import (
    MIN_ERRORS,
    AccuracyInterval,
    ScoreIntervalKind,
    calibration,
    conformal_interval,
    extrapolated_interval,
    reserve_wilson_interval,
)
from microbench_ray.micro.novelty import NoveltyCheck

FloatArray = NDArray[np.float64]

MIN_ANSWERED = 0.5
"""Share of the items below which a model is not scored."""
MIN_RESERVE_ANSWERED = 0.9
"""Share of the reserve's own items, those that are not in the micro-benchmark, below which the reserve was not run."""


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
        95 % interval of the true accuracy and of the true rank; None where the model is refused.
    neighbours
        Known models whose accuracy lies in the interval (in `extrapolated_interval`, where there is one), the best first: the new
        model cannot be distinguished from them.
    extrapolated_interval
        The wider interval of a model that is unlike the known ones and may be better than all of them; None for other models, and
        where errors on such models could not be measured.
    warnings
        Sentences: why the model is unlike the known ones, and what the intervals do not cover.
    refused
        Why the model is not scored; empty where it is.
    unlike
        Whether the model is unlike the known ones: by its responses to the items, or because its responses to the reserve
        contradict them.
    by_reserve
        Whether estimate and interval come from the reserve: the model is unlike the known ones and answered the reserve.
    """

    model: str
    answered: int
    missing: int
    estimate: float | None = None
    interval: ScoreInterval | None = None
    neighbours: tuple[str, ...] = ()
    extrapolated_interval: ScoreInterval | None = None
    warnings: tuple[str, ...] = ()
    refused: str = ""
    unlike: bool = False
    by_reserve: bool = False

    @property
    def interval_kind(self) -> ScoreIntervalKind | None:
        """The rule that made `interval`; None where the model is refused."""
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
    novelty = NoveltyCheck(micro)
    rows = zip(model_ids, aligned.items, aligned.reserve, strict=True)
    return [score_model(micro, novelty, str(model), answers, reserve) for model, answers, reserve in rows]


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


def score_model(micro: MicroBenchmark, novelty: NoveltyCheck, model: str, answers: FloatArray, reserve: FloatArray) -> Scored:
    """Score one model by the readout; by the reserve where the model is unlike the known ones.

    Parameters
    ----------
    micro, novelty
        The micro-benchmark, and its check.
    model
        The model's id.
    answers, reserve
        (size,) and (n_reserve,) its responses, NaN where missing.
    """
    scored = score_by_readout(micro, novelty, model, answers)
    if scored.refused or not reserve.size:
        return scored
    if reserve_was_run(micro, reserve):
        return score_by_reserve(micro, scored, reserve[~np.isnan(reserve)])
    if not scored.unlike:
        return scored
    advice = f"The {reserve.size} items of reserve.txt give an estimate that needs no known models: score both lists together."
    return replace(scored, warnings=(*scored.warnings, advice))


def reserve_was_run(micro: MicroBenchmark, reserve: FloatArray) -> bool:
    """Whether nearly all of the reserve's own items have a response.

    Items that the reserve shares with the micro-benchmark are answered in any case. Alone they are selected items, whose mean is
    not that of the benchmark.

    Parameters
    ----------
    reserve
        (n_reserve,) a model's responses, NaN where missing.
    """
    own = np.array([item.id not in micro.column_of for item in micro.reserve])
    judged = own if own.any() else np.ones(reserve.size, bool)
    return float((~np.isnan(reserve[judged])).mean()) >= MIN_RESERVE_ANSWERED


def score_by_readout(micro: MicroBenchmark, novelty: NoveltyCheck, model: str, answers: FloatArray) -> Scored:
    """The estimate, its split-conformal interval, and the extrapolated one of a model unlike the known ones."""
    missing = np.isnan(answers)
    n_missing = int(missing.sum())
    n_answered = micro.size - n_missing
    estimate = float(micro.readout.estimate(answers[None])[0]) if n_answered else math.nan
    if n_answered < MIN_ANSWERED * micro.size or math.isnan(estimate):
        refused = f"Not scored: it answered {n_answered} of {micro.size} items, and at least {MIN_ANSWERED:.0%} are needed."
        return Scored(model=model, answered=n_answered, missing=n_missing, refused=refused)
    warnings = novelty.warnings(answers, estimate)
    unlike = bool(warnings)
    shifts = missing_shifts(micro, missing)
    errors = held_out_errors(micro, micro.held_out, shifts)
    inner = conformal_interval(estimate, errors)
    outer: AccuracyInterval | None = None
    if errors.size < MIN_ERRORS:
        warnings.append(f"A 95 % interval needs {MIN_ERRORS} held-out models, and there are {errors.size}.")
    elif unlike:
        outer, sentence = interval_if_better(micro, estimate, inner, shifts)
        warnings.append(sentence)
    if n_missing:
        warnings.append(
            f"{n_missing} of {micro.size} items have no response: the interval is widened as if they were missing at random."
        )
    return Scored(
        model=model,
        answered=n_answered,
        missing=n_missing,
        estimate=min(max(estimate, 0.0), 1.0),
        interval=with_ranks(micro, inner),
        neighbours=known_models_in(micro, outer or inner),
        extrapolated_interval=None if outer is None else with_ranks(micro, outer),
        warnings=tuple(warnings),
        unlike=unlike,
    )


def interval_if_better(
    micro: MicroBenchmark, estimate: float, inner: AccuracyInterval, shifts: FloatArray
) -> tuple[AccuracyInterval | None, str]:
    """The extrapolated interval, for a model that may be better than all known ones, and a sentence about it.

    Parameters
    ----------
    micro, estimate
        The micro-benchmark, and the model's estimated accuracy.
    inner
        The model's split-conformal interval.
    shifts
        (n_models,) as from `missing_shifts`.

    Returns
    -------
    interval
        None where errors on such models could not be measured.
    sentence
        For `Scored.warnings`.
    """
    line = calibration(micro.held_out.estimates, micro.accuracy)
    calibrated = float(line.accuracy(np.array([estimate]))[0])
    outer, open_above = None, inner.high >= float(micro.readout.estimate(np.ones((1, micro.size)))[0])
    if micro.extrapolated is not None and not math.isnan(calibrated):
        errors = held_out_errors(micro, micro.extrapolated, shifts / line.slope)
        outer = extrapolated_interval(calibrated, errors, inner, open_above=open_above)
    if outer is None:
        return None, "Errors on models better than the known ones could not be measured."
    sentence = "The wider interval uses errors measured on models better than all those that a micro-benchmark was built from."
    if open_above:
        sentence += " Its upper end is 100 %: these items cannot show how much better the model is."
    return outer, sentence


def score_by_reserve(micro: MicroBenchmark, scored: Scored, answered: FloatArray) -> Scored:
    """The score from the reserve's mean, for a model unlike the known ones or contradicted by the reserve; else `scored`.

    The reserve contradicts the readout where their two 95 % intervals do not overlap.

    Parameters
    ----------
    micro
        The micro-benchmark.
    scored
        The model's score by the readout.
    answered
        (n,) its non-missing responses to the reserve.
    """
    assert scored.estimate is not None
    assert scored.interval is not None
    mean = float(answered.mean())
    interval = reserve_wilson_interval(mean, int(answered.size), int(micro.benchmark["n_items"]))
    warnings = list(scored.warnings)
    if interval.low > scored.interval.high or interval.high < scored.interval.low:
        warnings.append(
            f"Outside the range of the known models: the random items of reserve.txt give {mean:.1%}, the others "
            f"{scored.estimate:.1%}, and their 95 % intervals do not overlap."
        )
    elif not scored.unlike:
        return scored
    warnings.append(
        f"Its accuracy is therefore the plain mean of {answered.size} random items of reserve.txt, which needs no known models."
    )
    return replace(
        scored,
        estimate=mean,
        interval=with_ranks(micro, interval),
        neighbours=known_models_in(micro, interval),
        extrapolated_interval=None,
        warnings=tuple(warnings),
        unlike=True,
        by_reserve=True,
    )


def missing_shifts(micro: MicroBenchmark, missing: NDArray[np.bool_]) -> FloatArray:
    """(n_models,) by how much each known model's estimate rises when its responses to these items are missing too."""
    if not missing.any():
        return np.zeros(len(micro.models))
    masked = np.where(missing, np.nan, micro.responses)
    return micro.readout.estimate(masked) - micro.readout.estimate(micro.responses)


def held_out_errors(micro: MicroBenchmark, held_out: HeldOut, shifts: FloatArray) -> FloatArray:
    """(n,) errors, estimate − true accuracy, of held-out models whose estimates are shifted; models without an estimate dropped."""
    errors = micro.errors(held_out) + shifts[held_out.models]
    return errors[~np.isnan(errors)]


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
