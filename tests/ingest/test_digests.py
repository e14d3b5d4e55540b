"""Digests of items are the same however they are computed, for whatever JSON."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.data.digest import content_digest
from microbench_ray.ingest.values import MAX_DEPTH, item_digest
from tests.helpers.errors import refuses

NAN = float("nan")


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({"b": [1, 2.5, None, True, "é\\"], "a": {"x": []}, "c": NAN}, None),
        ((1, 2), [1, 2]),
        ({1: "a", "b": 2}, {"1": "a", "b": 2}),
        ({None: 1}, {"None": 1}),
        ({True: 1}, {"True": 1}),
        ({"null": [1], "true": 1}, None),
        ([Decimal("1.50"), date(2026, 1, 2)], ["1.50", "2026-01-02"]),
        (nested(MAX_DEPTH - 1), None),
    ],
)
def test_digests(given: Any, plain: Any) -> None:
    assert item_digest("here", part=given, other="x") == content_digest({"part": plain or given, "other": "x"}, {})


@pytest.mark.parametrize("levels", [MAX_DEPTH, 2 * MAX_DEPTH, 100_000])
def test_what_is_nested_too_deeply(levels: int) -> None:
    with refuses(DataError, "deeply", where="here"):
        item_digest("here", part=nested(levels))
