"""Reduce cells to agreement, MDAD, summary, standings and paired differences.

Tie policy, thresholds and intervals are applied here, and nowhere before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core import seeding
from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.core.fractions import fraction_hint, fractions_hint
from microbench_ray.core.schemas import GROUP_KEY, SCHEMAS
from microbench_ray.metrics import TIE_POLICIES, PairCounts, TiePolicy, agreement_curve, mdads, mean_agreement, share_reliable
from microbench_ray.metrics.paired import MIN_RUNS
from microbench_ray.sweeps.paired import CellGroup, PairedRules, cell_group, paired_rows
from microbench_ray.sweeps.standings import RunTotals, run_totals, standing_rows
from microbench_ray.sweeps.stop_tables import mean_costs, stopping_rows, verdict_rows
from microbench_ray.sweeps.tables import BINNED, counts_of, null_if_nan

logger = logging.getLogger(__name__)

INTERVALS = ("runs", "pairs")
MAX_RESAMPLES = 100_000
"""Bootstrap resamples; their counts are in memory at once."""
KEY = [*GROUP_KEY, "split"]
REDUCED = ("agreement", "mdad", "summary")
COMPANIONS = ("resamples", "costs", "stops")
"""Tables of shards that are reduced with their cells."""
OPTIONAL = ("paired", "verdicts", "stopping")
"""Reduced tables that not every sweep has."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """How cells become tables.

    Attributes
    ----------
    thresholds
        Agreements that define an MDAD each; the summary's share of reliable pairs uses the first.
    tie_policy
        How tied estimates count: `wrong`, `half`, `drop` (left out), or `paper` (the paper's rules).
    ci
        What intervals resample: `runs` or, as the paper does, `pairs`. For a fixed list, which has no runs, `runs` means models.
    confidence_level
        Confidence level of the intervals.
    n_resamples
        Number of bootstrap resamples.
    baseline
        Label of the method that all others are compared with on the same runs, for the table `paired`; `best` is the method with
        the lowest MDAD; None for no such table.
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
                "thresholds must be one or more agreements in (0, 1].",
                where="thresholds",
                got=str(list(self.thresholds)),
                hint=fractions_hint("thresholds", self.thresholds, "[0.8]"),
            )
        if len(set(self.thresholds)) < len(self.thresholds):
            twice = str(list(self.thresholds))
            raise ConfigError("thresholds holds a value twice.", where="thresholds", got=twice, hint="list every threshold once")
        for key, value, valid in (("tie_policy", self.tie_policy, TIE_POLICIES), ("ci", self.ci, INTERVALS)):
            if value not in valid:
                raise unknown("value", key, value, valid)
        if not 0 < self.confidence_level < 1:
            raise ConfigError(
                "confidence_level must be between 0 and 1.",
                where="confidence_level",
                got=str(self.confidence_level),
                hint=fraction_hint("confidence_level", self.confidence_level, "0.95"),
            )
        if not 100 <= self.n_resamples <= MAX_RESAMPLES:
            raise ConfigError(
                f"n_resamples must be at least 100, and at most {MAX_RESAMPLES:,}.",
                where="n_resamples",
                got=str(self.n_resamples),
                hint="n_resamples=1000",
            )

    def interval_of(self, n_runs: int) -> str:
        """What an interval over so many runs resamples: a single run cannot be."""
        return "pairs" if self.ci == "runs" and n_runs == 1 else self.ci

    def paired_rules(self, seed: int) -> PairedRules | None:
        """How methods are compared; None without a baseline."""
        if self.baseline is None:
            return None
        return PairedRules(
            baseline=self.baseline,
            thresholds=self.thresholds,
            tie_policy=self.tie_policy,
            level=self.confidence_level,
            n_resamples=self.n_resamples,
            seed=seed,
        )


class Partition(NamedTuple):
    """Tables of shards that hold whole groups: all runs of a cell. `costs` and `stops` may be left out."""

    cells: pa.Table
    resamples: pa.Table
    costs: pa.Table | None = None
    stops: pa.Table | None = None


