"""The parts of an exported micro-benchmark: its items, and the models that it was built without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MIN_COMPARED = 20
"""Models from which on an MDAD among them is given: that of fewer models is mostly chance."""


@dataclass(frozen=True)
class Item:
    """An item of a micro-benchmark.

    Attributes
    ----------
    id, subtask
        As in the benchmark.
    weight
        Share of the benchmark's items that it represents.
    coefficient
        Its coefficient in the readout.
    mean
        Mean response of the known models, in [0, 1].
    task, position
        The task that it belongs to in the evaluation tool, and its number or name there; None where unknown.
    """

    id: str
    subtask: str
    weight: float
    coefficient: float
    mean: float
    task: str | None = None
    position: str | None = None


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Estimates of models that the micro-benchmark was built without.

    Attributes
    ----------
    label
        Which models, and how they were held out.
    models
        (n,) positions among the known models.
    estimates
        (n,) estimated accuracies, each by a micro-benchmark built without the model (for the best models calibrated by
        `intervals.calibration`); NaN for a model that answered none of the items.
    mdad
        The MDAD among all pairs of them at agreement 0.8 (ties count as wrong): `mdad`, `mdad_monotone`, and the latter's 95 %
        interval over models `ci_lo`, `ci_hi`; fractions, None where the MDAD is not reached or the interval is unbounded, and all
        None with fewer than `MIN_COMPARED` groups of models. `n_models` is the number of models compared, `n_groups` that of their
        groups.
    agreement
        `diff_lo`, `agreement` and `n_pairs` of every half-point bin with pairs.
    """

    label: str
    models: NDArray[np.intp]
    estimates: FloatArray
    mdad: Mapping[str, float | None]
    agreement: Sequence[Mapping[str, float]]
