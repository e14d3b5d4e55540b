"""Whether a new model is like the known ones that a micro-benchmark was built from."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.readout import filled_responses
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.intervals import MIN_ERRORS

FloatArray = NDArray[np.float64]

RATE = 0.05
"""Share of models drawn like the known ones that are flagged, at most."""
WORSE = 0.5
"""Weight of a deviation downwards: new models are seldom worse than all known ones, and few flags should be spent on that."""
MAX_DEVIATION = 1000.0
MIN_GROUPS = 4
"""Groups of known models without which no model can be called unlike them."""
STUDENT_90 = (3.077684, 1.885618, 1.637744, 1.533206, 1.475884, 1.439756, 1.414924, 1.396815, 1.383029)
"""Student's quantiles that 90 % lie below, for 1 to 9 degrees of freedom."""
STUDENT_OF_THREE = (
    *(3.740490, 3.186316, 2.911710, 2.749057, 2.641860, 2.566019, 2.509587, 2.465983),
    *(2.431291, 2.403040, 2.379592, 2.359820, 2.342925, 2.328321, 2.315573),
)
"""Student's quantiles that 1 − 5 % / 3 lie below, for 3 to 17 degrees of freedom: three reasons share the rate."""
MAX_LEFT_OUT = 100
"""Known models measured from the others, where a folder has no novelties."""


class KnownModels:
    """The responses and accuracies of known models, from which new models deviate.

    Three statistics of a new model are compared with the known ones: its estimate with their accuracies, its mean response with
    theirs, and the logarithm of its Mahalanobis distance from their mean response with theirs (covariance shrunk by the items' mean
    variance; a known model is measured from the others, in closed form). Each is expressed in deviations of one more model.

    Parameters
    ----------
    responses
        (n_models, size) to the items, NaN where missing; at least `MIN_GROUPS` models with a response.
    item_means
        (size,) that missing responses are filled with.
    accuracies
        (n_models,) on all items.
    """

    def __init__(self, responses: FloatArray, item_means: FloatArray, accuracies: FloatArray) -> None:
        used = ~np.isnan(responses).all(axis=1) & ~np.isnan(accuracies)
        filled, n = filled_responses(responses[used], item_means), int(used.sum())
        self._item_means, self._accuracies, self._mean_responses = item_means, accuracies[used], filled.mean(axis=1)
        self._centre = filled.mean(axis=0)
        self._rows = filled - self._centre
        self._ridge = float(np.square(self._rows).sum()) / len(item_means) or 1.0
        self._dual = n < len(item_means)
        matrix = self._rows @ self._rows.T if self._dual else self._rows.T @ self._rows
        self._inverse = np.linalg.inv(matrix + self._ridge * np.eye(len(matrix)))
        in_sample = self._distance(self._rows) * n / (n - 1)
        self._distances = _log(in_sample / np.maximum(1 - in_sample, 1e-9) * n / (n - 1))

    def _distance(self, rows: FloatArray) -> FloatArray:
        """(n,) squared distances of centred responses, by the smaller of the two matrices (Woodbury identity)."""
        if not self._dual:
            distances: FloatArray = ((rows @ self._inverse) * rows).sum(axis=1)
            return distances
        shared = rows @ self._rows.T
        dual: FloatArray = (np.square(rows).sum(axis=1) - ((shared @ self._inverse) * shared).sum(axis=1)) / self._ridge
        return dual

    def novelty(self, responses: FloatArray, estimates: FloatArray) -> dict[str, FloatArray]:
        """(n,) deviations of new models by reason: `better`, `worse` and `pattern`; NaN where the estimate is.

        Parameters
        ----------
        responses, estimates
            (n, size) and (n,) of the new models.
        """
        filled = filled_responses(responses, self._item_means)
        estimate, mean_response = deviations(self._accuracies, estimates), deviations(self._mean_responses, filled.mean(axis=1))
        return {
            "better": np.maximum(estimate, mean_response),
            "worse": -WORSE * np.minimum(estimate, mean_response),
            "pattern": deviations(self._distances, _log(self._distance(filled - self._centre))) + 0 * estimates,
        }

    def share_at_least(self, responses: FloatArray, estimate: float, sign: float) -> float:
        """Share of the known models and the new one that are as good as it, or as bad for the sign −1; 0 where no known one is."""
        mean_response = float(filled_responses(responses[None], self._item_means).mean())
        return min(
            _share_at_least(sign * estimate, sign * self._accuracies),
            _share_at_least(sign * mean_response, sign * self._mean_responses),
        )


def largest(novelty: Mapping[str, FloatArray]) -> FloatArray:
    """(n,) the largest deviation of each model."""
    values: FloatArray = np.max(np.array(list(novelty.values())), axis=0)
    return values


