"""The page as text: escaping, size, requests, and how nulls are shown."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vl_convert

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.report.page import MAX_BYTES, library, render
from microbench_ray.report.page.curves import MAX_MULTIPLES
from microbench_ray.report.page.library import VEGA_LITE
from microbench_ray.report.page.text import interval, number, points, script_json, tag
from tests.helpers.pages import BREAKOUT, HOSTILE, LISTS, PageInput, audited, history, leaderboard, rows_of, verdict

STYLE = Path(__file__).parents[3] / "microbench_ray/report/page/style.css"


class Parsed(HTMLParser):
    """Elements with their attributes, texts outside scripts, and scripts by kind."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[str, str]] = []
        self.inside: str | None = None
        self.classes: list[str] = []
        self.current_class = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs).get("type") or "", ""))
        self.inside = tag
        self.current_class = dict(attrs).get("class") or ""

    def handle_endtag(self, tag: str) -> None:
        self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            kind, text = self.scripts.pop()
            self.scripts.append((kind, text + data))
        elif self.inside != "style":
            self.texts.append(data)
            self.classes.append(self.current_class)

    def texts_of(self, class_name: str) -> list[str]:
        return [text for text, classes in zip(self.texts, self.classes, strict=True) if class_name in classes.split()]

    def charts(self) -> list[dict[str, Any]]:
        return [json.loads(text) for kind, text in self.scripts if kind == "application/json"]

    def options(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        column = ""
        for name, attributes in self.elements:
            if name == "select":
                column = str(attributes["data-column"])
                found[column] = []
            if name == "option":
                found[column].append(str(attributes["value"]))
        return found


def with_tables(page: PageInput, **tables: pa.Table) -> PageInput:
    return dataclasses.replace(page, tables=page.tables | tables)


def test_text_from_data_is_escaped_everywhere(audit: PageInput) -> None:
    page = audit.html()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b>core" not in page
    parsed = Parsed(page)
    assert [kind for kind, _ in parsed.scripts] == ["application/json"] * 5 + ["", ""]
    everything = "".join(parsed.texts)
    assert f"The model {HOSTILE} is new." in everything
    assert "open <leaderboard> v2" in everything
    ranks = next(chart for chart in parsed.charts() if chart["name"] == "ranks")
    assert {HOSTILE, BREAKOUT} <= set(ranks["rows"]["model"]["texts"])
    assert set(ranks["rows"]["subject"]["texts"]) == set(LISTS)


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "\u2028", "&lt;", "'\"\\"])
def test_json_in_a_script_cannot_end_the_script_and_is_not_changed(text: str) -> None:
    made = script_json({text: [text, 1.5, None]})
    assert not re.search("[<>&\u2028\u2029]", made)
    assert json.loads(made) == {text: [text, 1.5, None]}


def test_attributes_and_children_are_escaped_once() -> None:
    made = tag("p", "a < b & c", tag("b", '"'), None, title='"><script>', class_="x", hidden=False)
    assert made == '<p title="&quot;&gt;&lt;script&gt;" class="x">a &lt; b &amp; c<b>&quot;</b></p>'


def test_the_page_makes_no_request_and_runs_no_other_script(sweep: PageInput, audit: PageInput) -> None:
    for page in (sweep, audit):
        parsed = Parsed(page.html())
        for name, attributes in parsed.elements:
            assert name not in ("iframe", "object", "embed", "base", "form")
            assert "src" not in attributes
            assert not [key for key in attributes if key.startswith("on")]
            assert (attributes.get("href") or "#").startswith(("#", "data:,"))
        (policy,) = (str(each["content"]) for name, each in parsed.elements if each.get("http-equiv") == "Content-Security-Policy")
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-")
        assert "unsafe-eval" not in policy
        for kind, text in parsed.scripts:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert (f"'sha256-{digest}'" in policy) == (kind == "")
    assert "url(" not in STYLE.read_text()
    assert "@import" not in STYLE.read_text()


