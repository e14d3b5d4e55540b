"""The formats of printed tables: their names, CSV that can be read back, and Markdown that shows names as they are."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.table_formats import FORMATS, check_format, csv_text, markdown_table
from tests.helpers.errors import refuses

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=8)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_known_by_its_name(name: str) -> None:
    assert check_format(name) == name


def test_a_former_name_is_the_new_one_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert check_format("text") == "table"
    assert "format=table" in caplog.text


def test_an_unknown_format_is_refused() -> None:
    with refuses(ConfigError, "format", where="format", got="cvs", hint="did you mean csv? valid: csv, json, markdown, table"):
        check_format("cvs")


def test_cells_of_csv() -> None:
    rows: list[dict[str, Any]] = [{"a": 0.1, "b": None, "c": True}, {"a": 3, "d": ["x", "y"]}]
    assert csv_text(rows) == "a,b,c,d\n0.1,,true,\n3,,,x; y\n"
    assert csv_text([]) == ""


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_any_text_is_read_back_from_csv(cells: list[tuple[str, str]]) -> None:
    rows = [{"one": one, "two": two} for one, two in cells]
    assert list(csv.DictReader(io.StringIO(csv_text(rows), newline=""))) == rows


def test_markdown_aligns_numbers_and_escapes_names() -> None:
    table = markdown_table(("model", "accuracy"), [("a|b*\t<i>", "50.0")])
    assert table == "| model | accuracy |\n| :-- | --: |\n| a\\|b\\*\\\\t\\<i\\> | 50.0 |\n"


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_a_markdown_table_has_a_line_per_row_and_a_bar_per_column(rows: list[tuple[str, str]]) -> None:
    lines = markdown_table(("a", "b"), rows).splitlines()
    assert len(lines) == 2 + len(rows)
    for line in lines:
        assert line.replace("\\\\", "").replace("\\|", "").count("|") == 3
