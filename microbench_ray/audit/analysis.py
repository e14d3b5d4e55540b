"""What is looked at in a night: lists and methods, ranks, drift, what changed, items; as rows of the history and as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from microbench_ray.audit.audited_mdad import Detectable, among, detectable, fitting, lacking_items, table_mdads
from microbench_ray.audit.changes import Snapshot, changes
from microbench_ray.audit.drift_findings import drift_rows
from microbench_ray.audit.extrapolation import mdad_among
from microbench_ray.audit.findings import Row, finding
from microbench_ray.audit.items import item_statistics, missing
from microbench_ray.audit.job import AuditJob
from microbench_ray.audit.profile import Profile, profile
from microbench_ray.audit.ranks import leaderboard, share_of_close_neighbours
from microbench_ray.audit.sweeps import Sweeper, Swept, sweep_all
from microbench_ray.core import seeding
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data import Benchmark
from microbench_ray.data.names import first_few
from microbench_ray.data.shifted_groups import MIN_TARGETS, Group, shifted_groups
from microbench_ray.methods import Method
from microbench_ray.methods.selectors.fixed import Fixed
from microbench_ray.metrics.items_needed import items_needed, items_needed_by_curve
from microbench_ray.sweeps.shards import count_seen


@dataclass(frozen=True)
class PreviousNights:
    """What tonight is compared with.

    Attributes
    ----------
    baseline, pool
        As they were accepted.
    last
        The last night's benchmark and what its logs told of items; None on the first night.
    history
        The rows of the nights before.
    accepted
        The night that the baseline is of.
    """

    baseline: Benchmark
    pool: Benchmark
    last: tuple[Benchmark, Snapshot] | None
    history: pa.Table
    accepted: str


@dataclass(frozen=True)
class NightAnalysis:
    """What was seen.

    Attributes
    ----------
    rows
        Of the history, without severities but those of drift.
    subjects, changes
        For the verdict.
    tables
        `mdad`, `agreement`, `summary` and `failures` of lists and methods, `leaderboard` and `item_statistics`.
    failed
        Cells that failed.
    """

    rows: list[Row]
    subjects: list[dict[str, Any]]
    changes: dict[str, Any]
    tables: dict[str, pa.Table]
    failed: int


def analyse_night(
    audit: AuditJob, tonight: Benchmark, snapshot: Snapshot, earlier: PreviousNights, sweeper: Sweeper
) -> NightAnalysis:
    """Look at a night. The same night, with the same earlier ones, looks the same."""
    lists, rows = present_lists(audit.lists, tonight)
    rows += [finding("board", note) for note in tonight.notes]
    tonight_profile = profile(tonight, {method.label: _fixed(method) for method in lists})
    of_pool = unlike(audit, earlier.pool) if audit.methods else []
    swept = sweep_all(sweeper, tonight, lists, earlier.pool, audit.methods, [(g.label, g.names) for g in of_pool if not g.left_out])
    subjects, more = list_subjects(audit, tonight, tonight_profile, lists, swept)
    rows += more
    on_methods, more = method_subjects(audit, earlier.pool, swept)
    rows += more
    new = set(tonight.model_ids) - set(earlier.baseline.model_ids if earlier.last is None else earlier.last[0].model_ids)
    added = set(tonight.model_ids) - set(earlier.baseline.model_ids)
    boards = [_board(audit, tonight_profile, each, added) for each in subjects]
    for each, board in zip(subjects, boards, strict=True):
        each |= _ties(board, each["mdad"])
    happened, counts = what_changed(tonight, snapshot, earlier)
    statistics = item_statistics(tonight)
    more, about_items = item_rows(tonight, statistics, audit.max_missing_share)
    since = earlier.history.filter(pc.greater(earlier.history["night"], earlier.accepted))  # nights running, of this baseline
    rows += [*drift_rows(audit, tonight, earlier.baseline, since, lists, new), *happened, *more]
    tables = {
        **swept.tables,
        "leaderboard": pa.concat_tables([SCHEMAS["leaderboard"].empty_table(), *boards]),
        "item_statistics": statistics,
    }
    return NightAnalysis(rows, [*subjects, *on_methods], counts | about_items, tables, swept.failed)


def present_lists(lists: Sequence[Method], tonight: Benchmark) -> tuple[list[Method], list[Row]]:
    """The lists as far as tonight's benchmark has their items, and findings about items that it has not."""
    kept, rows = [], []
    for method in lists:
        found, gone = fitting(method, list(tonight.item_ids))
        if gone:
            rows.append(lacking_items(method.label, gone, len(_fixed(method).items)))
        if found is not None:
            kept.append(found)
    return kept, rows


