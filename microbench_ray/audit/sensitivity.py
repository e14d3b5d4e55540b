"""What the drift rules could have seen on a night: the smallest drops of new models on a subtask that raise an alarm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from microbench_ray.audit.drift_rules import DriftPolicy
from microbench_ray.audit.findings import HistoryRow


class SmallestDrop(NamedTuple):
    """The smallest drops in accuracy on a subtask that raise an alarm on the same night.

    A drop of this size takes models that are otherwise as the baseline's predict to the edge of an interval. As models vary, a
    drop of exactly this size is found on about half of the nights.

    Attributes
    ----------
    subtask
        Its name.
    all_new_models
        The drop of all of tonight's new models, a fraction.
    one_new_model
        The drop of a single one, a fraction; None if no rule is about single models.
    """

    subtask: str
    all_new_models: float
    one_new_model: float | None

    def to_json(self) -> dict[str, Any]:
        """As in verdict.json."""
        return self._asdict()


def smallest_drops(rows: Iterable[HistoryRow], policy: DriftPolicy, actions: Mapping[str, str]) -> list[SmallestDrop]:
    """Find the smallest drops that a night's rules would have found.

    Parameters
    ----------
    rows
        The night's rows of the history.
    policy
        The rules of drift. Rules about several nights in a row raise no alarm on the night itself, and are left out.
    actions
        By kind of finding, its action: if `drift` is only noted or ignored, nothing is found.

    Returns
    -------
    list
        By subtask, in the order of their names; empty without new models, or without intervals for them.
    """
    if actions.get("drift") not in ("fail", "warn"):
        return []
    of_all: dict[str, float] = {}
    of_one: dict[str, float] = {}
    for row in rows:
        rule = policy.rule(row.metric, row.subject, row.subtask) if row.kind == "metric" else None
        if rule is None or rule.nights > 1 or row.reference is None:
            continue
        if row.metric == "residual_new" and row.bound_lo is not None:
            of_all[row.subtask] = max(0.0, row.reference - row.bound_lo)
        elif row.metric == "residual_worst" and row.bound_hi is not None:
            of_one[row.subtask] = max(0.0, row.bound_hi - row.reference)
    return [
        # If all new models drop, so does each of them.
        SmallestDrop(subtask, min(drops[subtask] for drops in (of_all, of_one) if subtask in drops), of_one.get(subtask))
        for subtask in sorted({*of_all, *of_one})
    ]
