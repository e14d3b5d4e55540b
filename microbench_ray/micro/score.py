"""`microbench score`: what a new model's responses to an exported micro-benchmark say of it, and what they leave open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.micro.artifact import HeldOut, MicroBenchmark
from microbench_ray.micro.intervals import MIN_ERRORS, absolute_bound, calibration, error_bounds, sample_interval
from microbench_ray.micro.novelty import NoveltyCheck

FloatArray = NDArray[np.float64]

MIN_ANSWERED = 0.5
"""Share of the items below which a model is not scored."""


class ScoreInterval(NamedTuple):
    """Accuracies, fractions, and the ranks that they mean among the known models and the new one: 1 is the best."""

    low: float
    high: float
    rank_low: int
    rank_high: int


@dataclass(frozen=True)
class Scored:
    """A new model as the micro-benchmark sees it.

    Attributes
    ----------
    model
        Its id.
    answered, missing
        Items of the micro-benchmark with and without a response.
    estimate
        Of its accuracy on the whole benchmark, a fraction; None where it is refused.
    interval
        Holds the true accuracy, and the true rank, of 95 % of models drawn like the known ones.
    neighbours
        Known models, from the best on, whose accuracy lies in the interval (the wider one, where there is one): it cannot be told
        from these.
    beyond
        The wider interval as measured where models were better than all that the micro-benchmark was built from: only for a model
        that is unlike the known ones, and where that could be measured.
    warnings
        Sentences: why it is unlike the known models, and what the intervals do not cover.
    refused
        Why it is not scored; empty where it is.
    unlike
        Whether it is unlike the known models: by its responses to the items, or because those to the reserve contradict them.
    by_reserve
        Whether estimate and interval are those of the reserve: it is unlike the known models, and answered these random items.
    """

    model: str
    answered: int
    missing: int
    estimate: float | None
    interval: ScoreInterval | None
    neighbours: tuple[str, ...]
    beyond: ScoreInterval | None
    warnings: tuple[str, ...]
    refused: str
    unlike: bool = False
    by_reserve: bool = False

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        parts = {name: None if (part := getattr(self, name)) is None else part._asdict() for name in ("interval", "beyond")}
        return asdict(self) | parts | {"neighbours": list(self.neighbours), "warnings": list(self.warnings)}


def score(exported: MicroBenchmark, responses: ArrayLike, item_ids: Sequence[str], model_ids: Sequence[str]) -> list[Scored]:
    """Score new models.

    Parameters
    ----------
    exported
        The micro-benchmark.
    responses
        (n_models, n_given) in [0, 1], NaN where missing: scores, or confidences where the micro-benchmark reads these
        (`MicroBenchmark.signal`).
    item_ids
        (n_given,) in any order; items of no interest may be among them, and items may be missing.
    model_ids
        (n_models,)

    Returns
    -------
    list of Scored
        In the order of the models.

    Raises
    ------
    DataError
        Shapes that do not fit, an id twice, responses outside [0, 1], or not one item of the micro-benchmark.
    """
    answers = arranged(exported, responses, item_ids, model_ids)
    support = NoveltyCheck(exported)
    column = {name: k for k, name in enumerate(item_ids)}
    at = [column.get(item.id, -1) for item in exported.reserve]
    given = np.column_stack([np.asarray(responses, np.float64), np.full(len(model_ids), np.nan)])[:, at]
    rows = zip(model_ids, answers, given, strict=True)
    return [_by_reserve(exported, _scored(exported, support, str(name), row), row_of_reserve) for name, row, row_of_reserve in rows]


def arranged(exported: MicroBenchmark, responses: ArrayLike, item_ids: Sequence[str], model_ids: Sequence[str]) -> FloatArray:
    """(n_models, size) the responses in the order of the micro-benchmark's items, NaN where missing; errors as for `score`."""
    given = np.asarray(responses, dtype=np.float64)
    if given.shape != (len(model_ids), len(item_ids)):
        got = f"shape {given.shape} for {len(model_ids)} models and {len(item_ids)} items"
        raise DataError("Responses are (models, items).", where="responses", got=got)
    for what, names in (("item", item_ids), ("model", model_ids)):
        if len(set(names)) < len(names):
            twice = next(name for k, name in enumerate(names) if name in names[:k])
            raise DataError(f"Every {what} is there once.", where="responses", got=f"{twice!r} twice")
    where = [(exported.places[name], k) for k, name in enumerate(item_ids) if name in exported.places]
    if not where:
        raise unmatched(exported, item_ids, "responses")
    to, of = np.array(where, np.intp).T
    answers = np.full((len(model_ids), exported.size), np.nan)
    answers[:, to] = given[:, of]
    if bool(((answers < 0) | (answers > 1)).any()):
        raise DataError("Responses are in [0, 1].", where="responses", got=f"{np.nanmin(answers):g} to {np.nanmax(answers):g}")
    return answers


def unmatched(exported: MicroBenchmark, item_ids: Sequence[str], where: str) -> DataError:
    """The error for responses of which none is to an item of the micro-benchmark."""
    got = f"{len(item_ids)} items, such as {item_ids[0]!r}" if item_ids else "no items"
    hint = f"responses to its items, such as {exported.items[0].id!r}: the same tasks and versions, read as the benchmark was"
    return DataError("No response is to an item of the micro-benchmark.", where=where, got=got, hint=hint)


