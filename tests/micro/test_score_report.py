"""The report of `score`: rows by rank, within the terminal's width, with whole names; the other formats hold everything."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.micro.report import MAX_NEIGHBOURS, Report, shortened
from microbench_ray.micro.score import Scored, ScoreInterval

KNOWN = [f"organisation/known-model-{k}" for k in range(6)]
MICRO: Any = SimpleNamespace(
    benchmark={"name": "board", "n_items": 1000},
    method={"label": "greedy+ridge"},
    size=50,
    models=KNOWN,
    source={},
    reserve_tasks={},
)


def scored(model: str, estimate: float | None, neighbours: int = 5, **more: Any) -> Scored:
    interval = None if estimate is None else ScoreInterval(estimate - 0.05, estimate + 0.05, 2, 5, "split_conformal")
    given: dict[str, Any] = {"answered": 50, "missing": 0, "neighbours": tuple(KNOWN[:neighbours]), "warnings": ()}
    return Scored(model=model, estimate=estimate, interval=interval, **(given | more))


MODELS = [
    scored("middle", 0.6),
    scored("none", None, refused="Too few responses."),
    scored("worst-of-a-very-long-name-that-ends-in-v2", 0.2, neighbours=0),
    scored("best", 0.9, neighbours=1),
    scored("also-middle", 0.6, neighbours=2),
]
RANKED = ["best", "also-middle", "middle", "worst-of-a-very-long-name-that-ends-in-v2", "none"]


def rows_of(table: str) -> list[str]:
    """The header and the rows of a table, without the lines around it."""
    return table.split("\n\n")[1].splitlines()


def test_rows_are_ranked_by_estimate() -> None:
    report = Report(MICRO, MODELS, [])
    assert [model.model for model in report.ranked()] == RANKED
    assert [row.split()[0] for row in rows_of(report.table())[1:]] == RANKED
    assert [row["model"] for row in csv.DictReader(io.StringIO(report.text("csv")))] == RANKED
    assert [line.split(" | ")[0] for line in report.markdown().splitlines() if line.startswith("| ")][2:] == [
        f"| {each}" for each in RANKED
    ]
    assert [each["model"] for each in report.to_json()["models"]] == [model.model for model in MODELS]


def test_a_file_holds_all_names_in_full() -> None:
    for text in (Report(MICRO, MODELS, []).text("table"), Report(MICRO, MODELS, []).text("markdown")):
        assert "…" not in text
        assert RANKED[3] in text
        assert f"{', '.join(KNOWN[1:4])} and 2 more" in text


@pytest.mark.parametrize("width", range(62, 160, 7))
def test_a_table_fits_the_terminal_and_breaks_no_name(width: int) -> None:
    rows = rows_of(Report(MICRO, MODELS, []).table(width))
    assert len(rows) == 1 + len(MODELS)
    assert max(map(len, rows)) <= width
    for row, name in zip(rows[1:], RANKED, strict=True):
        shown, *cells = row.split("  ")
        assert shown == name or ("…" in shown and name.startswith(shown.split("…")[0]) and name.endswith(shown.split("…")[1]))
        last = cells[-1].strip()
        assert all(each in KNOWN for each in last.split(" and ")[0].split(", ")) or last in (
            "5 models",
            "2 models",
            "1 model",
            "none",
            "no known model",
            "not scored",
            "50",  # the items, where there is no space for neighbours
        )


def test_names_are_whole_where_the_terminal_is_wide_enough() -> None:
    wide = Report(MICRO, MODELS, []).table()
    longest = max(map(len, rows_of(wide)))
    assert Report(MICRO, MODELS, []).table(longest) == wide
    assert KNOWN[0] not in "".join(rows_of(Report(MICRO, MODELS, []).table(100))[1:3])


def test_csv_has_columns_for_the_ends_of_the_intervals() -> None:
    (row,) = csv.DictReader(io.StringIO(Report(MICRO, [replace(MODELS[0], estimate=0.625)], []).text("csv")))
    assert (row["estimate"], row["interval_low"], row["interval_rank_high"], row["beyond_low"]) == (
        "0.625",
        repr(0.6 - 0.05),
        "5",
        "",
    )
    assert row["neighbours"].split("; ") == KNOWN[:5]
    assert len(KNOWN[:5]) > MAX_NEIGHBOURS


@given(st.text(max_size=30), st.integers(1, 40))
def test_a_shortened_name_keeps_its_ends(name: str, width: int) -> None:
    shown = shortened(name, width)
    assert len(shown) == min(len(name), width)
    if shown != name:
        start, end = shown[: (width - 1) // 2], shown[(width - 1) // 2 + 1 :]
        assert name.startswith(start)
        assert name.endswith(end)
