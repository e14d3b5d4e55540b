"""Analyses a night: lists, methods, ranks, drift, changes and items, as rows of the history and as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.audit.audited_mdad import (
    AuditedMdad,
    GroupMdad,
    Subject,
    fixed_of,
    missing_items_finding,
    restrict_list,
    rows_at_threshold,
)
from microbench_ray.audit.board_ranks import board_ranks
from microbench_ray.audit.changes import Snapshot, compare_snapshots
from microbench_ray.audit.drift_findings import drift_rows
from microbench_ray.audit.extrapolation import group_mdad
from microbench_ray.audit.findings import HistoryRow
from microbench_ray.audit.items import count_missing_responses, item_statistics
from microbench_ray.audit.job import AuditJob
from microbench_ray.audit.profile import Profile, profile
from microbench_ray.audit.ranks import leaderboard, share_of_close_neighbours
from microbench_ray.audit.sweeps import AuditTables, Sweeper, sweep_all
from microbench_ray.core import seeding
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data import Benchmark
from microbench_ray.data.names import first_few
from microbench_ray.data.shifted_groups import MIN_TARGETS, ShiftedGroup, shifted_groups
from microbench_ray.methods import Method
from microbench_ray.metrics.items_needed import items_needed, items_needed_by_curve
from microbench_ray.sweeps.bounds import count_seen

CHANGE_KINDS = ("model_new", "model_vanished", "model_rescored", "item_new", "item_vanished", "item_changed")


@dataclass(frozen=True)
class PreviousNights:
    """What tonight is compared with.

    Attributes
    ----------
    baseline, pool
        The accepted benchmarks.
    last
        The benchmark and the snapshot of the last night; None on the first night.
    history
        Rows of the earlier nights.
    baseline_night
        Label of the night of the baseline.
    """

    baseline: Benchmark
    pool: Benchmark
    last: tuple[Benchmark, Snapshot] | None
    history: pa.Table
    baseline_night: str


@dataclass(frozen=True)
class NightAnalysis:
    """The results of a night.

    Attributes
    ----------
    rows
        Rows of the history; only those about drift have a severity yet.
    subjects, changes
        For verdict.json.
    tables
        `mdad`, `agreement`, `summary` and `failures` of lists and methods, `leaderboard`, `board_ranks` and `item_statistics`.
    failed_cells
        Number of cells that failed.
    """

    rows: list[HistoryRow]
    subjects: list[Subject]
    changes: dict[str, Any]
    tables: dict[str, pa.Table]
    failed_cells: int


def analyse_night(
    job: AuditJob, tonight: Benchmark, snapshot: Snapshot, previous: PreviousNights, sweeper: Sweeper
) -> NightAnalysis:
    """Analyse a night; the result depends only on the arguments.

    Raises
    ------
    GridError
        The grid does not fit the pool.
    """
    lists, rows = restrict_lists(job.lists, tonight)
    rows += [HistoryRow(kind="board", text=note) for note in tonight.notes]
    tonight_profile = profile(tonight, {method.label: fixed_of(method) for method in lists})
    pool_groups = extrapolation_groups(job, previous.pool) if job.methods else []
    swept = sweep_all(sweeper, tonight=tonight, lists=lists, pool=previous.pool, methods=job.methods, groups=pool_groups)
    audited_lists, list_rows = analyse_lists(job, tonight, tonight_profile, lists, swept)
    audited_methods, method_rows = analyse_methods(job, previous.pool, swept)
    last_models = previous.baseline.model_ids if previous.last is None else previous.last[0].model_ids
    added = set(tonight.model_ids) - set(previous.baseline.model_ids)
    boards = [_leaderboard(job, tonight_profile, subject, added) for subject in audited_lists]
    audited_lists = [_with_ties(subject, board) for subject, board in zip(audited_lists, boards, strict=True)]
    change_rows, change_counts = find_changes(tonight, snapshot, previous)
    statistics = item_statistics(tonight)
    item_rows, item_counts = analyse_items(tonight, statistics, job.max_missing_share)
    rows += [
        *list_rows,
        *method_rows,
        *drift_rows(
            job,
            tonight=tonight,
            baseline=previous.baseline,
            # Nights in a row count from the baseline on.
            earlier=previous.history.filter(pc.greater(previous.history["night"], previous.baseline_night)),
            lists=lists,
            new=set(tonight.model_ids) - set(last_models),
        ),
        *change_rows,
        *item_rows,
    ]
    tables = {
        **swept.tables,
        "leaderboard": pa.concat_tables([SCHEMAS["leaderboard"].empty_table(), *boards]),
        "board_ranks": board_ranks(tonight, seeding.rank_stream(job.seed, tonight.name, "")),
        "item_statistics": statistics,
    }
    return NightAnalysis(
        rows=rows,
        subjects=[*audited_lists, *audited_methods],
        changes=change_counts | item_counts,
        tables=tables,
        failed_cells=swept.failed_cells,
    )


def restrict_lists(lists: Sequence[Method], tonight: Benchmark) -> tuple[list[Method], list[HistoryRow]]:
    """Restrict the lists to tonight's items; with a finding for each list that misses some."""
    restricted, rows = [], []
    for method in lists:
        present, missing = restrict_list(method, list(tonight.item_ids))
        if missing:
            rows.append(missing_items_finding(method.label, missing, len(fixed_of(method).items), list(tonight.item_ids)))
        if present is not None:
            restricted.append(present)
    return restricted, rows