def test_all_specifications_compile(sweep: PageInput, audit: PageInput) -> None:
    compiled = 0
    for chart in [*Parsed(sweep.html()).charts(), *Parsed(audit.html()).charts()]:
        for spec in chart["specs"].values():
            height = 300 if isinstance(spec["height"], dict) else spec["height"]
            found = vl_convert.vegalite_to_vega(spec | {"data": {"name": "rows", "values": []}, "height": height}, VEGA_LITE)
            assert found["marks"]
            compiled += 1
    assert compiled == 9


def test_selectors_offer_all_values(sweep: PageInput, audit: PageInput) -> None:
    assert Parsed(sweep.html()).options() == {
        "benchmark": ["synthetic"],
        "group": ["30 (drawn at random)"],
        "sources": ["20", "40"],
        "items": ["seen half of the items", "unseen half of the items"],
        "threshold": ["0.8", "0.9"],
        "size": ["10", "25", "50", "100"],
    }
    found = Parsed(audit.html()).options()
    assert found["subject"] == list(LISTS)
    assert found["view"] == ["25", "100", "all"]
    assert found["about"] == [
        "anchors, 100 items",
        "tiny, 100 items",
        "published <b>core</b>, 250 items",
    ]  # what was wrong last night
    assert found["metric"] == ["MDAD (points)", "Kendall's tau"]
    assert found["part"] == ["all subtasks", "algebra", "law", "physics"]


def test_a_chart_has_the_values_of_its_table(sweep: PageInput) -> None:
    (_, chart) = Parsed(sweep.html()).charts()
    found = sweep.tables["mdad"]
    assert chart["name"] == "mdad"
    expected = [None if value is None else pytest.approx(100 * value, rel=1e-4) for value in found["mdad_monotone"].to_pylist()]
    assert chart["rows"]["value"] == expected
    methods = chart["rows"]["method"]
    assert [methods["texts"][at] for at in methods["at"]] == found["method"].to_pylist()


def test_the_headline_of_a_sweep_is_its_answer(sweep: PageInput) -> None:
    """At 100 items, anchors and diversity are worse by more than chance; the others are named together, with a range of MDADs."""
    panel = {"size": 100, "n_source": 40, "split": "seen"}
    standings, found = (sweep.tables[name].to_pandas() for name in ("standings", "mdad"))
    here = standings[(standings[list(panel)] == list(panel.values())).all(axis=1)]
    best = here[here["among_best"].astype(bool)]["method"].tolist()
    assert 1 < len(best) <= 3 < len(here)
    found = found[(found[list(panel)] == list(panel.values())).all(axis=1) & (found["threshold"] == 0.8)]
    mdads = 100 * found[found["method"].isin(best)]["mdad_monotone"]
    parsed = Parsed(sweep.html())
    (answer,), (meaning,) = parsed.texts_of("answer"), parsed.texts_of("headline")
    for fact in ("100 items", f"{mdads.min():.1f} to {mdads.max():.1f} points", *best):
        assert fact in answer
    for fact in ("5 methods", "chance", ", ".join(best), "80 %", "seen half"):
        assert fact in meaning
    assert "completed" not in parsed.texts_of("answer")[0]


def test_failed_shards_are_told_beside_the_answer(sweep: PageInput) -> None:
    failures = rows_of("failures", [{"benchmark": "synthetic", "methods": "random", "error": f"ValueError: {HOSTILE}"}])
    page = with_tables(sweep, failures=failures).html()
    assert "1 shard failed" in page
    assert "ValueError: &lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_unreached_and_unbounded_values_are_marked(audit: PageInput) -> None:
    page = audit.html()
    assert "<strong>never reached</strong>" in page
    assert "4.0–∞" in page
    assert "<dt>better: the best 20 % (80)</dt><dd>4.1 (3.5–∞)</dd>" in page
    assert "<dt>newer: since 2026-09 (33)</dt><dd>never reached</dd>" in page
    assert (points(None), points(0.035), points(-0.001)) == ("never reached", "3.5", "−0.1")
    assert (interval(None, None), interval(0.02, None), interval(0.02, 0.03)) == ("", "2.0–∞", "2.0–3.0")
    assert number(float("nan")) == "–"
    (_, chart, *_) = Parsed(page).charts()
    rows = chart["rows"]
    assert rows["value"] == [2.5, 4.6, None]
    assert rows["reached"] == [1, 1, 0]
    assert rows["unbounded"] == [0, 1, 0]
    assert None not in rows["y"] + rows["lo_y"] + rows["hi_y"]