def _scored(exported: MicroBenchmark, support: NoveltyCheck, model: str, answers: FloatArray) -> Scored:
    missing = np.isnan(answers)
    answered = int((~missing).sum())
    counts = model, answered, exported.size - answered
    estimate = float(exported.readout.estimate(answers[None])[0]) if answered else math.nan
    if answered < MIN_ANSWERED * exported.size or math.isnan(estimate):
        why = f"It answered {answered} of {exported.size} items: at least {MIN_ANSWERED:.0%} are needed."
        return Scored(*counts, None, None, (), None, (), why)
    warnings = support.warnings(answers, estimate)
    unlike = bool(warnings)
    moved = masked_shifts(exported, missing)
    errors = errors_of(exported, exported.held_out, moved)
    low, high = around(estimate, *error_bounds(errors))
    beyond = None
    if errors.size < MIN_ERRORS:
        warnings.append(f"{errors.size} known models are too few for a 95 % interval: {MIN_ERRORS} are needed.")
    elif warnings:
        beyond, sentence = wider(exported, estimate, (low, high), moved)
        warnings.append(sentence)
    if answered < exported.size:
        warnings.append(
            f"{exported.size - answered} of {exported.size} items have no response: the interval is widened, as if they were "
            "missing at random."
        )
    interval = ranked(exported, low, high)
    near = neighbours(exported, beyond or interval)
    shown = min(max(estimate, 0.0), 1.0)
    return Scored(*counts, shown, interval, near, beyond, tuple(warnings), "", unlike)


def _by_reserve(exported: MicroBenchmark, scored: Scored, answers: FloatArray) -> Scored:
    """The model again, by the mean of the reserve, if it answered these random items and is unlike the known ones, or they say so.

    They say so where the two 95 % intervals do not meet.
    """
    if scored.estimate is None or scored.interval is None or not answers.size:
        return scored
    there = answers[~np.isnan(answers)]
    if there.size < MIN_ANSWERED * answers.size:
        more = (
            f"The {answers.size} items of reserve.txt would give an estimate that needs no known model: score both lists together."
        )
        return replace(scored, warnings=(*scored.warnings, more)) if scored.unlike else scored
    mean = float(there.mean())
    interval = ranked(exported, *sample_interval(mean, int(there.size), int(exported.benchmark["n_items"])))
    warnings = list(scored.warnings)
    if interval.low > scored.interval.high or interval.high < scored.interval.low:
        warnings.append(
            f"Outside what the known models support: the random items of reserve.txt say {mean:.1%}, the others "
            f"{scored.estimate:.1%}, and the two 95 % intervals do not meet."
        )
    elif not scored.unlike:
        return scored
    said = f"So its accuracy is the plain mean of the {there.size} random items of reserve.txt, which needs no known model."
    return replace(
        scored,
        estimate=mean,
        interval=interval,
        neighbours=neighbours(exported, interval),
        beyond=None,
        warnings=(*warnings, said),
        unlike=True,
        by_reserve=True,
    )


def neighbours(exported: MicroBenchmark, interval: ScoreInterval) -> tuple[str, ...]:
    """Known models, from the best on, whose accuracy lies in an interval."""
    order = np.argsort(-exported.accuracy, kind="stable")
    return tuple(exported.models[k] for k in order if interval.low <= exported.accuracy[k] <= interval.high)


def wider(
    exported: MicroBenchmark, estimate: float, inside: tuple[float, float], moved: FloatArray
) -> tuple[ScoreInterval | None, str]:
    """The interval for a model that may be better than all known ones, and a sentence on it; None where it could not be measured.

    Around what the estimate stands for by the line of `bounds.calibration`, as wide as the errors were of the best models by a
    micro-benchmark that was built without them. It has no upper end where a model that answers everything right would be read no
    higher.
    """
    line = calibration(exported.held_out.estimates, exported.accuracy)
    centre = float(line.truth(np.array([estimate]))[0])
    held = exported.extrapolated
    most = math.inf if held is None or math.isnan(centre) else absolute_bound(errors_of(exported, held, moved / line.slope))
    if math.isinf(most):
        return None, "How far off estimates of such models are could not be measured on the known ones."
    low, high = around(centre, -most, most)
    sentence = "The wider interval is as measured on models better than all that a micro-benchmark was built from."
    if inside[1] >= float(exported.readout.estimate(np.ones((1, exported.size)))[0]):
        high, sentence = 1.0, sentence + " It has no upper end: these items cannot tell how much better a model is."
    return ranked(exported, min(inside[0], low), max(inside[1], high)), sentence


def masked_shifts(exported: MicroBenchmark, missing: NDArray[np.bool_]) -> FloatArray:
    """(n_models,) by how much each known model's estimate falls where it, too, does not answer these items."""
    if not missing.any():
        return np.zeros(len(exported.models))
    masked = np.where(missing, np.nan, exported.responses)
    return exported.readout.estimate(exported.responses) - exported.readout.estimate(masked)


def errors_of(exported: MicroBenchmark, held: HeldOut, moved: FloatArray) -> FloatArray:
    """By how much the truth lay above the estimate of each model that was held out, and would lie, had it not answered all."""
    errors = exported.accuracy[held.models] - held.estimates + moved[held.models]
    return errors[~np.isnan(errors)]


def around(estimate: float, low: float, high: float) -> tuple[float, float]:
    """The accuracies that errors between these bounds leave."""
    return min(1.0, max(0.0, estimate + low)), max(0.0, min(1.0, estimate + high))


def ranked(exported: MicroBenchmark, low: float, high: float) -> ScoreInterval:
    """With the ranks that such accuracies have among the known models' own."""
    known = exported.accuracy[~np.isnan(exported.accuracy)]
    return ScoreInterval(low, high, 1 + int((known > high).sum()), 1 + int((known > low).sum()))
