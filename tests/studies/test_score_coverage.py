"""The study of the intervals of `score`: its draws, its counts by hand, and its command on a file and on a bad one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.data import synthetic
from microbench_ray.micro.build import build
from microbench_ray.micro.intervals import wilson_interval
from microbench_ray.micro.score import Scored, ScoreInterval
from studies.score_coverage import (
    METHODS,
    Row,
    accuracies,
    best_models,
    draws_of,
    fitting_once,
    given,
    held_and_width,
    main,
    mean_of,
    misled,
    row_of,
    rows_of,
    scored_twice,
    split_off,
)


def row(held: float, width: float = 10.0) -> Row:
    return Row(
        held=held,
        width=width,
        error=1.0,
        flagged=False,
        held_both=1.0,
        width_both=width,
        error_both=1.0,
        held_random=1.0,
        width_random=width,
        error_random=1.0,
    )


def test_shares_by_hand() -> None:
    """Of four models, one has no interval and one of the three others a wrong one."""
    rows = [row(1.0), row(1.0), row(0.0), row(math.nan, math.nan)]
    assert mean_of(rows).held == pytest.approx(2 / 3)
    assert mean_of(rows).width == 10
    assert (given(rows), misled(rows)) == (0.75, 0.25)
    assert math.isnan(mean_of([row(math.nan, math.nan)]).held)


def test_an_interval_holds_its_ends() -> None:
    interval = ScoreInterval(low=0.2, high=0.3, rank_low=1, rank_high=2, kind="student")
    scored = Scored(model="m", answered=1, missing=0, estimate=0.25, interval=interval)
    assert held_and_width(scored, 0.3) == (1.0, pytest.approx(10))
    assert held_and_width(scored, 0.31)[0] == 0
    assert np.isnan(held_and_width(Scored(model="m", answered=1, missing=0, estimate=0.25), 0.3)).all()


def test_known_and_new_models_are_apart_and_the_best_fifth_is_new() -> None:
    board = synthetic(n_models=40, n_items=60)
    for best in (False, True):
        draws = list(draws_of(board, 20, 3, best=best))
        assert len(draws) == 3
        for known, new in draws:
            assert known.size == 20
            assert not set(known) & set(new)
            assert not best or set(new) == set(best_models(board))
    assert accuracies(board)[best_models(board)].min() >= np.sort(accuracies(board))[-8]
    assert list(draws_of(board, 36, 3, best=False)) == []  # four new models are too few
    assert list(draws_of(board, 33, 3, best=True)) == []


def test_a_row_is_what_score_says_beside_as_many_random_items() -> None:
    board = synthetic(n_models=40, n_items=100)
    known, new = next(draws_of(board, 20, 1, best=False))
    source, responses, column_of = split_off(board, new, known)
    micro = build(source, METHODS["greedy"], 20)
    alone, both = scored_twice(micro, responses, column_of)
    random = responses[0, [column_of[item.id] for item in micro.reserve]]
    found = row_of(micro, alone[0], both[0], random, 0.5)
    low, high, _ = wilson_interval(float(random.mean()), 20, 100, 1.0, "random_wilson")
    assert found.width_random == pytest.approx(100 * (high - low))
    assert found.error_random == pytest.approx(100 * abs(random.mean() - 0.5))
    assert found.held_random == (low <= 0.5 <= high)
    assert both[0].estimate is not None
    assert found.error_both == pytest.approx(100 * abs(both[0].estimate - 0.5))


def test_a_fit_serves_all_sizes_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    board = synthetic(n_models=12, n_items=60)
    method = METHODS["greedy"]
    fits: list[int] = []
    own = type(method.selector).fit

    def counted(*given: Any) -> Any:
        fits.append(1)
        return own(*given)

    monkeypatch.setattr(type(method.selector), "fit", counted)
    expected = [build(board, method, size) for size in (10, 20)]
    each = len(fits) // 2
    once = fitting_once(method)
    found = [build(board, once, size) for size in (10, 20)]
    assert len(fits) == 3 * each
    for one, other in zip(found, expected, strict=True):
        assert one.item_ids == other.item_ids
        assert np.array_equal(one.held_out.estimates, other.held_out.estimates)


@pytest.mark.slow
def test_random_items_hold_the_level_and_never_give_all(capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(synthetic(n_models=120, n_items=400), METHODS["random"], [25], 12, 40, best=False)[25]
    mean = mean_of(rows)
    assert 0.92 <= mean.held <= 0.98
    assert given(rows) == 1
    assert max(row.width for row in rows) < 50
    assert mean.flagged <= 0.1


def test_the_command_prints_a_line_per_place_and_says_which_goals_are_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = synthetic(n_models=40, n_items=60)
    names = [str(name) for name in board.model_ids]
    lines = [",".join([str(item), *map(str, board.scores[:, k])]) for k, item in enumerate(board.item_ids)]
    (tmp_path / "small.csv").write_text("\n".join([",".join(["item_id", *names]), *lines]) + "\n")
    words = ["--known", "10", "30", "500", "--sizes", "10", "1000", "--methods", "random", "--draws", "2"]
    code = main([str(tmp_path / "small.csv"), *words])
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in printed if line.startswith("small")] == [
        ["small", "random", "10", "10"],
        ["small", "random", "10", "30"],
    ]
    assert len([line for line in printed if line.startswith("random: ")]) == 5  # four goals and the widest interval
    assert (code == 1) is any(line.endswith("missed") for line in printed)
    assert main([str(tmp_path / "absent.csv")]) == 2
    assert "absent.csv" in capsys.readouterr().err
