"""Exports that somebody has forged: the checksum is right, the content is not."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import DataError
from microbench_ray.micro.artifact import from_content
from microbench_ray.micro.content import content_of
from microbench_ray.micro.json_values import checksum
from tests.helpers.errors import refuses

Content = dict[str, Any]


@pytest.fixture(scope="module")
def content() -> Content:
    rng = np.random.default_rng(2)
    scores = (rng.random((40, 30)) < rng.uniform(0.2, 0.9, 30)).astype(float)
    columns = {"item_id": [f"i{row}" for row in range(40)]} | {f"m{column}": scores[:, column] for column in range(30)}
    return content_of(mb.export(mb.benchmark(pd.DataFrame(columns), name="board"), size=8, method="greedy"))


def put(path: tuple[str | int, ...], value: Any) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def test_the_content_itself_is_read(content: Content) -> None:
    assert content_of(from_content(content, "x")) == content


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("items", 0, "id"), 7, "id"),
        (("items", 0, "subtask"), None, "subtask"),
        (("items", 0, "weight"), math.inf, "weight"),
        (("items", 1, "coefficient"), math.nan, "coefficient"),
        (("items", 1, "mean"), "0.5", "mean"),
        (("items", 0, "position"), 3, "position"),
        (("reserve", 0, "id"), ["a"], "unhashable"),
        (("reserve", 0, "weight"), True, "weight"),
        (("readout", "intercept"), math.inf, "intercept"),
        (("readout", "total"), math.nan, "total"),
        (("size",), 9, "size"),
        (("models", 0, "model"), 5, "model"),
        (("models", 0, "model"), "m1", "twice"),
        (("models", 0, "accuracy"), 1.5, "accuracy"),
        (("models", 0, "accuracy"), math.nan, "accuracy"),
        (("models", 0, "estimate_held_out"), math.inf, "estimate_held_out"),
        (("models", 0, "responses", 0), 2, "responses"),
        (("models", 0, "responses"), [1.0], "inhomogeneous"),
    ],
)
def test_a_forged_value_is_refused_by_name(content: Content, path: tuple[str | int, ...], value: Any, word: str) -> None:
    forged = copy.deepcopy(content)
    put(path, value)(forged)
    forged["checksum"] = checksum(forged)
    with refuses(DataError, word, where="forged.json"):
        from_content(forged, "forged.json")