def analyse_lists(
    job: AuditJob, tonight: Benchmark, tonight_profile: Profile, lists: Sequence[Method], swept: AuditTables
) -> tuple[list[Subject], list[HistoryRow]]:
    """The MDAD of every list, on all models and on groups of models unlike the others."""
    subjects: list[Subject] = []
    rows: list[HistoryRow] = []
    threshold = job.rules.thresholds[0]
    groups = extrapolation_groups(job, tonight)
    mdad_rows = {row["method"]: row for row in rows_at_threshold(swept.tables["mdad"], threshold)} if lists else {}
    for method in lists:
        label, size = method.label, len(fixed_of(method).items)
        mdad = AuditedMdad.from_row(mdad_rows[label]) if label in mdad_rows else AuditedMdad()
        extrapolation = []
        for group in groups:
            targets = np.setdiff1d(group.targets, np.flatnonzero(np.isnan(tonight_profile.estimates[label][:, 0])))
            if targets.size < MIN_TARGETS:
                continue
            value = AuditedMdad.from_mdad(
                group_mdad(
                    tonight_profile,
                    label,
                    targets,
                    seeding.stream(job.seed, "audit", tonight_profile.benchmark, label, group.label),
                    threshold=threshold,
                    tie_policy=job.rules.tie_policy,
                    n_resamples=job.rules.n_resamples,
                )
            )
            extrapolation.append(GroupMdad(group=group.label, n_models=int(targets.size), mdad=value))
            rows.append(_mdad_row("extrapolation", label, size, value, name=group.label))
        rows += [_mdad_row("mdad_list", label, size, mdad), *check_max_mdad(job, label, size, mdad)]
        subjects.append(
            Subject(
                label=label,
                size=size,
                mdad=mdad,
                target_difference=job.target_difference,
                items_needed=items_needed(job.target_difference, mdad.value, size, tonight.n_items),
                extrapolation=tuple(extrapolation),
            )
        )
    return subjects, rows


def analyse_methods(job: AuditJob, pool: Benchmark, swept: AuditTables) -> tuple[list[Subject], list[HistoryRow]]:
    """The MDAD of every method and size, on targets drawn from the pool and on groups of targets unlike the sources."""
    if not job.methods:
        return [], []
    threshold, labels = job.rules.thresholds[0], {method.label for method in job.methods}
    n_seen = count_seen(pool.subtask_codes, job.grid.unseen)
    rows: list[HistoryRow] = []
    extrapolation: dict[tuple[str, int, int], list[GroupMdad]] = {}
    for group, table in swept.extrapolation.items():
        for row in rows_at_threshold(table, threshold):
            value = AuditedMdad.from_row(row)
            extrapolation.setdefault((row["method"], row["size"], row["n_source"]), []).append(
                GroupMdad(group=group, n_models=row["n_target"], mdad=value)
            )
            rows.append(_mdad_row("extrapolation", row["method"], row["size"], value, name=f"n_source={row['n_source']}, {group}"))
    subjects = []
    mdad_rows = [row for row in rows_at_threshold(swept.tables["mdad"], threshold) if row["method"] in labels]
    for row in mdad_rows:
        label, size, n_source, value = row["method"], row["size"], row["n_source"], AuditedMdad.from_row(row)
        curve = {
            each["size"]: each["mdad_monotone"] for each in mdad_rows if (each["method"], each["n_source"]) == (label, n_source)
        }
        rows.append(_mdad_row("mdad_method", label, size, value, name=f"n_source={n_source}"))
        if size == max(curve):
            rows += check_max_mdad(job, label, size, value)
        subjects.append(
            Subject(
                label=label,
                size=size,
                mdad=value,
                target_difference=job.target_difference,
                items_needed=items_needed_by_curve(job.target_difference, curve.items(), n_seen),
                extrapolation=tuple(extrapolation.get((label, size, n_source), ())),
            )
        )
    return subjects, rows


def check_max_mdad(job: AuditJob, label: str, size: int, mdad: AuditedMdad) -> list[HistoryRow]:
    """The finding that an MDAD is above its limit, interval included, so that noise alone does not cause it."""
    limit = job.max_mdad.get(label)
    if limit is None or (mdad.value is not None and (mdad.value <= limit or (mdad.ci_lo is not None and mdad.ci_lo <= limit))):
        return []
    shown = "is never reached" if mdad.value is None else f"is {_points(mdad.value)} points"
    return [
        HistoryRow(
            kind="mdad",
            text=f"The MDAD of '{label}' with {size} items {shown}; at most {_points(limit)} is allowed",
            subject=label,
            size=size,
            value=mdad.value,
            ci_lo=mdad.ci_lo,
            ci_hi=mdad.ci_hi,
            bound_hi=limit,
        )
    ]


