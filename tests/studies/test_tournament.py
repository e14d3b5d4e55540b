"""studies.tournament: regrets by hand, what counts as a miss, and a small tournament from end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from microbench_ray.core.errors import ConfigError
from studies.tournament import main, misses_text, text
from studies.tournament_figure import draw
from studies.tournament_regret import (
    BEST_SINGLE,
    Place,
    Scores,
    chosen_best,
    comparisons,
    interval,
    mean_over_places,
    regrets,
    scores_of,
    standings,
)
from studies.tournament_runs import measure, named_method, parts_of, read_boards
from tests.helpers.errors import refuses
from tests.helpers.small import board, responses

PLACE = ("b", 10, 0.1, "seen")


def table(values: dict[str, list[float]], *, boards: tuple[str, ...] = ("b",)) -> pd.DataFrame:
    """Each method's agreement by run, the same on every board; tau is the same, and the error 100 × (1 − agreement)."""
    rows: list[dict[str, Any]] = []
    for name in boards:
        for method, by_run in values.items():
            for run, value in enumerate(by_run):
                place = {"board": name, "n_source": 10, "fraction": 0.1, "half": "seen"}
                rows.append(place | {"method": method, "run": run, "agreement": value, "tau": value, "rmse": 100 * (1 - value)})
    return pd.DataFrame(rows)


# Even runs: a .9 .9 (the best), b .8 .8, c .7 .7. Odd runs: a .6 .6, b .8 .8 (the best), c .5 .5.
VALUES = {"a": [0.9, 0.6, 0.9, 0.6], "b": [0.8, 0.8, 0.8, 0.8], "c": [0.7, 0.5, 0.7, 0.5]}


def test_the_best_is_chosen_on_the_other_half_of_the_runs() -> None:
    values = np.array(list(VALUES.values())).T
    assert chosen_best(values).tolist() == [1, 0, 1, 0]  # even runs are judged against b, odd ones against a
    # Against b in even runs: a −.1, b 0, c .1; against a in odd runs: a 0, b −.2, c .1.
    assert regrets(values) == pytest.approx(np.array([[-0.1, 0, 0.1], [0, -0.2, 0.1], [-0.1, 0, 0.1], [0, -0.2, 0.1]]))
    by_method = {each.method: each for each in standings(scores_of(table(VALUES), "agreement"))}
    assert by_method["c"].regret.mean == pytest.approx(0.1)
    assert by_method["a"].regret.mean == pytest.approx(-0.05)
    assert by_method["b"].regret.mean == pytest.approx(-0.1)
    # The worst place of c: chosen by even runs with a as the best, judged by odd ones: .6 − .5; and by odd ones: .8 − .7.
    assert by_method["c"].worst == pytest.approx(0.1)


def test_an_error_is_better_when_it_is_smaller() -> None:
    by_method = {each.method: each.regret.mean for each in standings(scores_of(table(VALUES), "rmse"))}
    assert by_method == pytest.approx({"a": -5, "b": -10, "c": 10})


def test_the_interval_is_students() -> None:
    # Mean .3, standard deviation .1, four runs: ± 3.1824 × .1 / 2.
    found = interval(np.array([0.2, 0.3, 0.3, 0.4]))
    spread = np.sqrt(0.02 / 3)
    assert found.mean == pytest.approx(0.3)
    assert found.hi - found.mean == pytest.approx(3.182446 * spread / 2, rel=1e-5)
    assert found.lo == pytest.approx(0.3 - 3.182446 * spread / 2, rel=1e-5)


def test_places_of_a_board_share_their_runs_and_boards_do_not() -> None:
    values = np.array([0.2, 0.3, 0.3, 0.4])
    alone = interval(values)
    same_board = mean_over_places([(("b", 10, 0.1, "seen"), values), (("b", 10, 0.2, "seen"), values)])
    assert same_board == pytest.approx(alone)
    two_boards = mean_over_places([(("b", 10, 0.1, "seen"), values), (("c", 10, 0.1, "seen"), values)])
    # Half the variance, and 2 × 3 degrees of freedom.
    assert two_boards.hi - two_boards.mean == pytest.approx(2.446912 * np.sqrt(0.02 / 3) / 2 / np.sqrt(2), rel=1e-5)


def test_eight_equal_methods_have_no_regret_on_average() -> None:
    """Measured against the luckiest of them, each would have one of 1.4 standard errors."""
    rng = np.random.default_rng(0)
    found, naive = [], []
    for _ in range(400):
        values = rng.normal(size=(10, 8))
        found.append(regrets(values).mean())
        naive.append(values.mean(axis=0).max() - values.mean())
    assert np.mean(naive) > 0.3
    assert abs(np.mean(found)) < 4 * np.std(found) / 20
    equal = Scores([str(k) for k in range(8)], {("b", 10, 0.1, str(k)): rng.normal(size=(10, 8)) for k in range(40)})
    assert all(each.share > 0.85 for each in standings(equal))


def test_a_clearly_worse_method_has_its_distance_and_is_not_among_the_best() -> None:
    rng = np.random.default_rng(1)
    places: dict[Place, np.ndarray] = {("b", 10, 0.1, str(k)): rng.normal([0.0, 0.0, -1.0], 0.1, (10, 3)) for k in range(5)}
    by_method = {each.method: each for each in standings(Scores(["a", "b", "worse"], places))}
    assert by_method["worse"].regret.mean == pytest.approx(1.0, abs=0.1)
    assert by_method["worse"].worst == pytest.approx(1.0, abs=0.2)
    assert {name: each.among_best for name, each in by_method.items()} == {"a": True, "b": True, "worse": False}


