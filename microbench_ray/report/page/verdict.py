"""The verdict, and what changed: of an audit, what was found; of a sweep, what its tables say in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from microbench_ray.report.page.text import Html, counted, facts, interval, is_missing, join, points, share, table, tag
from microbench_ray.report.terminal import MONOTONE

ICONS = {"ok": "✓", "attention": "!", "violated": "✕"}
WORDS = {"ok": "All is well", "attention": "Needs attention", "violated": "Policy violated"}
SEVERITIES = {"fail": "Failures", "warn": "Warnings", "note": "Notes"}
MAX_AT_ONCE = 4
"""Findings in the verdict itself; all of them are further down."""
MAX_FINDINGS = 200
"""Per severity."""
CHANGES = {
    "models_new": "new models",
    "models_vanished": "models gone",
    "models_rescored": "models rescored",
    "items_new": "new items",
    "items_vanished": "items gone",
    "items_changed": "items changed",
    "missing": "responses missing",
    "items_dead": "items that all models get right, or wrong",
    "items_negative": "items that weaker models get right more often",
}


def audit_verdict(verdict: Mapping[str, Any]) -> Html:
    """What is said first of an audit."""
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
    """A card for what has one size; a row per size of what has several."""
    sizes = Counter(each["label"] for each in subjects)
    cards = [_subject(each) for each in subjects if sizes[each["label"]] == 1]
    swept = [each for each in subjects if sizes[each["label"]] > 1]
    found = [tag("div", *cards, class_="cards")] if cards else []
    if swept:
        groups = list(dict.fromkeys(each["group"] for subject in swept for each in subject.get("extrapolation") or ()))
        head = ["method", "items", "MDAD", "interval", *groups, "items needed"]
        rows: list[list[object]] = []
        for subject in swept:
            apart = {each["group"]: points(each["mdad"]) for each in subject.get("extrapolation") or ()}
            needed = subject.get("items_needed")
            ends = interval(subject.get("ci_lo"), subject.get("ci_hi"))
            shown = [f"{subject['size']:,}", points(subject["mdad"]), ends, *(apart.get(group, "") for group in groups)]
            rows.append([tag("bdi", subject["label"]), *shown, "not known" if needed is None else f"{needed:,}"])
        wanted = swept[0].get("wanted")
        more = "" if wanted is None else f"; items needed to tell {points(wanted)} points apart"
        found.append(table(head, rows, caption=f"Methods: MDAD in points, on all models and on those unlike the others{more}"))
    return found


def _banner(status: str, word: str, headline: str, small: str | None = None) -> Html:
    icon = tag("span", ICONS.get(status, "?"), class_="icon", aria_hidden="true")
    words = tag("p", tag("strong", word), tag("span", small) if small else None, class_="word")
    return tag("div", icon, tag("div", words, tag("p", headline, class_="headline")), class_="banner", data_status=status)


def _subject(subject: Mapping[str, Any]) -> Html:
    """One audited list or method, as a card."""
    wanted, value = subject.get("wanted"), subject.get("mdad")
    missed = wanted is not None and (value is None or value > wanted)
    unreached = value is None
    big = tag("p", tag("strong", "never reached" if unreached else points(value)), None if unreached else " points", class_="big")
    ranges = interval(subject.get("ci_lo"), subject.get("ci_hi"))
    needed = subject.get("items_needed")
    rows = {
        "interval": ranges or None,
        "wanted": None if wanted is None else f"at most {points(wanted)} points",
        "items needed for that": None if wanted is None else "not known" if needed is None else f"about {needed:,}",
        "tie groups": None if subject.get("n_tie_groups") is None else f"{subject['n_tie_groups']:,}",
        "neighbours it cannot order": None if is_missing(subject.get("pairs_unordered")) else share(subject["pairs_unordered"]),
    }
    size = subject.get("size")
    title = tag("h3", tag("bdi", subject["label"]), tag("small", f"{size:,} items") if size is not None else None)
    state = None
    if wanted is not None:
        state = tag(
            "span", "misses what is wanted" if missed else "as wanted", class_="state", data_status="attention" if missed else "ok"
        )
    return tag("article", title, tag("p", "MDAD", class_="label"), big, state, facts(rows), _extrapolation(subject), class_="card")


def _extrapolation(subject: Mapping[str, Any]) -> Html | None:
    """The MDAD where models are unlike those of the list."""
    groups: Sequence[Mapping[str, Any]] = subject.get("extrapolation") or ()
    if not groups:
        return None
    rows = {}
    for each in groups:
        ends = interval(each.get("ci_lo"), each.get("ci_hi"))
        rows[f"{each['group']} ({each['n_models']:,})"] = points(each["mdad"]) + (f" ({ends})" if ends else "")
    return join(tag("p", "MDAD on other models, in points", class_="label"), facts(rows))


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
    """What changed since the baseline, and all findings by severity."""
    counts = verdict.get("changes") or {}
    tiles = []
    for key, label in CHANGES.items():
        value = counts.get(key)
        if value is not None:
            shown = share(value, 1) if key == "missing" else f"{value:,}"
            tiles.append(tag("div", tag("dd", shown), tag("dt", label), data_none=not value))
    groups = []
    for severity, label in SEVERITIES.items():
        these = [each for each in verdict.get("findings", ()) if each["severity"] == severity]
        if these:
            items = tag("ul", *(_finding(each) for each in these[:MAX_FINDINGS]), class_="findings")
            rest = len(these) - MAX_FINDINGS
            more = tag("p", f"and {rest:,} more, in verdict.json", class_="hint") if rest > 0 else None
            summary = tag("summary", f"{label} ({len(these):,})")
            groups.append(tag("details", summary, items, more, open=severity != "note" or len(these) <= MAX_AT_ONCE))
    nothing = tag("p", "Nothing was found.", class_="hint") if not groups else None
    return join(tag("dl", *tiles, class_="tiles") if tiles else None, *groups, nothing)


def sweep_verdict(mdad: pa.Table, failures: pa.Table) -> Html:
    """What is said first of a sweep: the best method at a usual size, and what every size can tell apart."""
    failed = len(failures)
    status = "attention" if failed else "ok"
    word = f"{counted(failed, 'shard')} failed" if failed else "All cells done"
    problem = _failures(failures) if failed else None
    if not len(mdad):
        return join(_banner(status, word, "There is no result."), problem)
    rows = mdad.to_pandas()
    first = rows.sort_values(["split", "n_source"], ascending=[True, False], kind="stable").iloc[0]
    same = ["targets", "n_target", "unseen", "split"]
    here = rows[(rows[same] == first[same]).all(axis=1) & (rows["benchmark"] == rows["benchmark"].iloc[0])]
    here = here[(here["threshold"] == rows["threshold"].iloc[0]) & here["n_source"].isin([0, here["n_source"].max()])]
    best = {
        int(size): group.sort_values(MONOTONE[0], na_position="last", kind="stable").iloc[0] for size, group in here.groupby("size")
    }
    usual = min(best, key=lambda size: (abs(size - 100), size))
    level = f"{100 * here['threshold'].iloc[0]:g} %"
    content: list[list[object]] = [
        [f"{size:,}", tag("bdi", row["method"]), points(row[MONOTONE[0]]), interval(*(row[name] for name in MONOTONE[1:]))]
        for size, row in best.items()
    ]
    where = f"{here['benchmark'].iloc[0]}: the best method at every size, differences in points"
    shown = table(["items", "method", "MDAD", "interval"], content, caption=where, texts=(1,))
    return join(_banner(status, word, _headline(usual, best[usual], level)), problem, shown)


def _headline(size: int, row: Any, level: str) -> str:
    if is_missing(row[MONOTONE[0]]):
        return f"With {size:,} items no difference between two models is seen in {level} of cases, by any method."
    apart = f"With {size:,} items two models must lie about {points(row[MONOTONE[0]])} points apart"
    return f"{apart} to be ordered right in {level} of cases, by the best method here: {row['method']}."


def _failures(failures: pa.Table) -> Html:
    """The shards that failed, each with its error."""
    rows: list[list[object]] = [
        [row["benchmark"], row["methods"], row["sizes"], row["runs"], row["error"]] for row in failures.slice(0, 50).to_pylist()
    ]
    return table(
        ["benchmark", "methods", "sizes", "runs", "error"],
        rows,
        caption=f"{counted(len(failures), 'shard')} failed",
        texts=(1, 2, 3, 4),
    )
