from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.audit.changes import CHANGES, Snapshot, compare_snapshots, take_snapshot
from microbench_ray.core.errors import DataError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data import Benchmark
from tests.helpers import small
from tests.helpers.errors import refuses

NAN = np.nan


def board(scores: Sequence[Sequence[float]], models: str = "abc", items: str = "wxyz", subtasks: str = "sstt") -> Benchmark:
    return Benchmark.from_arrays("b", np.array(scores, float), list(items), list(models), subtasks=list(subtasks), max_missing=0.9)


class Content(NamedTuple):
    digest: str | None = None
    position: str | None = None


def log_items(benchmark: Benchmark, contents: Mapping[str, Content]) -> pa.Table:
    """The benchmark's items as its logs have them, with the contents and positions of some."""
    items = take_snapshot(benchmark).items.to_pylist()
    for row in items:
        row["content"], row["position"] = contents.get(row["item_id"], Content())
    return pa.Table.from_pylist(items, schema=SCHEMAS["snapshot_items"])


SCORES: list[list[float]] = [[1, 0, 1, 1], [0, NAN, 1, 0], [1, 1, 0, 0]]


def digests(benchmark: Benchmark) -> dict[str, str]:
    models = take_snapshot(benchmark).models
    return dict(zip(models["model_id"].to_pylist(), models["digest"].to_pylist(), strict=True))


def kinds(table: pa.Table) -> list[tuple[str, str]]:
    return [(row["kind"], row["name"]) for row in table.to_pylist()]


def test_a_snapshot_by_hand() -> None:
    found = take_snapshot(board(SCORES), log_items(board(SCORES), {"x": Content("c1", "7")}))
    assert found.models["accuracy"].to_pylist() == [0.75, 1 / 3, 0.5]
    assert found.models["n_answered"].to_pylist() == [4, 3, 4]
    assert found.items.to_pylist()[:2] == [
        {"item_id": "w", "subtask": "s", "content": None, "position": None},
        {"item_id": "x", "subtask": "s", "content": "c1", "position": "7"},
    ]


def test_nothing_changed() -> None:
    found = compare_snapshots(take_snapshot(board(SCORES)), take_snapshot(board(SCORES)))
    assert found.num_rows == 0
    assert found.schema.equals(CHANGES)


def test_a_digest_depends_on_the_responses_alone() -> None:
    known = digests(board(SCORES))
    assert len(set(known.values())) == 3
    # Another order of items and models; another grid of scores, with an additional model and an item that only it answered.
    order = [2, 0, 3, 1]
    shuffled = board([[row[k] for k in order] for row in reversed(SCORES)], models="cba", items="ywzx", subtasks="tsts")
    assert digests(shuffled) == known
    halves = board([*[[*row, NAN] for row in SCORES], [0.5, 0.5, 0, 0, 1]], models="abcd", items="wxyzq", subtasks="sstts")
    assert halves.units == 2
    assert {name: value for name, value in digests(halves).items() if name != "d"} == known


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, NAN]), min_size=4, max_size=4), min_size=2, max_size=2))
def test_equal_digests_are_equal_responses(rows: list[list[float]]) -> None:
    scores = [[*row, 1.0] for row in rows]
    found = digests(board([*scores, [0, 0, 0, 0, 0]], models="abz", items="wxyzq", subtasks="sssss"))
    same = all(a == b or (np.isnan(a) and np.isnan(b)) for a, b in zip(*scores, strict=True))
    assert (found["a"] == found["b"]) == same


def test_models_by_hand() -> None:
    before = board(SCORES)
    after = board([[0, 0, 1, 0], [0, NAN, 1, 0], [1, 1, 1, 1]], models="abd")
    found = compare_snapshots(take_snapshot(before), take_snapshot(after), (before, after))
    assert kinds(found) == [("model_new", "d"), ("model_rescored", "a"), ("model_vanished", "c")]
    rescored = found.to_pylist()[1]
    assert (rescored["value"], rescored["reference"], rescored["n_changed"]) == (0.25, 0.75, 2)
    assert compare_snapshots(take_snapshot(before), take_snapshot(after)).to_pylist()[1]["n_changed"] is None
    # A response that was missing before is a change too.
    after = board([SCORES[0], [0, 1, 1, 0], SCORES[2]])
    found = compare_snapshots(take_snapshot(before), take_snapshot(after), (before, after))
    assert [(row["name"], row["n_changed"]) for row in found.to_pylist()] == [("b", 1)]


def test_an_additional_item_rescores_no_model_if_the_responses_are_known() -> None:
    before = board(SCORES)
    after = board([[*row, 1] for row in SCORES], items="wxyzq", subtasks="sstts")
    assert kinds(compare_snapshots(take_snapshot(before), take_snapshot(after), (before, after))) == [("item_new", "q")]
    assert len(compare_snapshots(take_snapshot(before), take_snapshot(after))) == 4


def test_items_by_hand() -> None:
    before = board(SCORES)
    after = board(SCORES, items="wxqr", subtasks="stts")
    then = {"w": Content("c1", "0"), "x": Content("c2", "1"), "y": Content("c3", "0"), "z": Content("c4", "1")}
    now = {"w": Content("changed", "0"), "x": Content(None, "1"), "q": Content("c5", "0"), "r": Content("c6", "9")}
    found = compare_snapshots(take_snapshot(before, log_items(before, then)), take_snapshot(after, log_items(after, now)))
    # w has other content, x is in another subtask, q has the position of y, r has a new position.
    assert [row for row in kinds(found) if row[0].startswith("item")] == [
        ("item_changed", "q"),
        ("item_changed", "w"),
        ("item_changed", "x"),
        ("item_new", "r"),
        ("item_vanished", "z"),
    ]


def test_unknown_contents_are_not_a_change() -> None:
    known, unknown = take_snapshot(board(SCORES), log_items(board(SCORES), {"w": Content("c1")})), take_snapshot(board(SCORES))
    assert compare_snapshots(known, unknown).num_rows == compare_snapshots(unknown, known).num_rows == 0


def test_a_second_version_of_an_item_is_a_change() -> None:
    benchmark = board(SCORES)
    before = log_items(benchmark, {item: Content(f"c-{item}", item) for item in "wxyz"})
    second_versions = pa.Table.from_pylist(
        [
            {"item_id": "w", "subtask": "s", "content": "other", "position": "w"},
            {"item_id": "new-x", "subtask": "s", "content": "other", "position": "x"},
            {"item_id": "new-q", "subtask": "s", "content": "other", "position": "q"},
        ],
        schema=SCHEMAS["snapshot_items"],
    )
    found = compare_snapshots(
        take_snapshot(benchmark, before), take_snapshot(benchmark, pa.concat_tables([before, second_versions]))
    )
    assert kinds(found) == [("item_changed", "new-x"), ("item_changed", "w"), ("item_new", "new-q")]


def test_snapshots_survive_parquet(tmp_path: Path) -> None:
    kept = take_snapshot(small.board(small.responses(5)))
    for name, table in kept._asdict().items():
        pq.write_table(table, tmp_path / name)
    restored = Snapshot(*(pq.read_table(tmp_path / name) for name in kept._fields))
    assert compare_snapshots(restored, kept).num_rows == 0


def test_a_table_of_another_schema_is_refused() -> None:
    good = take_snapshot(board(SCORES))
    with refuses(DataError, "snapshot", where="compare_snapshots", got="subtask"):
        compare_snapshots(Snapshot(good.items, good.items), good)
