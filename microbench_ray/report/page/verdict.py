"""The verdict at the top of the page, and the changes and findings of an audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from microbench_ray.report.page.text import Html, counted, facts, interval, is_missing, join, points, share, table, tag
from microbench_ray.report.terminal import MONOTONE

ICONS = {"ok": "✓", "attention": "!", "violated": "✕"}
WORDS = {"ok": "No problems found", "attention": "Needs attention", "violated": "Policy violated"}
SEVERITIES = {"fail": "Failures", "warn": "Warnings", "note": "Notes"}
MAX_AT_ONCE = 4
"""Findings shown in the verdict; the section on changes has all."""
MAX_FINDINGS = 200
"""Findings shown per severity."""
CHANGES = {
    "models_new": "new models",
    "models_vanished": "models removed",
    "models_rescored": "models with changed scores",
    "items_new": "new items",
    "items_vanished": "items removed",
    "items_changed": "items changed",
    "missing": "missing responses",
    "items_dead": "items with the same score for all models",
    "items_negative": "items that weaker models answer correctly more often",
}


def audit_verdict(verdict: Mapping[str, Any]) -> Html:
    """The status of an audit, its worst findings, and the audited lists and methods."""
    status = verdict["status"]
    bad = [each for each in verdict.get("findings", ()) if each["severity"] in ("fail", "warn")]
    bad.sort(key=lambda each: each["severity"] != "fail")
    more = len(bad) - MAX_AT_ONCE
    return join(
        _banner(status, WORDS.get(status, status), verdict["headline"], f"night {verdict['night']}"),
        tag("ul", *(_finding(each) for each in bad[:MAX_AT_ONCE]), class_="findings") if bad else None,
        tag("p", tag("a", f"and {more:,} more", href="#changes"), class_="hint") if more > 0 else None,
        *_subjects(verdict.get("subjects", ())),
    )


def _subjects(subjects: Sequence[Mapping[str, Any]]) -> list[Html]:
    """A card for each subject with one size; a table with a row per size for the others."""
    sizes = Counter(each["label"] for each in subjects)
    cards = [_subject(each) for each in subjects if sizes[each["label"]] == 1]
    swept = [each for each in subjects if sizes[each["label"]] > 1]
    parts = [tag("div", *cards, class_="cards")] if cards else []
    if swept:
        groups = list(dict.fromkeys(each["group"] for subject in swept for each in subject.get("extrapolation") or ()))
        head = ["method", "items", "MDAD", "interval", *groups, "items needed"]
        rows: list[list[object]] = []
        for subject in swept:
            of_groups = {each["group"]: points(each["mdad"]) for each in subject.get("extrapolation") or ()}
            needed = subject.get("items_needed")
            ends = interval(subject.get("ci_lo"), subject.get("ci_hi"))
            shown = [f"{subject['size']:,}", points(subject["mdad"]), ends, *(of_groups.get(group, "") for group in groups)]
            rows.append([tag("bdi", subject["label"]), *shown, "unknown" if needed is None else f"{needed:,}"])
        target = swept[0].get("wanted")
        needed_for = "" if target is None else f"; items needed to detect {points(target)} points"
        parts.append(table(head, rows, caption=f"Methods: MDAD in points, on all models and on groups unlike the rest{needed_for}"))
    return parts


def _banner(status: str, word: str, headline: str, small: str | None = None) -> Html:
    icon = tag("span", ICONS.get(status, "?"), class_="icon", aria_hidden="true")
    words = tag("p", tag("strong", word), tag("span", small) if small else None, class_="word")
    return tag("div", icon, tag("div", words, tag("p", headline, class_="headline")), class_="banner", data_status=status)


def _subject(subject: Mapping[str, Any]) -> Html:
    """The card of an audited list or method."""
    target, value = subject.get("wanted"), subject.get("mdad")
    missed = target is not None and (value is None or value > target)
    unreached = value is None
    big = tag("p", tag("strong", "never reached" if unreached else points(value)), None if unreached else " points", class_="big")
    ranges = interval(subject.get("ci_lo"), subject.get("ci_hi"))
    needed = subject.get("items_needed")
    rows = {
        "interval": ranges or None,
        "target": None if target is None else f"at most {points(target)} points",
        "items needed for the target": None if target is None else "unknown" if needed is None else f"about {needed:,}",
        "tie groups": None if subject.get("n_tie_groups") is None else f"{subject['n_tie_groups']:,}",
        "adjacent models it cannot rank": None if is_missing(subject.get("pairs_unordered")) else share(subject["pairs_unordered"]),
    }
    size = subject.get("size")
    title = tag("h3", tag("bdi", subject["label"]), tag("small", f"{size:,} items") if size is not None else None)
    state = None
    if target is not None:
        state = tag(
            "span",
            "misses the target" if missed else "meets the target",
            class_="state",
            data_status="attention" if missed else "ok",
        )
    return tag("article", title, tag("p", "MDAD", class_="label"), big, state, facts(rows), _extrapolation(subject), class_="card")


def _extrapolation(subject: Mapping[str, Any]) -> Html | None:
    """The MDAD on groups of models unlike the rest."""
    groups: Sequence[Mapping[str, Any]] = subject.get("extrapolation") or ()
    if not groups:
        return None
    rows = {}
    for each in groups:
        ends = interval(each.get("ci_lo"), each.get("ci_hi"))
        rows[f"{each['group']} ({each['n_models']:,})"] = points(each["mdad"]) + (f" ({ends})" if ends else "")
    return join(tag("p", "MDAD on groups of models, in points", class_="label"), facts(rows))


def _finding(finding: Mapping[str, Any]) -> Html:
    severity = finding["severity"]
    about = " · ".join(str(finding[key]) for key in ("subject", "subtask", "name") if finding.get(key))
    words = {"fail": "failure", "warn": "warning", "note": "note"}
    return tag(
        "li",
        tag("span", words.get(severity, severity), class_="severity"),
        tag("span", finding["text"]),
        tag("small", tag("bdi", about)) if about else None,
        data_severity=severity,
    )


def changes(verdict: Mapping[str, Any]) -> Html:
    """Counts of changes since the baseline, and all findings by severity."""
    counts = verdict.get("changes") or {}
    tiles = []
    for key, label in CHANGES.items():
        value = counts.get(key)
        if value is not None:
            shown = share(value, 1) if key == "missing" else f"{value:,}"
            tiles.append(tag("div", tag("dd", shown), tag("dt", label), data_none=not value))
    groups = []
    for severity, label in SEVERITIES.items():
        findings = [each for each in verdict.get("findings", ()) if each["severity"] == severity]
        if findings:
            items = tag("ul", *(_finding(each) for each in findings[:MAX_FINDINGS]), class_="findings")
            rest = len(findings) - MAX_FINDINGS
            more = tag("p", f"and {rest:,} more, in verdict.json", class_="hint") if rest > 0 else None
            summary = tag("summary", f"{label} ({len(findings):,})")
            groups.append(tag("details", summary, items, more, open=severity != "note" or len(findings) <= MAX_AT_ONCE))
    nothing = tag("p", "No findings.", class_="hint") if not groups else None
    return join(tag("dl", *tiles, class_="tiles") if tiles else None, *groups, nothing)


def sweep_verdict(mdad: pa.Table, failures: pa.Table) -> Html:
    """The result of a sweep: the best method at about 100 items in a sentence, and at each size in a table."""
    failed = len(failures)
    status = "attention" if failed else "ok"
    word = f"{counted(failed, 'shard')} failed" if failed else "All cells completed"
    problem = _failures(failures) if failed else None
    if not len(mdad):
        return join(_banner(status, word, "There are no results."), problem)
    rows = mdad.to_pandas()
    first = rows.sort_values(["split", "n_source"], ascending=[True, False], kind="stable").iloc[0]
    setting = ["targets", "n_target", "unseen", "split"]
    panel = rows[(rows[setting] == first[setting]).all(axis=1) & (rows["benchmark"] == rows["benchmark"].iloc[0])]
    panel = panel[(panel["threshold"] == rows["threshold"].iloc[0]) & panel["n_source"].isin([0, panel["n_source"].max()])]
    best = {
        int(size): group.sort_values(MONOTONE[0], na_position="last", kind="stable").iloc[0]
        for size, group in panel.groupby("size")
    }
    usual = min(best, key=lambda size: (abs(size - 100), size))
    level = f"{100 * panel['threshold'].iloc[0]:g} %"
    content: list[list[object]] = [
        [f"{size:,}", tag("bdi", row["method"]), points(row[MONOTONE[0]]), interval(*(row[name] for name in MONOTONE[1:]))]
        for size, row in best.items()
    ]
    caption = f"{panel['benchmark'].iloc[0]}: best method at each size, MDAD in points"
    by_size = table(["items", "method", "MDAD", "interval"], content, caption=caption, texts=(1,))
    return join(_banner(status, word, _headline(usual, best[usual], level)), problem, by_size)


def _headline(size: int, row: Any, level: str) -> str:
    if is_missing(row[MONOTONE[0]]):
        return f"With {size:,} items, no method ranks two models correctly in {level} of cases, however large their difference."
    difference = f"With {size:,} items, two models must differ by about {points(row[MONOTONE[0]])} points"
    return f"{difference} to be ranked correctly in {level} of cases by the best method, {row['method']}."


def _failures(failures: pa.Table) -> Html:
    """A table of failed shards with their errors."""
    rows: list[list[object]] = [
        [row["benchmark"], row["methods"], row["sizes"], row["runs"], row["error"]] for row in failures.slice(0, 50).to_pylist()
    ]
    return table(
        ["benchmark", "methods", "sizes", "runs", "error"],
        rows,
        caption=f"{counted(len(failures), 'shard')} failed",
        texts=(1, 2, 3, 4),
    )
