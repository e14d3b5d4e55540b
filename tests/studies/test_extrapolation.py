"""studies.extrapolation: which targets a split holds out, paired differences by hand, and a small study from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from studies.extrapolation import better, first_word, main, parts_of, splits_of, text
from tests.helpers.small import board, responses

DATED = [f"2024{1 + k // 4:02d}01_{('agentx', 'rag', 'tools')[k % 3]}_m{k}" for k in range(40)]


def table(own: list[float], other: list[float], split: str = "time") -> pd.DataFrame:
    """Agreement and tau of two methods by run; the error is 100 × (1 − agreement)."""
    place = {"board": "b", "n_source": 30, "fraction": 0.1, "half": "all", "split": split}
    return pd.DataFrame(
        place | {"method": method, "run": run, "agreement": value, "tau": value, "rmse": 100 * (1 - value)}
        for method, values in (("auto", own), ("random", other))
        for run, value in enumerate(values)
    )


def test_the_newest_models_are_held_out_with_all_of_their_day() -> None:
    """Four models a month: the newest fifth, eight models, begins with the ninth month."""
    dated = board(responses(40), DATED)
    found = {split.kind: split for split in splits_of(dated, ("time", "best", "random"), 1)}
    newest = found["time"].targets
    assert newest is not None
    assert sorted(newest.names or ()) == sorted(DATED[32:])
    assert found["random"].targets is None
    best = found["best"].targets
    assert best is not None
    accuracy = responses(40).mean(axis=1)
    held = list(best.positions(dated) or ())
    assert accuracy[held].min() >= np.delete(accuracy, held).max()


def test_models_of_one_day_are_on_one_side() -> None:
    names = [f"20240101_m{k}" for k in range(20)] + [f"20240201_m{k}" for k in range(20)]
    (split,) = splits_of(board(responses(40), names), ("time",), 1)
    assert split.targets is not None
    assert len(split.targets.names or ()) == 20


def test_names_without_dates_have_no_time_and_small_groups_are_not_held_out() -> None:
    names = [f"{'maker' if k < 9 else f'other{k}'}__m{k}" for k in range(40)]
    (split,) = splits_of(board(responses(40), names), ("time", "group"), 3)
    assert (split.kind, split.label) == ("group", "small: maker")
    assert first_word("20240101_OpenHands-v2") == "openhands"


def test_sources_are_the_models_that_are_not_held_out() -> None:
    dated = board(responses(40), DATED)
    (split,) = splits_of(dated, ("time",), 1)
    assert [(part.n_source, part.n_target, part.unseen) for part in parts_of(dated, split, [30, 33], [0.1], ["none", "half"])] == [
        (30, 8, "none"),
        (30, 8, "half"),
    ]


def test_differences_are_paired_and_an_error_is_better_when_it_is_smaller() -> None:
    # Differences .1 .2 .2 .3: mean .2, standard deviation .0816, ± 3.1824 × .0816 / 2.
    given = table([0.8, 0.9, 0.9, 1.0], [0.7, 0.7, 0.7, 0.7])
    found = better(given, "agreement", "auto", "random")
    assert (found.mean, found.lo) == pytest.approx((0.2, 0.2 - 3.182446 * np.sqrt(0.02 / 3) / 2), rel=1e-5)
    assert better(given, "rmse", "auto", "random").mean == pytest.approx(20)


@pytest.mark.parametrize(("own", "worse"), [(0.6, True), (0.8, False)])
def test_a_worse_order_than_that_of_random_items_is_marked(own: float, worse: bool) -> None:
    shown, found = text(table([own, own + 0.01, own, own + 0.01], [0.7, 0.71, 0.71, 0.7]), "auto")
    assert found is worse
    assert ("!" in shown) is worse
    assert "`time`" in shown


def test_a_small_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = pd.DataFrame(responses(40, 0, 60).T, columns=DATED).astype(float)
    scores.insert(0, "item_id", [f"q{k}" for k in range(60)])
    scores.to_parquet(tmp_path / "dated.parquet")
    words = [str(tmp_path / "dated.parquet"), "--check", "random_ridge", "--methods", "random", "--sources", "12", "--runs", "4"]
    code = main([*words, "--cache", str(tmp_path / "cache")])
    shown = capsys.readouterr().out
    assert code in (0, 1)
    assert [kind for kind in ("`best`", "`time`", "`group`", "at random") if kind in shown] == [
        "`best`",
        "`time`",
        "`group`",
        "at random",
    ]
    assert "dated: agentx" in shown
    assert len(list((tmp_path / "cache").iterdir())) == 5 * 2  # best, time, two groups and random; methods
    assert main([*words, "--runs", "2"]) == 2
    assert main([*words, "--sources", "500"]) == 2
    assert "--splits" in capsys.readouterr().err