def find_changes(tonight: Benchmark, snapshot: Snapshot, previous: PreviousNights) -> tuple[list[HistoryRow], dict[str, Any]]:
    """Models and items that are new, removed or different since the last night; and counts by kind."""
    if previous.last is None:
        return [], {plural(kind): 0 for kind in CHANGE_KINDS}
    last_benchmark, last_snapshot = previous.last
    rows = [
        HistoryRow(
            kind=row["kind"],
            text=change_text(row),
            subtask=row["subtask"],
            metric="accuracy" if row["kind"].startswith("model") else "",
            name=row["name"],
            value=row["value"],
            reference=row["reference"],
        )
        for row in compare_snapshots(last_snapshot, snapshot, (last_benchmark, tonight)).to_pylist()
    ]
    return rows, {plural(kind): sum(row.kind == kind for row in rows) for kind in CHANGE_KINDS}


def change_text(row: Mapping[str, Any]) -> str:
    """The sentence for a change."""
    what, _, change = row["kind"].partition("_")
    if row["kind"] == "model_rescored":
        count = "" if row["n_changed"] is None else f"{row['n_changed']:,} responses; "
        return f"Scores of model '{row['name']}' changed: {count}accuracy {_points(row['reference'])} → {_points(row['value'])}"
    accuracy = row["value"] if row["value"] is not None else row["reference"]
    details = f" (accuracy {_points(accuracy)})" if accuracy is not None else f" in '{row['subtask']}'" if row["subtask"] else ""
    verb = {"new": "is new", "vanished": "was removed", "changed": "changed"}[change]
    return f"{what.capitalize()} '{row['name']}'{details} {verb}"


def analyse_items(tonight: Benchmark, statistics: pa.Table, max_missing_share: float) -> tuple[list[HistoryRow], dict[str, Any]]:
    """Findings about missing responses and about items without information or with a negative discrimination; and counts."""
    missing = count_missing_responses(tonight)
    missing_share = missing.total / (tonight.n_models * tonight.n_items)
    table = statistics.select(["item_id", "dead", "negative"]).to_pydict()
    dead = [item for item, kind in zip(table["item_id"], table["dead"], strict=True) if kind]
    negative = [item for item, flagged in zip(table["item_id"], table["negative"], strict=True) if flagged]
    rows: list[HistoryRow] = []
    if missing_share > max_missing_share:
        subtask, count = max(missing.by_subtask.items(), key=lambda pair: pair[1])
        rows.append(
            HistoryRow(
                kind="missing",
                text=f"{missing_share:.1%} of the responses are missing, most of them in '{subtask}' ({count:,})",
                metric="missing_share",
                value=missing_share,
                bound_hi=max_missing_share,
            )
        )
    for kind, items, about in (
        ("item_dead", dead, "with the same score for every model"),
        ("item_negative", negative, "that weaker models answer correctly more often than stronger ones"),
    ):
        if items:
            text = f"{len(items):,} item{'s' * (len(items) != 1)} {about}: {first_few(items)}"
            rows.append(HistoryRow(kind=kind, text=text, metric="count", value=float(len(items))))
    counts = {"n_models": tonight.n_models, "n_items": tonight.n_items, "missing_share": missing_share}
    rows += [HistoryRow(kind="count", metric=metric, value=float(value)) for metric, value in counts.items()]
    return rows, {"missing": missing_share, "items_dead": len(dead), "items_negative": len(negative)}


def extrapolation_groups(job: AuditJob, benchmark: Benchmark) -> list[ShiftedGroup]:
    """The groups of targets unlike the other models, without skipped ones."""
    asked = job.extrapolation
    groups = shifted_groups(benchmark, best=asked.best, newer_than=asked.newer, families=asked.families)
    return [group for group in groups if not group.skipped]


def plural(kind: str) -> str:
    """The key that counts a kind of change in verdict.json: `models_new` for `model_new`."""
    what, _, change = kind.partition("_")
    return f"{what}s_{change}"


def _leaderboard(job: AuditJob, tonight: Profile, subject: Subject, added: set[str]) -> pa.Table:
    rng = seeding.rank_stream(job.seed, tonight.benchmark, subject.label)
    return leaderboard(tonight, subject.label, subject.mdad.value, top_k=job.top_k, rng=rng, new=added)


def _with_ties(subject: Subject, board: pa.Table) -> Subject:
    share = share_of_close_neighbours(board["accuracy"].to_numpy(), subject.mdad.value)
    return replace(subject, n_tie_groups=len(board["tie_group"].unique()), pairs_unordered=None if math.isnan(share) else share)


def _mdad_row(kind: str, label: str, size: int, mdad: AuditedMdad, name: str = "") -> HistoryRow:
    return HistoryRow(
        kind=kind,
        subject=label,
        size=size,
        metric="mdad_monotone",
        name=name,
        value=mdad.value,
        ci_lo=mdad.ci_lo,
        ci_hi=mdad.ci_hi,
    )


def _points(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f}"
