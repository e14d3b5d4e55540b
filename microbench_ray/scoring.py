"""`microbench score`: what a new model's responses to an exported micro-benchmark say of it, and what they leave open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microbench_ray.errors import DataError
from microbench_ray.exported import Exported, HeldOut
from microbench_ray.methods.readout import Readout, filled_responses

FloatArray = NDArray[np.float64]

LEVEL = 0.95
LEAST_KNOWN = 19
"""Held-out models that an interval needs: of 19 errors and one more, one in twenty is the largest."""
LEAST_ANSWERED = 0.5
"""Share of the items below which a model is not scored."""
TYPICAL = 0.99
"""Share of the known models that a pattern of responses is compared with: one beyond them is unlike them."""


class Interval(NamedTuple):
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
    """

    model: str
    answered: int
    missing: int
    estimate: float | None
    interval: Interval | None
    neighbours: tuple[str, ...]
    beyond: Interval | None
    warnings: tuple[str, ...]
    refused: str

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        parts = {name: None if (part := getattr(self, name)) is None else part._asdict() for name in ("interval", "beyond")}
        return asdict(self) | parts | {"neighbours": list(self.neighbours), "warnings": list(self.warnings)}


def score(exported: Exported, responses: ArrayLike, item_ids: Sequence[str], model_ids: Sequence[str]) -> list[Scored]:
    """Score new models.

    Parameters
    ----------
    exported
        The micro-benchmark.
    responses
        (n_models, n_given) in [0, 1], NaN where missing: scores, or confidences where the micro-benchmark reads these
        (`Exported.signal`).
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
    support = Support(exported)
    return [_scored(exported, support, str(name), row) for name, row in zip(model_ids, answers, strict=True)]


def arranged(exported: Exported, responses: ArrayLike, item_ids: Sequence[str], model_ids: Sequence[str]) -> FloatArray:
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


def unmatched(exported: Exported, item_ids: Sequence[str], where: str) -> DataError:
    """The error for responses of which none is to an item of the micro-benchmark."""
    got = f"{len(item_ids)} items, such as {item_ids[0]!r}" if item_ids else "no items"
    mend = f"responses to its items, such as {exported.items[0].id!r}: the same tasks and versions, read as the benchmark was"
    return DataError("No response is to an item of the micro-benchmark.", where=where, got=got, mend=mend)


class Support:
    """What the known models say of a pattern of responses: how far such patterns lie from their mean.

    The distance is Mahalanobis's, its covariance shrunk by the items' mean variance. A known model's own is that from the others
    (in closed form), so that one more model like them lies beyond a share of them as often as chance has it.

    Parameters
    ----------
    exported
        The micro-benchmark.
    """

    def __init__(self, exported: Exported) -> None:
        self._readout = Readout(0.0, np.ones(exported.size) / exported.size, np.array([item.mean for item in exported.items]))
        known = exported.responses[~np.isnan(exported.responses).all(axis=1)]
        filled = _filled(known, self._readout)
        self._centre, n = filled.mean(axis=0), len(filled)
        self._rows = filled - self._centre
        self._ridge = float(np.square(self._rows).sum()) / exported.size or 1.0
        self._dual = n < exported.size
        matrix = self._rows @ self._rows.T if self._dual else self._rows.T @ self._rows
        self._inverse = np.linalg.inv(matrix + self._ridge * np.eye(len(matrix)))
        own = self._leverage(self._rows) * n / (n - 1)
        self.distances: FloatArray = np.sort(own / np.maximum(1 - own, 1e-9) * n / (n - 1))
        means = filled.mean(axis=1)
        self.lowest, self.highest = float(means.min()), float(means.max())
        self._limit = self.distances[min(n, math.ceil((n + 1) * TYPICAL)) - 1]

    def _leverage(self, rows: FloatArray) -> FloatArray:
        if not self._dual:
            inside: FloatArray = ((rows @ self._inverse) * rows).sum(axis=1)
            return inside
        shared = rows @ self._rows.T
        left: FloatArray = (np.square(rows).sum(axis=1) - ((shared @ self._inverse) * shared).sum(axis=1)) / self._ridge
        return left

    def warnings(self, answers: FloatArray) -> list[str]:
        """Why a model, (size,) responses, is unlike the known ones; empty where it is not."""
        filled = _filled(answers[None], self._readout)
        mean, found = float(filled.mean()), []
        for beyond, side, best in (
            (mean > self.highest + 1e-12, "better", self.highest),
            (mean < self.lowest - 1e-12, "worse", self.lowest),
        ):
            if beyond:
                found.append(
                    f"Outside what the known models support: on these items it is {side} than all of them ({mean:.3f}; theirs "
                    f"reach {best:.3f})."
                )
        if float(self._leverage(filled - self._centre)[0]) > self._limit:
            found.append("Outside what the known models support: its pattern of right and wrong answers is unlike theirs.")
        return found


def _filled(responses: FloatArray, readout: Readout) -> FloatArray:
    assert readout.means is not None
    return filled_responses(responses, readout.means)


def _scored(exported: Exported, support: Support, model: str, answers: FloatArray) -> Scored:
    missing = np.isnan(answers)
    answered = int((~missing).sum())
    counts = model, answered, exported.size - answered
    estimate = float(exported.readout.estimate(answers[None])[0]) if answered else math.nan
    if answered < LEAST_ANSWERED * exported.size or math.isnan(estimate):
        why = f"It answered {answered} of {exported.size} items: at least {LEAST_ANSWERED:.0%} are needed."
        return Scored(*counts, None, None, (), None, (), why)
    warnings = support.warnings(answers)
    moved = masked_shifts(exported, missing)
    errors = errors_of(exported, exported.held_out, moved)
    low, high = around(estimate, *error_bounds(errors))
    beyond = None
    if math.isinf(error_bounds(errors)[1]):
        warnings.append(f"{len(errors)} known models are too few for a 95 % interval: {LEAST_KNOWN} are needed.")
    elif warnings and exported.extrapolated is not None:
        most = absolute_bound(errors_of(exported, exported.extrapolated, moved))
        wide = around(estimate, -most, most)
        beyond = ranked(exported, min(low, wide[0]), max(high, wide[1]))
        warnings.append("The wider interval is as measured on models better than all that a micro-benchmark was built from.")
    elif warnings:
        warnings.append("How far off estimates of such models are could not be measured: there are too few known models.")
    if answered < exported.size:
        warnings.append(
            f"{exported.size - answered} of {exported.size} items have no response: the interval is widened, as if they were "
            "missing at random."
        )
    interval = ranked(exported, low, high)
    widest = beyond or interval
    near = [
        exported.models[k]
        for k in np.argsort(-exported.accuracy, kind="stable")
        if widest.low <= exported.accuracy[k] <= widest.high
    ]
    shown = min(max(estimate, 0.0), 1.0)
    return Scored(*counts, shown, interval, tuple(near), beyond, tuple(warnings), "")


def masked_shifts(exported: Exported, missing: NDArray[np.bool_]) -> FloatArray:
    """(n_models,) by how much each known model's estimate falls where it, too, does not answer these items."""
    if not missing.any():
        return np.zeros(len(exported.models))
    masked = np.where(missing, np.nan, exported.responses)
    return exported.readout.estimate(exported.responses) - exported.readout.estimate(masked)