def list_subjects(
    audit: AuditJob, tonight: Benchmark, whole: Profile, lists: Sequence[Method], swept: Swept
) -> tuple[list[dict[str, Any]], list[Row]]:
    """Of every list, its MDAD on all models and on those unlike the others."""
    subjects: list[dict[str, Any]] = []
    rows: list[Row] = []
    apart_from = unlike(audit, tonight)
    found = {row["method"]: row for row in table_mdads(swept.tables["mdad"], audit.rules.thresholds[0])} if lists else {}
    for method in lists:
        size = len(_fixed(method).items)
        usual = detectable(found[method.label]) if method.label in found else Detectable(None, None, None)
        apart = []
        for group in apart_from:
            targets = np.setdiff1d(group.targets, np.flatnonzero(np.isnan(whole.estimates[method.label][:, 0])))
            if group.left_out or targets.size < MIN_TARGETS:
                continue
            rng = seeding.stream(audit.seed, "audit", whole.benchmark, method.label, group.label)
            value = among(
                mdad_among(
                    whole,
                    method.label,
                    targets,
                    rng,
                    threshold=audit.rules.thresholds[0],
                    tie_policy=audit.rules.tie_policy,
                    n_resamples=audit.rules.n_resamples,
                )
            )
            apart.append({"group": group.label, "n_models": int(targets.size), **_interval(value)})
            rows.append(_metric("extrapolation", method.label, size, value, group.label))
        needed = items_needed(audit.wanted, usual.value, size, tonight.n_items)
        rows += [_metric("mdad_list", method.label, size, usual), *over_limit(audit, method.label, size, usual)]
        subjects.append(_subject(audit, method.label, size, usual, needed, apart))
    return subjects, rows


def method_subjects(audit: AuditJob, pool: Benchmark, swept: Swept) -> tuple[list[dict[str, Any]], list[Row]]:
    """Of every method and size, its MDAD on targets drawn from the pool and on those unlike the sources."""
    if not audit.methods:
        return [], []
    threshold, labels = audit.rules.thresholds[0], {method.label for method in audit.methods}
    n_seen = count_seen(pool.subtask_codes, audit.grid.unseen)
    key = ("method", "size", "n_source")
    usual = [row for row in table_mdads(swept.tables["mdad"], threshold) if row["method"] in labels]
    apart: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    rows: list[Row] = []
    for group, table in swept.unlike.items():
        for row in table_mdads(table, threshold):
            value = detectable(row)
            apart.setdefault(tuple(row[each] for each in key), []).append(
                {"group": group, "n_models": row["n_target"], **_interval(value)}
            )
            rows.append(_metric("extrapolation", row["method"], row["size"], value, _named(row, group)))
    subjects = []
    for row in usual:
        value = detectable(row)
        curve = {each["size"]: each["mdad_monotone"] for each in usual if all(each[k] == row[k] for k in ("method", "n_source"))}
        needed = items_needed_by_curve(audit.wanted, curve.items(), n_seen)
        rows.append(_metric("mdad_method", row["method"], row["size"], value, _named(row)))
        largest = row["size"] == max(curve)
        rows += over_limit(audit, row["method"], row["size"], value) if largest else []
        subjects.append(_subject(audit, row["method"], row["size"], value, needed, apart.get(tuple(row[k] for k in key), [])))
    return subjects, rows


def over_limit(audit: AuditJob, label: str, size: int, value: Detectable) -> list[Row]:
    """The finding that an MDAD is larger than allowed, if it is: beyond its interval, so that noise is none."""
    limit = audit.limits.get(label)
    if limit is None or (value.value is not None and (value.value <= limit or (value.lo is not None and value.lo <= limit))):
        return []
    said = "is never reached" if value.value is None else f"is {100 * value.value:.1f} points"
    text = f"The MDAD of '{label}' with {size} items {said}; {100 * limit:.1f} are allowed"
    return [finding("mdad", text, subject=label, size=size, value=value.value, ci_lo=value.lo, ci_hi=value.hi, bound_hi=limit)]


def what_changed(tonight: Benchmark, snapshot: Snapshot, earlier: PreviousNights) -> tuple[list[Row], dict[str, Any]]:
    """Models and items that are new, gone or not what they were, since the last night."""
    names = ("model_new", "model_vanished", "model_rescored", "item_new", "item_vanished", "item_changed")
    if earlier.last is None:
        return [], {plural(name): 0 for name in names}
    benchmark, before = earlier.last
    rows = [
        finding(
            row["kind"],
            changed_text(row),
            name=row["name"],
            subtask=row["subtask"],
            metric="accuracy" if row["kind"].startswith("model") else "",
            value=row["value"],
            reference=row["reference"],
        )
        for row in changes(before, snapshot, (benchmark, tonight)).to_pylist()
    ]
    return rows, {plural(name): sum(row["kind"] == name for row in rows) for name in names}


