"""The report of a comparison: a table, JSON, Markdown for a pull request, or JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from microbench_ray.core.shown import escape_controls
from microbench_ray.core.table_formats import csv_text, markdown_table, markdown_text
from microbench_ray.data.names import show_name
from microbench_ray.data.truth import RANKED_BY
from microbench_ray.metrics.run_difference import RunDifference
from microbench_ray.micro.compare.compare import Compared, Comparison, MoreData

FORMATS = ("table", "json", "markdown", "csv", "junit")
MAX_SUBTASKS = 10
"""Subtasks in the table: those that changed most."""
MAX_TOLD = 5
"""Maximum number of comparisons that are described in sentences; more are shown as a table."""
SHOWN_ITEMS = 5
"""Items in a sentence; JSON has more of them."""
DRAWN = {
    "items": "items like these",
    "clusters": "clusters of items like these",
    "repeats": "further repeats of these items",
    "runs": "further runs of these items",
}
"""What the interval is over, by its kind."""


def text(compared: Compared, notes: Sequence[str], form: str) -> str:
    """The report in one of `FORMATS`, with a newline at its end."""
    makers = {"table": _table, "json": _json, "markdown": _markdown, "csv": _csv, "junit": _junit}
    return makers[form](compared, notes)


def headline(each: Comparison) -> str:
    """The answer in one sentence."""
    found = each.difference
    size = f"{points(found.value)} points ({interval(found)}; {100 * found.level:.4g} % interval)"
    if found.low > 0:
        return f"{each.b} is better than {each.a}: {size}."
    if found.high < 0:
        return f"{each.b} is worse than {each.a}: {size}."
    return f"No difference between {each.b} and {each.a} can be seen: {size}."


def sentences(each: Comparison, compared: Compared) -> list[str]:
    """What a comparison says, from the answer to its limits."""
    found = each.difference
    lines = [
        headline(each),
        f"Probability that {each.b} is better: {found.p_better:.3f}. p-value: {p_text(each.p_adjusted)}"
        + (
            f" (adjusted for {len(compared.comparisons)} comparisons: {compared.rules.adjust})"
            if len(compared.comparisons) > 1
            else ""
        )
        + ".",
        f"On {each.n_items:,} items {each.b} is ahead on {each.n_better:,}, behind on {each.n_worse:,}, equal on {each.n_equal:,}. "
        f"The interval is over {DRAWN[found.interval_kind]}.",
        *_changed(each),
        *([f"Models are compared by {RANKED_BY[compared.rules.truth]}."] if compared.rules.truth in RANKED_BY else []),
        f"This comparison would find a true difference of {points(found.mde, sign=False)} points in 8 of 10 cases.",
    ]
    if each.repeats_share is not None:
        lines.append(f"{each.repeats_share:.0%} of the squared standard error is noise between repeats.")
    if each.decision is not None:
        lines.append(f"Gate ({_gate(compared)}): {each.decision}.")
    if each.more is not None:
        lines.append(_more(each.more))
    return lines


def _changed(each: Comparison) -> list[str]:
    """The items that changed most, where any are known."""
    kinds = (
        ("ahead", each.n_better, [item.item_id for item in each.items if item.mean_b > item.mean_a]),
        ("behind", each.n_worse, [item.item_id for item in each.items if item.mean_b < item.mean_a]),
    )
    shown = []
    for word, count, items in kinds:
        named = [show_name(item) for item in items[:SHOWN_ITEMS]]
        more = f" and {count - len(named):,} more" if count > len(named) else ""
        shown += [f"{word} on {', '.join(named)}{more}"] if named else []
    return [f"Changed most: {each.b} is {'; '.join(shown)}."] if shown else []


def points(value: float, *, sign: bool = True) -> str:
    """A fraction in points, with its sign."""
    return f"{round(100 * value, 2) + 0.0:{'+' if sign else ''}.2f}"  # no negative zero


def p_text(p_value: float) -> str:
    """A p-value, which is never 0."""
    return f"{p_value:.3g}" if p_value > 0 else "<1e-300"


def interval(found: RunDifference) -> str:
    """An interval in points."""
    return f"{points(found.low)} to {points(found.high)}"


def _gate(compared: Compared) -> str:
    rules = compared.rules
    return f"{rules.accept}, margin {points(rules.margin, sign=False)} points"


def _more(more: MoreData) -> str:
    if more.items is None and more.repeats is None:
        return "The difference is at the margin: more data would not tell."
    ways = [f"{more.items:,} items in all" if more.items else "", f"{more.repeats:,} repeats of each item" if more.repeats else ""]
    return f"If the true difference is the one seen, {' or '.join(filter(None, ways))} would tell in 8 of 10 cases."


def _rows(compared: Compared) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of the runs."""
    several = len(compared.names) > 2
    header = ("run", "mean", *(("shrunk", "P(best)") if several else ()))
    rows = [
        (name, f"{100 * mean:.2f}", *((f"{100 * shrunk:.2f}", f"{best:.3f}") if several else ()))
        for name, mean, shrunk, best in zip(compared.names, compared.means, compared.shrunk, compared.p_best, strict=True)
    ]
    return header, sorted(rows, key=lambda row: -float(row[1])) if several else rows


