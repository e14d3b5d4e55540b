"""Changes between two nights: models and items that are new, removed, or different."""

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
"""Schema of `compare_snapshots`: value and reference are a model's accuracy now and before (fractions), null for items."""


class Snapshot(NamedTuple):
    """A summary of a leaderboard, small enough to keep for every night."""

    models: pa.Table
    """Schema `snapshot_models`: a digest of each model's non-missing responses, by item id."""
    items: pa.Table
    """Schema `snapshot_items`: a row per version of an item."""


def take_snapshot(benchmark: Benchmark, items: pa.Table | None = None) -> Snapshot:
    """Summarise a night for the comparison with the next one.

    Parameters
    ----------
    benchmark
        The leaderboard.
    items
        The items in its logs, a row per version, of the schema `snapshot_items` (`data.item_versions`); None to take them from
        the benchmark.
    """
    keys = item_keys(benchmark)
    scores, missing = benchmark.scores, benchmark.missing
    digests, answered, sums = [], [], []
    for row in scores:
        known = row != missing if benchmark.has_missing else np.ones(row.size, bool)
        values = np.where(known, row, 0)
        digests.append(_response_digest(keys, values, known, benchmark.units))
        answered.append(int(np.count_nonzero(known)))
        sums.append(int(values.sum(dtype=np.int64)))
    accuracy = [total / (benchmark.units * n) if n else None for total, n in zip(sums, answered, strict=True)]
    if benchmark.truth != "micro":
        accuracy = [None if np.isnan(value) else float(value) for value in benchmark.accuracies()]
    models = [pa.array(benchmark.model_ids, pa.string()), digests, accuracy, answered]
    if items is None:
        subtasks = [benchmark.subtask_names[code] for code in benchmark.subtask_codes]
        unknown = [None] * benchmark.n_items
        items = _table([pa.array(benchmark.item_ids, pa.string()), subtasks, unknown, unknown], SCHEMAS["snapshot_items"])
    return Snapshot(models=_table(models, SCHEMAS["snapshot_models"]), items=items)


def item_keys(benchmark: Benchmark) -> NDArray[np.uint64]:
    """(n_items, 2) a 128-bit hash of each item id."""
    words = b"".join(blake2b(str(item).encode(), digest_size=16).digest() for item in benchmark.item_ids)
    return np.frombuffer(words, np.dtype("<u8")).reshape(-1, 2)


def _response_digest(keys: NDArray[np.uint64], values: NDArray[Any], known: NDArray[np.bool_], units: int) -> str:
    """Digest of a set of (item, score), independent of the order of items, the grid of the scores, and unanswered items.

    For each score, the hashes of its items are summed modulo 2**64, so their order does not matter. Scores are written as
    fractions in lowest terms.
    """
    totals: dict[str, Any] = {}
    for value in np.unique(values[known]):
        chosen = keys[known & (values == value)]
        divisor = int(np.gcd(int(value), units))
        totals[f"{int(value) // divisor}/{units // divisor}"] = [
            len(chosen),
            *(int(word) for word in chosen.sum(axis=0, dtype=np.uint64)),
        ]
    return content_digest(totals, {})


def compare_snapshots(before: Snapshot, after: Snapshot, responses: tuple[Benchmark, Benchmark] | None = None) -> pa.Table:
    """List the changes between two nights.

    Parameters
    ----------
    before, after
        The snapshots.
    responses
        Both leaderboards, if available. The changed responses of each rescored model are then counted over the items that both
        leaderboards have, and a model without such a change is not rescored.

    Returns
    -------
    pyarrow.Table
        Schema `CHANGES`, sorted by kind and name. Kinds:

        - `model_new`, `model_vanished`;
        - `model_rescored`: the digest of its responses changed;
        - `item_new`, `item_vanished`;
        - `item_changed`: the same id with other content or in another subtask, or a new id at the position of an earlier item of
          the same subtask. The name is then the new id, and the earlier item does not count as vanished.

    Raises
    ------
    DataError
        A snapshot does not have the schemas above.
    """
    for each in (before, after):
        _check(each)
    rows = _model_changes(before, after, responses) + _item_changes(before, after)
    rows.sort(key=lambda row: (row["kind"], row["name"]))
    return pa.Table.from_pylist(rows, schema=CHANGES)


