"""The job `compare`: read the runs and the clusters, compare, and report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.data.table_files import read_table
from microbench_ray.micro.compare.compare import Compared, compare
from microbench_ray.micro.compare.rules import CompareRules, check_rules
from microbench_ray.micro.compare.runs import RunsInput, read_runs


class CompareJob(NamedTuple):
    """What to compare, and where to report it. Keys as in conf/compare.yaml."""

    runs: RunsInput
    rules: CompareRules
    cluster: str | None
    weight: Path | None
    form: str
    out: Path | None


class CompareOutcome(NamedTuple):
    """The result, and notes on how the runs were read."""

    compared: Compared
    notes: list[str]


def run_compare(job: CompareJob) -> CompareOutcome:
    """Compare the runs of a job; errors as for `read_runs`, `read_clusters`, `read_weights` and `compare`."""
    check_rules(job.rules)
    clusters = None if job.cluster is None else read_clusters(job.cluster)
    weights = None if job.weight is None else read_weights(job.weight)
    read = read_runs(job.runs)
    return CompareOutcome(compare(read.runs, job.rules, clusters, weights), read.notes)


def read_clusters(given: str) -> Mapping[str, str] | Literal["subtask"]:
    """The cluster of each item: `subtask`, or a table with the columns item_id and cluster.

    Raises
    ------
    DataError
        The table cannot be read, lacks a column, or has an item twice.
    """
    if given == "subtask":
        return "subtask"
    return {item: str(name) for item, name in _by_item(Path(given), "cluster").items()}


def read_weights(path: Path) -> Mapping[str, float]:
    """The weight of each item: a table with the columns item_id and weight.

    Raises
    ------
    DataError
        As for `read_clusters`, or a weight is no number.
    """
    weights = {}
    for item, value in _by_item(path, "weight").items():
        try:
            weights[item] = float(value)
        except (TypeError, ValueError):
            where = f"{path}: column 'weight', item {item!r}"
            raise DataError("A weight is not a number.", where=where, got=repr(value), hint="a positive number") from None
    return weights


def _by_item(path: Path, column: str) -> dict[str, Any]:
    """A column of a table by item id, without empty cells."""
    if not path.is_file():
        hint = f"{'cluster=subtask, or ' if column == 'cluster' else ''}a table with the columns item_id and {column}"
        raise DataError(f"The table of {column}s does not exist.", where=f"{column}={path}", got="no such file", hint=hint)
    table = read_table(path, texts=("item_id", "cluster"))
    absent = [name for name in ("item_id", column) if name not in table.column_names]
    if absent:
        got = f"columns {', '.join(table.column_names)}"
        hint = f"name a column {' and one '.join(absent)}"
        raise DataError(f"The table of {column}s lacks a column.", where=str(path), got=got, hint=hint)
    ids, values = table["item_id"].to_pylist(), table[column].to_pylist()
    if len(set(ids)) < len(ids):
        raise DataError(f"An item is in the table of {column}s twice.", where=str(path), hint="one row for each item")
    return {str(item): value for item, value in zip(ids, values, strict=True) if item is not None and value is not None}
