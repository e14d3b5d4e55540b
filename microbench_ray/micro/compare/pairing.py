"""The items that all runs answered, as arrays, and what may make them not comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.data.truth import checked_weights
from microbench_ray.metrics.run_difference import FloatArray, IntArray, Items
from microbench_ray.micro.compare.runs import Run

Truth = Literal["micro", "macro", "weights"]
TRUTHS: tuple[Truth, ...] = ("micro", "macro")
"""Those that can be chosen; `weights` is that of items which have weights."""
Repeats = Literal["samples", "runs"]
REPEATS: tuple[Repeats, ...] = get_args(Repeats)
FEW_ITEMS, FEW_CLUSTERS = 30, 10
"""Numbers of items and of clusters below which an interval is only roughly right."""


class Paired(NamedTuple):
    """Runs on the items that all of them scored.

    Attributes
    ----------
    names
        (n_runs,)
    item_ids
        (n_items,) sorted.
    scores
        One array (n_items, n_repeats) for each run, NaN where an item has fewer repeats.
    subtask
        (n_items,)
    stratum, cluster, weight
        (n_items,) as in `metrics.run_difference.Items`.
    whole_runs
        As in `metrics.run_difference.Items`.
    n_union
        Items that any run was asked.
    warnings
        Sentences: what makes the comparison doubtful.
    """

    names: list[str]
    item_ids: list[str]
    scores: list[FloatArray]
    subtask: NDArray[np.object_]
    stratum: IntArray
    cluster: IntArray
    whole_runs: bool
    n_union: int
    warnings: list[str]
    weight: FloatArray | None = None

    def items(self, a: int, b: int, rows: NDArray[np.bool_] | None = None) -> Items:
        """The scores of two runs, on all items or some."""
        kept = slice(None) if rows is None else rows
        weight = None if self.weight is None else self.weight[kept]
        return Items(self.scores[a][kept], self.scores[b][kept], self.stratum[kept], self.cluster[kept], self.whole_runs, weight)


def pair(
    runs: Sequence[Run],
    truth: Truth,
    clusters: Mapping[str, str] | Literal["subtask"] | None,
    repeats: Repeats = "samples",
    weights: Mapping[str, float] | None = None,
) -> Paired:
    """Join runs by item id.

    Parameters
    ----------
    runs
        At least two.
    truth
        `micro`: every item has the same weight; `macro`: every subtask has.
    clusters
        The cluster of each item by its id; `subtask` for the subtasks; None where items are independent.
    repeats
        `runs` where the k-th repeats of all items are one run.
    weights
        By item id, what the item counts; None where all count the same, or all subtasks.

    Raises
    ------
    DataError
        No item was answered by all; one item; an item without a cluster or a weight; a weight that is not positive; one
        cluster; whole runs with different numbers of repeats.
    """
    answered = [{item for item, scores in run.scores.items() if scores} for run in runs]
    asked = [set(run.scores) for run in runs]
    common, union = set.intersection(*answered), set.union(*asked)
    if not common:
        raise DataError(
            "The runs have no answered item in common.",
            where=" and ".join(run.name for run in runs),
            got="; ".join(f"{run.name}: {first_few(sorted(run.scores), 2)}" for run in runs),
            hint="compare runs of the same items of the same task; ids must be equal",
        )
    if len(common) == 1:
        raise DataError(
            "The runs have one item in common.",
            where=" and ".join(run.name for run in runs),
            got=first_few(common),
            hint="a comparison needs at least two items that all runs answered",
        )
    ids = sorted(common)
    first = runs[0]
    subtask = np.array([first.subtask[item] or "all" for item in ids], dtype=object)
    codes = np.unique(subtask.astype(str), return_inverse=True)[1]
    if truth == "macro" and not codes.any():
        hint = "truth=micro, or runs whose subtasks are known"
        raise DataError("A mean over subtasks needs at least two.", where="truth", got="truth=macro, and one subtask", hint=hint)
    if clusters is None:
        cluster = np.arange(len(ids))
    else:
        cluster = codes if clusters == "subtask" else _cluster_codes(ids, clusters)
        if len(np.unique(cluster)) < 2:
            raise DataError(
                "All items are in one cluster.", where="cluster", got=f"{len(ids):,} items", hint="an interval needs at least two"
            )
    matrices = [_matrix([run.scores[item] for item in ids]) for run in runs]
    for run, matrix in zip(runs, matrices, strict=True):
        if repeats == "runs" and np.isnan(matrix).any():
            lengths = sorted({len(run.scores[item]) for item in ids})
            raise DataError(
                "Whole runs must have answered the same items.",
                where=run.name,
                got=f"items with {', '.join(map(str, lengths))} repeats",
                hint="repeats=samples, or give runs without missing answers",
            )
    return Paired(
        names=[run.name for run in runs],
        item_ids=ids,
        scores=matrices,
        subtask=subtask,
        stratum=codes if truth == "macro" else np.zeros(len(ids), np.intp),
        cluster=cluster,
        whole_runs=repeats == "runs",
        n_union=len(union),
        warnings=_warnings(runs, ids, union, asked, answered, cluster),
        weight=None if weights is None else _weights(ids, weights),
    )


def _cluster_codes(ids: Sequence[str], clusters: Mapping[str, str]) -> IntArray:
    without = [item for item in ids if item not in clusters]
    if without:
        got = f"{len(without):,} of {len(ids):,} items without a cluster: {first_few(without)}"
        raise DataError(
            "Every item needs a cluster.", where="cluster", got=got, hint="a table with item_id and cluster of all items"
        )
    codes: IntArray = np.unique([str(clusters[item]) for item in ids], return_inverse=True)[1]
    return codes


def _weights(ids: Sequence[str], weights: Mapping[str, float]) -> FloatArray:
    without = [item for item in ids if item not in weights]
    if without:
        got = f"{len(without):,} of {len(ids):,} items without a weight: {first_few(without)}"
        raise DataError("Every item needs a weight.", where="weight", got=got, hint="a weight for all items, by their ids")
    return checked_weights([weights[item] for item in ids], list(ids))


def _matrix(rows: Sequence[tuple[float, ...]]) -> FloatArray:
    lengths = np.fromiter(map(len, rows), np.intp, len(rows))
    matrix = np.full((len(rows), lengths.max()), np.nan)
    matrix[np.arange(lengths.max()) < lengths[:, None]] = np.fromiter(chain.from_iterable(rows), np.float64, lengths.sum())
    return matrix


def _different(by_run: Sequence[Mapping[str, str | None]], ids: Sequence[str]) -> list[str]:
    """The items whose values differ between runs; None is unknown, and differs from none."""
    columns = [[values.get(item) for item in ids] for values in by_run]
    if all(column == columns[0] for column in columns):
        return []
    return [item for item, *values in zip(ids, *columns, strict=True) if len({*values} - {None}) > 1]


def _warnings(
    runs: Sequence[Run],
    ids: Sequence[str],
    union: set[str],
    asked: Sequence[set[str]],
    answered: Sequence[set[str]],
    cluster: IntArray,
) -> list[str]:
    found = []
    for run, own in zip(runs, asked, strict=True):
        if missing := union - own:
            found.append(f"{run.name} was not asked {len(missing):,} of {len(union):,} items: {first_few(sorted(missing))}")
    for run, own, scored in zip(runs, asked, answered, strict=True):
        if unscored := own - scored:
            found.append(f"{run.name} has no score on {len(unscored):,} items: {first_few(sorted(unscored))}")
    if versions := _different([run.content for run in runs], ids):
        found.append(
            f"{len(versions):,} of {len(ids):,} items were asked in different versions (prompt, choices or target): "
            f"{first_few(versions)}"
        )
    elif sent := _different([run.prompt for run in runs], ids):
        found.append(
            f"{len(sent):,} of {len(ids):,} items were sent in different prompts (few-shot examples, chat template): "
            f"{first_few(sent)}"
        )
    if moved := _different([run.subtask for run in runs], ids):
        found.append(f"{len(moved):,} items are in different subtasks, those of {runs[0].name} are used: {first_few(moved)}")
    n_clusters = len(np.unique(cluster))
    if n_clusters < len(ids) and n_clusters < FEW_CLUSTERS:
        found.append(f"There are only {n_clusters} clusters: the interval is rough.")
    elif len(ids) < FEW_ITEMS:
        found.append(f"There are only {len(ids)} items: the interval is rough.")
    lengths = [set(map(len, map(run.scores.__getitem__, ids))) for run in runs]
    if any(len(own) > 1 for own in lengths):
        found.append("Items have different numbers of repeats.")
    return found
