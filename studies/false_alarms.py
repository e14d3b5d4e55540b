"""How often does the default drift policy raise an alarm on clean nights of a real board, and which planted drops does it find?

    python -m studies.false_alarms BOARD… [--baselines 15,20,25,30,45,70,150,250] [--histories 20] [--nights 12]

A BOARD is a wide score table, or `MODELSxITEMSxSUBTASKS` for a synthetic leaderboard, such as 40x600x8. A history takes the
models of a board in random order: some are the baseline, and each night adds one to four more until none are left. Two random
lists are audited. A board without subtasks is divided at random into six unequal ones.

No night has drift, so every alarm is false. Nights of a history share the baseline, so the standard error is that over histories.
On the last night of each history, a drop of twice the interval is also planted in one subtask of the new models, chosen among
those on which a rule judges them and their scores are high enough to drop. Of the drops found, `named` counts those of which the
worst finding, which becomes the headline, names the subtask.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.audit.drift import detect_drift
from microbench_ray.audit.drift_rules import DriftPolicy
from microbench_ray.audit.profile import Profile, profile
from microbench_ray.audit.verdict import excess
from microbench_ray.data import Benchmark, read_scores, synthetic
from microbench_ray.methods.selectors.fixed import Fixed

BASELINES = (15, 20, 25, 30, 45, 70, 150, 250)
MAX_NEW = 4
N_SUBTASKS = 6
"""Subtasks made for a board that has none."""
RELATIVE_SIZES = 2.0 ** np.arange(N_SUBTASKS)


@dataclass
class Replay:
    """What the histories of one board and one size of the baseline showed."""

    alarmed: list[NDArray[np.bool_]] = field(default_factory=list)
    """By history, (n_nights,) whether the night raised an alarm."""
    judged: list[NDArray[np.bool_]] = field(default_factory=list)
    """By history, (n_nights,) whether a rule judged the new models."""
    by_metric: Counter[str] = field(default_factory=Counter)
    """Nights with an alarm, by metric."""
    planted: int = 0
    found: int = 0
    named: int = 0
    """Planted drops found of which the worst finding names the subtask."""
    drops: list[float] = field(default_factory=list)
    """Sizes of the planted drops, fractions."""

    @property
    def n_nights(self) -> int:
        """Number of nights of all histories."""
        return sum(nights.size for nights in self.alarmed)

    @property
    def share(self) -> float:
        """Share of the nights that raised an alarm."""
        return sum(int(nights.sum()) for nights in self.alarmed) / self.n_nights

    @property
    def standard_error(self) -> float:
        """Standard error of `share`, with histories as the independent units."""
        if len(self.alarmed) < 2:
            return float("nan")
        off = np.array([nights.sum() - self.share * nights.size for nights in self.alarmed])
        return float(np.sqrt(off.size / (off.size - 1) * np.square(off).sum()) / self.n_nights)

    @property
    def judged_share(self) -> float:
        """Share of the nights on which a rule judged the new models."""
        return sum(int(nights.sum()) for nights in self.judged) / self.n_nights


def read_board(name: str, rng: np.random.Generator) -> Benchmark:
    """Read a board, or draw one from `MODELSxITEMSxSUBTASKS`, and give it subtasks if it has none."""
    drawn = re.fullmatch(r"(\d+)x(\d+)x(\d+)", name)
    if drawn:
        n_models, n_items, n_subtasks = map(int, drawn.groups())
        board = synthetic(name, n_models, n_items, n_subtasks, seed=1)
    else:
        board = read_scores(name, confidence=None, metadata=None)
    if len(board.subtask_names) > 1:
        return board
    return with_scores(board, board.scores, list(board.model_ids), unequal_subtasks(board.n_items, rng))


def unequal_subtasks(n_items: int, rng: np.random.Generator) -> list[str]:
    """A random subtask for each item, each subtask about twice as large as the one before."""
    ends = np.ceil(np.cumsum(RELATIVE_SIZES) / RELATIVE_SIZES.sum() * n_items)
    codes = rng.permutation(np.searchsorted(ends, np.arange(n_items), side="right"))
    return [f"s{code}" for code in codes]


def with_scores(board: Benchmark, scores: NDArray[Any], models: Sequence[Any], subtasks: Sequence[str] | None = None) -> Benchmark:
    """The same board with other stored scores, for some models."""
    names = [board.subtask_names[code] for code in board.subtask_codes] if subtasks is None else subtasks
    items, ids = [str(item) for item in board.item_ids], [str(model) for model in models]
    return Benchmark.from_arrays(board.name, scores, items, ids, subtasks=names, units=board.units, max_missing=1.0)


def two_lists(board: Benchmark, rng: np.random.Generator) -> dict[str, Fixed]:
    """Two random lists, of a twentieth and of a fifth of the items."""
    sizes = {"short": max(10, board.n_items // 20), "long": max(20, board.n_items // 5)}
    items = board.item_ids.astype(str)
    return {label: Fixed(items=tuple(rng.choice(items, size, replace=False))) for label, size in sizes.items()}


def alarms(table: pa.Table) -> set[str]:
    """The metrics that raise an alarm."""
    return {row["metric"] for row in table.to_pylist() if row["severity"] == "fail"}


def replay(board: Benchmark, n_baseline: int, histories: int, nights: int, policy: DriftPolicy) -> Replay:
    """Replay histories of a board in random orders of its models."""
    result = Replay()
    for history in range(histories):
        rng = np.random.default_rng([history, n_baseline])
        lists = two_lists(board, rng)
        everyone = profile(board, lists).take(rng.permutation(board.n_models))
        ends = list(_ends(n_baseline, board.n_models, nights, rng))
        earlier: list[pa.Table] = []
        alarmed, judged = np.zeros(len(ends), bool), np.zeros(len(ends), bool)
        for night, (start, end) in enumerate(ends):
            table = detect_drift(
                everyone.take(np.arange(n_baseline)),
                everyone.take(np.arange(end)),
                list(everyone.model_ids[start:end]),
                night=f"{night:03d}",
                policy=policy,
                earlier=pa.concat_tables(earlier) if earlier else None,
                seed=history,
            )
            earlier.append(table)
            false_alarms = alarms(table)
            result.by_metric.update(false_alarms)
            alarmed[night], judged[night] = bool(false_alarms), bool(_bounds(table))
        result.alarmed.append(alarmed)
        result.judged.append(judged)
        _plant(result, board, lists, everyone, n_baseline, ends[-1], earlier, policy, history, rng)
    return result


def _ends(n_baseline: int, n_models: int, nights: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """First and last + 1 position of each night's new models."""
    start = n_baseline
    for _ in range(nights):
        end = min(start + int(rng.integers(1, MAX_NEW + 1)), n_models)
        if start == end:
            return
        yield start, end
        start = end