class NoveltyCheck:
    """Decides whether new models are unlike the known ones, and says why.

    A model's novelty is the largest of its deviations (`KnownModels`). `export` measures that of each known model in
    cross-validation, by items chosen without it: chosen items fit the models that they were chosen by. A new model drawn like the
    known ones then has the largest novelty as likely as any of them, and the limit is the one that it exceeds with a probability of
    at most 5 %. With fewer than 19 groups, where one of them has a larger share, it must also exceed Student's quantile.

    Parameters
    ----------
    micro
        The micro-benchmark. Folders of format version 1 have no novelties; there, up to `MAX_LEFT_OUT` models are measured from the
        others on the same items.
    """

    def __init__(self, micro: MicroBenchmark) -> None:
        item_means = np.array([item.mean for item in micro.items])
        _, first = np.unique(micro.groups, return_index=True)
        novelty = micro.novelty[first] if micro.novelty.size else self._left_out(micro, first, item_means)
        self._limit = novelty_limit(novelty)
        self._better_from = micro.better_from
        if not math.isinf(self._limit):
            self._known = KnownModels(micro.responses[first], item_means, micro.accuracy[first])

    def may_be_better(self, answers: FloatArray, estimate: float) -> bool:
        """Whether the model could be better than all known ones without looking so: such models were estimated like it, and too
        low.

        Parameters
        ----------
        answers, estimate
            As for `warnings`.
        """
        if self._better_from is None:
            return False
        if math.isinf(self._limit):
            return True
        return float(self._known.novelty(answers[None], np.array([estimate]))["better"][0]) >= self._better_from

    @staticmethod
    def _left_out(micro: MicroBenchmark, first: NDArray[np.intp], item_means: FloatArray) -> FloatArray:
        measured = first[np.unique(np.linspace(0, first.size - 1, min(first.size, MAX_LEFT_OUT)).astype(np.intp))]
        estimates = np.full(len(micro.models), np.nan)
        estimates[micro.held_out.models] = micro.held_out.estimates
        if first.size <= MIN_GROUPS:
            return np.empty(0)
        novelty = []
        for model in measured:
            others = first[first != model]
            known = KnownModels(micro.responses[others], item_means, micro.accuracy[others])
            novelty.append(largest(known.novelty(micro.responses[model : model + 1], estimates[model : model + 1])))
        return np.concatenate(novelty)

    def warnings(self, answers: FloatArray, estimate: float) -> list[str]:
        """Why a model is unlike the known ones, a sentence per reason; empty for a model like them.

        Parameters
        ----------
        answers
            (size,) its responses, NaN where missing.
        estimate
            Its estimated accuracy.
        """
        if math.isinf(self._limit):
            return []
        novelty = self._known.novelty(answers[None], np.array([estimate]))
        exceeded = [reason for reason, deviation in novelty.items() if float(deviation[0]) > self._limit]
        sentences = []
        for side, sign in (("better", 1.0), ("worse", -1.0)):
            if side in exceeded:
                share = self._known.share_at_least(answers, estimate, sign)
                others = "all known models" if share == 0 else f"all but {share:.1%} of the known models"
                sentences.append(f"Near or beyond the edge of the known models: on these items it is {side} than {others}.")
        if "pattern" in exceeded:
            sentences.append("Outside the range of the known models: its pattern of right and wrong answers is unlike theirs.")
        return sentences


def better_from(best: FloatArray) -> float:
    """The deviation that 90 % of models better than all known ones reach, from those of held-out ones; the lowest possible for one.

    Parameters
    ----------
    best
        (n,) `better` deviations of the best known models, by items chosen without them.
    """
    n = best.size
    if n > len(STUDENT_90):
        return float(np.interp(0.1, np.arange(1, n + 1) / (n + 1), np.sort(best)))
    if n < 2:
        return -MAX_DEVIATION
    lower = float(best.mean()) - STUDENT_90[n - 2] * float(best.std(ddof=1)) * math.sqrt(1 + 1 / n)
    return max(-MAX_DEVIATION, min(lower, float(best.min())))


def deviations(known: FloatArray, new: FloatArray) -> FloatArray:
    """New values in standard deviations of one more value from the known ones' mean, at most `MAX_DEVIATION`.

    Where the known ones are all equal, a new value deviates by nothing or by that.
    """
    deviation = max(float(known.std(ddof=1)) * math.sqrt(1 + 1 / known.size), 1e-9)
    clipped: FloatArray = np.clip((new - known.mean()) / deviation, -MAX_DEVIATION, MAX_DEVIATION)
    return clipped


def novelty_limit(known: FloatArray) -> float:
    """The novelty that one more model exceeds with a probability of at most `RATE`; inf for fewer than `MIN_GROUPS` known models.

    Parameters
    ----------
    known
        (n,) novelties of known models, one of each group; NaN where unknown.
    """
    values = np.sort(known[~np.isnan(known)])
    n = values.size
    if n < MIN_GROUPS:
        return math.inf
    if n >= MIN_ERRORS:
        return float(values[math.ceil((n + 1) * (1 - RATE) - 1e-9) - 1])
    return max(float(values[-1]), STUDENT_OF_THREE[n - MIN_GROUPS])  # n − 1 degrees of freedom


def _log(distances: FloatArray) -> FloatArray:
    logarithms: FloatArray = np.log(np.maximum(distances, 1e-12))
    return logarithms


def _share_at_least(value: float, known: FloatArray) -> float:
    """Share of the known values and the new one that are at least as large as the new one; 0 where no known value is."""
    count = int((known >= value - 1e-12).sum())
    return 0.0 if count == 0 else (count + 1) / (known.size + 1)