@pytest.mark.parametrize(
    ("own", "missed"),
    [
        ([0.8, 0.81, 0.8, 0.81], set()),  # equal to the others
        ([0.9, 0.91, 0.9, 0.91], set()),  # better
        ([0.5, 0.9, 0.5, 0.9], set()),  # worse on average, but not beyond chance
        ([0.7, 0.71, 0.7, 0.71], {"random", BEST_SINGLE}),
    ],
)
def test_a_miss_is_a_place_where_another_method_is_better_beyond_the_paired_interval(own: list[float], missed: set[str]) -> None:
    given = table({"mine": own, "random": [0.8, 0.81, 0.8, 0.81], "weak": [0.2, 0.2, 0.2, 0.2]})
    found = comparisons(given, "mine", ("random", "random_kernel_ridge"))
    for name in ("agreement", "tau", "rmse"):
        assert {each.other for each in found if each.missed and each.measure == name} == missed
    assert len(found) == 6  # three measures, `random` and the best other method; the kernel ridge did not take part
    assert f"{3 * len(missed)} of 6" in misses_text(found, "mine")


def test_a_checked_method_is_not_its_own_best_single_method() -> None:
    given = table({"mine": [0.9] * 4, "random": [0.8] * 4})
    (best,) = (each for each in comparisons(given, "mine", ()) if each.measure == "agreement")
    assert (best.own_mean, best.other_mean) == pytest.approx((0.9, 0.8))


def test_the_text_has_every_method_and_number_of_sources() -> None:
    shown = text(pd.concat([table(VALUES), table(VALUES).assign(n_source=50)]))
    assert "| method | 10 | 50 | all |" in shown
    assert sum(line.startswith("| c |") for line in shown.splitlines()) == 4
    assert ".100 (.100 to .100)" in shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two drawn boards of 40 models and 60 items, beside a long table and one of confidences."""
    boards = tmp_path / "boards"
    boards.mkdir()
    for seed, name in enumerate(("one", "two")):
        scores = pd.DataFrame(responses(40, seed, 60).T, columns=[f"m{k}" for k in range(40)]).astype(float)
        scores.insert(0, "item_id", [f"q{k}" for k in range(60)])
        scores.to_parquet(boards / f"{name}.parquet")
    scores.to_parquet(boards / "two.confidence.parquet")
    pd.DataFrame({"model": ["m"], "item_id": ["q"], "score": [1]}).to_parquet(boards / "long.parquet")
    return boards


def test_a_small_tournament(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = [str(folder), "--methods", "random", "random+kernel_ridge", "--sources", "12,500", "--fractions", ".1"]
    words += ["--runs", "4", "--cache", str(out), "--figure", str(tmp_path / "figure.png"), "--table", str(tmp_path / "t.parquet")]
    code = main([*words, "--check", "random_ridge"])
    first = capsys.readouterr().out
    assert "random_ridge: " in first
    assert code == int("random_ridge: 0 of" not in first)
    found = pd.read_parquet(tmp_path / "t.parquet")
    assert set(found["n_source"]) == {12}  # no board has 500 models
    assert set(found["half"]) == {"seen", "unseen", "all"}
    assert len(found) == 2 * 3 * 3 * 4  # boards, methods, halves, runs
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    cached = len(list(out.iterdir()))
    assert cached == 2 * 2 * 3  # boards, protocols, methods
    assert main([*words, "--check", "random_ridge"]) == code
    assert capsys.readouterr().out == first
    assert len(list(out.iterdir())) == cached


def test_the_measures_of_a_run_by_their_definition() -> None:
    """The error and the order of the estimates of `random` with all items selected are those of the truth: 0 and 1."""
    small = board(responses(30, 3, 60))
    (part,) = parts_of([small], [12], [0.1], ["none"])
    found = measure(part._replace(fractions=(1.0,)), [named_method("random")], 4, 0)
    assert found["rmse"].to_numpy() == pytest.approx(np.zeros(4), abs=1e-9)
    assert found["agreement"].to_numpy() == pytest.approx(np.ones(4))
    assert found["tau"].to_numpy() == pytest.approx(np.ones(4))


def test_the_figure_names_the_usual_methods() -> None:
    given = pd.concat([table(VALUES | {"random": [0.6] * 4}), table(VALUES | {"random": [0.6] * 4}).assign(n_source=50)])
    labels = draw(given).axes[0].get_legend_handles_labels()[1]
    assert {"random", "a", "b"} <= set(labels)


def test_input_that_no_tournament_can_have(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--runs", "3"]) == 2
    assert "runs" in capsys.readouterr().err
    assert main([str(folder), "--methods", "rondom"]) == 2
    assert "rondom" in capsys.readouterr().err
    assert main([str(folder), "--methods", "random", "--sources", "500"]) == 2
    assert main([str(folder), "--methods", "random", "--check", "random"]) == 2
    with refuses(ConfigError, "once", got="two, two"):
        read_boards([folder / "two.parquet", folder / "two.parquet"])
    with refuses(ConfigError, "boards", got="none"):
        (folder / "empty").mkdir()
        read_boards([folder / "empty"])
