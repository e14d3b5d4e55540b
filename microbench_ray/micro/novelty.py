"""What the models that a micro-benchmark was built from support: whether a new one is like them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.readout import filled_responses
from microbench_ray.micro.artifact import MicroBenchmark

FloatArray = NDArray[np.float64]

EDGE = 0.05
"""A model of which at most such a share of the known ones is better, by the items, may well be better than all of them."""
TYPICAL = 0.99
"""Share of the known models that a pattern of responses is compared with: one beyond them is unlike them."""


class NoveltyCheck:
    """What the known models' responses are like.

    Three things are looked at: the estimate, among those of held-out models; the mean response; and how far the pattern of
    responses lies from the known models' mean. That is Mahalanobis's distance, its covariance shrunk by the items' mean variance; a
    known model's own is that from the others (in closed form), so that one more model like them lies beyond a share of them as
    often as chance has it.

    Parameters
    ----------
    exported
        The micro-benchmark.
    """

    def __init__(self, exported: MicroBenchmark) -> None:
        self._item_means = np.array([item.mean for item in exported.items])
        answered = ~np.isnan(exported.responses).all(axis=1)
        filled = filled_responses(exported.responses[answered], self._item_means)
        self._estimates = exported.held_out.estimates[~np.isnan(exported.held_out.estimates)]
        self._means = filled.mean(axis=1)
        self._centre, n = filled.mean(axis=0), len(filled)
        self._rows = filled - self._centre
        self._ridge = float(np.square(self._rows).sum()) / exported.size or 1.0
        self._dual = n < exported.size
        matrix = self._rows @ self._rows.T if self._dual else self._rows.T @ self._rows
        self._inverse = np.linalg.inv(matrix + self._ridge * np.eye(len(matrix)))
        own = self._distance(self._rows) * n / (n - 1)
        distances = np.sort(own / np.maximum(1 - own, 1e-9) * n / (n - 1))
        self._limit = float(distances[min(n, math.ceil((n + 1) * TYPICAL)) - 1])

    def _distance(self, rows: FloatArray) -> FloatArray:
        """(n,) of centred responses; by the smaller of the two matrices (Woodbury)."""
        if not self._dual:
            inside: FloatArray = ((rows @ self._inverse) * rows).sum(axis=1)
            return inside
        shared = rows @ self._rows.T
        left: FloatArray = (np.square(rows).sum(axis=1) - ((shared @ self._inverse) * shared).sum(axis=1)) / self._ridge
        return left

    def warnings(self, answers: FloatArray, estimate: float) -> list[str]:
        """Why a model may be unlike the known ones; empty where it is like them.

        Parameters
        ----------
        answers
            (size,) its responses, NaN where missing.
        estimate
            Of its accuracy.
        """
        filled = filled_responses(answers[None], self._item_means)
        found = []
        for side, sign in (("better", 1.0), ("worse", -1.0)):
            shares = [
                _share_beyond(sign * value, sign * known)
                for value, known in ((estimate, self._estimates), (float(filled.mean()), self._means))
            ]
            least = min(shares)
            if least == 0 or (side == "better" and least <= EDGE):
                than = "all of them" if least == 0 else f"all but {least:.1%} of them"
                found.append(f"At the edge of what the known models support: on these items it is {side} than {than}.")
        if float(self._distance(filled - self._centre)[0]) > self._limit:
            found.append("Outside what the known models support: its pattern of right and wrong answers is unlike theirs.")
        return found


def _share_beyond(value: float, known: FloatArray) -> float:
    """Share of known values, with the new one, that are at least as large; 0 where none is."""
    beyond = int((known >= value - 1e-12).sum())
    return 0.0 if beyond == 0 else (beyond + 1) / (known.size + 1)