def errors_of(exported: Exported, held: HeldOut, moved: FloatArray) -> FloatArray:
    """By how much the truth lay above the estimate of each model that was held out, and would lie, had it not answered all."""
    errors = exported.accuracy[held.models] - held.estimates + moved[held.models]
    return errors[~np.isnan(errors)]


def error_bounds(errors: FloatArray) -> tuple[float, float]:
    """Bounds that hold the error of one more model with a probability of at least 95 %; infinite where there are too few.

    The error of one more model like n others has any of n + 1 places among theirs with equal chance (split conformal). From 39 on
    each tail is cut by itself, which takes out what all estimates are off by; with fewer the absolute error is cut.

    Parameters
    ----------
    errors
        (n,) of held-out models.
    """
    cut = math.floor((errors.size + 1) * (1 - LEVEL) / 2 + 1e-9)
    if cut >= 1:
        ordered = np.sort(errors)
        return float(ordered[cut - 1]), float(ordered[errors.size - cut])
    most = absolute_bound(errors)
    return -most, most


def absolute_bound(errors: FloatArray) -> float:
    """What the absolute error of one more model does not exceed with a probability of at least 95 %; infinite for too few."""
    within = math.ceil((errors.size + 1) * LEVEL - 1e-9)
    return math.inf if within > errors.size else float(np.sort(np.abs(errors))[within - 1])


def around(estimate: float, low: float, high: float) -> tuple[float, float]:
    """The accuracies that errors between these bounds leave."""
    return max(0.0, estimate + low), min(1.0, estimate + high)


def ranked(exported: Exported, low: float, high: float) -> Interval:
    """With the ranks that such accuracies have among the known models' own."""
    known = exported.accuracy[~np.isnan(exported.accuracy)]
    return Interval(low, high, 1 + int((known > high).sum()), 1 + int((known > low).sum()))
