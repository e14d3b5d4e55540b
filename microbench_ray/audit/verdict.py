"""The verdict of a night: a status, a headline, and the findings behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.audit.audited_mdad import Subject
from microbench_ray.audit.baseline import AcceptedBenchmark
from microbench_ray.audit.findings import SEVERITIES, worst_severity
from microbench_ray.data.names import escape_controls, first_few

VERSION = 1
STATUS = {"fail": "violated", "warn": "attention", "note": "ok", "": "ok"}
MAX_OF_A_KIND = 5
"""More findings of one kind and severity are summarised in one sentence; the history has each of them."""
FINDING_KEYS = ("kind", "subject", "subtask", "name", "text", "severity", "value", "reference", "bound_lo", "bound_hi")
SUMMARIES = {
    "model_new": "{n} new models: {names}",
    "model_vanished": "{n} models were removed: {names}",
    "model_rescored": "The scores of {n} models changed: {names}",
    "item_new": "{n} new items: {names}",
    "item_vanished": "{n} items were removed: {names}",
    "item_changed": "{n} items changed: {names}",
    "log_failed": "The logs of {n} models could not be read: {names}",
}


class BenchmarkShape(NamedTuple):
    """The name and the size of tonight's benchmark."""

    name: str
    n_models: int
    n_items: int


def build_verdict(
    *,
    night: str,
    benchmark: BenchmarkShape,
    rows: pa.Table,
    subjects: Sequence[Subject],
    changes: Mapping[str, Any],
    baseline: AcceptedBenchmark,
    inputs: Mapping[str, Any],
    failed_cells: int,
) -> dict[str, Any]:
    """Build the content of verdict.json; docs/audit.md describes its keys.

    Parameters
    ----------
    night
        Its label.
    benchmark
        Tonight's benchmark.
    rows
        Tonight's rows of the history.
    subjects, changes
        From `NightAnalysis`.
    baseline
        The accepted baseline.
    inputs
        Digests of everything that the night's results depend on.
    failed_cells
        Number of cells that failed in the night's sweeps.
    """
    reported = [row for row in rows.to_pylist() if row["severity"]]
    findings = group_findings(reported)
    status = STATUS[worst_severity([row["severity"] for row in reported])]
    return {
        "schema": VERSION,
        "night": night,
        "benchmark": benchmark.name,
        "status": status,
        "headline": headline(status, findings, benchmark, failed_cells),
        "findings": findings,
        "subjects": [each.to_json() for each in subjects],
        "changes": dict(changes),
        "baseline": {"night": baseline.night, "digest": baseline.digest},
        "made": {
            "benchmark": {"digest": inputs["benchmark"], "n_models": benchmark.n_models, "n_items": benchmark.n_items},
            "inputs": dict(inputs),
            "failed_cells": failed_cells,
            "versions": {name: version(name) for name in ("microbench-ray", "numpy", "pyarrow")},
        },
    }


def group_findings(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Findings for verdict.json, worst first; many of one kind and severity become one summary."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["severity"], "drift" if row["kind"] == "metric" else row["kind"]), []).append(row)
    findings: list[dict[str, Any]] = []
    for (severity, kind), members in sorted(groups.items(), key=lambda pair: SEVERITIES.index(pair[0][0])):
        if kind in SUMMARIES and len(members) > MAX_OF_A_KIND:
            findings.append(
                {
                    "kind": kind,
                    "subject": "",
                    "subtask": "",
                    "name": "",
                    "text": SUMMARIES[kind].format(n=len(members), names=first_few((row["name"] for row in members), 3)),
                    "severity": severity,
                    "value": float(len(members)),
                    "reference": None,
                    "bound_lo": None,
                    "bound_hi": None,
                }
            )
        else:
            findings += [{key: row[key] for key in FINDING_KEYS} | {"kind": kind} for row in members]
    return findings


def headline(status: str, findings: Sequence[Mapping[str, Any]], benchmark: BenchmarkShape, failed_cells: int) -> str:
    """One line: the worst finding, or that there is none, and the size of the benchmark."""
    shape = f"{escape_controls(benchmark.name)}: {benchmark.n_models:,} models, {benchmark.n_items:,} items"
    failed = f"; {failed_cells:,} cells failed" if failed_cells else ""
    if status == "ok":
        return f"No problems found. {shape}{failed}"
    worst = [each for each in findings if each["severity"] == ("fail" if status == "violated" else "warn")]
    first = worst[0]["text"].rstrip(".")
    more = f", and {len(worst) - 1} more" if len(worst) > 1 else ""
    return f"{first}{more}. {shape}{failed}"
