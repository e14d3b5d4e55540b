"""The verdict at the top of the page, and the changes and findings of an audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from microbench_ray.report.answer import NOT_WORSE, Answer, answers, explanation, headlines, line, title
from microbench_ray.report.page.text import Html, counted, facts, interval, is_missing, join, names, points, share, table, tag

ICONS = {"ok": "✓", "attention": "!", "violated": "✕"}
WORDS = {"ok": "No problems found", "attention": "Needs attention", "violated": "Policy violated"}
SEVERITIES = {"fail": "Failures", "warn": "Warnings", "note": "Notes"}
MAX_AT_ONCE = 4
"""Findings shown in the verdict; the section on changes has all."""
MAX_FINDINGS = 200
"""Findings shown per severity."""
MAX_LINES = 12
"""Benchmarks with a line in the headline."""
MAX_ROWS = 120
"""Rows of a table in the verdict."""
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
    icon = None if status == "result" else tag("span", ICONS.get(status, "?"), class_="icon", aria_hidden="true")
    words = tag("p", tag("strong", word, class_="answer"), tag("span", small) if small else None, class_="word")
    return tag(
        "div",
        icon,
        tag("div", words, tag("p", headline, class_="headline") if headline else None),
        class_="banner",
        data_status=status,
    )


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


def sweep_verdict(tables: Mapping[str, pa.Table]) -> Html:
    """The answer of a sweep: what its items detect, by methods that are not worse than the best by more than chance."""
    failures = tables["failures"]
    failed = len(failures)
    found = answers(tables)
    chosen = headlines(found)
    status = "attention" if failed else "result" if found else "ok"
    small = f"{counted(failed, 'shard')} failed: the results lack their cells" if failed else None
    banner = _banner(status, title(chosen), explanation(chosen), small)
    several = len(chosen) > 1
    summary = tag("ul", *(tag("li", line(each)) for each in chosen[:MAX_LINES]), class_="lines") if several else None
    left_out = (
        tag("p", f"and {len(chosen) - MAX_LINES:,} more benchmarks in the table below", class_="hint")
        if len(chosen) > MAX_LINES
        else None
    )
    return join(banner, summary, left_out, _failures(failures) if failed else None, _by_size(found, several) if found else None)


def _by_size(found: Sequence[Answer], several: bool) -> Html:
    """A table with a row per size: methods not worse than the best, and what they detect."""
    rows: list[list[object]] = []
    with_interval = any(each.interval for each in found[:MAX_ROWS])
    for each in found[:MAX_ROWS]:
        methods: object = names(each.methods) if each.compared else f"not compared: {counted(each.n_runs, 'run')}"
        if each.all_equal:
            methods = f"all {each.n_methods}"
        reached = [value for value in each.mdads if value is not None]
        ends = dict.fromkeys(points(end) for end in (min(reached), max(reached))) if reached else ["never reached"]
        of_single = interval(*each.interval) if each.interval else ""
        row = [f"{each.size:,}", "–".join(ends), *([of_single] if with_interval else []), methods, f"{each.n_methods:,}"]
        rows.append([tag("bdi", each.benchmark), *row] if several else row)
    head = ["items", "MDAD", *(["interval"] if with_interval else []), "best methods", "methods compared"]
    caption = f"Best methods: those {NOT_WORSE}. MDAD: the differences that they detect, in points"
    shown = table(["benchmark", *head] if several else head, rows, caption=caption, texts=(2 + with_interval + several,))
    more = len(found) - MAX_ROWS
    return join(
        shown, tag("p", f"and {more:,} more rows, in standings.parquet and mdad.parquet", class_="hint") if more > 0 else None
    )


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
