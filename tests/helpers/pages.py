"""Input of pages: the tables of a small sweep, and invented ones of an audit of 400 models, 3 lists and 30 nights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from microbench_ray.cli.main import main
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.report.page import render

HOSTILE = "<script>alert(1)</script>"
BREAKOUT = "</script><!--<img src=x onerror=alert(2)>"
SWEEP_TABLES = ("mdad", "agreement", "summary", "standings", "failures")
LISTS = ("tiny", "anchors", "published <b>core</b>")
SIZES = {"tiny": 100, "anchors": 100, "published <b>core</b>": 250}
NIGHTS = [f"2026-{10 + (26 + k) // 32}-{(26 + k - 1) % 31 + 1:02d}" for k in range(30)]
SUBTASKS = ("", "algebra", "law", "physics")
N_MODELS = 400


@dataclass(frozen=True)
class PageInput:
    """The arguments of `render`."""

    manifest: dict[str, Any]
    tables: dict[str, pa.Table]
    verdict: dict[str, Any] | None = None
    history: pa.Table | None = None
    leaderboard: pa.Table | None = None

    def html(self) -> str:
        return render(self.manifest, self.tables, verdict=self.verdict, history=self.history, leaderboard=self.leaderboard)


def swept(out: Path, *more: str) -> PageInput:
    """A serial sweep of the synthetic benchmark: five methods, two numbers of source models, two thresholds."""
    command = [
        "sweep",
        "methods=[random,random_subtask_equal,stratified_confidence,anchor_points,diversity]",
        "benchmark.n_models=80",
        "benchmark.n_items=600",
        "benchmark.n_subtasks=4",
        "grid.sizes=[10,25,50,100]",
        "grid.n_source=[20,40]",
        "grid.n_target=30",
        "grid.runs=10",
        "thresholds=[.8,.9]",
        "n_resamples=200",
        "figures=false",
        "report=false",
        "engine=serial",
        f"out={out}",
        *more,
    ]
    assert main(command) == 0
    tables = {name: pq.read_table(out / f"{name}.parquet") for name in SWEEP_TABLES}
    return PageInput(manifest=json.loads((out / "manifest.json").read_text()), tables=tables)


def rows_of(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """A table of a schema; missing columns are null, or empty where the schema forbids nulls."""
    schema = SCHEMAS[name]
    empty = {pa.string(): "", pa.bool_(): False}
    return pa.table(
        [
            pa.array([row.get(each.name, None if each.nullable else empty.get(each.type)) for row in rows], each.type)
            for each in schema
        ],
        schema=schema,
    )


def model_names(count: int = N_MODELS) -> list[str]:
    """Names as on leaderboards, two malicious ones and a long one."""
    kinds = ("meta-llama__Llama-3.1-8B-Instruct", "Qwen__Qwen2.5-72B", "mistralai__Mistral-7B-v0.3", "google__gemma-2-27b-it")
    names = [f"{kinds[k % 4]}-ft{k:03d}" for k in range(count)]
    names[2], names[5], names[7] = HOSTILE, BREAKOUT, "somebody__a-merge-of-merges-with-a-name-that-never-ends-" + "x" * 60
    return names


def leaderboard(count: int = N_MODELS, lists: tuple[str, ...] = LISTS) -> pa.Table:
    """Estimates with errors of 1.5 to 3 points, and their rank intervals and tie groups."""
    rng = np.random.default_rng(0)
    truth = np.sort(rng.beta(5, 4, count))[::-1]
    names, rows = model_names(count), []
    for k, label in enumerate(lists):
        error = 0.015 * (1 + k % 3 / 2)
        estimate = np.clip(truth + rng.normal(0, error / 2, count), 0, 1)
        order = np.empty(count, int)
        order[np.argsort(-estimate, kind="stable")] = np.arange(1, count + 1)
        low = np.searchsorted(-truth, -(estimate + error)) + 1
        high = np.maximum(low, np.searchsorted(-truth, -(estimate - error)))
        group, top = 1, truth[0]
        for place in range(count):
            if top - truth[place] > error:
                group, top = group + 1, truth[place]
            rows.append(
                {
                    "subject": label,
                    "model": names[place],
                    "rank": place + 1,
                    "accuracy": float(truth[place]),
                    "n_answered": 12_032 - (place % 7 == 0) * 31,
                    "estimate": None if place == 11 else float(estimate[place]),
                    "estimate_rank": None if place == 11 else int(order[place]),
                    "rank_lo": None if place == 11 else int(low[place]),
                    "rank_hi": None if place == 11 else int(high[place]),
                    "p_top": None if place == 11 else float(1 / (1 + np.exp(min(order[place] - 10, 300) / 3))),
                    "tie_group": group,
                    "is_new": place % 80 == 2,
                }
            )
    return rows_of("leaderboard", rows)


def history(nights: list[str] = NIGHTS) -> pa.Table:
    """MDAD and agreement of three lists: one drifts slowly, one has a bad night in a subtask, one never reaches the threshold."""
    rng = np.random.default_rng(1)
    rows: list[dict[str, Any]] = []
    for at, night in enumerate(nights):
        for k, label in enumerate(LISTS):
            for subtask in SUBTASKS:
                base = 0.025 + 0.01 * k + 0.02 * bool(subtask)
                drift = 0.0006 * max(0, at - 12) if k == 1 and not subtask else 0.0
                value: float | None = round((base + drift + rng.normal(0, 0.001)) / 0.005, 1) * 0.005
                bad = bool(k == 0 and subtask == "law" and at == 17)
                value = value + 0.02 if bad and value else value
                outside = bool(value is not None and value > base + 0.005)
                if k == 2 and subtask == "physics" and at > 20:
                    value = None
                severity = "fail" if bad or (outside and drift > 0.007) else "warn" if outside else ""
                event = f"MDAD of {label} is {100 * value:.1f} points, outside its bounds." if severity and value else ""
                rows.append(
                    {
                        "night": night,
                        "kind": "metric",
                        "subject": label,
                        "size": SIZES[label],
                        "subtask": subtask,
                        "metric": "mdad",
                        "value": value,
                        "ci_lo": None if value is None else value - 0.004,
                        "ci_hi": None if value is None or (k == 2 and at == 9) else value + 0.005,
                        "reference": base,
                        "bound_lo": base - 0.005,
                        "bound_hi": base + 0.005,
                        "nights": 1 if outside else 0,
                        "severity": severity,
                        "text": event,
                    }
                )
            tau = 0.9 - 0.02 * k + rng.normal(0, 0.004)
            rows.append(
                {"night": night, "kind": "metric", "subject": label, "size": SIZES[label], "metric": "kendall_tau", "value": tau}
            )
        if at % 6 == 4:
            text = f"The model {HOSTILE} is new."
            rows.append({"night": night, "kind": "model_new", "name": HOSTILE, "severity": "note", "text": text})
        if at == 21:
            text = "37 items changed their content."
            rows.append({"night": night, "kind": "items_changed", "value": 37.0, "severity": "fail", "text": text})
    return rows_of("history", rows)


def verdict(status: str = "violated") -> dict[str, Any]:
    """A verdict as in verdict.json."""

    def finding(severity: str, kind: str, text: str, subject: str = "", **more: Any) -> dict[str, Any]:
        empty = {"subtask": "", "name": "", "value": None, "reference": None, "bound_lo": None, "bound_hi": None}
        return empty | {"severity": severity, "kind": kind, "subject": subject, "text": text} | more

    extrapolation = [
        {"group": "better: the best 20 %", "n_models": 80, "mdad": 0.041, "ci_lo": 0.035, "ci_hi": None},
        {"group": "newer: since 2026-09", "n_models": 33, "mdad": None, "ci_lo": None, "ci_hi": None},
    ]
    bad = [
        finding(
            "fail",
            "drift",
            "MDAD of anchors rose from 3.5 to 4.6 points, outside its run-to-run bounds on 9 nights running.",
            "anchors",
            value=0.046,
        ),
        finding("fail", "items_changed", "37 items changed their content since the baseline.", value=37),
        finding("warn", "drift", "MDAD of tiny on law was 6.6 points on one night.", "tiny", subtask="law"),
    ]
    notes = [finding("note", "model_new", f"The model {name} is new.", name=name) for name in model_names(9)]
    subjects = [
        {
            "label": "tiny",
            "size": 100,
            "mdad": 0.025,
            "ci_lo": 0.02,
            "ci_hi": 0.03,
            "wanted": 0.03,
            "items_needed": 80,
            "n_tie_groups": 41,
        },
        {
            "label": "anchors",
            "size": 100,
            "mdad": 0.046,
            "ci_lo": 0.04,
            "ci_hi": None,
            "wanted": 0.03,
            "items_needed": 340,
            "n_tie_groups": 29,
        },
        {
            "label": LISTS[2],
            "size": 250,
            "mdad": None,
            "ci_lo": None,
            "ci_hi": None,
            "wanted": 0.02,
            "items_needed": None,
            "n_tie_groups": 22,
        },
    ]
    for each, unordered in zip(subjects, (0.31, 0.47, 0.62), strict=True):
        each |= {"pairs_unordered": unordered, "extrapolation": extrapolation if each["label"] != "tiny" else []}
    good = status == "ok"
    return {
        "schema": 1,
        "night": NIGHTS[-1],
        "benchmark": "open <leaderboard> v2",
        "status": status,
        "headline": "All three lists are as at the baseline."
        if good
        else "anchors orders models worse than at the baseline, and 37 items changed.",
        "findings": [*([] if good else bad), *notes],
        "subjects": subjects,
        "changes": {
            "models_new": 5,
            "models_vanished": 0,
            "models_rescored": 1,
            "items_new": 0,
            "items_vanished": 0,
            "items_changed": 37,
            "missing": 0.0042,
            "items_dead": 112,
            "items_negative": 208,
        },
        "baseline": {"night": NIGHTS[0], "digest": "9f2c7a1e"},
        "made": {"microbench_ray": "0.1.0", "seconds": 41.3},
    }


def audited(status: str = "violated", nights: list[str] = NIGHTS) -> PageInput:
    """An audit of published lists: without source models, with intervals over models."""
    bins = np.arange(0, 0.2, 0.005)
    group = {
        "benchmark": "open <leaderboard> v2",
        "n_source": 0,
        "targets": "all",
        "n_target": N_MODELS,
        "unseen": "none",
        "split": "seen",
    }
    policy = {"tie_policy": "wrong", "ci": "models"}
    curves, mdads = [], []
    for k, label in enumerate(LISTS):
        key = group | {"method": label, "size": SIZES[label]} | policy
        level = 1 - 0.5 * np.exp(-bins / (0.025 + 0.008 * k))
        for low, agreement in zip(bins.tolist(), level.tolist(), strict=True):
            counts = {"n_pairs": 2000, "n_agree": int(2000 * agreement), "n_tied": 3}
            ends = {"ci_lo": agreement - 0.02, "ci_hi": min(1.0, agreement + 0.02)}
            curves.append(key | counts | ends | {"diff_lo": low, "diff_hi": low + 0.005, "agreement": agreement})
        crossing = None if k == 2 else (0.025, 0.046)[k]
        names = ("mdad", "ci_lo", "ci_hi"), ("mdad_monotone", "mdad_monotone_ci_lo", "mdad_monotone_ci_hi")
        values = (crossing, crossing and crossing - 0.005, 0.03 if k == 0 else None)
        intervals = {name: value for each in names for name, value in zip(each, values, strict=True)}
        mdads.append(key | intervals | {"threshold": 0.8, "reached_share": 0.9, "n_runs": 1})
    manifest = {
        "schema_version": 2,
        "seed": 0,
        "config": {"audit": {"lists": list(LISTS), "top_k": 10}, "top_k": 10, "note": HOSTILE},
        "benchmarks": {
            "open <leaderboard> v2": {"digest": "b1946ac92492d2347c6235b4d2611184", "n_models": 400, "n_items": 12_032, "notes": []}
        },
        "versions": {"python": "3.11.9", "microbench-ray": "0.1.0"},
        "git_commit": "3c35f0b",
        "started": "2026-11-25T02:00:00Z",
    }
    tables = {"agreement": rows_of("agreement", curves), "mdad": rows_of("mdad", mdads)}
    return PageInput(manifest=manifest, tables=tables, verdict=verdict(status), history=history(nights), leaderboard=leaderboard())
