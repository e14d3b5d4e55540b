"""The report of a sequential test: a table, JSON in the form of `microbench compare`, Markdown, CSV or JUnit XML."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from microbench_ray.core import formats
from microbench_ray.core.shown import escape_controls
from microbench_ray.core.table_formats import csv_text, markdown_table, markdown_text
from microbench_ray.micro.sequential.verdict import PairEvidence, Verdict

FORMATS = ("table", "json", "markdown", "csv", "junit")
INTERVAL_KIND = "confidence sequence"
NOT_SEQUENTIAL = ("standard_error", "df", "p_better", "p_value", "mde")
"""What `compare` says of a difference, and what has no meaning where one may stop at any time: null in the JSON."""


def text(verdict: Verdict, upcoming: Sequence[str], notes: Sequence[str], form: str) -> str:
    """The report in one of `FORMATS`, with a newline at its end; `upcoming` are the items to answer next."""
    makers = {"table": _table, "json": _json, "markdown": _markdown, "csv": _csv, "junit": _junit}
    return makers[form](verdict, upcoming, notes)


def headline(verdict: Verdict) -> str:
    """The answer in one sentence."""
    rules, margin = verdict.rules, f"{_points(verdict.rules.margin)} points"
    names = [each.model for each in verdict.models]
    if rules.question == "accuracy":
        (model,) = verdict.models
        assert model.low is not None
        assert model.high is not None
        found = f"The accuracy of {model.model} is between {100 * model.low:.1f} and {100 * model.high:.1f} %"
        return found + (f", which is known within ± {margin}." if verdict.decision == "yes" else f", not yet within ± {margin}.")
    if rules.question == "best":
        if verdict.decision == "cannot be told":
            n_active = sum(each.active for each in verdict.models)
            return f"The best model cannot be told yet: {n_active} of {len(names)} are in the race."
        if len(verdict.best) > 1:
            return f"{' and '.join(verdict.best)} are equally good, and better than all others."
        return f"{verdict.best[0]} is " + (f"at most {margin} worse than the best model." if rules.margin else "the best model.")
    a, b = names
    yes, no = _words(rules.question, rules.margin)
    if verdict.decision == "cannot be told":
        return f"It cannot be told yet whether {b} is {yes} {a}."
    return f"{b} is {yes if verdict.decision == 'yes' else no} {a}."


def _words(question: str, margin: float) -> tuple[str, str]:
    """How the second model stands to the first, if the answer is yes and if it is no."""
    points = f"{_points(margin)} points"
    if question == "superior":
        better = f"more than {points} better than" if margin else "better than"
        return better, f"not {better}"
    if question == "noninferior":
        return f"less than {points} worse than", f"{points} or more worse than"
    return f"within {points} of", f"not within {points} of"


def sentences(verdict: Verdict, upcoming: Sequence[str]) -> list[str]:
    """The answer, what it rests on, and what is next."""
    lines = [headline(verdict)]
    share = verdict.n_items / verdict.n_list
    lines.append(f"{verdict.n_items:,} of {verdict.n_list:,} items were looked at ({share:.0%}).")
    if verdict.rules.question != "best":
        lines += [_interval_sentence(pair, verdict) for pair in verdict.pairs if pair.n_items]
    lines.append(f"An answer is wrong with a probability of at most {verdict.rules.alpha:.4g}, whenever one stops.")
    if verdict.decision == "cannot be told":
        if upcoming:
            lines.append(f"Next: {len(upcoming):,} items.")
        else:
            lines.append("All items of the list were asked, and they are too few to tell.")
    return lines


def to_json(verdict: Verdict, upcoming: Sequence[str], notes: Sequence[str] = ()) -> dict[str, Any]:
    """The result with the keys of `microbench compare format=json`, and `sequential` for what is further known."""
    rules = verdict.rules
    gate = rules.question if rules.question in ("superior", "noninferior", "equivalent") else None
    return {
        "rules": {
            "truth": "micro",
            "repeats": "samples",
            "reference": "benchmark",
            "confidence": rules.level,
            "against": "first",
            "adjust": "none",
            "accept": gate,
            "margin": rules.margin,
            "min_common": 1.0,
        },
        "decision": verdict.decision,
        "n_items": verdict.n_items,
        "n_union": verdict.n_list,
        "runs": [
            {
                "name": each.model,
                "mean": _known(each.mean),
                "shrunk": None,
                "p_best": None,
            }
            for each in verdict.models
        ],
        "comparisons": [_pair_json(pair, verdict) for pair in verdict.pairs],
        "warnings": list(verdict.warnings),
        "notes": list(notes),
        "sequential": {
            "question": rules.question,
            "alpha": rules.alpha,
            "best": list(verdict.best),
            "models": [each._asdict() | {"mean": _known(each.mean)} for each in verdict.models],
            "next": list(upcoming),
        },
    }


def table_rows(verdict: Verdict) -> list[dict[str, Any]]:
    """One row for each pair; for the question `accuracy`, one for the model. Scores and differences are fractions."""
    if verdict.rules.question == "accuracy":
        (model,) = verdict.models
        return [
            {
                "model": model.model,
                "n_items": model.n_items,
                "mean": model.mean,
                "low": model.low,
                "high": model.high,
                "decision": verdict.decision,
            }
        ]
    active = {each.model: each.active for each in verdict.models}
    return [
        {
            "a": pair.a,
            "b": pair.b,
            "n_items": pair.n_items,
            "mean_a": pair.mean_a,
            "mean_b": pair.mean_b,
            "difference": pair.value,
            "low": pair.low,
            "high": pair.high,
            "decision": verdict.decision,
            **({"in_the_race": active[pair.b]} if verdict.rules.question == "best" else {}),
        }
        for pair in verdict.pairs
    ]


def _pair_json(pair: PairEvidence, verdict: Verdict) -> dict[str, Any]:
    return {
        "a": pair.a,
        "b": pair.b,
        "n_items": pair.n_items,
        "mean_a": _known(pair.mean_a),
        "mean_b": _known(pair.mean_b),
        "difference": {
            "value": _known(pair.value),
            "low": pair.low,
            "high": pair.high,
            "level": verdict.rules.level,
            **dict.fromkeys(NOT_SEQUENTIAL),
            "interval_kind": INTERVAL_KIND,
        },
        "p_adjusted": None,
        "n_better": pair.n_better,
        "n_worse": pair.n_worse,
        "n_equal": pair.n_equal,
        "repeats_share": None,
        "tests": {"mcnemar": None, "paired_t": None},
        "subtasks": [],
        "items": [],
        "decision": verdict.decision,
        "more": None,
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _points(fraction: float) -> str:
    return f"{100 * fraction:.4g}"


def _interval_sentence(pair: PairEvidence, verdict: Verdict) -> str:
    found = f"{100 * pair.value:+.2f} points" if not math.isnan(pair.value) else "unknown"
    ends = f"{100 * pair.low:+.2f} to {100 * pair.high:+.2f}"
    return (
        f"Difference: {found} ({ends}; {100 * verdict.rules.level:.4g} % confidence sequence). {pair.b} is ahead on "
        f"{pair.n_better:,} items, behind on {pair.n_worse:,}, equal on {pair.n_equal:,}."
    )


def _rows(verdict: Verdict) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of the models: for `best`, the highest mean first."""
    race = verdict.rules.question == "best"
    models = sorted(verdict.models, key=lambda each: (not each.active, -each.mean)) if race else verdict.models
    rows = [
        (
            each.model,
            "–" if math.isnan(each.mean) else f"{100 * each.mean:.2f}",
            f"{each.n_items:,}",
            *([("yes" if each.active else "no")] if race else []),
        )
        for each in models
    ]
    return ("model", "mean", "items", *(["in the race"] if race else [])), rows


