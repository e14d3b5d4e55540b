"""The MDADs of what is audited: of lists on all models and on those unlike the others, of methods from a sweep's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray import seeding
from microbench_ray.audit.findings import Row, finding
from microbench_ray.audit.profile import Profile
from microbench_ray.errors import GridError
from microbench_ray.methods import Method
from microbench_ray.methods.fixed import Fixed
from microbench_ray.metrics import bootstrap_models, compare, mdad, true_pairs
from microbench_ray.reduce import Rules

LEAST_MODELS = 5
"""A group of fewer has too few pairs to speak of."""


@dataclass(frozen=True)
class Detectable:
    """An MDAD with its interval, fractions; None: never reached, or for `hi` unbounded."""

    value: float | None
    lo: float | None
    hi: float | None


def fitting(method: Method, item_ids: Sequence[str]) -> tuple[Method | None, list[str]]:
    """A list without the items that tonight's benchmark has not, and these; None where none of its items is there."""
    selector = method.selector
    assert isinstance(selector, Fixed)
    there = set(item_ids)
    kept = [k for k, item in enumerate(selector.items) if item in there]
    gone = [item for item in selector.items if item not in there]
    if not gone:
        return method, []
    weights = None if selector.weights is None else [selector.weights[k] for k in kept]
    if not kept or (weights is not None and sum(weights) <= 0):
        return None, gone
    less = Fixed([selector.items[k] for k in kept], weights, built_from=selector.built_from)
    return Method(method.label, less, method.estimator), gone


def lacking_items(label: str, gone: Sequence[str], n_items: int) -> Row:
    """The finding that items of a list are not in tonight's benchmark."""
    named = ", ".join(gone[:3]) + (" …" if len(gone) > 3 else "")
    text = f"{len(gone)} of the {n_items} items of '{label}' are not in tonight's benchmark: {named}"
    return finding("list_items", text, subject=label, value=float(len(gone)))


def list_mdad(profile: Profile, label: str, models: NDArray[np.intp], rules: Rules, seed: int, group: str) -> Detectable:
    """The MDAD of a list on some of the models; intervals resample them.

    Parameters
    ----------
    profile
        Tonight's.
    label
        Of the list.
    models
        Positions among the profile's models; those without an estimate are left out.
    rules
        Threshold (the first), tie policy, level and resamples.
    seed
        Root seed.
    group
        Name of the group: part of the key of what is drawn.
    """
    estimates = profile.estimates[label][:, 0]
    models = models[~np.isnan(estimates[models])]
    if len(models) < LEAST_MODELS:
        raise GridError("Too few models.", where=group, got=f"{len(models)} models", mend=f"at least {LEAST_MODELS}")
    sums, answered = profile.sums[models, 0], profile.answered[models, 0]
    rng = seeding.stream(seed, "audit", profile.benchmark, label, group)
    drawn = bootstrap_models(sums, answered, profile.units, estimates[models], rules.n_resamples, rng)
    counts = compare(true_pairs(sums, answered, profile.units), estimates[models]).counts
    found = mdad(
        counts,
        rules.thresholds[0],
        tie_policy=rules.tie_policy,
        ci="models",
        level=rules.confidence_level,
        n_resamples=rules.n_resamples,
        resampled=drawn,
    )
    return Detectable(*map(_null, (found.mdad_monotone, found.mdad_monotone_ci_lo, found.mdad_monotone_ci_hi)))


def table_mdads(table: pa.Table, threshold: float) -> list[dict[str, Any]]:
    """Rows of `mdad` at a threshold, on the seen half: what a verdict looks at."""
    return [row for row in table.to_pylist() if row["split"] == "seen" and row["threshold"] == threshold]


def detectable(row: dict[str, Any]) -> Detectable:
    """The monotone MDAD of a row of `mdad`."""
    return Detectable(row["mdad_monotone"], row["mdad_monotone_ci_lo"], row["mdad_monotone_ci_hi"])


def _null(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