def reduce_partitions(partitions: Iterable[tuple[pa.Table, ...]], rules: Rules, seed: int) -> dict[str, pa.Table]:
    """Reduce cells, a partition at a time.

    Parameters
    ----------
    partitions
        The arguments of a `Partition` each. They are read one by one, so that memory is bounded by the largest.
    rules
        Tie policy, thresholds and intervals.
    seed
        The root seed.

    Returns
    -------
    dict of pyarrow.Table
        `agreement`, `mdad`, `summary` and `standings`, `paired` if there is a baseline, and `verdicts` and `stopping` if there are
        stops; sorted by key.
    """
    paired_rules = rules.paired_rules(seed)
    compared: list[CellGroup] = []
    totals: list[RunTotals] = []
    parts: dict[str, list[pa.Table]] = {name: [SCHEMAS[name].empty_table()] for name in REDUCED}
    for partition in partitions:
        cells, resamples, costs, stops = Partition(*partition)
        rows: dict[str, list[Row]] = {name: [] for name in REDUCED}
        cost_of = {} if costs is None else mean_costs(costs)
        for group in groups(cells, resamples):
            for name, of_group in reduce_group(*group, rules, seed).items():
                rows[name] += of_group
            cost = cost_of.get(tuple(group.cells.column(name)[0].as_py() for name in GROUP_KEY))
            for row in rows["mdad"][-len(rules.thresholds) :]:
                row["cost"] = cost
            totals.append(run_totals(group_key(group.cells), group.cells, group.counts, rules.tie_policy))
            if paired_rules is not None:
                compared.append(cell_group(group_key(group.cells), group.cells, group.counts, paired_rules))
        for _, in_order, counts in _grouped(stops, "run") if stops is not None and len(stops) else ():
            common = group_key(in_order)
            ci = rules.interval_of(len(in_order))
            measured = mdads(counts, rules.thresholds, **_intervals(rules, ci, common, seed))
            rows.setdefault("verdicts", []).extend(verdict_rows(common, in_order, counts))
            rows.setdefault("stopping", []).extend(stopping_rows(common, in_order, counts, rules.tie_policy, ci, measured))
        for name in rows:
            if rows[name]:
                parts.setdefault(name, [SCHEMAS[name].empty_table()])
                parts[name].append(_agreement_table(rows[name]) if name == "agreement" else _table(name, rows[name]))
    parts["standings"] = [_table("standings", list(standing_rows(totals, rules.tie_policy, rules.confidence_level)))]
    if paired_rules is not None:
        parts["paired"] = [_table("paired", list(paired_rows(compared, paired_rules)))]
        fewest = min((group.n_runs for group in compared if group.key["n_source"]), default=MIN_RUNS)
        if fewest < MIN_RUNS:
            logger.warning("Differences of MDADs have an interval from %d runs on; this sweep has %d.", MIN_RUNS, fewest)
    tables = {}
    for name in list(parts):
        tables_of_name = parts.pop(name)  # removed, so that at most two copies of a table are in memory
        order = [field for field in SCHEMAS[name].names if field in {*KEY, "threshold", "diff_lo"}]
        tables[name] = pa.concat_tables(tables_of_name).combine_chunks().sort_by([(field, "ascending") for field in order])
    return tables