def _table(verdict: Verdict, upcoming: Sequence[str], notes: Sequence[str]) -> str:
    table = formats.text(formats.Table(*_as_texts(*_rows(verdict)))).rstrip("\n")
    warnings = [f"warning: {each}" for each in verdict.warnings]
    lines = [*notes, *warnings, *table.splitlines(), "", *sentences(verdict, upcoming)]
    return "\n".join(map(escape_controls, lines)) + "\n"


def _as_texts(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    return header, tuple(rows)


def _csv(verdict: Verdict, upcoming: Sequence[str], notes: Sequence[str]) -> str:
    return csv_text(table_rows(verdict))


def _json(verdict: Verdict, upcoming: Sequence[str], notes: Sequence[str]) -> str:
    return json.dumps(to_json(verdict, upcoming, notes), indent=1) + "\n"


def _markdown(verdict: Verdict, upcoming: Sequence[str], notes: Sequence[str]) -> str:
    lines = [f"**{verdict.rules.question}: {verdict.decision}**", "", markdown_table(*_rows(verdict))]
    lines += [f"- {markdown_text(sentence)}" for sentence in sentences(verdict, upcoming)] + [""]
    lines += [f"> warning: {markdown_text(each)}" for each in verdict.warnings]
    lines += [f"> {markdown_text(each)}" for each in notes]
    return "\n".join(lines).rstrip() + "\n"


def _junit(verdict: Verdict, upcoming: Sequence[str], notes: Sequence[str]) -> str:
    failed, skipped = (int(verdict.decision == each) for each in ("no", "cannot be told"))
    suite = ElementTree.Element(
        "testsuite", name="microbench next", tests="1", failures=str(failed), errors="0", skipped=str(skipped)
    )
    name = escape_controls(f"{verdict.rules.question}: {', '.join(each.model for each in verdict.models)}")
    case = ElementTree.SubElement(suite, "testcase", classname="microbench.next", name=name)
    told = [escape_controls(line) for line in (*sentences(verdict, upcoming), *verdict.warnings, *notes)]
    tag = "failure" if failed else "skipped" if skipped else "system-out"
    ElementTree.SubElement(case, tag, {} if tag == "system-out" else {"message": told[0]}).text = "\n".join(told)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