def _about_all(compared: Compared) -> str:
    """What the rows of `_comparison_rows` are."""
    gate = "" if compared.decision is None else f" Gate: {_gate(compared)}."
    return (
        f"{len(compared.comparisons)} comparisons on {compared.n_items:,} items: differences in points with "
        f"{100 * compared.level:.4g} % intervals; p-values are adjusted ({compared.rules.adjust}).{gate} All details: format=json."
    )


def _comparison_rows(compared: Compared) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of many comparisons, as they were asked for."""
    gate = compared.decision is not None
    header = ("run", "against", "difference", "interval", "P(better)", "p", "MDE", *(("gate",) if gate else ()))
    rows = [
        (
            each.b,
            each.a,
            points(each.difference.value),
            interval(each.difference),
            f"{each.difference.p_better:.3f}",
            p_text(each.p_adjusted),
            points(each.difference.mde, sign=False),
            *((str(each.decision),) if gate else ()),
        )
        for each in compared.comparisons
    ]
    return header, rows


def _subtask_rows(each: Comparison) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    changed = sorted(each.subtasks, key=lambda subtask: (subtask.p_adjusted, -abs(subtask.value)))[:MAX_SUBTASKS]
    rows: list[tuple[str, ...]] = [
        (
            change.subtask,
            f"{change.n_items:,}",
            f"{100 * change.mean_a:.1f}",
            f"{100 * change.mean_b:.1f}",
            points(change.value),
            f"{points(change.low)} to {points(change.high)}",
            p_text(change.p_adjusted),
        )
        for change in changed
    ]
    return ("subtask", "items", each.a, each.b, "difference", "interval", "p (adjusted)"), rows


def _table(compared: Compared, notes: Sequence[str]) -> str:
    lines = [*notes, *(f"warning: {each}" for each in compared.warnings), *_aligned(*_rows(compared))]
    several = len(compared.comparisons) > MAX_TOLD
    if several:
        lines += ["", _about_all(compared), "", *_aligned(*_comparison_rows(compared))]
    for each in () if several else compared.comparisons:
        lines += ["", *sentences(each, compared)]
        if each.subtasks:
            lines += ["", *_aligned(*_subtask_rows(each))]
            if len(each.subtasks) > MAX_SUBTASKS:
                lines.append(f"… and {len(each.subtasks) - MAX_SUBTASKS} more subtasks (format=json)")
    if compared.decision is not None and len(compared.comparisons) > 1:
        lines += ["", f"All together: {compared.decision}."]
    return "\n".join(map(escape_controls, lines)) + "\n"


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    table = [tuple(map(escape_controls, row)) for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if k else cell.ljust(width) for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def to_json(compared: Compared, notes: Sequence[str] = ()) -> dict[str, Any]:
    """The result as a JSON object."""
    return {
        "rules": dict(vars(compared.rules)),
        "decision": compared.decision,
        "n_items": compared.n_items,
        "n_union": compared.n_union,
        "runs": [
            {"name": name, "mean": mean, "shrunk": shrunk, "p_best": best}
            for name, mean, shrunk, best in zip(compared.names, compared.means, compared.shrunk, compared.p_best, strict=True)
        ],
        "comparisons": [_comparison_json(each) for each in compared.comparisons],
        "warnings": list(compared.warnings),
        "notes": list(notes),
    }


def _comparison_json(each: Comparison) -> dict[str, Any]:
    difference = each.difference._asdict()
    difference["df"] = None if difference["df"] == float("inf") else difference["df"]
    return each._asdict() | {
        "difference": difference,
        "tests": each.tests._asdict(),
        "subtasks": [change._asdict() for change in each.subtasks],
        "items": [change._asdict() for change in each.items],
        "more": None if each.more is None else each.more._asdict(),
    }


def table_rows(compared: Compared) -> list[dict[str, Any]]:
    """One row for each pair of runs; scores and differences are fractions."""
    return [
        {
            "a": each.a,
            "b": each.b,
            "n_items": each.n_items,
            "mean_a": each.mean_a,
            "mean_b": each.mean_b,
            "difference": each.difference.value,
            "low": each.difference.low,
            "high": each.difference.high,
            "p_better": each.difference.p_better,
            "p_value": each.p_adjusted,
            "mde": each.difference.mde,
            "interval_kind": each.difference.interval_kind,
            "decision": each.decision,
        }
        for each in compared.comparisons
    ]


def _csv(compared: Compared, notes: Sequence[str]) -> str:
    return csv_text(table_rows(compared))


def _json(compared: Compared, notes: Sequence[str]) -> str:
    return json.dumps(to_json(compared, notes), indent=1) + "\n"


def _markdown(compared: Compared, notes: Sequence[str]) -> str:
    lines: list[str] = []
    if compared.decision is not None:
        lines += [f"**Gate ({_gate(compared)}): {compared.decision}**", ""]
    lines += [markdown_table(*_rows(compared))]
    several = len(compared.comparisons) > MAX_TOLD
    if several:
        lines += [markdown_text(_about_all(compared)), "", markdown_table(*_comparison_rows(compared))]
    for each in () if several else compared.comparisons:
        lines += [f"- {markdown_text(sentence)}" for sentence in sentences(each, compared)] + [""]
        if each.subtasks:
            lines += [markdown_table(*_subtask_rows(each))]
    lines += [f"> warning: {markdown_text(each)}" for each in compared.warnings]
    lines += [f"> {markdown_text(each)}" for each in notes]
    return "\n".join(lines).rstrip() + "\n"


def _junit(compared: Compared, notes: Sequence[str]) -> str:
    from xml.etree import ElementTree  # only here

    decisions = [each.decision for each in compared.comparisons]
    suite = ElementTree.Element(
        "testsuite",
        name="microbench compare",
        tests=str(len(decisions)),
        failures=str(decisions.count("no")),
        errors="0",
        skipped=str(decisions.count("cannot be told")),
    )
    for each in compared.comparisons:
        name = escape_controls(f"{each.b} against {each.a}")
        case = ElementTree.SubElement(suite, "testcase", classname="microbench.compare", name=name)
        told = [escape_controls(line) for line in (*sentences(each, compared), *compared.warnings, *notes)]
        if each.decision == "no":
            ElementTree.SubElement(case, "failure", message=told[0]).text = "\n".join(told)
        elif each.decision == "cannot be told":
            ElementTree.SubElement(case, "skipped", message=told[0]).text = "\n".join(told)
        else:
            ElementTree.SubElement(case, "system-out").text = "\n".join(told)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
