"""The study of a board of thirty runs: what is said of single runs is what new ones do."""

from __future__ import annotations

import pytest

from studies import many_runs


def test_single_runs_do_what_is_said_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert many_runs.main(["--draws", "250", "--sizes", "50"]) == 0
    printed = capsys.readouterr().out
    row = printed.splitlines()[-1].split("|")
    means, single, drawn = (float(cell) for cell in row[2:5])
    assert means > drawn + 0.03
    assert single == pytest.approx(drawn, abs=0.02)
    means, single, drawn = (float(cell) for cell in row[5:8])
    assert means < single == pytest.approx(drawn, abs=1.0)
    assert "noise floor" in printed
