"""What changed between two nights: models and items that are new, gone, or not what they were."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data import Benchmark
from microbench_ray.data.digest import content_digest

CHANGES = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("subtask", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("reference", pa.float64()),
        pa.field("n_changed", pa.int64()),
    ]
)
"""Of `changes`: value and reference are a model's accuracy now and before (fractions), null for items."""


class Snapshot(NamedTuple):
    """A leaderboard, small enough to be kept every night."""

    models: pa.Table
    """`snapshot_models`: the digest is of the responses that are there, by item id."""
    items: pa.Table
    """`snapshot_items`: a row per version of an item."""


def snapshot(benchmark: Benchmark, items: pa.Table | None = None) -> Snapshot:
    """What is to be kept of a night so that the next one can be compared with it.

    Parameters
    ----------
    benchmark
        The leaderboard.
    items
        What its logs tell of items, of the schema `snapshot_items`, a row per version (`data.item_versions`); None where the
        benchmark is all there is.
    """
    keys = item_keys(benchmark)
    scores, missing = benchmark.scores, benchmark.missing
    digests, answered, sums = [], [], []
    for row in scores:
        there = row != missing if benchmark.has_missing else np.ones(row.size, bool)
        values = np.where(there, row, 0)
        digests.append(_response_digest(keys, values, there, benchmark.units))
        answered.append(int(np.count_nonzero(there)))
        sums.append(int(values.sum(dtype=np.int64)))
    accuracy = [total / (benchmark.units * n) if n else None for total, n in zip(sums, answered, strict=True)]
    models = [pa.array(benchmark.model_ids, pa.string()), digests, accuracy, answered]
    if items is None:
        subtasks = [benchmark.subtask_names[code] for code in benchmark.subtask_codes]
        nothing = [None] * benchmark.n_items
        items = _table([pa.array(benchmark.item_ids, pa.string()), subtasks, nothing, nothing], SCHEMAS["snapshot_items"])
    return Snapshot(_table(models, SCHEMAS["snapshot_models"]), items)


def item_keys(benchmark: Benchmark) -> NDArray[np.uint64]:
    """(n_items, 2) 128 bits of a hash of each item id."""
    words = b"".join(blake2b(str(item).encode(), digest_size=16).digest() for item in benchmark.item_ids)
    return np.frombuffer(words, np.dtype("<u8")).reshape(-1, 2)


def _response_digest(keys: NDArray[np.uint64], values: NDArray[Any], there: NDArray[np.bool_], units: int) -> str:
    """A digest of a set of (item, score): whatever the order of items, the grid of the scores, and items not answered.

    Sums modulo 2**64 of the items' hashes, per score: a sum does not depend on the order, and an item more that others answered
    changes nothing. Scores are written as fractions in lowest terms.
    """
    totals: dict[str, Any] = {}
    for value in np.unique(values[there]):
        chosen = keys[there & (values == value)]
        divisor = int(np.gcd(int(value), units))
        totals[f"{int(value) // divisor}/{units // divisor}"] = [
            len(chosen),
            *(int(word) for word in chosen.sum(axis=0, dtype=np.uint64)),
        ]
    return content_digest(totals, {})


def changes(before: Snapshot, after: Snapshot, responses: tuple[Benchmark, Benchmark] | None = None) -> pa.Table:
    """What happened between two nights.

    Parameters
    ----------
    before, after
        The snapshots.
    responses
        Both leaderboards, where they are at hand: then it is counted how many responses of a rescored model changed, on the items
        that both have, and a model that only answered items that one of them has not is not rescored.

    Returns
    -------
    pyarrow.Table
        Of the schema `CHANGES`, sorted by kind and name. Kinds: `model_new`, `model_vanished`, `model_rescored` (its digest is
        another: responses changed, or it answered other items), `item_new`, `item_vanished`, `item_changed` (the same id with
        another content, or in another subtask; or a new id at a position of a subtask that an item had before: the name is that of
        the new one, and the old one is not said to have vanished).

    Raises
    ------
    DataError
        A snapshot is not of the schemas above.
    """
    for one in (before, after):
        _check(one)
    rows = _of_models(before, after, responses) + _of_items(before, after)
    rows.sort(key=lambda row: (row["kind"], row["name"]))
    return pa.Table.from_pylist(rows, schema=CHANGES)


