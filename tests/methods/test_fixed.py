"""A given list of items: where it comes from, what it may hold, and what is said of a wrong one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.methods import Fixed, SeenItems

IDS = np.array(["a", "b", "c", "d"], dtype=object)
SEEN = SeenItems(IDS, np.zeros(4, np.int32))


def choose(fixed: Fixed):
    return fixed.select(SEEN, None, len(fixed.items), np.random.default_rng(0))


def test_it_chooses_the_listed_items_in_their_order():
    selection = choose(Fixed(items=["d", "a"]))
    assert selection.items.tolist() == [3, 0]
    assert selection.weights is None


def test_weights_are_scaled_to_one():
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
def test_a_list_is_read_from_a_file(tmp_path, name, content, weights):
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
def test_a_list_that_cannot_be_read_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match="cannot be read") as caught:
        Fixed(path=str(path))
    assert caught.value.where == str(path)
    assert "item_id" in caught.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read") as caught:
        Fixed(path=str(tmp_path / "none.txt"))
    assert "none.txt" in caught.value.where
    assert "FileNotFoundError" in caught.value.got


@pytest.mark.parametrize(("name", "content"), [("list.txt", "\n"), ("list.csv", "item_id,weight\n"), ("list.json", "[]")])
def test_a_file_without_items_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match="no item") as caught:
        Fixed(path=str(path))
    assert caught.value.where == str(path)


@pytest.mark.parametrize("given", [{}, {"items": ["a"], "path": "x.txt"}])
def test_the_list_is_given_in_one_way(given):
    with pytest.raises(ConfigError, match="exactly one of items and path"):
        Fixed(**given)


def test_an_item_listed_twice_is_named():
    with pytest.raises(ConfigError, match="listed twice") as caught:
        Fixed(items=["a", "b", "c", "b", "a"])
    assert caught.value.got == "a, b"


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], [1, float("inf")], [1, 1, 1], []])
def test_weights_are_one_non_negative_number_per_item(weights):
    with pytest.raises(ConfigError, match="one non-negative number per item"):
        Fixed(items=["a", "b"], weights=weights)


def test_items_that_are_not_in_the_benchmark_are_named():
    with pytest.raises(DataError, match="4 of 5 listed items are not in the benchmark") as caught:
        Fixed(items=["a", "w", "x", "y", "z"]).positions(list(IDS))
    assert caught.value.got == "w, x, y …"
    assert "such as a" in caught.value.hint


def test_ids_that_are_numbers_are_texts():
    assert Fixed(items=[1, 2]).items == ("1", "2")