@pytest.mark.slow
def test_a_sweep_without_any_mdad_has_a_headline(sweep: PageInput) -> None:
    found = sweep.tables["mdad"]
    for name in ("mdad_monotone", "mdad_monotone_ci_lo", "mdad_monotone_ci_hi"):
        place = found.schema.get_field_index(name)
        found = found.set_column(place, found.schema.field(name), pa.nulls(len(found), pa.float64()))
    (answer,) = Parsed(with_tables(sweep, mdad=found).html()).texts_of("answer")
    assert "100 items" in answer
    assert "never reaches 80 %" in answer
    assert "points" not in answer


def test_a_page_without_results_renders() -> None:
    page = render({"seed": 0, "benchmarks": {}}, {name: SCHEMAS[name].empty_table() for name in ("mdad", "agreement", "failures")})
    assert Parsed(page).texts_of("answer") == ["There are no results"]
    assert Parsed(page).texts_of("headline") == []
    assert render({}, {}) == render({"benchmarks": {}}, {})


def test_a_first_night_without_alarms_has_the_same_charts() -> None:
    parsed = Parsed(audited("ok", ["2026-11-25"]).html())
    assert "First night: 2026-11-25" in parsed.texts
    assert [attributes["data-status"] for _, attributes in parsed.elements if attributes.get("class") == "banner"] == ["ok"]
    assert [chart["name"] for chart in parsed.charts()] == ["agreement", "mdad", "ranks", "drift"]


@pytest.mark.slow
def test_more_findings_than_fit_are_counted() -> None:
    many = verdict()
    many["findings"] = [many["findings"][0] | {"text": f"finding {k}"} for k in range(1000)]
    page = dataclasses.replace(audited(), verdict=many, history=None, leaderboard=None).html()
    for count in ("996 more", "(1,000)", "800 more"):
        assert count in page


def large_sweep() -> dict[str, pa.Table]:
    """20 benchmarks, 9 methods, 7 sizes, 4 numbers of sources and both halves: 300,000 bins."""
    n_bins, keys = 30, [(b, m, s, n, h) for b in range(20) for m in range(9) for s in range(7) for n in range(4) for h in (0, 1)]
    sizes, rng = np.array([10, 25, 50, 100, 250, 500, 1000]), np.random.default_rng(0)
    names = [[f"benchmark-{k}" for k in range(20)], [f"method-{k}" for k in range(9)]]

    def table(name: str, repeats: int, more: dict[str, Any]) -> pa.Table:
        b, m, s, n, h = np.repeat(np.array(keys), repeats, axis=0).T
        columns: dict[str, Any] = {
            "benchmark": np.array(names[0])[b],
            "method": np.array(names[1])[m],
            "n_source": np.array([10, 50, 100, 300])[n],
            "size": sizes[s],
            "fraction": pa.nulls(len(b), pa.float64()),
            "targets": ["random"] * len(b),
            "n_target": np.full(len(b), 50),
            "unseen": ["half"] * len(b),
            "split": np.array(["seen", "unseen"])[h],
            "tie_policy": ["wrong"] * len(b),
            "ci": ["runs"] * len(b),
            "cost": pa.nulls(len(b), pa.float64()),
        }
        schema = SCHEMAS[name]
        return pa.table([pa.array((columns | more)[each.name], each.type) for each in schema], schema=schema)

    value = rng.uniform(0.01, 0.2, len(keys))
    of_mdad = {"threshold": np.full(len(keys), 0.8), "reached_share": np.ones(len(keys)), "n_runs": np.full(len(keys), 50)}
    for name in ("mdad", "mdad_monotone"):
        of_mdad[name] = value
    for name in ("ci_lo", "mdad_monotone_ci_lo"):
        of_mdad[name] = value - 0.005
    for name in ("ci_hi", "mdad_monotone_ci_hi"):
        of_mdad[name] = value + 0.005
    count, low = len(keys) * n_bins, np.tile(np.arange(n_bins) * 0.005, len(keys))
    share = rng.uniform(0.5, 1, count)
    counts = {name: np.full(count, 100) for name in ("n_pairs", "n_agree", "n_tied")}
    bins = {"diff_lo": low, "diff_hi": low + 0.005, "agreement": share, "ci_lo": share - 0.1, "ci_hi": share + 0.1}
    return {"mdad": table("mdad", 1, of_mdad), "agreement": table("agreement", n_bins, counts | bins)}


