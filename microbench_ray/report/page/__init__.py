"""report.html: one self-contained page about a sweep or an audit."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import pyarrow as pa

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.report.page.library import bundle
from microbench_ray.report.page.provenance import provenance_section
from microbench_ray.report.page.text import Html, join, tag
from microbench_ray.report.page.verdict import audit_verdict, changes, sweep_verdict

MAX_BYTES = 5_000_000
BUDGETS = (24_000, 12_000, 6_000, 2_000, 500)
"""Rows per chart, tried in turn until the page is small enough."""

TABLES = ("mdad", "agreement", "standings", "paired", "stopping", "failures")


def render(
    manifest: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    *,
    verdict: Mapping[str, Any] | None = None,
    history: pa.Table | None = None,
    leaderboard: pa.Table | None = None,
) -> str:
    """The page as HTML that needs neither other files nor a network.

    Parameters
    ----------
    manifest
        As in manifest.json: configuration, seed, digests, versions.
    tables
        `mdad`, `agreement`, `standings`, `paired`, `stopping` and `failures`, of the schemas of these names; a missing one counts
        as empty.
    verdict
        The verdict of an audit, as in verdict.json; None for a sweep.
    history, leaderboard
        Tables of an audit, of the schemas of these names.

    Returns
    -------
    str
        Under 5 MB. Of larger tables the page shows a part, with a note.
    """
    page = ""
    for budget in BUDGETS:
        page = _render(manifest, tables, verdict, history, leaderboard, budget)
        if len(page.encode(errors="replace")) < MAX_BYTES:
            break
    return page


def _render(
    manifest: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    verdict: Mapping[str, Any] | None,
    history: pa.Table | None,
    leaderboard: pa.Table | None,
    budget: int,
) -> str:
    # Imported here: they import pandas, which would delay `library.prepare` at the start of a sweep.
    from microbench_ray.report.page.curves import curves_section
    from microbench_ray.report.page.differences import differences_section
    from microbench_ray.report.page.drift import drift_section
    from microbench_ray.report.page.leaderboard import leaderboard_section
    from microbench_ray.report.page.parts import section
    from microbench_ray.report.page.stopping import stopping_section

    shown_tables = {name: tables.get(name, SCHEMAS[name].empty_table()) for name in TABLES}
    config = manifest.get("config", {})
    name = verdict["benchmark"] if verdict else ", ".join(manifest.get("benchmarks", {})) or "sweep"
    kind = "Audit" if verdict else "Sweep"
    answer = "Verdict" if verdict else "Answer"
    sections = {
        answer: section("verdict", answer, audit_verdict(verdict) if verdict else sweep_verdict(shown_tables)),
        "Curves": curves_section(shown_tables, budget),
        "Differences": None if verdict else differences_section(shown_tables["paired"]),
        "Verdicts": None if verdict else stopping_section(shown_tables["stopping"]),
        "Leaderboard": leaderboard_section(leaderboard, budget, config.get("top_k")),
        "Drift": drift_section(history, budget),
        "Changes": section("changes", "Changes and findings", changes(verdict)) if verdict else None,
        "Provenance": section("provenance", "Provenance", provenance_section(manifest, verdict)),
    }
    shown = {label: part for label, part in sections.items() if part is not None}
    links = [tag("a", label, href=f"#{_id_of(part)}") for label, part in shown.items()]
    note = config.get("figure_note")
    theme = tag("button", "Dark", type="button", id="theme", hidden=True)
    header = tag(
        "header",
        tag("div", tag("p", kind, class_="kind"), tag("h1", tag("bdi", name)), class_="title"),
        tag("nav", *links, aria_label="Sections"),
        theme,
    )
    no_script = tag("noscript", tag("p", "The charts and the table of models need JavaScript.", class_="note"))
    body = tag(
        "body",
        tag("a", "Skip to the verdict", href="#verdict", class_="skip"),
        header,
        tag("main", no_script, tag("p", note, class_="note") if note else None, *shown.values()),
        tag("div", id="tip", role="tooltip", hidden=True),
        tag("script", bundle()),
        tag("script", _file("script.js")),
    )
    scripts = " ".join(f"'sha256-{_digest(script)}'" for script in (bundle(), _file("script.js")))
    # A second defence behind escaping: no other script runs, and no request is made.
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {scripts}; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", f"{name}: {kind.lower()}"),
        tag("link", rel="icon", href="data:,"),
        tag("style", _file("style.css")),
    )
    return join(Html("<!doctype html>\n"), tag("html", head, body, lang="en"))


def _id_of(part: Html) -> str:
    return part.split('id="', 1)[1].split('"', 1)[0]


@cache
def _file(name: str) -> Html:
    """The content of a file of this package, unescaped."""
    return Html(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
