"""studies.compare_published: its exit code, and its comparison on one small sweep."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from microbench_ray.cli.compose import Composer
from studies.compare_published import PUBLISHED, Row, compare, main, text, too_far


def row(size: int, published: float | None, own: float | None, method: str = "random") -> Row:
    return Row(
        benchmark="bbh",
        method=method,
        size=size,
        published_mdad=published,
        published_interval="5.0-6.0",
        mdad=own,
        published=(0.7, 0.05, 0.6),
        own=(0.71, 0.04, 0.61),
        reads_correctness_instead=False,
    )


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
def test_only_random_with_fifty_items_or_more_is_checked(rows: list[Row], far: list[int]) -> None:
    assert [each.size for each in too_far(rows)] == far


def test_results_are_matched_with_the_published_ones_and_marked() -> None:
    methods = [Composer("sweep", []).method(name) for name in ("random", "stratified_confidence")]
    shared = {"benchmark": "gpqa", "mean_agreement": 0.7, "mean_abs_error": 0.05, "kendall_tau": 0.6}
    results = pd.DataFrame(
        [
            shared | {"method": "random", "size": 50, "mdad": 0.07, "signal": "- / correctness"},
            shared | {"method": "random", "size": 60, "mdad": 0.07, "signal": "- / correctness"},
            shared | {"method": "stratified_confidence", "size": 50, "mdad": None, "signal": "correctness / correctness"},
        ]
    )
    published_row = {"benchmark": "gpqa", "split": "seen", "n_source": 300, "size": 50, "mdad": 0.08, "ci_lo": 0.07, "ci_hi": 0.09}
    published_row |= {"mean_agreement": 0.72, "mean_abs_error": 0.05, "kendall_tau": 0.6}
    published = pd.DataFrame([published_row | {"method": PUBLISHED[method.label]} for method in methods])
    rows = compare(results, published, methods)
    assert [(each.method, each.size, each.bins, each.reads_correctness_instead) for each in rows] == [
        ("random", 50, -2, False),
        ("stratified_confidence", 50, None, True),
    ]
    printed = text(rows)
    assert "GPQA" in printed
    assert "SIMULATED" not in printed
    assert "stratified_confidence *" in printed


@pytest.mark.slow
def test_a_small_comparison_is_printed(
    test_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["compare_published.py", str(test_data), "--methods", "random", "--runs", "3"])
    assert main() in (0, 1)
    printed = capsys.readouterr().out
    assert "MMLU-Pro: SIMULATED" in printed
    assert printed.count("random  ") == 7 + 7 + 5
