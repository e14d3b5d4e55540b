"""Tables as text, Markdown, LaTeX, HTML and CSV."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core import formats
from microbench_ray.core.formats import Table

SMALL = Table(("method", "mdad", "size", "best"), (("random", 0.0355555, 10, False), ("a|b_c", None, 2000, True)))


def test_text_aligns_numbers_to_the_right() -> None:
    assert formats.text(SMALL) == "method     mdad  size  best\nrandom  0.03556    10  no\na|b_c            2000  yes\n"


def test_markdown() -> None:
    assert formats.markdown(SMALL) == (
        "| method | mdad | size | best |\n"
        "| :--- | ---: | ---: | :--- |\n"
        "| random | 0.03556 | 10 | no |\n"
        "| a\\|b_c |  | 2000 | yes |\n"
    )


def test_latex() -> None:
    table = Table(("share of pairs", "hi"), (("50 % & more_x", math.inf),))
    assert formats.latex(table) == (
        "\\begin{tabular}{lr}\n\\toprule\nshare of pairs & hi \\\\\n\\midrule\n"
        "50 \\% \\& more\\_x & $\\infty$ \\\\\n\\bottomrule\n\\end{tabular}\n"
    )


def test_html_is_escaped() -> None:
    text = formats.html(Table(("model",), (("<script>alert(1)</script>",),)))
    assert "&lt;script&gt;" in text
    assert "<script" not in text


def test_csv_keeps_all_digits() -> None:
    table = Table(("model", "x", "names", "ok"), (("a,b", 0.1 + 0.2, ["c", "d"], True), ("e", math.nan, [], False)))
    assert formats.csv(table) == 'model,x,names,ok\n"a,b",0.30000000000000004,c; d,true\ne,,,false\n'


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (math.nan, ""),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (0.5, "0.5"),
        (12, "12"),
        (np.float64(0.12345), "0.1235"),
        (np.int64(7), "7"),
        (np.bool_(True), "yes"),
        (("a", "b"), "a, b"),
        ("a\nb\x1b", "a\\nb\\x1b"),
    ],
)
def test_cells(value: object, shown: str) -> None:
    assert formats.cell(value) == shown


def test_a_frame_with_its_named_index_and_missing_values() -> None:
    frame = pd.DataFrame({"n": pd.array([1, None], "Int64"), "x": [np.nan, 0.5], "l": [["a"], []]}, index=["p", "q"])
    named = Table.of_frame(frame.rename_axis("model"))
    assert named == Table(("model", "n", "x", "l"), (("p", 1, None, ["a"]), ("q", None, 0.5, [])))
    assert Table.of_frame(frame).columns == ("n", "x", "l")


def test_rows_of_mappings_and_the_first_of_them() -> None:
    table = Table.of_rows([{"a": 1, "b": 2}, {"a": 3, "b": 4}], ["b"])
    assert table == Table(("b",), ((2,), (4,)))
    assert table.first(1).rows == ((2,),)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_hostile_texts_stay_in_their_cells(rows: list[tuple[str, str]]) -> None:
    """However many line breaks and separators the names hold: a line per row, a cell per column."""
    table = Table(("a", "b"), tuple(rows))
    lines = formats.markdown(table).split("\n")
    assert len(lines) == len(rows) + 3
    assert all(line.replace("\\\\", "").replace("\\|", "").count("|") == 3 for line in lines[:-1])
    latex = formats.latex(table).split("\n")
    assert len(latex) == len(rows) + 7
    assert all(line.replace("\\&", "").count("&") == 1 for line in latex if line.endswith(" \\\\"))
    assert formats.html(table).count("<td") == 2 * len(rows)
    if rows:
        assert list(csv.reader(io.StringIO(formats.csv(table), newline="")))[1:] == [list(row) for row in rows]
