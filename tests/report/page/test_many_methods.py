"""Pages of many methods and of several benchmarks: colours, the table of differences, small charts, and words on a phone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from selenium.webdriver import Chrome

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.report.highlight import MAX_COLOURED, highlight
from microbench_ray.report.page import render
from tests.helpers import browser as b
from tests.helpers.pages import rows_of
from tests.report.page.conftest import write_page
from tests.report.page.test_browser import one, texts
from tests.report.page.test_page import Parsed
from tests.report.test_answer import GROUP, method, tables

NAMES = [f"method_with_a_long_name_{k:02d}" for k in range(11)]
BEST = NAMES[7:9]
BASELINE = NAMES[3]


def many(benchmark: str) -> dict[str, pa.Table]:
    """Two sizes of eleven methods, two of which share the best, against the fourth."""
    swept = [method(name, 4.0 if name in BEST else 6.0 + k / 2, 1.0 if name in BEST else 0.001) for k, name in enumerate(NAMES)]
    found = tables(*({**row, "size": size} for row in swept for size in (50, 100)), benchmark=benchmark)
    differences = {"mean_agreement": (0.03, 0.01, 0.05), "mdad_monotone": (-0.02, -0.03, 0.0)}
    ends = {
        f"{name}_{end}": value
        for name, values in differences.items()
        for end, value in zip(("difference", "ci_lo", "ci_hi"), values, strict=True)
    }
    key = GROUP | {"benchmark": benchmark, "threshold": 0.8, "baseline": BASELINE, "n_runs": 20, "ci": "runs"}
    paired = [key | ends | {"method": name} for name in NAMES if name != BASELINE]
    curves = [
        GROUP
        | {
            "benchmark": benchmark,
            "method": name,
            "diff_lo": k / 200,
            "diff_hi": (k + 1) / 200,
            "n_pairs": 50,
            "agreement": 0.5 + k / 20,
        }
        for name in NAMES
        for k in range(10)
    ]
    return found | {"paired": rows_of("paired", paired), "agreement": rows_of("agreement", curves)}


def page(*benchmarks: str) -> str:
    parts = [many(benchmark) for benchmark in benchmarks]
    found = {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}
    return render({"benchmarks": {}}, found)


def test_the_baseline_and_the_best_methods_are_in_colour() -> None:
    shown = highlight(many("b"), NAMES)
    assert shown.coloured == [BASELINE, *BEST]
    assert shown.grey == [name for name in NAMES if name not in shown.coloured]
    assert "baseline" in shown.reason
    few = highlight(many("b"), NAMES[:MAX_COLOURED])
    assert (few.coloured, few.grey, few.reason) == (NAMES[:MAX_COLOURED], [], "")


def test_of_more_best_methods_than_colours_those_with_the_largest_p_values_are_shown() -> None:
    found = tables(*(method(name, 4.0, 0.1 + k / 20) for k, name in enumerate(NAMES)))
    shown = highlight(found, NAMES)
    assert shown.coloured == NAMES[: -MAX_COLOURED - 1 : -1]
    assert f"{MAX_COLOURED} of 11" in shown.reason
    uncompared = tables(*(method(name, 20.0 - k, None) for k, name in enumerate(NAMES)), n_runs=3)
    shown = highlight(uncompared, NAMES)
    assert shown.coloured == NAMES[: -MAX_COLOURED - 1 : -1]
    assert "may be chance" in shown.reason


def test_differences_to_the_baseline_are_a_table_with_marks() -> None:
    parsed = Parsed(page("b"))
    assert any(text.startswith("b: ") and BASELINE in text for text in parsed.texts)
    assert parsed.texts.count("better") == 10  # of agreement; the interval of the MDAD ends at 0
    for text in ("+3.0", "+1.0 to +5.0", "−2.0", "−3.0 to 0.0"):
        assert text in parsed.texts
    empty = {name: SCHEMAS[name].empty_table() for name in ("mdad", "agreement", "failures")}
    assert "differences-title" not in render({}, empty)


def test_each_of_several_benchmarks_has_a_small_chart() -> None:
    assert [chart["name"] for chart in Parsed(page("b")).charts()] == ["agreement", "mdad"]
    charts = Parsed(page("b", "other")).charts()
    assert [chart["name"] for chart in charts] == ["agreement", "mdad", "mdad-0", "mdad-1"]
    for chart in charts[2:]:
        assert "benchmark" not in chart["rows"]
        assert len(chart["rows"]["value"]) == 22
        assert json.dumps(BASELINE) in json.dumps(chart["specs"])


def strokes(browser: Chrome, chart: str) -> list[str]:
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((each) => getComputedStyle(each).stroke)",
        f"#chart-{chart} .mark-line path",
    )
    return found


@pytest.mark.slow
def test_grey_lines_are_behind_and_a_chosen_one_gets_its_colour(browser: Chrome, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page("b", "other"), encoding="utf-8")
    b.open_page(browser, tmp_path / "report.html")
    grey = "rgb(179, 185, 194)"
    for chart in ("agreement", "mdad", "mdad-1"):
        drawn = strokes(browser, chart)
        assert drawn[:8] == [grey] * 8
        assert len({*drawn[8:], grey}) == 4
    one(browser, f"button[data-method={NAMES[0]}]").click()
    b.settled(browser)
    assert strokes(browser, "agreement").count(grey) == 7
    assert b.console(browser) == []


BROKEN = """
const broken = [];
const range = document.createRange();
const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  if (node.parentElement.closest("script, option, code, pre, svg, #provenance dd")) continue;
  for (const word of node.textContent.matchAll(/[\\w]+/g)) {
    range.setStart(node, word.index);
    range.setEnd(node, word.index + word[0].length);
    const boxes = [...range.getClientRects()].filter((box) => box.width);
    if (new Set(boxes.map((box) => Math.round(box.top))).size > 1) broken.push(word[0]);
  }
}
return broken;
"""


@pytest.mark.slow
@pytest.mark.parametrize("which", ["many", "audit"])
def test_no_word_is_broken_on_a_phone(browser: Chrome, which: str, tmp_path: Path, audit: Any) -> None:
    if which == "many":
        path = tmp_path / "report.html"
        path.write_text(page("b", "other"), encoding="utf-8")
    else:
        path = write_page(audit, tmp_path)
    b.open_page(browser, path, size=b.PHONE)
    endless = "x" * 60  # the one name that no line can hold
    assert [word for word in browser.execute_script(BROKEN) if endless not in word] == []
    page_width, window_width = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert page_width <= window_width
    assert texts(browser, "h1")
