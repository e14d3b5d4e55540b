"""The parts of an exported micro-benchmark: its items, and the models that it was built without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.shown import escape_controls
from microbench_ray.micro.json_values import floats

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
        Share of the benchmark's accuracy that it stands for: of its items, where all count the same.
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

    def content(self) -> dict[str, Any]:
        """What is known of it, as in microbench.json."""
        return {key: value for key, value in vars(self).items() if value is not None}


ITEM_FIELDS = ("id", "subtask", "task", "position", "weight", "coefficient", "mean")


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


def positions_by_task(items: Sequence[Item]) -> dict[str, list[str]]:
    """The items' numbers or names in the tool that runs them, by task; empty unless all are known."""
    positions: dict[str, list[str]] = {}
    for item in items:
        if item.task is None or item.position is None:
            return {}
        positions.setdefault(item.task, []).append(item.position)
    return positions


def error_summary(label: str, errors: FloatArray) -> dict[str, Any]:
    """The errors of held-out models, NaN where there is no estimate, in the form of microbench.json."""
    errors = errors[~np.isnan(errors)]
    known = errors.size > 0
    return {
        "of": label,
        "n_models": int(errors.size),
        "mean_abs_error": float(np.abs(errors).mean()) if known else None,
        "root_mean_square": float(np.sqrt(np.square(errors).mean())) if known else None,
        "bias": float(errors.mean()) if known else None,
    }


def headline_of(benchmark: Mapping[str, Any], method: Mapping[str, Any], size: int, errors: FloatArray) -> str:
    """A micro-benchmark in one line; `errors` are those of held-out models."""
    error = error_summary("", errors)["mean_abs_error"]
    held_out = "" if error is None else f", held-out mean absolute error {error:.3f}"
    of = f"{escape_controls(benchmark['name'])}: {size} of {benchmark['n_items']:,} items by {escape_controls(method['label'])}"
    return f"{of}, {benchmark['n_models']:,} known models{held_out}"


def held_out_of(content: Mapping[str, Any], row_of: Mapping[str, int], models: Sequence[Mapping[str, Any]]) -> HeldOut:
    """Held-out models from the content of microbench.json; `row_of` are positions of the known models."""
    return HeldOut(
        label=content["error"]["of"],
        models=np.array([row_of[model["model"]] for model in models], np.intp),
        estimates=floats([model["estimate_held_out"] for model in models], "models, estimate_held_out"),
        mdad=content["mdad"],
        agreement=content["agreement"],
    )
