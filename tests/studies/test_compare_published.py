"""What the exit code of `compare_published.py` says, and that its comparison holds together on one small sweep."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from microbench_ray.cli.compose import Composer
from studies.compare_published import PUBLISHED, Row, compare, main, text, too_far


def row(size: int, published: float | None, ours: float | None, method: str = "random") -> Row:
    return Row("bbh", method, size, published, "5.0-6.0", ours, (0.7, 0.05, 0.6), (0.71, 0.04, 0.61), False)


@pytest.mark.parametrize(
    ("rows", "far"),
    [
        ([row(50, 0.05, 0.06)], []),  # two bins
        ([row(50, 0.06, 0.05)], []),
        ([row(50, 0.05, 0.065)], [50]),
        ([row(100, 0.065, 0.05)], [100]),
        ([row(25, 0.05, 0.2)], []),
        ([row(50, 0.05, 0.2, "anchor_points")], []),
        ([row(50, 0.05, None)], [50]),
        ([row(50, None, 0.05)], [50]),
        ([row(50, None, None)], []),
        ([row(50, 0.05, 0.05), row(500, 0.01, 0.03), row(1000, 0.01, 0.03)], [500, 1000]),
    ],
)
def test_only_random_from_fifty_items_on_is_judged(rows: list[Row], far: list[int]) -> None:
    assert [each.size for each in too_far(rows)] == far


def test_rows_are_set_beside_the_published_ones_and_marked() -> None:
    methods = [Composer("sweep", []).method(name) for name in ("random", "stratified_confidence")]
    shared = {"benchmark": "gpqa", "mean_agreement": 0.7, "mean_abs_error": 0.05, "kendall_tau": 0.6}
    found = pd.DataFrame(
        [
            shared | {"method": "random", "size": 50, "mdad": 0.07, "signal": "- / correctness"},
            shared | {"method": "random", "size": 60, "mdad": 0.07, "signal": "- / correctness"},
            shared | {"method": "stratified_confidence", "size": 50, "mdad": None, "signal": "correctness / correctness"},
        ]
    )
    theirs = {"benchmark": "gpqa", "split": "seen", "n_source": 300, "size": 50, "mdad": 0.08, "ci_lo": 0.07, "ci_hi": 0.09}
    theirs |= {"mean_agreement": 0.72, "mean_abs_error": 0.05, "kendall_tau": 0.6}
    published = pd.DataFrame([theirs | {"method": PUBLISHED[method.label]} for method in methods])
    rows = compare(found, published, methods)
    assert [(each.method, each.size, each.bins, each.reads_in_place) for each in rows] == [
        ("random", 50, -2, False),
        ("stratified_confidence", 50, None, True),
    ]
    shown = text(rows)
    assert "real responses" in shown
    assert "DRAWN" not in shown
    assert "stratified_confidence *" in shown


@pytest.mark.slow
def test_a_small_comparison_is_printed(
    test_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["compare_published.py", str(test_data), "--methods", "random", "--runs", "3"])
    assert main() in (0, 1)
    said = capsys.readouterr().out
    assert "MMLU-Pro: DRAWN" in said
    assert said.count("random  ") == 7 + 7 + 5
