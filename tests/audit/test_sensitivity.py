"""The verdict says which drops could go unseen, and its headline names the subtask that failed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from microbench_ray.audit.drift_rules import DriftPolicy, DriftRule
from microbench_ray.audit.findings import DEFAULT_ACTIONS, HistoryRow
from microbench_ray.audit.sensitivity import smallest_drops
from microbench_ray.audit.verdict import excess
from microbench_ray.report.terminal import verdict_lines
from tests.helpers import nights

SCORES = nights.responses()
N_BASELINE, N_TONIGHT = 70, 74
RULES = DriftPolicy((DriftRule("residual_new"), DriftRule("residual_worst", sides="up", factor=1.5)), n_resamples=300)


def lowered(subtask: int, drop: float) -> NDArray[np.float64]:
    """Scores of the baseline and four new models, which get a share of the subtask's items wrong, besides their own errors."""
    scores = SCORES[:N_TONIGHT].copy()
    for row in scores[N_BASELINE:]:
        items = np.arange(subtask, scores.shape[1], nights.SUBTASKS)
        right = items[row[items] == 1]
        row[right[: round(drop * items.size)]] = 0.0
    return scores


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("baseline")
    nights.run(out, "2026-01-01", nights.board(SCORES[:N_BASELINE]), drift=RULES, lists=(nights.fixed(every=40),))
    return out


Night = Callable[..., dict[str, Any]]


@pytest.fixture
def second_night(baseline: Path, tmp_path: Path) -> Night:
    """Audit a second night after the baseline; its verdict."""

    def run(scores: NDArray[np.float64], **changes: Any) -> dict[str, Any]:
        out = tmp_path / "audit"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(baseline, out)
        lists = (nights.fixed(every=40),)
        outcome = nights.run(out, "2026-01-02", nights.board(scores), drift=RULES, lists=lists, **changes)
        return outcome.verdict

    return run


def test_a_night_without_findings_says_what_it_could_not_see(second_night: Night) -> None:
    verdict = second_night(lowered(0, 0.0))
    drops = {each["subtask"]: each for each in verdict["smallest_drops"]}
    assert list(drops) == ["s0", "s1", "s2", "s3"]
    worst = max(drops.values(), key=lambda drop: drop["all_new_models"])
    assert 0.05 < worst["all_new_models"] < 0.5
    assert verdict["status"] == "ok"
    assert f"{100 * worst['all_new_models']:.1f} points ('{worst['subtask']}')" in verdict["headline"]
    # Of 74 models, 4 are new: the model that is furthest off is among them on 5 % of clean nights, whoever it is.
    assert {drop["one_new_model"] for drop in drops.values()} == {None}
    (note,) = [finding["text"] for finding in verdict["findings"] if finding["kind"] == "drift"]
    assert "residual_worst" in note
    assert "400 models are needed" in note  # 4/400 is 1 %
    assert "residual_new" not in note


def test_a_rule_about_single_models_judges_them_where_the_level_allows_it(tmp_path: Path) -> None:
    rules = DriftPolicy(RULES.rules, level=0.9, n_resamples=300)
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:N_BASELINE]), drift=rules)
    verdict = nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:N_TONIGHT]), drift=rules).verdict
    for drop in verdict["smallest_drops"]:
        assert drop["all_new_models"] < drop["one_new_model"]
    assert "not checked" not in verdict["headline"]


def test_a_single_new_model_that_no_rule_can_judge_is_not_said_to_be_checked(second_night: Night, tmp_path: Path) -> None:
    verdict = second_night(lowered(0, 1.0)[: N_BASELINE + 1], report=True)
    assert verdict["status"] == "ok"
    assert "not checked for drift" in verdict["headline"]
    assert verdict["smallest_drops"] == []
    (note,) = [finding for finding in verdict["findings"] if finding["kind"] == "drift"]
    assert note["severity"] == "note"
    for word in ("residual_new", "residual_worst", "of 71 models, 1 is new", "100 models are needed"):
        assert word in note["text"]
    assert any(note["text"] in line for line in verdict_lines(verdict))
    assert note["text"] in (tmp_path / "audit/nights/2026-01-02/report.html").read_text()


@pytest.mark.parametrize("subtask", [1, 2])
def test_drops_beyond_the_smallest_are_found_and_lesser_ones_are_not(subtask: int, second_night: Night) -> None:
    smallest = second_night(lowered(0, 0.0))["smallest_drops"][subtask]["all_new_models"]
    assert second_night(lowered(subtask, 0.4 * smallest))["status"] == "ok"
    assert second_night(lowered(subtask, 1.6 * smallest))["status"] == "violated"


@pytest.mark.parametrize("subtask", range(nights.SUBTASKS))
def test_the_headline_names_the_subtask_that_failed(subtask: int, second_night: Night) -> None:
    verdict = second_night(lowered(subtask, 1.0))
    assert verdict["status"] == "violated"
    assert verdict["headline"].startswith(f"'s{subtask}'")


def metric(name: str, **values: float | None) -> HistoryRow:
    return HistoryRow(kind="metric", metric=name, subtask="s", **{"reference": 0.0, **values})  # type: ignore[arg-type]


def test_only_rules_that_raise_an_alarm_tonight_count() -> None:
    rows = [metric("residual_new", bound_lo=-0.2, bound_hi=0.2), metric("residual_worst", bound_hi=0.3)]
    (drop,) = smallest_drops(rows, DriftPolicy(), DEFAULT_ACTIONS)
    assert (drop.subtask, drop.all_new_models, drop.one_new_model) == ("s", 0.2, 0.3)
    assert smallest_drops(rows, DriftPolicy(), {**DEFAULT_ACTIONS, "drift": "note"}) == []
    (single,) = smallest_drops(rows, DriftPolicy((DriftRule("residual_worst"),)), DEFAULT_ACTIONS)
    assert (single.all_new_models, single.one_new_model) == (0.3, 0.3)
    (later,) = smallest_drops(
        rows, DriftPolicy((DriftRule("residual_new", nights=2), DriftRule("residual_worst"))), DEFAULT_ACTIONS
    )
    assert later.all_new_models == 0.3
    assert smallest_drops([metric("residual_new", bound_hi=0.2)], DriftPolicy(), DEFAULT_ACTIONS) == []
    assert smallest_drops([HistoryRow(kind="missing")], DriftPolicy(), DEFAULT_ACTIONS) == []


def test_the_excess_is_relative_to_the_bound_on_the_side_of_the_value() -> None:
    row = {"kind": "metric", "value": -0.5, "reference": 0.0, "bound_lo": -0.25, "bound_hi": 0.1}
    assert excess(row) == 2.0
    assert excess(row | {"value": 0.5}) == 5.0
    assert excess(row | {"value": None}) == 1.0
    assert excess(row | {"kind": "drift"}) == float("inf")
