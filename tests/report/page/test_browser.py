"""The pages in a browser: opened, clicked, navigated by keyboard and printed. One case is quick, the others are slow."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.helpers import browser as b
from tests.helpers.pages import BREAKOUT, HOSTILE, LISTS, PageInput

SIZES = {"phone": b.PHONE, "desktop": b.DESKTOP}
PAGES = [(page, theme, size) for page in ("sweep", "audit") for theme in ("light", "dark") for size in SIZES]
QUICK = ("audit", "light", "desktop")


def one(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def text(element: WebElement) -> str:
    return element.get_attribute("textContent") or ""


def texts(browser: Chrome, selector: str) -> list[str]:
    """The texts of all elements, in one request."""
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)", selector
    )
    return found


def choose(browser: Chrome, selector: str, value: str) -> None:
    Select(one(browser, selector)).select_by_value(value)
    b.settled(browser)


def open_values(browser: Chrome, chart: str) -> None:
    """Open the table of values below a chart."""
    one(browser, f"#chart-{chart} details summary").click()
    WebDriverWait(browser, 10).until(lambda here: here.find_elements(By.CSS_SELECTOR, f"#chart-{chart} .values tbody tr"))


def opacities(browser: Chrome, chart: str) -> list[float]:
    """The opacities of a chart's lines."""
    lines = browser.find_elements(By.CSS_SELECTOR, f"#chart-{chart} .mark-line path")
    return [float(line.get_attribute("opacity") or 1) for line in lines]


def tooltip(browser: Chrome) -> dict[str, str]:
    """Names and values in the tooltip."""
    return dict(zip(texts(browser, "#tip dt"), texts(browser, "#tip dd"), strict=True))


@pytest.mark.parametrize(
    ("name", "theme", "screen"), [case if case == QUICK else pytest.param(*case, marks=pytest.mark.slow) for case in PAGES]
)
def test_a_page_opens_without_an_error_a_request_or_a_scroll_bar(
    browser: Chrome, name: str, theme: str, screen: str, request: pytest.FixtureRequest
) -> None:
    dark, size = theme == "dark", SIZES[screen]
    b.open_page(browser, request.getfixturevalue(f"{name}_html"), dark=dark, size=size)
    assert b.console(browser) == []
    assert b.requests(browser) <= {"file", "data"}
    page_width, window_width = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert page_width <= window_width == size[0]
    charts = browser.find_elements(By.CSS_SELECTOR, "figure.chart")
    assert len(charts) == {"sweep": 2, "audit": 5}[name]
    for chart in charts:
        drawing = chart.find_element(By.CSS_SELECTOR, ".plot svg").rect
        figure = chart.rect
        assert figure["x"] <= drawing["x"]
        assert drawing["x"] + drawing["width"] <= figure["x"] + figure["width"] + 1
        assert drawing["height"] > 60
    line = one(browser, "#chart-agreement .mark-line path").value_of_css_property("stroke")
    assert line == ("rgb(90, 180, 245)" if dark else "rgb(0, 104, 168)")


@pytest.mark.slow
def test_names_from_data_are_shown_and_never_executed(browser: Chrome, audit_html: Path) -> None:
    b.open_page(browser, audit_html)
    with pytest.raises(NoAlertPresentException):
        _ = browser.switch_to.alert.text
    assert browser.find_elements(By.TAG_NAME, "img") == []
    names = texts(browser, ".sortable td:nth-child(2)")
    drawn = texts(browser, "#chart-ranks svg text")
    assert {HOSTILE, BREAKOUT} <= set(names)
    assert HOSTILE in drawn
    dots = browser.find_elements(By.CSS_SELECTOR, "#chart-ranks .mark-symbol path")
    hostile = [dot for dot in dots if HOSTILE in (dot.get_attribute("aria-label") or "")]
    b.hover(browser, hostile[-1], 4, 4)
    assert tooltip(browser)["model"] == HOSTILE


@pytest.mark.slow
def test_hovering_shows_the_values_of_the_table(browser: Chrome, sweep_html: Path, sweep: PageInput) -> None:
    rows = sweep.tables["mdad"].to_pandas()
    rows = rows[(rows["method"] == "random") & (rows["size"] == 25) & (rows["n_source"] == 40)]
    row = rows[(rows["split"] == "seen") & (rows["threshold"] == 0.8)].iloc[0]
    b.open_page(browser, sweep_html)
    one(browser, "button[data-method=random]").click()
    b.settled(browser)
    dots = browser.find_elements(By.CSS_SELECTOR, "#chart-mdad .mark-symbol path")
    (place,) = {
        (dot.rect["x"] + dot.rect["width"] / 2, dot.rect["y"] + dot.rect["height"] / 2)
        for dot in dots
        if "method: random;" in (dot.get_attribute("aria-label") or "") + ";"
        and dot.get_attribute("opacity") in (None, "1")
        and (dot.get_attribute("aria-label") or "").startswith("items selected: 2")
    }
    drawing = one(browser, "#chart-mdad .plot svg")
    b.hover(browser, drawing, place[0] - drawing.rect["x"], place[1] - drawing.rect["y"])
    shown = tooltip(browser)
    assert shown["method"] == "random"
    assert shown["items"] == "25"
    assert shown["MDAD"] == f"{100 * row['mdad_monotone']:.1f} points"
    high = row["mdad_monotone_ci_hi"]
    ends = f"{100 * row['mdad_monotone_ci_lo']:.1f}–{'∞' if high != high else f'{100 * high:.1f}'}"
    assert shown["interval over runs"] == ends
    open_values(browser, "mdad")
    values = texts(browser, "#chart-mdad .values tbody tr")
    assert f"random25{100 * row['mdad_monotone']:.1f}{ends}10" in values