def _model_changes(before: Snapshot, after: Snapshot, responses: tuple[Benchmark, Benchmark] | None) -> list[dict[str, Any]]:
    old, new = ({row["model_id"]: row for row in each.models.to_pylist()} for each in (before, after))
    rows = [_row("model_new", name, value=row["accuracy"]) for name, row in new.items() if name not in old]
    rows += [_row("model_vanished", name, reference=row["accuracy"]) for name, row in old.items() if name not in new]
    rescored = [name for name, row in new.items() if name in old and old[name]["digest"] != row["digest"]]
    n_changed = _count_changed_responses(rescored, responses) if responses is not None and rescored else {}
    return rows + [
        _row("model_rescored", name, value=new[name]["accuracy"], reference=old[name]["accuracy"], n_changed=n_changed.get(name))
        for name in rescored
        if n_changed.get(name) != 0
    ]


def _count_changed_responses(names: list[str], responses: tuple[Benchmark, Benchmark]) -> dict[str, int]:
    """Changed responses of each model on the items of both benchmarks; one that appeared or went missing counts as changed."""
    before, after = responses
    position = {item: k for k, item in enumerate(after.item_ids)}
    common_before = np.array([k for k, item in enumerate(before.item_ids) if item in position], dtype=np.intp)
    common_after = np.array([position[item] for item in before.item_ids[common_before]], dtype=np.intp)
    rows_before, rows_after = ({model: k for k, model in enumerate(each.model_ids)} for each in responses)
    n_changed = {}
    for name in names:
        if name in rows_before and name in rows_after:
            old = before.scores[rows_before[name]][common_before]
            new = after.scores[rows_after[name]][common_after]
            old_missing, new_missing = old == before.missing, new == after.missing
            differs = old.astype(np.int64) * after.units != new.astype(np.int64) * before.units
            changed = (old_missing != new_missing) | (differs & ~old_missing & ~new_missing)
            n_changed[name] = int(np.count_nonzero(changed))
    return n_changed


def _item_changes(before: Snapshot, after: Snapshot) -> list[dict[str, Any]]:
    if before.items.equals(after.items):  # as on most nights
        return []
    old, new = (_versions(each.items) for each in (before, after))
    item_at: dict[tuple[str, str], str] = {}
    for name, versions in old.items():
        item_at |= {(version["subtask"], version["position"]): name for version in versions if version["position"] is not None}
    rows, replaced = [], set()
    for name, versions in new.items():
        subtask = versions[0]["subtask"]
        if name not in old:
            earlier = [item_at[key] for each in versions if (key := (each["subtask"], each["position"])) in item_at]
            replaced.update(earlier)
            rows.append(_row("item_changed" if earlier else "item_new", name, subtask))
        elif _differs(old[name], versions):
            rows.append(_row("item_changed", name, subtask))
    vanished = [name for name in old if name not in new and name not in replaced]
    return rows + [_row("item_vanished", name, old[name][0]["subtask"]) for name in vanished]


def _versions(items: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """Rows by item id: several if models saw different versions of the item."""
    versions: dict[str, list[dict[str, Any]]] = {}
    for row in items.to_pylist():
        versions.setdefault(row["item_id"], []).append(row)
    return versions


def _differs(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> bool:
    """Whether an item has content or a subtask that it did not have before. Unknown content is not a change."""
    old_contents = {row["content"] for row in old} - {None}
    new_contents = {row["content"] for row in new} - {None} - old_contents
    return bool((old_contents and new_contents) or {row["subtask"] for row in new} - {row["subtask"] for row in old})


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


def _check(snapshot: Snapshot) -> None:
    for table, schema in ((snapshot.models, SCHEMAS["snapshot_models"]), (snapshot.items, SCHEMAS["snapshot_items"])):
        if table.schema.names != schema.names or table.schema.types != schema.types:
            raise DataError(
                "A snapshot has the wrong columns.",
                where="compare_snapshots",
                got=f"columns {', '.join(table.schema.names)}",
                hint="make it with microbench_ray.audit.changes.take_snapshot",
            )
