"""What an audit says in the morning: a status, a sentence, and what it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from microbench_ray.audit.baseline import Accepted
from microbench_ray.audit.findings import SEVERITIES, gravest
from microbench_ray.data.names import first_few

VERSION = 1
STATUS = {"fail": "violated", "warn": "attention", "note": "ok", "": "ok"}
MAX_OF_A_KIND = 5
"""More findings of one kind are said in one sentence: the history has each."""
ABOUT = ("kind", "subject", "subtask", "name", "text", "severity", "value", "reference", "bound_lo", "bound_hi")
MANY = {
    "model_new": "{n} models are new: {names}",
    "model_vanished": "{n} models have vanished: {names}",
    "model_rescored": "{n} models were scored again: {names}",
    "item_new": "{n} items are new: {names}",
    "item_vanished": "{n} items have vanished: {names}",
    "item_changed": "{n} items are others than before: {names}",
    "log_failed": "the logs of {n} models could not be read: {names}",
}


def verdict(
    night: str,
    benchmark: tuple[str, int, int],
    rows: pa.Table,
    subjects: Sequence[Mapping[str, Any]],
    changes: Mapping[str, Any],
    baseline: Accepted,
    inputs: Mapping[str, Any],
    failed_cells: int,
) -> dict[str, Any]:
    """The content of verdict.json; docs/audit.md says what each key is.

    Parameters
    ----------
    night
        Its label.
    benchmark
        Name, number of models, number of items.
    rows
        Tonight's rows of the history.
    subjects, changes
        Of `night_look.NightAnalysis`.
    baseline
        What was accepted.
    inputs
        Digests of what the night was made from.
    failed_cells
        Cells of its sweeps that failed.
    """
    told = [row for row in rows.to_pylist() if row["severity"]]
    findings = joined(told)
    status = STATUS[gravest(told)]
    return {
        "schema": VERSION,
        "night": night,
        "benchmark": benchmark[0],
        "status": status,
        "headline": headline(status, findings, len(subjects), benchmark, failed_cells),
        "findings": findings,
        "subjects": [dict(each) for each in subjects],
        "changes": dict(changes),
        "baseline": {"night": baseline.night, "digest": baseline.digest},
        "made": {
            "benchmark": {"digest": inputs["benchmark"], "n_models": benchmark[1], "n_items": benchmark[2]},
            "inputs": dict(inputs),
            "failed_cells": failed_cells,
            "versions": {name: version(name) for name in ("microbench-ray", "numpy", "pyarrow")},
        },
    }


def joined(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Findings, the gravest first; many of one kind and severity as one sentence."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["severity"], "drift" if row["kind"] == "metric" else row["kind"]), []).append(row)
    found = []
    for (severity, kind), some in sorted(groups.items(), key=lambda pair: SEVERITIES.index(pair[0][0])):
        if kind in MANY and len(some) > MAX_OF_A_KIND:
            text = MANY[kind].format(n=len(some), names=first_few((row["name"] for row in some), 3))
            blank = dict.fromkeys(ABOUT) | {"subject": "", "subtask": "", "name": ""}
            found.append(
                blank | {"kind": kind, "severity": severity, "text": text[0].upper() + text[1:], "value": float(len(some))}
            )
        else:
            found += [{key: row[key] for key in ABOUT} | {"kind": kind} for row in some]
    return found


def headline(
    status: str, findings: Sequence[Mapping[str, Any]], n_subjects: int, benchmark: tuple[str, int, int], failed_cells: int
) -> str:
    """The one sentence."""
    name, n_models, n_items = benchmark
    about = f"{name}: {n_models:,} models, {n_items:,} items"
    failed = f"; {failed_cells:,} cells failed" if failed_cells else ""
    if status == "ok":
        return f"Nothing to worry about. {about}{failed}"
    grave = [each for each in findings if each["severity"] == ("fail" if status == "violated" else "warn")]
    first = grave[0]["text"].rstrip(".")
    more = f", and {len(grave) - 1} more" if len(grave) > 1 else ""
    return f"{first}{more}. {about}{failed}"
