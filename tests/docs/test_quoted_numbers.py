"""Figures that several pages quote are one measure, and the same on all of them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
METHOD = (ROOT / "docs/how-to/method.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs/reference/results.md").read_text(encoding="utf-8")
COVERAGE = (ROOT / "docs/validation/coverage.md").read_text(encoding="utf-8")
DECISIONS = (ROOT / "docs/decisions.md").read_text(encoding="utf-8")
EXPERIMENTS = (ROOT / "docs/validation/experiments.md").read_text(encoding="utf-8")


def cells(line: str) -> list[str]:
    """The cells of a row of a table in Markdown."""
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]


def row(text: str, *first: str) -> list[str]:
    """The only row of a page's tables that begins with these cells."""
    (found,) = [cells(line) for line in text.splitlines() if line.startswith("|") and cells(line)[: len(first)] == list(first)]
    return found[len(first) :]


def better_table() -> str:
    """The section of the sweep of every method."""
    start = EXPERIMENTS.index("## better:")
    return EXPERIMENTS[start : EXPERIMENTS.index("**Targets of another family", start)]


def test_the_page_on_methods_quotes_the_monotone_mdad_of_the_tables() -> None:
    (guided, random) = re.search(
        r"10 items of `mdad_guided` detect differences of ([\d.]+) points, where 10 random items need ([\d.]+)", METHOD
    ).groups()  # type: ignore[union-attr]
    assert random == row(DECISIONS, "300", "random")[0] == row(better_table(), "random")[0]
    assert guided == row(better_table(), "mdad_guided")[0]
    assert row(DECISIONS, "300", "greedy")[:5] == row(better_table(), "greedy")[:5]
    assert row(DECISIONS, "300", "random_ridge")[:5] == row(better_table(), "random_ridge")[:5]


def test_tables_of_experiments_are_of_the_measure_that_the_page_names() -> None:
    assert "MDADs below are `mdad_monotone`" in EXPERIMENTS
    assert "seen half, first crossing" not in EXPERIMENTS


def test_the_page_on_results_quotes_the_coverage_of_the_table() -> None:
    (first, monotone) = re.search(r"in (\d+) % of cases, that of the second in (\d+) %", RESULTS).groups()  # type: ignore[union-attr]
    by_runs = row(DECISIONS, "seen, 10", ".210")
    assert [first, monotone] == [f"{100 * float(by_runs[k]):.0f}" for k in (0, 2)]


def intervals(column: int, heading: str) -> list[float]:
    """A column of the rows of GPQA's splits and sizes in a section of the decisions."""
    section = DECISIONS[DECISIONS.index(f"## {heading}") :]
    section = section[: section.index("\n## ")]
    rows = [cells(line) for line in section.splitlines() if line.startswith(("| seen", "| unseen"))]
    return [float(row[column].split()[1] if " " in row[column] else row[column]) for row in rows]


def test_the_page_on_coverage_quotes_the_tables_of_the_decisions() -> None:
    by_runs, by_pairs = (intervals(column, "Intervals of agreement") for column in (2, 3))
    assert row(COVERAGE, "agreement of a bin, by runs")[0] == f".{min(by_runs) * 1000:.0f} to .{max(by_runs) * 1000:.0f} on average"
    assert row(COVERAGE, "the same by pairs, as in the paper")[0] == f".{min(by_pairs) * 1000:.0f} to .{max(by_pairs) * 1000:.0f}"
    first, monotone = (intervals(column, "Intervals of MDAD") for column in (2, 4))
    for name, values in (("seen half", monotone[:5]), ("unseen half", monotone[5:])):
        expected = f".{min(values) * 1000:.0f} to .{max(values) * 1000:.0f}"
        assert row(COVERAGE, f"MDAD (`mdad_monotone`) by runs, {name}")[0] == expected
    expected = f".{min(first[:5]) * 1000:.0f} to .{max(first[:5]) * 1000:.0f}"
    assert row(COVERAGE, "the paper's first crossing (`mdad`) by runs, seen half")[0] == expected
