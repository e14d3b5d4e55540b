"""What a sweep prints: its answer, the differences to a baseline, and names that are not broken in a narrow terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.report.differences import signed
from microbench_ray.report.results import show_results
from tests.report.page.test_many_methods import BASELINE, BEST, NAMES, many


def shown(tmp_path: Path, width: int = 120, **changes: object) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, markup=False, highlight=False, soft_wrap=True)
    tables = many("board") | {"summary": SCHEMAS["summary"].empty_table()} | changes
    show_results(console, tables, tmp_path, figures=False)  # type: ignore[arg-type]
    return stream.getvalue().splitlines()


def test_the_answer_stands_between_the_tables_and_the_files(tmp_path: Path) -> None:
    lines = shown(tmp_path)
    answer = f"100 items of {' or '.join(BEST)} detect differences of 4.0 points"
    at = lines.index(answer)
    assert lines[at + 1] == f"  50 items of {' or '.join(BEST)} detect differences of 4.0 points"
    assert "11 methods over 20 runs" in lines[at + 3]
    (files,) = [k for k, line in enumerate(lines) if line.startswith("Tables:")]
    assert files > at
    assert "standings.parquet" in lines[files]


def test_differences_to_the_baseline_are_printed_and_those_beyond_chance_marked(tmp_path: Path) -> None:
    lines = shown(tmp_path)
    for title in ("Mean agreement", "MDAD"):
        assert any(title in line and BASELINE in line and "excludes 0" in line for line in lines)
    rows = [line.split() for line in lines if line.strip().startswith(NAMES[0])]
    assert ["+3.0*"] in [row[1:] for row in rows]
    assert ["−2.0"] in [row[1:] for row in rows]  # its interval ends at 0
    without = [line for line in shown(tmp_path, paired=SCHEMAS["paired"].empty_table()) if "excludes 0" in line]
    assert without == []


@pytest.mark.parametrize("width", [48, 60, 80])
def test_no_name_of_a_method_is_broken(width: int, tmp_path: Path) -> None:
    text = "\n".join(shown(tmp_path, width))
    assert text.count(BEST[0]) >= 5
    # In the MDAD tables of the seen half and both of differences, each method has a row.
    for name in NAMES:
        assert text.count(name) >= (1 if name == BASELINE else 3)


def test_no_number_is_broken_in_a_narrow_terminal(tmp_path: Path) -> None:
    wide, narrow = ("\n".join(shown(tmp_path, width)).split() for width in (200, 44))
    assert {word for word in wide if "–" in word} == {word for word in narrow if "–" in word}


def test_signed_points() -> None:
    values = (0.015, -0.015, 0.0, -0.0001, float("inf"), float("-inf"))
    assert [signed(value) for value in values] == ["+1.5", "−1.5", "0.0", "0.0", "+∞", "−∞"]
