"""studies.goal: what counts as a miss, on handmade tables."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from microbench_ray.core.errors import ConfigError
from studies.goal import Goal, checks, main
from tests.helpers.errors import refuses

GOAL = Goal(method="ours", with_estimator="random_est", stratified="strata", sources=(50, 300))
PLACE = ("benchmark", "n_source", "size", "split", "targets", "threshold")
METHODS = {"ours": 0.05, "random": 0.1, "random_est": 0.08, "strata": 0.09, "anchors": 0.07}


def tables(changes: dict[tuple[Any, ...], tuple[float, float, float]] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables in which the method `ours` is better everywhere, except for `changes`.

    `changes` maps (n_source, size, split, targets, other method) to the other's MDAD and the interval of its difference to ours.
    """
    mdad, paired = [], []
    for n_source in (50, 300):
        for size in (10, 100):
            for split in ("seen", "unseen"):
                for targets in ("random", "best"):
                    place: dict[str, Any] = {
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


def test_a_method_better_everywhere_meets_the_goal() -> None:
    found = checks(*tables(), GOAL)
    assert all(check.met for check in found)
    kinds = [check.rule for check in found]
    # Seen: 4 other methods in 3 places; in the fourth, stratified sampling is compared and 3 others are noted.
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
def test_a_better_method_is_a_miss_where_the_goal_compares_it(where: tuple[Any, ...], rule: str | None) -> None:
    assert missed({where: (0.02, -0.05, -0.005)}) == ([] if rule is None else [(rule, *where)])


@pytest.mark.parametrize(
    ("other_mdad", "lo", "hi", "is_missed"),
    [
        (0.05, 0.0, 0.0, False),  # equal
        (0.04, -0.02, 0.0, False),  # the interval reaches 0
        (0.04, -0.02, 0.005, False),
        (0.04, -0.02, -0.005, True),
        (0.06, -0.02, -0.005, False),  # the method itself is better
        (math.nan, math.inf, math.inf, False),
    ],
)
def test_worse_means_beyond_the_paired_interval(other_mdad: float, lo: float, hi: float, is_missed: bool) -> None:
    where = (300, 10, "seen", "random", "anchors")
    assert missed({where: (other_mdad, lo, hi)}) == ([("seen", *where)] if is_missed else [])


def test_an_mdad_never_reached_is_worse_than_a_reached_one_and_ties_with_another() -> None:
    place = (300, 10, "seen", "random")
    ours = {(*place, "ours"): (math.nan, 0.0, 0.0)}
    others = {(*place, other): (math.nan, -math.inf, math.inf) for other in METHODS if other != "ours"}
    assert missed(ours | others) == []
    assert missed(ours | others | {(*place, "anchors"): (0.3, -math.inf, -math.inf)}) == [("seen", *place, "anchors")]


def test_a_missing_comparison_is_a_miss() -> None:
    mdad, paired = tables()
    found = checks(mdad, paired[~((paired["method"] == "anchors") & (paired["size"] == 10) & (paired["n_source"] == 300))], GOAL)
    assert [(check.size, check.other, check.compared) for check in found if not check.met] == [(10, "anchors", False)]


def test_tables_without_the_compared_values_are_refused() -> None:
    mdad, paired = tables()
    for goal, where, got in (
        (Goal(method="theirs", with_estimator="random_est", stratified="strata", sources=(50,)), "method", "theirs"),
        (Goal(method="ours", with_estimator="random_est", stratified="strata", sources=(50, 100)), "n_source", "100"),
        (
            Goal(method="ours", with_estimator="random_est", stratified="strata", sources=(50,), better="newest"),
            "targets",
            "newest",
        ),
        (Goal(method="anchors", with_estimator="random_est", stratified="strata", sources=(50,)), "baseline", "anchors"),
    ):
        with refuses(ConfigError, "goal", where=where, got=got):
            checks(mdad, paired, goal)


def test_the_command_prints_misses_and_returns_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--method", "ours", "--random-with-estimator", "random_est", "--stratified", "strata", "--sources", "50", "300"]
    assert main([str(tmp_path), *options]) == 2
    assert "mdad.parquet" in capsys.readouterr().err
    for changes, code in (({}, 0), ({(300, 10, "seen", "random", "anchors"): (0.02, -0.05, -0.005)}, 1)):
        for name, table in zip(("mdad", "paired"), tables(changes), strict=True):
            table.to_parquet(tmp_path / f"{name}.parquet")
        assert main([str(tmp_path), *options]) == code
        printed = capsys.readouterr().out
        if code:
            (line,) = [line for line in printed.splitlines() if line.lstrip().startswith("b ")]
            assert " ".join(line.split()) == "b 300 10 seen random anchors 5.0 2.0 3.0 (0.5 to 5.0) 5.0, 2.0"
            assert re.search(r"25 comparisons.* 1$", printed.strip())
        else:
            assert re.search(r"25 comparisons.*met$", printed.strip())
        assert "studies.fallback" not in printed
    for name, table in zip(("mdad", "paired"), tables({(300, 10, "seen", "best", "random"): (0.02, -0.05, -0.005)}), strict=True):
        table.to_parquet(tmp_path / f"{name}.parquet")
    assert main([str(tmp_path), *options]) == 1
    assert "studies.fallback" in capsys.readouterr().out