def changed_text(row: Mapping[str, Any]) -> str:
    """The sentence about a change."""
    what, _, how = row["kind"].partition("_")
    if row["kind"] == "model_rescored":
        count = "" if row["n_changed"] is None else f"{row['n_changed']} responses changed, "
        accuracy = f"accuracy {_points(row['reference'])} before, {_points(row['value'])} now"
        return f"Model '{row['name']}' was scored again: {count}{accuracy}"
    known = row["value"] if row["value"] is not None else row["reference"]
    more = f" (accuracy {_points(known)})" if known is not None else f" in '{row['subtask']}'" if row["subtask"] else ""
    said = {"new": "is new", "vanished": "has vanished", "changed": "is another than before"}[how]
    return f"{what.capitalize()} '{row['name']}'{more} {said}"


def item_rows(tonight: Benchmark, statistics: pa.Table, most_missing: float) -> tuple[list[Row], dict[str, Any]]:
    """Findings about missing responses, and about items that say nothing or the wrong thing."""
    absent = missing(tonight)
    share = absent.total / (tonight.n_models * tonight.n_items)
    table = statistics.select(["item_id", "dead", "negative"]).to_pydict()
    dead = [item for item, kind in zip(table["item_id"], table["dead"], strict=True) if kind]
    negative = [item for item, is_so in zip(table["item_id"], table["negative"], strict=True) if is_so]
    rows: list[Row] = []
    if share > most_missing:
        worst = sorted(absent.by_subtask.items(), key=lambda pair: -pair[1])[0]
        text = f"{share:.1%} of the responses are missing, most in '{worst[0]}' ({worst[1]:,})"
        rows.append(finding("missing", text, metric="missing_share", value=share, bound_hi=most_missing))
    for kind, names, said in (
        ("item_dead", dead, "say nothing (all right or all wrong)"),
        ("item_negative", negative, "are got right by the worse models rather than the better ones"),
    ):
        if names:
            rows.append(finding(kind, f"{len(names)} items {said}: {first_few(names)}", metric="count", value=float(len(names))))
    counts = {"n_models": tonight.n_models, "n_items": tonight.n_items, "missing_share": share}
    rows += [{"kind": "count", "metric": name, "value": float(value)} for name, value in counts.items()]
    return rows, {"missing": share, "items_dead": len(dead), "items_negative": len(negative)}


def unlike(audit: AuditJob, benchmark: Benchmark) -> list[Group]:
    """The groups of targets unlike the other models."""
    asked = audit.unlike
    return shifted_groups(benchmark, best=asked.best, newer_than=asked.newer, families=asked.families)


def _board(audit: AuditJob, whole: Profile, subject: Mapping[str, Any], added: set[str]) -> pa.Table:
    rng = seeding.rank_stream(audit.seed, whole.benchmark, subject["label"])
    return leaderboard(whole, subject["label"], subject["mdad"], top_k=audit.top_k, rng=rng, new=added)


def _ties(board: pa.Table, mdad: float | None) -> dict[str, Any]:
    share = share_of_close_neighbours(board["accuracy"].to_numpy(), mdad)
    return {"n_tie_groups": len(board["tie_group"].unique()), "pairs_unordered": None if math.isnan(share) else share}


def _subject(
    audit: AuditJob, label: str, size: int, value: Detectable, needed: int | None, apart: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "label": label,
        "size": size,
        **_interval(value),
        "wanted": audit.wanted,
        "items_needed": needed,
        "n_tie_groups": None,
        "pairs_unordered": None,
        "extrapolation": apart,
    }


def _interval(value: Detectable) -> dict[str, float | None]:
    return {"mdad": value.value, "ci_lo": value.lo, "ci_hi": value.hi}


def _metric(kind: str, label: str, size: int, value: Detectable, name: str = "") -> Row:
    about = {"subject": label, "size": size, "metric": "mdad_monotone", "name": name}
    return {"kind": kind, **about, "value": value.value, "ci_lo": value.lo, "ci_hi": value.hi}


def _named(row: Mapping[str, Any], group: str = "") -> str:
    return ", ".join(filter(None, (f"n_source={row['n_source']}", group)))


def _fixed(method: Method) -> Fixed:
    assert isinstance(method.selector, Fixed)
    return method.selector


def _points(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f}"


def plural(kind: str) -> str:
    """`model_new` as the verdict counts it: `models_new`."""
    what, _, how = kind.partition("_")
    return f"{what}s_{how}"
