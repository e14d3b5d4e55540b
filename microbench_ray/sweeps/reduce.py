"""From cells to agreement, MDAD, summary and paired differences.

Tie policy, thresholds and intervals are applied here, and nowhere before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core import seeding
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.schemas import GROUP_KEY, SCHEMAS
from microbench_ray.metrics import TIE_POLICIES, PairCounts, TiePolicy, agreement_curve, mdads, mean_agreement, share_reliable
from microbench_ray.sweeps.paired import CellGroup, Pairing, keep, paired_rows
from microbench_ray.sweeps.tables import BINNED, counts_of, null_if_nan

INTERVALS = ("runs", "pairs")
KEY = [*GROUP_KEY, "split"]
REDUCED = ("agreement", "mdad", "summary")


@dataclass(frozen=True)
class Rules:
    """How cells become tables.

    Attributes
    ----------
    thresholds
        Agreements that an MDAD must reach; the summary's share of reliable pairs is at the first.
    tie_policy
        What tied estimates count: `wrong`, `half`, `drop` (left out), or `paper` (the paper's rules).
    ci
        What intervals resample: `runs` or, as the paper does, `pairs`. A fixed list, which has no runs, resamples models.
    confidence_level
        Of the intervals.
    n_resamples
        Bootstrap draws.
    baseline
        Label of the method that all others are compared with on the same runs, for the table `paired`; `best` is the one of the
        lowest MDAD; None for no such table.
    """

    thresholds: tuple[float, ...] = (0.8,)
    tie_policy: TiePolicy = "wrong"
    ci: str = "runs"
    confidence_level: float = 0.95
    n_resamples: int = 1000
    baseline: str | None = None

    def __post_init__(self) -> None:
        if not self.thresholds or not all(0 < threshold <= 1 for threshold in self.thresholds):
            raise ConfigError(
                "thresholds must be in (0, 1], at least one.", got=str(list(self.thresholds)), hint="thresholds=[0.8]"
            )
        if len(set(self.thresholds)) < len(self.thresholds):
            raise ConfigError("A value stands twice in thresholds.", got=str(list(self.thresholds)))
        for key, value, valid in (("tie_policy", self.tie_policy, TIE_POLICIES), ("ci", self.ci, INTERVALS)):
            if value not in valid:
                raise ConfigError(f"Unknown {key}.", got=str(value), hint=f"valid: {', '.join(valid)}")
        if not 0 < self.confidence_level < 1:
            raise ConfigError("confidence_level must be between 0 and 1.", got=str(self.confidence_level), hint="0.95")
        if self.n_resamples < 100:
            raise ConfigError("n_resamples must be at least 100.", got=str(self.n_resamples), hint="n_resamples=1000")

    def pairing(self, seed: int) -> Pairing | None:
        """How methods are compared; None where they are not."""
        if self.baseline is None:
            return None
        return Pairing(self.baseline, self.thresholds, self.tie_policy, self.confidence_level, self.n_resamples, seed)


def reduce_partitions(partitions: Iterable[tuple[pa.Table, pa.Table]], rules: Rules, seed: int) -> dict[str, pa.Table]:
    """Reduce cells, a partition at a time.

    Parameters
    ----------
    partitions
        Tables of `cells` and of `resamples`, each of which holds whole groups (all runs of a cell). Read one by one, so that
        memory is bounded by the largest.
    rules
        Tie policy, thresholds and intervals.
    seed
        The root seed.

    Returns
    -------
    dict of pyarrow.Table
        `agreement`, `mdad` and `summary`, and `paired` where there is a baseline; sorted by key.
    """
    pairing = rules.pairing(seed)
    kept: list[CellGroup] = []
    parts: dict[str, list[pa.Table]] = {name: [SCHEMAS[name].empty_table()] for name in REDUCED}
    for cells, resamples in partitions:
        columns: dict[str, list[dict[str, Any]]] = {name: [] for name in REDUCED}
        for group, counts, resampled in groups(cells, resamples):
            for name, row in reduce_group(group, counts, resampled, rules, seed).items():
                columns[name] += row
            if pairing is not None:
                key = {name: group.column(name)[0].as_py() for name in KEY}
                kept.append(keep(key, group, counts, pairing))
        for name, rows in columns.items():
            if rows:
                parts[name].append(_table(name, rows))
    if pairing is not None:
        parts["paired"] = [_table("paired", list(paired_rows(kept, pairing)))]
    tables = {}
    for name in list(parts):
        some = parts.pop(name)  # so that each table is there twice at most
        order = [field for field in SCHEMAS[name].names if field in {*KEY, "threshold", "diff_lo"}]
        tables[name] = pa.concat_tables(some).combine_chunks().sort_by([(field, "ascending") for field in order])
    return tables


def groups(cells: pa.Table, resamples: pa.Table) -> Iterator[tuple[pa.Table, PairCounts, PairCounts | None]]:
    """Cells of one group and split, in the order of runs, with their counts; and the counts per draw of the models, if any."""
    of_draws = {key: resampled for key, _, resampled in _grouped(resamples, "resample")} if len(resamples) else {}
    for key, rows, counts in _grouped(cells, "run"):
        yield rows, counts, of_draws.get(key)


def reduce_group(
    cells: pa.Table, counts: PairCounts, resampled: PairCounts | None, rules: Rules, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table for one group and split: columns are scalars, or arrays over bins for `agreement`."""
    group = {name: cells.column(name)[0].as_py() for name in KEY}
    ci = "models" if resampled is not None and rules.ci == "runs" else rules.ci
    policy = {"tie_policy": rules.tie_policy, "ci": ci}
    shared: dict[str, Any] = {"tie_policy": rules.tie_policy, "ci": ci, "level": rules.confidence_level, "resampled": resampled}
    curve = agreement_curve(counts, **shared)
    key = [group["benchmark"], group["method"], group["n_source"], group["size"], group["targets"], group["unseen"]]
    rng = seeding.interval_stream(seed, *key)
    found = mdads(counts, rules.thresholds, n_resamples=rules.n_resamples, seed=rng, **shared)
    errors, taus = (_defined(cells, name) for name in ("mean_abs_error", "kendall_tau"))
    return {
        "agreement": [group | policy | vars(curve)],
        "mdad": [group | policy | vars(each) for each in found],
        "summary": [
            group
            | policy
            | {
                "threshold": rules.thresholds[0],
                "mean_agreement": mean_agreement(counts, rules.tie_policy),
                "mean_abs_error": _mean(errors),
                "mean_abs_error_sd": _sd(errors),
                "kendall_tau": _mean(taus),
                "kendall_tau_sd": _sd(taus),
                "share_reliable": share_reliable(counts, found[0].mdad_monotone),
                "n_runs": len(cells),
                "signal": cells.column("signal")[0].as_py(),
            }
        ],
    }


def _grouped(table: pa.Table, order: str) -> Iterator[tuple[tuple[Any, ...], pa.Table, PairCounts]]:
    """Key, rows without counts, and counts of every group, sorted by `order` within."""
    codes = np.zeros(len(table), dtype=np.int64)
    for name in KEY:
        column = table.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
        codes = codes * len(column.dictionary) + column.indices.to_numpy()
    sequence = np.lexsort((table.column(order).to_numpy(), codes))
    edges = [*np.flatnonzero(np.diff(codes[sequence], prepend=-1)).tolist(), len(table)]
    counts = counts_of(table)[sequence]
    table = table.drop_columns(list(BINNED)).take(sequence)
    for start, stop in pairwise(edges):
        rows = table.slice(start, stop - start)
        yield tuple(rows.column(name)[0].as_py() for name in KEY), rows, counts[start:stop]


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows whose values may be arrays of one length: each row then becomes as many."""
    schema = SCHEMAS[name]
    if name != "agreement":
        return pa.table([pa.array([null_if_nan(row[f.name]) for row in rows], f.type) for f in schema], schema=schema)
    lengths = [len(row["diff_lo"]) for row in rows]
    columns = []
    for field in schema:
        if isinstance(rows[0][field.name], np.ndarray):
            column = pa.array(np.concatenate([row[field.name] for row in rows]), field.type, from_pandas=True)
        else:
            column = pa.array([row[field.name] for row in rows], field.type).take(
                pa.array(np.repeat(np.arange(len(rows)), lengths))
            )
        columns.append(column)
    return pa.table(columns, schema=schema)


def _defined(cells: pa.Table, name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = cells.column(name).drop_null().to_numpy()
    return values


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _sd(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")
