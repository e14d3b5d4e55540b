"""Rows of the history, and the severity that the policy gives to each kind of finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from microbench_ray.core.errors import unknown
from microbench_ray.data.names import escape_controls

DEFAULT_ACTIONS: Mapping[str, str] = {
    "drift": "fail",
    "mdad": "fail",
    "log_failed": "warn",
    "board": "warn",
    "list_items": "fail",
    "model_new": "note",
    "model_vanished": "warn",
    "model_rescored": "warn",
    "item_new": "note",
    "item_vanished": "warn",
    "item_changed": "fail",
    "missing": "warn",
    "item_dead": "note",
    "item_negative": "note",
}
"""By kind of finding: its action. The action of `drift` caps the severities of the drift rules."""

ACTIONS = ("fail", "warn", "note", "ignore")
SEVERITIES = ("fail", "warn", "note", "")
"""From worst to none."""


@dataclass(frozen=True)
class HistoryRow:
    """A row of the history without its night: a metric, or a finding with a text. Columns as in `schemas.py`, `history`."""

    kind: str
    text: str = ""
    severity: str = ""
    subject: str = ""
    size: int | None = None
    subtask: str = ""
    metric: str = ""
    name: str = ""
    value: float | None = None
    ci_lo: float | None = None
    ci_hi: float | None = None
    reference: float | None = None
    bound_lo: float | None = None
    bound_hi: float | None = None
    nights: int | None = None


def check_actions(actions: Mapping[str, str]) -> Mapping[str, str]:
    """Return the actions; ConfigError for an unknown kind or action."""
    for kind, action in actions.items():
        if kind not in DEFAULT_ACTIONS:
            raise unknown("kind of finding", "policy", kind, DEFAULT_ACTIONS)
        if action not in ACTIONS:
            raise unknown("action", f"policy.{kind}", action, ACTIONS)
    return actions


def assign_severities(rows: Iterable[HistoryRow], actions: Mapping[str, str]) -> list[HistoryRow]:
    """Give each row the severity of its kind's action; rows of kinds without an action are unchanged.

    Unprintable characters in the texts are escaped.

    A row about drift keeps the severity of its rule, capped at that of the action for `drift`.
    """
    assigned = []
    for row in rows:
        row = replace(row, text=escape_controls(row.text))  # otherwise a line break in a name starts a new line
        is_drift = row.kind in ("metric", "drift")
        action = actions.get("drift" if is_drift else row.kind)
        if action is None or (is_drift and not row.severity):
            assigned.append(row)
            continue
        cap = "" if action == "ignore" else action
        severity = max(row.severity, cap, key=SEVERITIES.index) if is_drift else cap
        assigned.append(replace(row, severity=severity))
    return assigned


def worst_severity(severities: Sequence[str]) -> str:
    """The worst of some severities; empty if there are none."""
    return min(severities, key=SEVERITIES.index, default="")
