"""studies.peers: what is compared with the file's rows, and the exit code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from studies.peers import Wanted, compared, main
from studies.tournament_regret import interval
from tests.helpers.small import responses

WANTED = Wanted("mine", "theirs", "old")


def rows(run: int = 0, **methods: tuple[float, float]) -> pd.DataFrame:
    """Error and tau of methods on two splits of one board; on the second, errors are half a point smaller."""
    return pd.DataFrame(
        [
            {
                "board": "b",
                "n_source": n,
                "fraction": 0.1,
                "method": name,
                "rmse_points": rmse - less,
                "kendall_tau": tau,
                "run": run,
            }
            for n, less in ((15, 0.0), (30, 0.5))
            for name, (rmse, tau) in methods.items()
        ]
    )


@pytest.mark.parametrize(
    ("mine", "met"),
    [((4.9, 0.91), True), ((5.0, 0.9), True), ((5.1, 0.91), False), ((4.9, 0.89), False)],
)
def test_the_error_is_compared_with_one_row_and_tau_with_another(mine: tuple[float, float], met: bool) -> None:
    shown, found = compared(rows(theirs=(5.0, 0.95), old=(3.0, 0.9)), rows(mine=mine), WANTED)
    assert found is met
    assert ("!" in shown) is not met
    assert "b, 30 sources, 10%" in shown
    assert "b, mean over splits" in shown


def test_a_split_may_be_lost_if_the_mean_is_not() -> None:
    ours = rows(mine=(4.9, 0.91))
    ours.loc[0, "rmse_points"] = 5.1  # against 5.0; the other split 4.4 against 4.5: the means are equal
    shown, found = compared(rows(theirs=(5.0, 0.95), old=(3.0, 0.9)), ours, WANTED)
    assert "5.10!" in shown
    assert found


def test_standard_errors_are_of_seeds_and_methods_are_compared_on_the_same_draws() -> None:
    # Errors 4.75, 5.25 and 5.75 (mean over splits): mean 5.25, standard deviation .5. Differences to the other: 1, 2 and 3.
    ours = pd.concat(rows(run, mine=(5.0 + run / 2, 0.9), other=(6.0 + 1.5 * run, 0.8 + run / 100)) for run in range(3))
    shown, _ = compared(rows(theirs=(5.0, 0.95), old=(3.0, 0.9)), ours, WANTED)
    lines = shown[shown.index("mean over splits") :].splitlines()
    assert next(line.split() for line in lines if "mine" in line)[1:] == ["5.25!±", "0.29", "0.900", "±", "0.000"]
    assert next(line.split() for line in lines if "[theirs]" in line) == ["[theirs]", "4.75", "0.950"]
    paired = lines[-1]
    assert "better than" in lines[-2]
    found = interval(np.array([1.0, 2.0, 3.0]))
    assert paired.split()[:4] == ["other", "2.00", f"({found.lo:.2f}", "to"]
    assert "0.090" in paired


def test_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = pd.DataFrame(responses(40, 0, 60).T, columns=[f"m{k}" for k in range(40)]).astype(float)
    scores.insert(0, "item_id", [f"q{k}" for k in range(60)])
    scores.to_parquet(tmp_path / "b.parquet")
    file = tmp_path / "peers.csv"
    words = [str(tmp_path), str(file), "--methods", "random", "--seeds", "2", "--error-of", "theirs", "--tau-of", "old"]
    rows(theirs=(0.0, 0.95), old=(3.0, 1.0)).to_csv(file, index=False)
    assert main([*words, "--check", "random"]) == 1
    assert "[theirs]" in capsys.readouterr().out
    rows(theirs=(99.0, 0.95), old=(3.0, -1.0)).to_csv(file, index=False)
    assert main([*words, "--check", "random"]) == 0
    assert main([*words, "--error-of", "missing"]) == 2
    assert "missing" in capsys.readouterr().err
    assert main([str(tmp_path), str(tmp_path / "nothing.csv")]) == 2
    rows(theirs=(0.0, 0.95)).drop(columns="kendall_tau").to_csv(file, index=False)
    assert main(words) == 2
    assert "kendall_tau" in capsys.readouterr().err