@pytest.mark.slow
def test_a_method_is_isolated_by_mouse_and_by_keyboard(browser: Chrome, sweep_html: Path) -> None:
    b.open_page(browser, sweep_html)
    button = one(browser, "button[data-method=diversity]")
    button.click()
    b.settled(browser)
    for chart in ("agreement", "mdad"):
        assert sorted(opacities(browser, chart)) == [0.12] * 4 + [1]
    one(browser, ".everything").click()
    b.settled(browser)
    assert opacities(browser, "mdad") == [1] * 5

    b.open_page(browser, sweep_html)
    one(browser, "body").send_keys(Keys.TAB)
    assert text(browser.switch_to.active_element) == "Skip to the verdict"
    for _ in range(30):
        if browser.switch_to.active_element.get_attribute("data-method") == "random":
            break
        browser.switch_to.active_element.send_keys(Keys.TAB)
    focused = browser.switch_to.active_element
    assert focused.value_of_css_property("outline-style") == "solid"
    focused.send_keys(Keys.ENTER)
    b.settled(browser)
    assert focused.get_attribute("aria-pressed") == "true"
    assert sorted(opacities(browser, "agreement")) == [0.12] * 4 + [1]
    focused.send_keys(Keys.ESCAPE)
    b.settled(browser)
    assert opacities(browser, "agreement") == [1] * 5
    assert b.console(browser) == []


@pytest.mark.slow
def test_selectors_change_charts_and_tables(
    browser: Chrome, sweep_html: Path, audit_html: Path, sweep: PageInput, audit: PageInput
) -> None:
    b.open_page(browser, sweep_html)
    open_values(browser, "mdad")
    choose(browser, "select[data-column=threshold]", "0.9")
    choose(browser, "select[data-column=sources]", "20")
    choose(browser, "select[data-column=items]", "unseen half of the items")
    rows = sweep.tables["mdad"].to_pandas()
    rows = rows[(rows["threshold"] == 0.9) & (rows["n_source"] == 20) & (rows["split"] == "unseen")]
    values = texts(browser, "#chart-mdad .values td:nth-child(3)")
    assert values == ["never reached" if value != value else f"{100 * value:.1f}" for value in rows["mdad_monotone"]]

    b.open_page(browser, audit_html)
    assert audit.leaderboard is not None
    board = audit.leaderboard.to_pandas()
    for label in LISTS:
        choose(browser, "#leaderboard select[data-column=subject]", label)
        first = board[(board["subject"] == label) & (board["rank"] == 4)].iloc[0]
        cells = texts(browser, ".sortable tbody tr:nth-child(4) td")
        assert cells[1] == first["model"]
        assert cells[3] == f"{100 * first['estimate']:.1f}"
        assert cells[5] == f"{first['rank_lo']:.0f}–{first['rank_hi']:.0f}"
    choose(browser, "#leaderboard select[data-column=view]", "all")
    choose(browser, "#drift select[data-column=part]", "physics")
    choose(browser, "#drift select[data-column=metric]", "MDAD (points)")
    assert b.console(browser) == []


@pytest.mark.slow
def test_the_table_of_models_is_sorted_and_searched(browser: Chrome, audit_html: Path) -> None:
    b.open_page(browser, audit_html)

    def column(k: int) -> list[str]:
        return texts(browser, f".sortable td:nth-child({k})")

    assert len(column(1)) == 100
    one(browser, ".sortable .more").click()
    assert len(column(1)) == 400
    one(browser, ".sortable th:nth-child(4) button").click()
    estimates = [float(value) for value in column(4) if value != "–"]
    assert estimates == sorted(estimates)
    one(browser, ".sortable th:nth-child(4) button").click()
    assert [float(value) for value in column(4)[:399]] == estimates[::-1]
    assert column(4)[-1] == "–"
    assert one(browser, ".sortable th:nth-child(4)").get_attribute("aria-sort") == "descending"
    one(browser, ".sortable input").send_keys("<script>")
    assert column(2) == [HOSTILE]


@pytest.mark.slow
def test_the_theme_can_be_changed_and_printing_is_light(browser: Chrome, audit_html: Path) -> None:
    b.open_page(browser, audit_html, dark=True)
    page = one(browser, "body")
    assert page.value_of_css_property("background-color") == "rgba(18, 21, 25, 1)"
    one(browser, "#theme").click()
    assert page.value_of_css_property("background-color") == "rgba(246, 246, 243, 1)"
    one(browser, "#theme").click()
    pdf = b.printed(browser)
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 50_000
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
    assert page.value_of_css_property("color") == "rgba(28, 33, 40, 1)"
    assert not one(browser, "#theme").is_displayed()
    assert b.console(browser) == []
