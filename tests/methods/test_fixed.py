"""A fixed list of items: where it comes from, what it may hold, and how a wrong one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.methods import Fixed, SeenItems
from tests.helpers.errors import refuses

IDS = np.array(["a", "b", "c", "d"], dtype=object)
SEEN = SeenItems(IDS, np.zeros(4, np.int32))


def choose(fixed: Fixed) -> Any:
    return fixed.select(SEEN, None, len(fixed.items), np.random.default_rng(0))


def test_it_chooses_the_listed_items_in_their_order() -> None:
    selection = choose(Fixed(items=["d", "a"]))
    assert selection.items.tolist() == [3, 0]
    assert selection.weights is None


def test_weights_are_scaled_to_one() -> None:
    assert choose(Fixed(items=["d", "a", "b"], weights=[1, 3, 0])).weights.tolist() == [0.25, 0.75, 0]


@pytest.mark.parametrize(
    ("name", "content", "weights"),
    [
        ("list.txt", "d\n\n  a \n", None),
        ("list.txt", "\ufeffd\r\na\r\n", None),
        ("list.csv", "item_id,weight\nd,1\na,3\n", (1, 3)),
        ("list.csv", "item_id,note\nd,hard\na,easy\n", None),
        ("list.json", json.dumps(["d", "a"]), None),
        ("list.json", json.dumps({"d": 1, "a": 3}), (1, 3)),
    ],
)
def test_a_list_is_read_from_a_file(tmp_path: Path, name: str, content: Any, weights: Any) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    fixed = Fixed(path=str(path))
    assert fixed.items == ("d", "a")
    assert fixed.weights == weights
    # The list is what counts, not where it lay.
    assert fixed == Fixed(items=["d", "a"], weights=weights)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", "name\nd\n"),
        ("list.csv", "item_id,weight\nd,heavy\n"),
        ("list.csv", "item_id,weight\nd\n"),
        ("list.json", '["d", '),
        ("list.json", "7"),
        ("list.json", '"abc"'),
        ("list.json", '{"d": null}'),
        ("list.txt", b"\xff\xfe\x00"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: Any) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with refuses(DataError, "cannot read", where=str(path), hint="item_id"):
        Fixed(path=str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with refuses(DataError, "cannot read", where="none.txt", got="No such file"):
        Fixed(path=str(tmp_path / "none.txt"))


@pytest.mark.parametrize(("name", "content"), [("list.txt", "\n"), ("list.csv", "item_id,weight\n"), ("list.json", "[]")])
def test_a_file_without_items_is_refused(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with refuses(DataError, "empty", where=str(path)):
        Fixed(path=str(path))


@pytest.mark.parametrize(
    ("parameters", "got"), [({}, "items: 0 ids, path: None"), ({"items": ["a"], "path": "x.txt"}, "path: x.txt")]
)
def test_exactly_one_of_items_and_path_is_given(parameters: dict[str, Any], got: str) -> None:
    with refuses(ConfigError, "exactly one of items and path", got=got):
        Fixed(**parameters)


def test_an_item_listed_twice_is_named() -> None:
    with refuses(ConfigError, "listed more than once", got="a, b"):
        Fixed(items=["a", "b", "c", "b", "a"])


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], [1, float("inf")], [1, 1, 1], []])
def test_weights_are_one_non_negative_number_per_item(weights: Any) -> None:
    with refuses(ConfigError, "non-negative", got=f"{len(weights)} weights for 2 items"):
        Fixed(items=["a", "b"], weights=weights)


def test_items_that_are_not_in_the_benchmark_are_named() -> None:
    with refuses(DataError, "4 of 5", got="w, x, y …", hint="such as a"):
        Fixed(items=["a", "w", "x", "y", "z"]).positions(list(IDS))


def test_numeric_ids_become_strings() -> None:
    items: Any = [1, 2]
    assert Fixed(items=items).items == ("1", "2")
