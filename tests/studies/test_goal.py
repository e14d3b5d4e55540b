"""What the goal's script calls a miss, on tables made by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from microbench_ray.core.errors import ConfigError
from studies.goal import Goal, checks, main

GOAL = Goal(method="ours", with_estimator="random_est", stratified="strata", sources=(50, 300))
PLACE = ("benchmark", "n_source", "size", "split", "targets", "threshold")
METHODS = {"ours": 0.05, "random": 0.1, "random_est": 0.08, "strata": 0.09, "anchors": 0.07}


def tables(changes: dict[tuple[Any, ...], tuple[float, float, float]] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ours is ahead everywhere, but for the changes: from (n_source, size, split, targets, other) to its MDAD and interval."""
    mdad, paired = [], []
    for n_source in (50, 300):
        for size in (10, 100):
            for split in ("seen", "unseen"):
                for targets in ("random", "best"):
                    place = {
                        "benchmark": "b",
                        "n_source": n_source,
                        "size": size,
                        "split": split,
                        "targets": targets,
                        "threshold": 0.8,
                    }
                    for method, value in METHODS.items():
                        usual = (value, value - 0.05 - 0.01, value - 0.05 + 0.01)
                        changed, lo, hi = (changes or {}).get((n_source, size, split, targets, method), usual)
                        mdad.append(place | {"method": method, "mdad": changed, "mdad_monotone": changed})
                        if method != "ours":
                            ours = next(row["mdad"] for row in mdad[::-1] if row["method"] == "ours")
                            difference = (math.inf if math.isnan(changed) else changed) - (math.inf if math.isnan(ours) else ours)
                            ends = {"mdad_difference": difference, "mdad_ci_lo": lo, "mdad_ci_hi": hi}
                            paired.append(place | {"method": method, "baseline": "ours"} | ends)
    return pd.DataFrame(mdad), pd.DataFrame(paired)


def missed(changes: dict[tuple[Any, ...], tuple[float, float, float]]) -> list[tuple[str, int, int, str, str, str]]:
    found = checks(*tables(changes), GOAL)
    return [(c.rule, c.n_source, c.size, c.split, c.targets, c.other) for c in found if not c.met]


def test_ahead_everywhere_is_met_everywhere() -> None:
    found = checks(*tables(), GOAL)
    assert all(check.met for check in found)
    kinds = [check.rule for check in found]
    # Seen: 4 others in 3 places, of the fourth place stratified sampling is asked and 3 others are noted.
    # Unseen: 4 places. Better targets: 4 places on two halves.
    assert {rule: kinds.count(rule) for rule in set(kinds)} == {"seen": 12, "few": 1, "note": 3, "unseen": 4, "better": 8}


@pytest.mark.parametrize(
    ("where", "rule"),
    [
        ((300, 100, "seen", "random", "anchors"), "seen"),
        ((50, 10, "seen", "random", "anchors"), "seen"),
        ((50, 100, "seen", "random", "strata"), "few"),
        ((50, 100, "seen", "random", "anchors"), "note"),
        ((50, 100, "unseen", "random", "random_est"), "unseen"),
        ((50, 100, "unseen", "random", "anchors"), None),
        ((300, 10, "seen", "best", "random"), "better"),
        ((300, 10, "unseen", "best", "random"), "better"),
        ((300, 10, "seen", "best", "anchors"), None),
    ],
)
def test_another_that_is_better_is_a_miss_where_the_goal_says_so(where: tuple[Any, ...], rule: str | None) -> None:
    assert missed({where: (0.02, -0.05, -0.005)}) == ([] if rule is None else [(rule, *where)])


@pytest.mark.parametrize(
    ("theirs", "lo", "hi", "is_missed"),
    [
        (0.05, 0.0, 0.0, False),  # equal
        (0.04, -0.02, 0.0, False),  # the interval reaches 0
        (0.04, -0.02, 0.005, False),
        (0.04, -0.02, -0.005, True),
        (0.06, -0.02, -0.005, False),  # ahead itself
        (math.nan, math.inf, math.inf, False),
    ],
)
def test_worse_means_beyond_the_paired_interval(theirs: float, lo: float, hi: float, is_missed: bool) -> None:
    where = (300, 10, "seen", "random", "anchors")
    assert missed({where: (theirs, lo, hi)}) == ([("seen", *where)] if is_missed else [])


def test_never_reaching_it_is_worse_than_reaching_it_and_as_good_as_neither() -> None:
    place = (300, 10, "seen", "random")
    ours = {(*place, "ours"): (math.nan, 0.0, 0.0)}
    others = {(*place, other): (math.nan, -math.inf, math.inf) for other in METHODS if other != "ours"}
    assert missed(ours | others) == []
    assert missed(ours | others | {(*place, "anchors"): (0.3, -math.inf, -math.inf)}) == [("seen", *place, "anchors")]


def test_what_was_not_compared_is_missed() -> None:
    mdad, paired = tables()
    found = checks(mdad, paired[~((paired["method"] == "anchors") & (paired["size"] == 10) & (paired["n_source"] == 300))], GOAL)
    assert [(check.size, check.other, check.compared) for check in found if not check.met] == [(10, "anchors", False)]


def test_tables_that_do_not_say_are_refused() -> None:
    mdad, paired = tables()
    for changed, words in (
        (Goal(method="theirs", with_estimator="random_est", stratified="strata", sources=(50,)), "theirs"),
        (Goal(method="ours", with_estimator="random_est", stratified="strata", sources=(50, 100)), "no 100"),
        (Goal(method="ours", with_estimator="random_est", stratified="strata", sources=(50,), better="newest"), "no newest"),
        (Goal(method="anchors", with_estimator="random_est", stratified="strata", sources=(50,)), "baseline=anchors"),
    ):
        with pytest.raises(ConfigError, match=words):
            checks(mdad, paired, changed)


def test_the_command_prints_misses_and_says_so_by_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--method", "ours", "--random-with-estimator", "random_est", "--stratified", "strata", "--sources", "50", "300"]
    assert main([str(tmp_path), *named]) == 2
    assert "A table of the sweep is missing" in capsys.readouterr().err
    for changes, code in (({}, 0), ({(300, 10, "seen", "random", "anchors"): (0.02, -0.05, -0.005)}, 1)):
        for name, table in zip(("mdad", "paired"), tables(changes), strict=True):
            table.to_parquet(tmp_path / f"{name}.parquet")
        assert main([str(tmp_path), *named]) == code
        said = capsys.readouterr().out
        if code:
            (line,) = [line for line in said.splitlines() if line.lstrip().startswith("b ")]
            assert " ".join(line.split()) == "b 300 10 seen random anchors 5.0 2.0 3.0 (0.5 to 5.0) 5.0, 2.0"
            assert "ours: 25 comparisons, the goal is missed in 1" in said
        else:
            assert "ours: 25 comparisons, the goal is met" in said
        assert "fallback.py" not in said
    for name, table in zip(("mdad", "paired"), tables({(300, 10, "seen", "best", "random"): (0.02, -0.05, -0.005)}), strict=True):
        table.to_parquet(tmp_path / f"{name}.parquet")
    assert main([str(tmp_path), *named]) == 1
    assert "which it tells by itself: studies/fallback.py" in capsys.readouterr().out