def _bounds(table: pa.Table) -> dict[str, float]:
    """By subtask, the half-width of the interval of `residual_new`."""
    return {
        row["subtask"]: (row["bound_hi"] - row["bound_lo"]) / 2
        for row in table.to_pylist()
        if row["metric"] == "residual_new" and row["bound_lo"] is not None
    }


def _plant(
    result: Replay,
    board: Benchmark,
    lists: dict[str, Fixed],
    everyone: Profile,
    n_baseline: int,
    last: tuple[int, int],
    earlier: Sequence[pa.Table],
    policy: DriftPolicy,
    history: int,
    rng: np.random.Generator,
) -> None:
    """Plant a drop of twice the interval in one subtask of the last night's new models, if one fits."""
    start, end = last
    bounds = _bounds(earlier[-1])
    columns = {name: 1 + everyone.subtasks.index(name) for name in bounds}
    fits = [name for name, half in bounds.items() if everyone.accuracy[start:end, columns[name]].min() >= 2 * half]
    if not fits:
        return
    subtask = fits[int(rng.integers(len(fits)))]
    order = {str(model): k for k, model in enumerate(board.model_ids)}
    models = [str(model) for model in everyone.model_ids[:end]]
    scores = board.scores[[order[model] for model in models]].copy()
    items = np.flatnonzero(board.subtask_codes == list(board.subtask_names).index(subtask))
    for row in range(start, end):
        _drop(scores[row], items, 2 * bounds[subtask] * board.units, board.missing, rng)
    tonight = profile(with_scores(board, scores, models), lists)
    table = detect_drift(
        everyone.take(np.arange(n_baseline)),
        tonight,
        models[start:end],
        night=f"{len(earlier) - 1:03d}",
        policy=policy,
        earlier=pa.concat_tables(earlier),
        seed=history,
    )
    found = sorted((row for row in table.to_pylist() if row["severity"] == "fail"), key=excess, reverse=True)
    result.planted += 1
    result.found += bool(found)
    result.named += bool(found) and found[0]["subtask"] == subtask
    result.drops.append(2 * bounds[subtask])


def _drop(scores: NDArray[Any], items: NDArray[np.intp], drop: float, missing: int, rng: np.random.Generator) -> None:
    """Lower a model's mean score on some items by `drop` (in units), by making random answers wrong."""
    answered = rng.permutation(items[scores[items] != missing])
    lost = np.cumsum(scores[answered].astype(np.int64))
    scores[answered[: 1 + int(np.searchsorted(lost, drop * answered.size))]] = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boards", nargs="+")
    parser.add_argument("--baselines", default=",".join(map(str, BASELINES)))
    parser.add_argument("--histories", type=int, default=20)
    parser.add_argument("--nights", type=int, default=12)
    parser.add_argument("--resamples", type=int, default=DriftPolicy().n_resamples)
    options = parser.parse_args()
    policy = DriftPolicy(n_resamples=options.resamples)
    print(
        "board                     models  baseline  nights  alarms %       ± judged %  found  of  named  drop  CPU s"
        "  alarms by rule"
    )
    for name in options.boards:
        board = read_board(name, np.random.default_rng(0))
        for n_baseline in map(int, options.baselines.split(",")):
            if n_baseline + MAX_NEW > board.n_models:
                continue
            started = time.process_time()
            result = replay(board, n_baseline, options.histories, options.nights, policy)
            drop = f"{100 * float(np.median(result.drops)):4.0f}" if result.drops else "   –"
            rates = f"{100 * result.share:8.2f}  {100 * result.standard_error:6.2f}  {100 * result.judged_share:7.0f}"
            print(
                f"{board.name:25s} {board.n_models:6d}  {n_baseline:8d}  {result.n_nights:6d}  {rates}  "
                f"{result.found:5d} {result.planted:3d}  {result.named:5d}  {drop}  {time.process_time() - started:5.0f}  "
                f"{dict(result.by_metric.most_common())}",
                flush=True,
            )


if __name__ == "__main__":
    main()
