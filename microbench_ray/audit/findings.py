"""What an audit found, as rows of the history, and what each kind of finding does to the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from microbench_ray.core.errors import ConfigError

Row = dict[str, Any]

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
"""By kind of finding: what it does. `drift` holds for all rules of drift, each of which has a severity of its own."""

ACTIONS = ("fail", "warn", "note", "ignore")
SEVERITIES = ("fail", "warn", "note", "")
"""From the gravest on."""


def check_actions(actions: Mapping[str, str]) -> Mapping[str, str]:
    """The actions themselves; ConfigError for an unknown kind or action."""
    for kind, action in actions.items():
        if kind not in DEFAULT_ACTIONS:
            raise ConfigError(
                "Unknown kind of finding.", where="policy", got=kind, hint=f"kinds: {', '.join(sorted(DEFAULT_ACTIONS))}"
            )
        if action not in ACTIONS:
            raise ConfigError("Unknown action.", where=f"policy.{kind}", got=action, hint=f"one of {', '.join(ACTIONS)}")
    return actions


def finding(kind: str, text: str, **about: Any) -> Row:
    """A row of the history about something that happened; its severity comes later."""
    return {"kind": kind, "text": text, **about}


def judged(rows: Iterable[Mapping[str, Any]], actions: Mapping[str, str]) -> list[Row]:
    """Rows with their severities: a rule of drift keeps its own, at most that of `drift`; others have that of their kind.

    Rows of kinds without an action stay as they are.
    """
    found = []
    for row in rows:
        kind = "drift" if row["kind"] == "metric" else row["kind"]
        action = actions.get(kind)
        if action is None or (kind == "drift" and not row["severity"]):
            found.append(dict(row))
            continue
        own = SEVERITIES.index(row["severity"]) if kind == "drift" else 0
        most = SEVERITIES.index("" if action == "ignore" else action)
        found.append(dict(row) | {"severity": SEVERITIES[max(own, most)]})
    return found


def gravest(rows: Iterable[Mapping[str, Any]]) -> str:
    """The gravest severity among the rows; empty where there is none."""
    return SEVERITIES[min((SEVERITIES.index(row.get("severity") or "") for row in rows), default=len(SEVERITIES) - 1)]
