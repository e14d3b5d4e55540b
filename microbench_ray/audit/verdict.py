"""The verdict of a night: a status, a headline, and the findings behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.audit.audited_mdad import Subject
from microbench_ray.audit.baseline import AcceptedBenchmark
from microbench_ray.audit.drift_rules import METRICS
from microbench_ray.audit.findings import SEVERITIES, worst_severity
from microbench_ray.audit.sensitivity import SmallestDrop
from microbench_ray.data.names import escape_controls, first_few, show_name

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
    """The name and the size of tonight's benchmark, and the number that ranks its models."""

    name: str
    n_models: int
    n_items: int
    truth: str = "micro"


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
    drops: Sequence[SmallestDrop] = (),
) -> dict[str, Any]:
    """Build the content of verdict.json; docs/reference/audit.md describes its keys.

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
    drops
        The smallest drops that the drift rules would have found.
    """
    all_rows = rows.to_pylist()
    reported = [row for row in all_rows if row["severity"]]
    findings = group_findings(reported)
    status = STATUS[worst_severity([row["severity"] for row in reported])]
    return {
        "schema": VERSION,
        "night": night,
        "benchmark": benchmark.name,
        "status": status,
        "headline": headline(
            status, findings, benchmark, failed_cells, drops, unchecked=bool(changes.get("models_new")) and not judges_new(all_rows)
        ),
        "findings": findings,
        "subjects": [each.to_json() for each in subjects],
        "changes": dict(changes),
        "smallest_drops": [each.to_json() for each in drops],
        "baseline": {"night": baseline.night, "digest": baseline.digest},
        "made": {
            "benchmark": {
                "digest": inputs["benchmark"],
                "n_models": benchmark.n_models,
                "n_items": benchmark.n_items,
                **({} if benchmark.truth == "micro" else {"truth": benchmark.truth}),
            },
            "inputs": dict(inputs),
            "failed_cells": failed_cells,
            "versions": {name: version(name) for name in ("microbench-ray", "numpy", "pyarrow")},
        },
    }


def group_findings(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Findings for verdict.json, worst first; many of one kind and severity become one summary.

    Findings about drift are ordered by how far they are outside. When new models fail on one subtask, their accuracy on the others
    is higher than predicted, which is less far outside than the failure itself.
    """
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
            ordered = sorted(members, key=excess, reverse=True) if kind == "drift" else members
            findings += [{key: row[key] for key in FINDING_KEYS} | {"kind": kind} for row in ordered]
    return findings


def excess(row: Mapping[str, Any]) -> float:
    """How far the value of a row about drift is from its reference, as a multiple of the distance of the bound on that side.

    At least 1 for a value outside; infinite for a row without a metric, which is about the whole night; 1 for an MDAD that is never
    reached.
    """
    value, reference = row["value"], row["reference"]
    if row["kind"] != "metric":
        return math.inf
    if value is None or reference is None:
        return 1.0
    bound = row["bound_lo"] if value < reference else row["bound_hi"]
    return abs(value - reference) / max(abs(bound - reference), 1e-9) if bound is not None else 1.0


def judges_new(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a rule of drift judged tonight's new models."""
    return any(
        row["kind"] == "metric"
        and row["metric"] in METRICS
        and METRICS[row["metric"]].family == "new"
        and (row["bound_lo"], row["bound_hi"]) != (None, None)
        for row in rows
    )


def headline(
    status: str,
    findings: Sequence[Mapping[str, Any]],
    benchmark: BenchmarkShape,
    failed_cells: int,
    drops: Sequence[SmallestDrop] = (),
    *,
    unchecked: bool = False,
) -> str:
    """One line: the worst finding, or that there is none and what may have gone unseen, and the size of the benchmark.

    `unchecked` says that no rule of drift judged tonight's new models.
    """
    shape = f"{escape_controls(benchmark.name)}: {benchmark.n_models:,} models, {benchmark.n_items:,} items"
    if benchmark.truth != "micro":
        shape += f", truth={benchmark.truth}"
    failed = f"; {failed_cells:,} cells failed" if failed_cells else ""
    if status == "ok":
        unseen = "; tonight's new models were not checked for drift" if unchecked else ""
        if drops:
            worst_drop = max(drops, key=lambda drop: drop.all_new_models)
            unseen = (
                f"; drops of tonight's new models in one subtask of up to {100 * worst_drop.all_new_models:.1f} points "
                f"('{show_name(worst_drop.subtask)}') may go unseen"
            )
        return f"No problems found. {shape}{failed}{unseen}"
    worst = [each for each in findings if each["severity"] == ("fail" if status == "violated" else "warn")]
    first = worst[0]["text"].rstrip(".")
    more = f", and {len(worst) - 1} more" if len(worst) > 1 else ""
    return f"{first}{more}. {shape}{failed}"
