"""A month of audits with new models every night: planted events are found on the night they occur.

A few nights of the same kind are in `test_nightly.py`, in the default tier.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.audit.drift_rules import DriftPolicy
from microbench_ray.core.schemas import SCHEMAS
from tests.helpers import nights

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("thirty nights")]

FIRST, ADDED, N_NIGHTS = 120, 4, 30
CORRUPTED, CHANGED, DRIFTS_FROM = 8, 14, 20
ITEMS = nights.ITEMS
LISTED = np.arange(0, ITEMS, 5)


def month() -> list[str]:
    return [f"2026-01-{day + 1:02}" for day in range(N_NIGHTS)]


def leaderboard() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scores of all models of the month, in the order in which they are added."""
    scores = nights.responses(FIRST + ADDED * (N_NIGHTS - 1), seed=5)
    rng = np.random.default_rng(6)
    start = FIRST + ADDED * (CORRUPTED - 1)
    scores[start : start + ADDED, 2 :: nights.SUBTASKS] *= rng.random((ADDED, ITEMS // nights.SUBTASKS)) < 0.2
    for day in range(DRIFTS_FROM, N_NIGHTS):  # more of the list leaks into training data every night
        rows = slice(FIRST + ADDED * (day - 1), FIRST + ADDED * day)
        leaked = rng.random((ADDED, LISTED.size)) < 0.12 * (day - DRIFTS_FROM + 1)
        scores[rows, LISTED] = np.maximum(scores[rows, LISTED], leaked)
    return scores


def items_of(day: int) -> pa.Table:
    """Items in the logs of a night; from `CHANGED` on, some items have a second version."""
    rows = [
        {"item_id": f"i{k:03}", "subtask": f"s{k % nights.SUBTASKS}", "content": f"c{k}", "position": f"{k}"} for k in range(ITEMS)
    ]
    if day >= CHANGED:
        rows += [row | {"content": "other"} for row in rows[:20]]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["snapshot_items"])


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("month")
    scores = leaderboard()
    for day, night in enumerate(month()):
        board = nights.board(scores[: FIRST + ADDED * day])
        nights.run(out, night, board, items=partial(items_of, day), drift=DriftPolicy())
    rows: list[dict[str, Any]] = pq.read_table(out / "history").to_pylist()
    return rows


def failing(history: list[dict[str, Any]]) -> dict[str, set[str]]:
    """By night, the kinds and metrics that violate the policy."""
    failures: dict[str, set[str]] = {night: set() for night in month()}
    for row in history:
        if row["severity"] == "fail":
            failures[row["night"]].add(row["metric"] if row["kind"] == "metric" else row["kind"])
    return failures


def deviations(history: list[dict[str, Any]], metric: str, day: int) -> dict[str, float]:
    """By subtask, the distance of a metric from the centre of its interval, in half-widths."""
    return {
        row["subtask"]: abs(row["value"] - (row["bound_lo"] + row["bound_hi"]) / 2) / ((row["bound_hi"] - row["bound_lo"]) / 2)
        for row in history
        if row["night"] == month()[day] and row["metric"] == metric and None not in (row["value"], row["bound_lo"], row["bound_hi"])
    }


def test_nights_before_the_first_planted_event_rarely_raise_an_alarm(history: list[dict[str, Any]]) -> None:
    # At 1 % per night, two alarms or more in these seven nights have a probability of 0.2 %.
    assert len([night for night in month()[:CORRUPTED] if failing(history)[night]]) <= 1


def test_a_corrupted_subtask_is_found_that_night(history: list[dict[str, Any]]) -> None:
    assert deviations(history, "residual_new", CORRUPTED)["s2"] >= 2
    assert "residual_new" in failing(history)[month()[CORRUPTED]]
    (row,) = [
        row for row in history if row["night"] == month()[CORRUPTED] and row["metric"] == "residual_new" and row["subtask"] == "s2"
    ]
    assert row["severity"] == "fail"
    assert "s2" in row["text"]


def test_changed_items_are_found_that_night_and_reported_once(history: list[dict[str, Any]]) -> None:
    changed = [row for row in history if row["kind"] == "item_changed"]
    assert {row["night"] for row in changed} == {month()[CHANGED]}
    assert sorted(row["name"] for row in changed) == [f"i{k:03}" for k in range(20)]
    assert "item_changed" in failing(history)[month()[CHANGED]]


def test_a_slow_drift_is_found_before_it_is_twice_the_interval(history: list[dict[str, Any]]) -> None:
    large = [day for day in range(DRIFTS_FROM, N_NIGHTS) if deviations(history, "bias_added", day).get("", 0) >= 2]
    assert large, "the planted drift never reaches twice the interval"
    alarms = [day for day in range(DRIFTS_FROM, N_NIGHTS) if failing(history)[month()[day]] & {"bias_added", "bias_new"}]
    assert alarms
    assert alarms[0] <= large[0]
    assert set(large) <= set(alarms)


def test_every_night_is_in_the_history_once(history: list[dict[str, Any]]) -> None:
    models = [row for row in history if row["kind"] == "count" and row["metric"] == "n_models"]
    assert [(row["night"], row["value"]) for row in models] == [(night, FIRST + ADDED * day) for day, night in enumerate(month())]