def _of_models(before: Snapshot, after: Snapshot, responses: tuple[Benchmark, Benchmark] | None) -> list[dict[str, Any]]:
    old, new = ({row["model_id"]: row for row in one.models.to_pylist()} for one in (before, after))
    rows = [_row("model_new", name, value=row["accuracy"]) for name, row in new.items() if name not in old]
    rows += [_row("model_vanished", name, reference=row["accuracy"]) for name, row in old.items() if name not in new]
    rescored = [name for name, row in new.items() if name in old and old[name]["digest"] != row["digest"]]
    counted = _n_changed(rescored, responses) if responses is not None and rescored else {}
    return rows + [
        _row("model_rescored", name, value=new[name]["accuracy"], reference=old[name]["accuracy"], n_changed=counted.get(name))
        for name in rescored
        if counted.get(name) != 0
    ]


def _n_changed(names: list[str], responses: tuple[Benchmark, Benchmark]) -> dict[str, int]:
    """How many responses of each model changed on the items that both benchmarks have; coming and going count too."""
    before, after = responses
    there = {item: place for place, item in enumerate(after.item_ids)}
    common = np.array([place for place, item in enumerate(before.item_ids) if item in there], dtype=np.intp)
    now = np.array([there[item] for item in before.item_ids[common]], dtype=np.intp)
    places = [{model: k for k, model in enumerate(one.model_ids)} for one in responses]
    counted = {}
    for name in names:
        if all(name in place for place in places):
            one, other = before.scores[places[0][name]][common], after.scores[places[1][name]][now]
            gone, absent = one == before.missing, other == after.missing
            differs = one.astype(np.int64) * after.units != other.astype(np.int64) * before.units
            counted[name] = int(np.count_nonzero((gone != absent) | (differs & ~gone & ~absent)))
    return counted


def _of_items(before: Snapshot, after: Snapshot) -> list[dict[str, Any]]:
    old, new = (_versions(one.items) for one in (before, after))
    at: dict[tuple[str, str], str] = {}
    for name, versions in old.items():
        at |= {(version["subtask"], version["position"]): name for version in versions if version["position"] is not None}
    rows, replaced = [], set()
    for name, versions in new.items():
        subtask = versions[0]["subtask"]
        if name not in old:
            earlier = [at[key] for each in versions if (key := (each["subtask"], each["position"])) in at]
            replaced.update(earlier)
            rows.append(_row("item_changed" if earlier else "item_new", name, subtask))
        elif _is_other(old[name], versions):
            rows.append(_row("item_changed", name, subtask))
    gone = [name for name in old if name not in new and name not in replaced]
    return rows + [_row("item_vanished", name, old[name][0]["subtask"]) for name in gone]


def _versions(items: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """By item id, what the logs tell of it: several rows where models saw different versions."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in items.to_pylist():
        found.setdefault(row["item_id"], []).append(row)
    return found


def _is_other(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> bool:
    """Whether an item has a content or a subtask that it had not. A log that does not tell a content tells no change of it."""
    contents = {row["content"] for row in old} - {None}
    fresh = {row["content"] for row in new} - {None} - contents
    return bool((contents and fresh) or {row["subtask"] for row in new} - {row["subtask"] for row in old})


def _row(
    kind: str,
    name: str,
    subtask: str = "",
    *,
    value: float | None = None,
    reference: float | None = None,
    n_changed: int | None = None,
) -> dict[str, Any]:
    return {"kind": kind, "name": name, "subtask": subtask, "value": value, "reference": reference, "n_changed": n_changed}


def _table(columns: list[Any], schema: pa.Schema) -> pa.Table:
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema)


def _check(one: Snapshot) -> None:
    for table, schema in ((one.models, SCHEMAS["snapshot_models"]), (one.items, SCHEMAS["snapshot_items"])):
        if table.schema.names != schema.names or table.schema.types != schema.types:
            raise DataError(
                "A snapshot of a night is not of the form that is compared.",
                where="changes",
                got=f"columns {', '.join(table.schema.names)}",
                hint="make it with microbench_ray.audit.changes.snapshot",
            )