@pytest.mark.slow
def test_a_large_sweep_is_thinned_with_notes() -> None:
    tables = large_sweep()
    assert len(tables["agreement"]) > 300_000
    page = render({"benchmarks": {}}, tables)
    assert len(page.encode()) < MAX_BYTES
    notes = " ".join(Parsed(page).texts)
    assert "4 of 7 sizes: 10, 50, 250, 1,000" in notes
    assert "Not on this page: agreement curves" in notes
    curves, found, *small = Parsed(page).charts()
    assert len(small) == MAX_MULTIPLES
    assert len(found["rows"]["method"]["at"]) == len(tables["mdad"])
    assert 5_000 < len(curves["rows"]["method"]["at"]) <= 24_000


@pytest.mark.slow
def test_a_large_audit_stays_under_the_limit() -> None:
    nights = [f"{2020 + k // 365}-{k % 365:03d}" for k in range(3000)]
    lists = tuple(f"list {k}" for k in range(8))
    page = render({}, {}, verdict=verdict(), history=history(nights), leaderboard=leaderboard(6000, lists))
    assert len(page.encode()) < MAX_BYTES
    notes = " ".join(Parsed(page).texts)
    assert "of 6,000 models" in notes
    assert re.search(r"last [\d,]+ nights", notes)


@pytest.mark.slow
def test_the_library_is_the_same_from_another_process_kept_and_where_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.bundle.cache_clear()
    monkeypatch.setattr(library, "_PREPARED", [])
    here = library.bundle()
    assert "window.vegaEmbed=" in here
    library.prepare()
    assert library._PREPARED[0].result() == here
    monkeypatch.setattr(library, "_PREPARED", [])
    monkeypatch.setattr("sys.executable", "/no/such/program")
    library.prepare()
    assert library._PREPARED[0].result() == here  # kept
    monkeypatch.setattr(library, "_PREPARED", [])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    library.prepare()
    assert library._PREPARED[0].result() == ""
    library.bundle.cache_clear()
    assert library.bundle() == here


def _luminance(colour: str) -> float:
    values = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_have_the_contrast_of_wcag(theme: int) -> None:
    found = dict(re.findall(r"--([\w-]+): light-dark\((#\w{6}, #\w{6})\)", STYLE.read_text()))
    colours = {name: pair.split(", ")[theme] for name, pair in found.items()}
    for text in ("ink", "muted", "accent", "ok", "attention", "violated"):
        for ground in ("card", "page"):
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for tone in ("ok", "attention", "violated", "ink"):
        for soft in ("ok", "attention", "violated"):
            if tone in (soft, "ink"):
                assert _contrast(colours[tone], colours[f"{soft}-soft"]) >= 4.5, (tone, soft)
    series = [name for name in colours if name.startswith("series-")]
    assert len(series) == 10
    for name in series:
        for ground in ("card", "stripe", "band"):
            assert _contrast(colours[name], colours[ground]) >= 3, (name, ground)
