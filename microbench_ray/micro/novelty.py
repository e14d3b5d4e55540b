"""Whether a new model is like the known ones that a micro-benchmark was built from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.readout import filled_responses
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.intervals import MIN_ERRORS, STUDENT

FloatArray = NDArray[np.float64]

RATE = 0.05
"""Share of models drawn like the known ones that are flagged, at most."""
WORSE = 0.5
"""Weight of a deviation downwards: new models are seldom worse than all known ones, and few flags should be spent on that."""
MIN_GROUPS = 4
"""Groups of known models without which no model can be called unlike them."""


class NoveltyCheck:
    """Compares new models with the known ones.

    Three statistics are compared: the estimate (with those of held-out models), the mean response, and the logarithm of the
    Mahalanobis distance of the responses from the known models' mean, with the covariance shrunk by the items' mean variance. Each
    is expressed in deviations from its mean over the known models, and the largest of them is a model's novelty. Known models are
    measured from the others in all three, so that a new model like them is as likely as any of them to have the largest novelty:
    the limit is the novelty that at most 5 % of the models would exceed by chance. With fewer than 19 groups, where one of them has
    a larger share, a flagged model must also exceed Student's quantile.

    Parameters
    ----------
    micro
        The micro-benchmark. Of a group of runs or copies the first one is compared.
    """

    def __init__(self, micro: MicroBenchmark) -> None:
        self._item_means = np.array([item.mean for item in micro.items])
        estimates = np.full(len(micro.models), np.nan)
        estimates[micro.held_out.models] = micro.held_out.estimates
        answered = np.flatnonzero(~np.isnan(micro.responses).all(axis=1) & ~np.isnan(estimates))
        _, first = np.unique(micro.groups[answered], return_index=True)
        compared = answered[first]
        filled = filled_responses(micro.responses[compared], self._item_means)
        self._estimates, self._mean_responses = estimates[compared], filled.mean(axis=1)
        self._limit, n = math.inf, len(filled)
        if n < MIN_GROUPS:
            return
        self._centre = filled.mean(axis=0)
        self._rows = filled - self._centre
        self._ridge = float(np.square(self._rows).sum()) / micro.size or 1.0
        self._dual = n < micro.size
        matrix = self._rows @ self._rows.T if self._dual else self._rows.T @ self._rows
        self._inverse = np.linalg.inv(matrix + self._ridge * np.eye(len(matrix)))
        in_sample = self._distance(self._rows) * n / (n - 1)
        self._distances = _log(in_sample / np.maximum(1 - in_sample, 1e-9) * n / (n - 1))
        known = np.max(list(_weighted(map(left_out_deviations, self._statistics)).values()), axis=0)
        self._limit = novelty_limit(known)

    @property
    def _statistics(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self._estimates, self._mean_responses, self._distances

    def _distance(self, rows: FloatArray) -> FloatArray:
        """(n,) squared distances of centred responses, by the smaller of the two matrices (Woodbury identity)."""
        if not self._dual:
            distances: FloatArray = ((rows @ self._inverse) * rows).sum(axis=1)
            return distances
        shared = rows @ self._rows.T
        dual: FloatArray = (np.square(rows).sum(axis=1) - ((shared @ self._inverse) * shared).sum(axis=1)) / self._ridge
        return dual

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
        filled = filled_responses(answers[None], self._item_means)
        mean_response, distance = float(filled.mean()), _log(self._distance(filled - self._centre))
        values = (np.array([estimate]), np.array([mean_response]), distance)
        novelty = _weighted(deviations(known, new) for known, new in zip(self._statistics, values, strict=True))
        exceeded = [reason for reason, deviation in novelty.items() if float(deviation[0]) > self._limit]
        sentences = []
        for side, sign in (("better", 1.0), ("worse", -1.0)):
            if side in exceeded:
                share = min(
                    _share_at_least(sign * estimate, sign * self._estimates),
                    _share_at_least(sign * mean_response, sign * self._mean_responses),
                )
                others = "all known models" if share == 0 else f"all but {share:.1%} of the known models"
                sentences.append(f"Near or beyond the edge of the known models: on these items it is {side} than {others}.")
        if "pattern" in exceeded:
            sentences.append("Outside the range of the known models: its pattern of right and wrong answers is unlike theirs.")
        return sentences


def _weighted(of_statistics: Iterable[FloatArray]) -> Mapping[str, FloatArray]:
    """Deviations by reason, from those of estimates, mean responses and distances."""
    estimate, mean_response, distance = of_statistics
    return {
        "better": np.maximum(estimate, mean_response),
        "worse": -WORSE * np.minimum(estimate, mean_response),
        "pattern": distance,
    }


def deviations(known: FloatArray, new: FloatArray) -> FloatArray:
    """New values in standard deviations of one more value from the known ones' mean; 0 where the known ones are all equal."""
    deviation = float(known.std(ddof=1)) * math.sqrt(1 + 1 / known.size)
    return (new - known.mean()) / deviation if deviation > 0 else np.zeros_like(new)


def left_out_deviations(known: FloatArray) -> FloatArray:
    """(n,) the same of each known value, by the mean and deviation of the others."""
    n, total = known.size, known.sum()
    mean = (total - known) / (n - 1)
    # Leaving out one value takes its squared deviation, times n / (n − 1), off the sum of squares.
    squares = np.square(known - total / n).sum() - np.square(known - total / n) * n / (n - 1)
    deviation = np.sqrt(np.maximum(squares, 0) / (n - 2)) * math.sqrt(1 + 1 / (n - 1))
    left_out = np.zeros(n)
    np.divide(known - mean, deviation, out=left_out, where=deviation > 0)
    return left_out


def novelty_limit(known: FloatArray) -> float:
    """The novelty that one more model exceeds with a probability of at most `RATE`, from those of n known ones."""
    n = known.size
    rank = math.ceil((n + 1) * (1 - RATE) - 1e-9)
    if n >= MIN_ERRORS:
        return float(np.sort(known)[rank - 1])
    return max(float(known.max()), STUDENT[n - 3])  # n − 1 others have n − 2 degrees of freedom


def _log(distances: FloatArray) -> FloatArray:
    logarithms: FloatArray = np.log(np.maximum(distances, 1e-12))
    return logarithms


def _share_at_least(value: float, known: FloatArray) -> float:
    """Share of the known values and the new one that are at least as large as the new one; 0 where no known value is."""
    count = int((known >= value - 1e-12).sum())
    return 0.0 if count == 0 else (count + 1) / (known.size + 1)
