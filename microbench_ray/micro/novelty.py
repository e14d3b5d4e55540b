"""Whether a new model is like the known ones that a micro-benchmark was built from."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.readout import filled_responses
from microbench_ray.micro.artifact import MicroBenchmark

FloatArray = NDArray[np.float64]

EDGE = 0.05
"""A model that at most this share of the known models equals or surpasses on the items may be better than all of them."""
TYPICAL = 0.99
"""Share of the known models whose response patterns count as typical; a pattern farther from the mean is flagged."""


class NoveltyCheck:
    """Compares new models with the known ones.

    Three statistics are compared: the estimate (with those of held-out models), the mean response, and the Mahalanobis distance of
    the responses from the known models' mean, with the covariance shrunk by the items' mean variance. A known model's distance is
    the leave-one-out one, in closed form, so that a new model like them exceeds a share of these distances as often as chance has
    it.

    Parameters
    ----------
    micro
        The micro-benchmark.
    """

    def __init__(self, micro: MicroBenchmark) -> None:
        self._item_means = np.array([item.mean for item in micro.items])
        answered = ~np.isnan(micro.responses).all(axis=1)
        filled = filled_responses(micro.responses[answered], self._item_means)
        self._estimates = micro.held_out.estimates[~np.isnan(micro.held_out.estimates)]
        self._mean_responses = filled.mean(axis=1)
        self._centre, n = filled.mean(axis=0), len(filled)
        self._rows = filled - self._centre
        self._ridge = float(np.square(self._rows).sum()) / micro.size or 1.0
        self._dual = n < micro.size
        matrix = self._rows @ self._rows.T if self._dual else self._rows.T @ self._rows
        self._inverse = np.linalg.inv(matrix + self._ridge * np.eye(len(matrix)))
        in_sample = self._distance(self._rows) * n / (n - 1)
        leave_one_out = np.sort(in_sample / np.maximum(1 - in_sample, 1e-9) * n / (n - 1))
        self._limit = float(leave_one_out[min(n, math.ceil((n + 1) * TYPICAL)) - 1])

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
        filled = filled_responses(answers[None], self._item_means)
        mean_response = float(filled.mean())
        warnings = []
        for side, sign in (("better", 1.0), ("worse", -1.0)):
            share = min(
                _share_at_least(sign * estimate, sign * self._estimates),
                _share_at_least(sign * mean_response, sign * self._mean_responses),
            )
            if share == 0 or (side == "better" and share <= EDGE):
                others = "all known models" if share == 0 else f"all but {share:.1%} of the known models"
                warnings.append(f"Near or beyond the edge of the known models: on these items it is {side} than {others}.")
        if float(self._distance(filled - self._centre)[0]) > self._limit:
            warnings.append("Outside the range of the known models: its pattern of right and wrong answers is unlike theirs.")
        return warnings


def _share_at_least(value: float, known: FloatArray) -> float:
    """Share of the known values and the new one that are at least as large as the new one; 0 where no known value is."""
    count = int((known >= value - 1e-12).sum())
    return 0.0 if count == 0 else (count + 1) / (known.size + 1)