def reduce_group(
    cells: pa.Table, counts: PairCounts, resampled: PairCounts | None, rules: Rules, seed: int
) -> dict[str, list[Row]]:
    """Compute the rows of every table for one group and split.

    Parameters
    ----------
    cells, counts, resampled
        As in `Group`.
    rules, seed
        As for `reduce_partitions`.

    Returns
    -------
    dict of lists
        By table. Values are scalars; those of the single row for `agreement` may be arrays over bins.
    """
    ci = "models" if rules.ci == "runs" and resampled is not None else rules.interval_of(len(cells))
    common: Row = group_key(cells) | {"tie_policy": rules.tie_policy, "ci": ci}
    settings: dict[str, Any] = {"tie_policy": rules.tie_policy, "ci": ci, "level": rules.confidence_level, "resampled": resampled}
    curve = agreement_curve(counts, **settings)
    by_threshold = mdads(counts, rules.thresholds, resampled=resampled, **_intervals(rules, ci, common, seed))
    errors, taus = (_defined(cells, name) for name in ("mean_abs_error", "kendall_tau"))
    agreement_row = common | {
        "diff_lo": curve.diff_lo,
        "diff_hi": curve.diff_hi,
        "n_pairs": curve.n_pairs,
        "n_agree": curve.n_agree,
        "n_tied": curve.n_tied,
        "agreement": curve.agreement,
        "ci_lo": curve.ci_lo,
        "ci_hi": curve.ci_hi,
    }
    mdad_rows = [
        common
        | {
            "threshold": mdad.threshold,
            "mdad": mdad.mdad,
            "ci_lo": mdad.ci_lo,
            "ci_hi": mdad.ci_hi,
            "mdad_monotone": mdad.mdad_monotone,
            "mdad_monotone_ci_lo": mdad.mdad_monotone_ci_lo,
            "mdad_monotone_ci_hi": mdad.mdad_monotone_ci_hi,
            "reached_share": mdad.reached_share,
            "n_runs": mdad.n_runs,
        }
        for mdad in by_threshold
    ]
    summary_row = common | {
        "threshold": rules.thresholds[0],
        "mean_agreement": mean_agreement(counts, rules.tie_policy),
        "mean_abs_error": _mean(errors),
        "mean_abs_error_sd": _sd(errors),
        "kendall_tau": _mean(taus),
        "kendall_tau_sd": _sd(taus),
        "share_reliable": share_reliable(counts, by_threshold[0].mdad_monotone),
        "n_runs": len(cells),
        "signal": cells.column("signal")[0].as_py(),
    }
    return {"agreement": [agreement_row], "mdad": mdad_rows, "summary": [summary_row]}


def _intervals(rules: Rules, ci: str, key: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The arguments of `mdads` for a group: the same resamples of its runs for all that is measured on them."""
    stream_key = [key[name] for name in ("benchmark", "method", "n_source", "size", "targets", "unseen")]
    return {
        "tie_policy": rules.tie_policy,
        "ci": ci,
        "level": rules.confidence_level,
        "n_resamples": rules.n_resamples,
        "seed": seeding.interval_stream(seed, *stream_key),
    }


class Group(NamedTuple):
    """The cells of one group and split.

    Attributes
    ----------
    cells
        One row per run, in the order of runs, without the counts per bin.
    counts
        The counts of these rows.
    resampled
        For a fixed list, the counts of the resamples of the models.
    """

    cells: pa.Table
    counts: PairCounts
    resampled: PairCounts | None


def groups(cells: pa.Table, resamples: pa.Table) -> Iterator[Group]:
    """Divide cells, and the resamples of fixed lists, into groups."""
    resampled = {key: counts for key, _, counts in _grouped(resamples, "resample")} if len(resamples) else {}
    for key, rows, counts in _grouped(cells, "run"):
        yield Group(cells=rows, counts=counts, resampled=resampled.get(key))


def group_key(cells: pa.Table) -> Row:
    """The key that all rows of a group share."""
    return {name: cells.column(name)[0].as_py() for name in KEY}


def _grouped(table: pa.Table, order: str) -> Iterator[tuple[tuple[Any, ...], pa.Table, PairCounts]]:
    """Yield the key, the rows without counts, and the counts of every group; within a group, rows are sorted by `order`."""
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
        yield tuple(group_key(rows).values()), rows, counts[start:stop]


def _table(name: str, rows: list[Row]) -> pa.Table:
    """A table with one row per mapping."""
    schema = SCHEMAS[name]
    columns = [pa.array([null_if_nan(row[field.name]) for row in rows], field.type) for field in schema]
    return pa.table(columns, schema=schema)


def _agreement_table(rows: list[Row]) -> pa.Table:
    """The table `agreement`: every mapping becomes one row per bin; scalars are repeated."""
    schema = SCHEMAS["agreement"]
    row_of_bin = pa.array(np.repeat(np.arange(len(rows)), [len(row["diff_lo"]) for row in rows]))
    columns = []
    for field in schema:
        if isinstance(rows[0][field.name], np.ndarray):
            column = pa.array(np.concatenate([row[field.name] for row in rows]), field.type, from_pandas=True)
        else:
            column = pa.array([row[field.name] for row in rows], field.type).take(row_of_bin)
        columns.append(column)
    return pa.table(columns, schema=schema)


def _defined(cells: pa.Table, name: str) -> NDArray[np.float64]:
    """The values of a column that are not null."""
    values: NDArray[np.float64] = cells.column(name).drop_null().to_numpy()
    return values


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _sd(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")
