"""What the answers so far say: the decision, the intervals, and which models are still in the race."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics.betting import Bounds, FiniteList, Predictions, bounds_of_mean, refutes
from microbench_ray.metrics.racing import elimination_times
from microbench_ray.micro.compare.rules import Decision
from microbench_ray.micro.sequential.rules import SequentialRules
from microbench_ray.micro.sequential.state import State

FloatArray = NDArray[np.float64]
EQUAL = 1e-12
"""Means closer than this are equal."""


class PairEvidence(NamedTuple):
    """Model B beside model A, on the items at the head of the order that both were asked.

    Attributes
    ----------
    a, b
        Names.
    n_items
        Items at the head of the order.
    mean_a, mean_b
        Mean scores on those that both answered; NaN without one.
    value, low, high
        The mean of B less that of A, and its interval at any stopping time.
    n_better, n_worse, n_equal
        Items on which B has a higher, a lower and the same score.
    n_missing
        Items at the head of the order that one of them has no score on: the interval holds whatever these scores would be.
    """

    a: str
    b: str
    n_items: int
    mean_a: float
    mean_b: float
    value: float
    low: float
    high: float
    n_better: int
    n_worse: int
    n_equal: int
    n_missing: int


class ModelEvidence(NamedTuple):
    """One model: the answered items at the head of the order, their mean, and its interval (None where the question is not about
    it); `active` where it is still in the race."""

    model: str
    n_items: int
    mean: float
    low: float | None
    high: float | None
    active: bool


class Verdict(NamedTuple):
    """The result of a sequential test.

    Attributes
    ----------
    rules
        The question.
    decision
        `yes`, `no`, or `cannot be told` so far.
    best
        The models that answer the question `best`: one, or several that are equally good; empty while it cannot be told.
    n_items
        Items at the head of the order that all models in the race were asked.
    n_list
        Size of the list that the answer is about.
    models
        In their order.
    pairs
        The second model beside the first; for `best`, every other model beside the leader.
    warnings
        Sentences.
    """

    rules: SequentialRules
    decision: Decision
    best: list[str]
    n_items: int
    n_list: int
    models: list[ModelEvidence]
    pairs: list[PairEvidence]
    warnings: list[str]


class Answers(NamedTuple):
    """The answers to the items at the head of the order.

    Attributes
    ----------
    scores
        (n_models, n_items) NaN where unknown.
    head
        (n_models,) length of the head: the items before the first one that the model was not asked.
    n_list
        Size of the list.
    """

    scores: FloatArray
    head: NDArray[np.intp]
    n_list: int

    def differences(self, a: int, b: int) -> tuple[FloatArray, FloatArray]:
        """(n,) differences B less A on the head of both, twice: with the least and the largest value where a score is unknown."""
        n = min(self.head[a], self.head[b])
        one, other = self.scores[a, :n], self.scores[b, :n]
        least = np.where(np.isnan(other), 0.0, other) - np.where(np.isnan(one), 1.0, one)
        largest = np.where(np.isnan(other), 1.0, other) - np.where(np.isnan(one), 0.0, one)
        return least, largest


def verdict(state: State, *, intervals: bool = True) -> Verdict:
    """What the answers in a state say. Only items at the head of the order count: before them, none is unasked.

    Without `intervals`, those of the question `best`, which do not decide it, are left out with their pairs.
    """
    scores, asked = state.matrix()
    head = np.where(asked.all(axis=1), asked.shape[1], np.argmin(asked, axis=1))
    answers = Answers(scores, head, state.n_items)
    if state.rules.question == "accuracy":
        return _accuracy(state, answers)
    if state.rules.question == "best":
        return _best(state, answers, intervals=intervals)
    return _two_models(state, answers)


def decide(bounds: Bounds, rules: SequentialRules) -> Decision:
    """Whether the interval lies wholly on one side of the margin; ends that equal it belong to the other side."""
    low, high, margin = bounds.low, bounds.high, rules.margin
    if rules.question in ("superior", "noninferior"):
        threshold = margin if rules.question == "superior" else -margin
        return "yes" if low > threshold + EQUAL else "no" if high <= threshold + EQUAL else "cannot be told"
    inside = low > -margin + EQUAL and high < margin - EQUAL
    outside = high <= -margin + EQUAL or low >= margin - EQUAL
    return "yes" if inside else "no" if outside else "cannot be told"


def _two_models(state: State, answers: Answers) -> Verdict:
    rules = state.rules
    thresholds = {"superior": (rules.margin,), "noninferior": (-rules.margin,)}.get(rules.question, (-rules.margin, rules.margin))
    alpha = (1 - rules.level) / 2
    if state.known_mean is None:
        bounds = _bounds(answers, 0, 1, alpha, thresholds)
    else:
        of_new = _of_one(state, answers, 1, alpha, tuple(each + state.known_mean for each in thresholds))
        bounds = Bounds(*(end - state.known_mean for end in of_new))
    pair = _pair(state.models, answers, 0, 1, bounds)
    models = [_model(state.models[row], answers, row, None, active=True) for row in (0, 1)]
    decision = decide(bounds, rules)
    return Verdict(rules, decision, [], pair.n_items, state.n_items, models, [pair], _warnings([pair], pair.n_items))


def _of_one(state: State, answers: Answers, row: int, alpha: float, thresholds: tuple[float, ...] = ()) -> Bounds:
    """Bounds of the mean of one model; `alpha` is that of each end."""
    n = answers.head[row]
    scores = answers.scores[row, :n]
    predictions = None
    if state.predictions:
        values = np.array([state.predictions[item] for item in state.items[:n]], np.float64)
        predictions = Predictions(values, state.prediction_mean)
    return bounds_of_mean(
        np.where(np.isnan(scores), 0.0, scores),
        np.where(np.isnan(scores), 1.0, scores),
        FiniteList(state.n_items, low=0.0, predictions=predictions),
        alpha,
        thresholds,
    )


def _accuracy(state: State, answers: Answers) -> Verdict:
    bounds = _of_one(state, answers, 0, state.rules.alpha / 2)
    n_items = int(answers.head[0])
    decision: Decision = "yes" if bounds.high - bounds.low <= 2 * state.rules.margin + EQUAL else "cannot be told"
    model = _model(state.models[0], answers, 0, bounds, active=True)
    warnings = _missing_warning(int(np.isnan(answers.scores[0, :n_items]).sum()), n_items)
    return Verdict(state.rules, decision, [], n_items, state.n_items, [model], [], warnings)


def _best(state: State, answers: Answers, *, intervals: bool) -> Verdict:
    race = race_of(answers, state.rules)
    leader = _leader(answers, race.active)
    n_models = len(state.models)
    others = [row for row in range(n_models) if row != leader and intervals]
    alpha = state.rules.alpha / (n_models * (n_models - 1))  # both ends for every pair: any model may be the leader
    pairs = [_pair(state.models, answers, leader, row, _bounds(answers, leader, row, alpha)) for row in others]
    models = [_model(name, answers, row, None, active=bool(race.active[row])) for row, name in enumerate(state.models)]
    n_items = int(answers.head[race.active].min())
    decision: Decision = "cannot be told"
    if race.best:
        decision = "yes" if len(race.best) == 1 else "no"
    best = [state.models[row] for row in race.best]
    return Verdict(state.rules, decision, best, n_items, state.n_items, models, pairs, _warnings(pairs, n_items))


class Race(NamedTuple):
    """(n_models,) which models may still be the best, and the answer: one model, several equal ones, or none yet."""

    active: NDArray[np.bool_]
    best: list[int]


def race_of(answers: Answers, rules: SequentialRules) -> Race:
    """Which models may be the best.

    Models are eliminated by bets that others are ahead of them (`racing`): the best one with a probability of at most α, whatever
    the number of models. Only items that all models in the race were asked count. With a margin, a model is the answer when for
    every other one in the race it is refuted that this one is better by the margin or more. That may be wrong for each of the
    others, so that α is shared among them; of more than two models, one half of α is for elimination and one half for the answer.

    Returns
    -------
    Race
        With all items of the list answered, all the best models are the answer.
    """
    n_models = len(answers.scores)
    both = rules.margin > 0 and n_models > 2
    active = np.ones(n_models, bool)
    if rules.margin == 0 or both:
        unknown = np.isnan(answers.scores)
        least, largest = (np.where(unknown, worst, answers.scores) for worst in (0.0, 1.0))
        active = elimination_times(least, largest, answers.n_list, rules.alpha / (1 + both), answers.head) == 0
    if active.sum() == 1:
        return Race(active, [int(np.argmax(active))])
    best = _within_margin(answers, rules, active, n_models, both=both)
    return Race(active, best or _exactly_best(answers, active))


def _within_margin(answers: Answers, rules: SequentialRules, active: NDArray[np.bool_], n_models: int, *, both: bool) -> list[int]:
    """The model of which it is refuted that another one in the race is better by the margin; none without a margin."""
    if not rules.margin:
        return []
    alpha = rules.alpha / (1 + both) / (n_models - 1)
    rows = np.flatnonzero(active).tolist()
    for k in sorted(rows, key=lambda row: -_mean(answers, row)):
        others = [j for j in rows if j != k]
        if all(refutes(answers.differences(j, k)[0], -rules.margin, FiniteList(answers.n_list), alpha) for j in others):
            return [k]
    return []


def _exactly_best(answers: Answers, active: NDArray[np.bool_]) -> list[int]:
    """The best models where all that are in the race have answered every item of the list; else none."""
    rows = np.flatnonzero(active)
    if (answers.head[rows] < answers.n_list).any() or np.isnan(answers.scores[rows]).any():
        return []
    means = answers.scores[rows].mean(axis=1)
    return [int(row) for row, mean in zip(rows, means, strict=True) if mean >= means.max() - EQUAL]


def _leader(answers: Answers, among: NDArray[np.bool_]) -> int:
    """The model with the highest mean on the items that all those in the race were asked."""
    rows: list[int] = np.flatnonzero(among).tolist()
    n = int(answers.head[rows].min())
    return max(rows, key=lambda row: _mean(answers, row, n))


def _mean(answers: Answers, row: int, n: int | None = None) -> float:
    """The mean of a model's known scores at the head of the order; −∞ without one."""
    scores = answers.scores[row, : answers.head[row] if n is None else n]
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if known.size else -np.inf


