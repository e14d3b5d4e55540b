from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microbench_ray.audit.changes import CHANGES, Snapshot, changes, snapshot
from microbench_ray.core.errors import DataError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data import Benchmark
from tests.helpers import small

NAN = np.nan


def board(scores, models="abc", items="wxyz", subtasks="sstt"):
    return Benchmark.from_arrays("b", scores, list(items), list(models), subtasks=list(subtasks), max_missing=0.9)


class Content(NamedTuple):
    digest: str | None = None
    position: str | None = None


def told(benchmark, contents):
    """What the logs tell: as the benchmark has the items, with contents and positions of some."""
    items = snapshot(benchmark).items.to_pylist()
    for row in items:
        row["content"], row["position"] = contents.get(row["item_id"], Content())
    return pa.Table.from_pylist(items, schema=SCHEMAS["snapshot_items"])


SCORES = [[1, 0, 1, 1], [0, NAN, 1, 0], [1, 1, 0, 0]]


def digests(benchmark):
    models = snapshot(benchmark).models
    return dict(zip(models["model_id"].to_pylist(), models["digest"].to_pylist(), strict=True))


def kinds(found):
    return [(row["kind"], row["name"]) for row in found.to_pylist()]


def test_a_snapshot_by_hand():
    found = snapshot(board(SCORES), told(board(SCORES), {"x": Content("c1", "7")}))
    assert found.models["accuracy"].to_pylist() == [0.75, 1 / 3, 0.5]
    assert found.models["n_answered"].to_pylist() == [4, 3, 4]
    assert found.items.to_pylist()[:2] == [
        {"item_id": "w", "subtask": "s", "content": None, "position": None},
        {"item_id": "x", "subtask": "s", "content": "c1", "position": "7"},
    ]


def test_nothing_changed():
    found = changes(snapshot(board(SCORES)), snapshot(board(SCORES)))
    assert found.num_rows == 0
    assert found.schema.equals(CHANGES)


def test_a_digest_is_of_the_responses_and_of_nothing_else():
    known = digests(board(SCORES))
    assert len(set(known.values())) == 3
    # Another order of items and models, another grid, and an item and a model more that the others did not answer.
    order = [2, 0, 3, 1]
    shuffled = board([[row[k] for k in order] for row in reversed(SCORES)], models="cba", items="ywzx", subtasks="tsts")
    assert digests(shuffled) == known
    halves = board([*[[*row, NAN] for row in SCORES], [0.5, 0.5, 0, 0, 1]], models="abcd", items="wxyzq", subtasks="sstts")
    assert halves.units == 2
    assert {name: value for name, value in digests(halves).items() if name != "d"} == known


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, NAN]), min_size=4, max_size=4), min_size=2, max_size=2))
@settings(deadline=None)
def test_equal_digests_are_equal_responses(rows):
    scores = [[*row, 1.0] for row in rows]
    one = digests(board([*scores, [0, 0, 0, 0, 0]], models="abz", items="wxyzq", subtasks="sssss"))
    same = all(a == b or (np.isnan(a) and np.isnan(b)) for a, b in zip(*scores, strict=True))
    assert (one["a"] == one["b"]) == same


def test_models_by_hand():
    before = board(SCORES)
    after = board([[0, 0, 1, 0], [0, NAN, 1, 0], [1, 1, 1, 1]], models="abd")
    found = changes(snapshot(before), snapshot(after), (before, after))
    assert kinds(found) == [("model_new", "d"), ("model_rescored", "a"), ("model_vanished", "c")]
    rescored = found.to_pylist()[1]
    assert (rescored["value"], rescored["reference"], rescored["n_changed"]) == (0.25, 0.75, 2)
    assert changes(snapshot(before), snapshot(after)).to_pylist()[1]["n_changed"] is None
    # A response that came is a change too.
    after = board([SCORES[0], [0, 1, 1, 0], SCORES[2]])
    found = changes(snapshot(before), snapshot(after), (before, after))
    assert [(row["name"], row["n_changed"]) for row in found.to_pylist()] == [("b", 1)]


def test_an_item_more_rescores_nobody_where_that_can_be_seen():
    before = board(SCORES)
    after = board([[*row, 1] for row in SCORES], items="wxyzq", subtasks="sstts")
    assert kinds(changes(snapshot(before), snapshot(after), (before, after))) == [("item_new", "q")]
    assert len(changes(snapshot(before), snapshot(after))) == 4


def test_items_by_hand():
    before = board(SCORES)
    after = board(SCORES, items="wxqr", subtasks="stts")
    then = {"w": Content("c1", "0"), "x": Content("c2", "1"), "y": Content("c3", "0"), "z": Content("c4", "1")}
    now = {"w": Content("changed", "0"), "x": Content(None, "1"), "q": Content("c5", "0"), "r": Content("c6", "9")}
    found = changes(snapshot(before, told(before, then)), snapshot(after, told(after, now)))
    # w has other content, x another subtask, q is where y was, r is nowhere where one was.
    of_items = [row for row in kinds(found) if row[0].startswith("item")]
    assert of_items == [
        ("item_changed", "q"),
        ("item_changed", "w"),
        ("item_changed", "x"),
        ("item_new", "r"),
        ("item_vanished", "z"),
    ]


def test_contents_that_are_not_told_do_not_change():
    known, untold = snapshot(board(SCORES), told(board(SCORES), {"w": Content("c1")})), snapshot(board(SCORES))
    assert changes(known, untold).num_rows == changes(untold, known).num_rows == 0


def test_a_version_that_some_models_saw_is_a_change_though_the_other_is_still_there():
    benchmark = board(SCORES)
    before = told(benchmark, {item: Content(f"c-{item}", item) for item in "wxyz"})
    one_more = pa.Table.from_pylist(
        [
            {"item_id": "w", "subtask": "s", "content": "other", "position": "w"},
            {"item_id": "new-x", "subtask": "s", "content": "other", "position": "x"},
            {"item_id": "new-q", "subtask": "s", "content": "other", "position": "q"},
        ],
        schema=SCHEMAS["snapshot_items"],
    )
    found = changes(snapshot(benchmark, before), snapshot(benchmark, pa.concat_tables([before, one_more])))
    assert kinds(found) == [("item_changed", "new-x"), ("item_changed", "w"), ("item_new", "new-q")]


def test_snapshots_go_through_parquet(tmp_path):
    import pyarrow.parquet as pq

    kept = snapshot(small.board(small.responses(5)))
    for name, table in kept._asdict().items():
        pq.write_table(table, tmp_path / name)
    again = Snapshot(*(pq.read_table(tmp_path / name) for name in kept._fields))
    assert changes(again, kept).num_rows == 0


def test_another_table_is_refused():
    good = snapshot(board(SCORES))
    with pytest.raises(DataError, match="not of the form"):
        changes(Snapshot(good.items, good.items), good)
