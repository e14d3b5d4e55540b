"""The job `compare`: read the runs and the clusters, compare, and report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.data.table_files import read_table
from microbench_ray.micro.compare.compare import Compared, Rules, check_rules, compare
from microbench_ray.micro.compare.runs import RunsInput, read_runs


class CompareJob(NamedTuple):
    """What to compare, and where to report it. Keys as in conf/compare.yaml."""

    runs: RunsInput
    rules: Rules
    cluster: str | None
    form: str
    out: Path | None


class CompareOutcome(NamedTuple):
    """The result, and notes on how the runs were read."""

    compared: Compared
    notes: list[str]


def run_compare(job: CompareJob) -> CompareOutcome:
    """Compare the runs of a job; errors as for `read_runs`, `read_clusters` and `compare`."""
    check_rules(job.rules)
    clusters = None if job.cluster is None else read_clusters(job.cluster)
    read = read_runs(job.runs)
    return CompareOutcome(compare(read.runs, job.rules, clusters), read.notes)


def read_clusters(given: str) -> Mapping[str, str] | Literal["subtask"]:
    """The cluster of each item: `subtask`, or a table with the columns item_id and cluster.

    Raises
    ------
    DataError
        The table cannot be read, lacks a column, or has an item twice.
    """
    if given == "subtask":
        return "subtask"
    table = read_table(Path(given), texts=("item_id", "cluster"))
    absent = [name for name in ("item_id", "cluster") if name not in table.column_names]
    if absent:
        got = f"columns {', '.join(table.column_names)}"
        raise DataError(
            "The table of clusters lacks a column.", where=given, got=got, hint=f"name a column {' and one '.join(absent)}"
        )
    ids, names = table["item_id"].to_pylist(), table["cluster"].to_pylist()
    if len(set(ids)) < len(ids):
        raise DataError("An item is in the table of clusters twice.", where=given, hint="one row for each item")
    return {str(item): str(name) for item, name in zip(ids, names, strict=True) if item is not None and name is not None}
