"""The MDAD of an audited list or method: on all target models, and on groups of targets unlike the other models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.audit.findings import HistoryRow
from microbench_ray.methods import Method
from microbench_ray.methods.item_lists import ids_hint
from microbench_ray.methods.selectors.fixed import Fixed
from microbench_ray.metrics import Mdad


@dataclass(frozen=True)
class AuditedMdad:
    """A monotone MDAD with its confidence interval, as fractions.

    Attributes
    ----------
    value
        None if no difference reaches the threshold of agreement.
    ci_lo, ci_hi
        Ends of the interval; None for an undefined `ci_lo` and an unbounded `ci_hi`.
    """

    value: float | None = None
    ci_lo: float | None = None
    ci_hi: float | None = None

    @classmethod
    def from_mdad(cls, mdad: Mdad) -> AuditedMdad:
        """Take the monotone MDAD of a result of `metrics.mdad`."""
        return cls(
            value=_none_if_nan(mdad.mdad_monotone),
            ci_lo=_none_if_nan(mdad.mdad_monotone_ci_lo),
            ci_hi=_none_if_nan(mdad.mdad_monotone_ci_hi),
        )

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> AuditedMdad:
        """Take the monotone MDAD of a row of the table `mdad`."""
        return cls(value=row["mdad_monotone"], ci_lo=row["mdad_monotone_ci_lo"], ci_hi=row["mdad_monotone_ci_hi"])

    def to_json(self) -> dict[str, float | None]:
        """Keys `mdad`, `ci_lo` and `ci_hi` of verdict.json."""
        return {"mdad": self.value, "ci_lo": self.ci_lo, "ci_hi": self.ci_hi}


@dataclass(frozen=True)
class GroupMdad:
    """The MDAD on one group of targets unlike the other models."""

    group: str
    n_models: int
    mdad: AuditedMdad

    def to_json(self) -> dict[str, Any]:
        """An entry of `extrapolation` in verdict.json."""
        return {"group": self.group, "n_models": self.n_models, **self.mdad.to_json()}


@dataclass(frozen=True)
class Subject:
    """An audited list, or an audited method at one size.

    Attributes
    ----------
    label, size
        Its label, and the number of selected items.
    mdad
        The MDAD on all targets.
    target_difference
        The difference of accuracies to be detected, a fraction.
    items_needed
        Items needed to detect it; None if unknown.
    extrapolation
        The MDAD on groups of targets unlike the other models.
    n_tie_groups, pairs_unordered
        Of a list, the number of tie groups and the share of adjacent models that are closer than the MDAD.
    """

    label: str
    size: int
    mdad: AuditedMdad
    target_difference: float
    items_needed: int | None
    extrapolation: tuple[GroupMdad, ...] = ()
    n_tie_groups: int | None = None
    pairs_unordered: float | None = None

    def to_json(self) -> dict[str, Any]:
        """An entry of `subjects` in verdict.json."""
        return {
            "label": self.label,
            "size": self.size,
            **self.mdad.to_json(),
            "wanted": self.target_difference,
            "items_needed": self.items_needed,
            "n_tie_groups": self.n_tie_groups,
            "pairs_unordered": self.pairs_unordered,
            "extrapolation": [each.to_json() for each in self.extrapolation],
        }


def fixed_of(method: Method) -> Fixed:
    """The selector of an audited list."""
    assert isinstance(method.selector, Fixed)
    return method.selector


def restrict_list(method: Method, item_ids: Sequence[str]) -> tuple[Method | None, list[str]]:
    """Restrict a list to the items of a benchmark.

    Returns
    -------
    method
        The list without its missing items; None if none is left, or only items of weight zero.
    missing
        Ids of its items that the benchmark does not have.
    """
    selector, existing = fixed_of(method), set(item_ids)
    kept = [k for k, item in enumerate(selector.items) if item in existing]
    missing = [item for item in selector.items if item not in existing]
    if not missing:
        return method, []
    weights = None if selector.weights is None else [selector.weights[k] for k in kept]
    if not kept or (weights is not None and sum(weights) <= 0):
        return None, missing
    restricted = Fixed([selector.items[k] for k in kept], weights, built_from=selector.built_from)
    return Method(method.label, restricted, method.estimator), missing


def missing_items_finding(label: str, missing: Sequence[str], n_items: int, item_ids: Sequence[str]) -> HistoryRow:
    """The finding that tonight's benchmark, with these ids, lacks items of a list; it shows an id of each if all are missing."""
    named = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
    text = f"{len(missing)} of the {n_items} items of '{label}' are missing from tonight's benchmark: {named}"
    if len(missing) == n_items:
        text += f" ({ids_hint(missing, item_ids)})"
    return HistoryRow(kind="list_items", text=text, subject=label, value=float(len(missing)))


def rows_at_threshold(table: pa.Table, threshold: float) -> list[dict[str, Any]]:
    """Rows of the table `mdad` at a threshold, on the seen half of the items."""
    return [row for row in table.to_pylist() if row["split"] == "seen" and row["threshold"] == threshold]


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