def _bounds(answers: Answers, a: int, b: int, alpha: float, thresholds: tuple[float, ...] = ()) -> Bounds:
    least, largest = answers.differences(a, b)
    return bounds_of_mean(least, largest, FiniteList(answers.n_list), alpha, thresholds)


def _pair(names: tuple[str, ...], answers: Answers, a: int, b: int, bounds: Bounds) -> PairEvidence:
    n = int(min(answers.head[a], answers.head[b]))
    one, other = answers.scores[a, :n], answers.scores[b, :n]
    known = ~(np.isnan(one) | np.isnan(other))
    gap = (other - one)[known]
    return PairEvidence(
        a=names[a],
        b=names[b],
        n_items=n,
        mean_a=float(one[known].mean()) if known.any() else np.nan,
        mean_b=float(other[known].mean()) if known.any() else np.nan,
        value=float(gap.mean()) if known.any() else np.nan,
        low=bounds.low,
        high=bounds.high,
        n_better=int((gap > EQUAL).sum()),
        n_worse=int((gap < -EQUAL).sum()),
        n_equal=int((np.abs(gap) <= EQUAL).sum()),
        n_missing=int((~known).sum()),
    )


def _model(name: str, answers: Answers, row: int, bounds: Bounds | None, *, active: bool) -> ModelEvidence:
    mean = _mean(answers, row)
    low, high = (None, None) if bounds is None else bounds
    n_known = int((~np.isnan(answers.scores[row, : answers.head[row]])).sum())
    return ModelEvidence(name, n_known, mean if n_known else np.nan, low, high, active)


def _warnings(pairs: list[PairEvidence], n_items: int) -> list[str]:
    return _missing_warning(max((pair.n_missing for pair in pairs), default=0), n_items)


def _missing_warning(n_missing: int, n_items: int) -> list[str]:
    if not n_missing:
        return []
    return [f"{n_missing:,} of {n_items:,} items have no score of some model: they count as the worst case for every answer."]
