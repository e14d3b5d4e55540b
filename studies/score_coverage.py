"""Coverage of the intervals of `microbench score` for models that the micro-benchmark was built without.

    python -m studies.score_coverage DATA_DIR [SPLITS] [BOARDS,…]

Leaderboards: GPQA, and BBH and MMLU-Pro drawn from their factors. Drawn alike: 50 random models are held out, and the
micro-benchmark is built on the others. Extrapolated: the best fifth are held out, so that all sources are weaker. `reported` is the
interval that the tool reports, which is the wider one where it warns; `wide` is the wider one for every model; `reserve` is the
interval reported with the reserve's responses, beside the mean absolute error of these estimates and of those without it. Widths
and errors are in points.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from microbench_ray.data import Benchmark, read_scores
from microbench_ray.methods import Method, build_method
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.build import build
from microbench_ray.micro.intervals import AccuracyInterval
from microbench_ray.micro.score import Scored, interval_if_better, score
from microbench_ray.sweeps.evaluate import true_accuracies

BOARDS, SIZES, HELD_OUT, BEST = ("gpqa", "bbh", "mmlu_pro"), (25, 100), 50, 0.2
GUIDED = build_method("mdad_guided", {"name": "mdad_guided"}, {"name": "ridge_remainder", "signal": "correctness"})
METHODS = (
    build_method("random+ridge", {"name": "random"}, {"name": "ridge"}),
    build_method("greedy+ridge", {"name": "greedy"}, {"name": "ridge"}),
    GUIDED,
    build_method("random+mean", {"name": "random"}, {"name": "mean"}),
)


def main() -> None:
    data, splits = Path(sys.argv[1]), int((*sys.argv[2:], "20")[0])
    chosen = sys.argv[3].split(",") if len(sys.argv) > 3 else BOARDS
    print("                               drawn alike                  extrapolated: the best fifth held out")
    print(
        "board     method        items  covered  width  warned       covered  reported  always wide  warned  width, wide"
        "  reserve  error, without",
        flush=True,
    )
    for name in chosen:
        board = read(data, name)
        for method in METHODS:
            for size in SIZES:
                alike = held_out(board, method, size, [random_models(board, split) for split in range(splits)])
                n_builds = splits if method.label.startswith("random") else 1
                best = held_out(board, method, size, [best_models(board)] * n_builds)
                print(
                    f"{name:9s} {method.label:13s} {size:5d}"
                    f"  {alike['covered']:7.3f}  {alike['width']:5.1f}  {alike['warned']:6.3f}"
                    f"       {best['covered']:7.3f}  {best['reported']:8.3f}  {best['wide']:11.3f}  {best['warned']:6.3f}"
                    f"  {best['width']:5.1f}, {best['width_wide']:4.1f}  {best['reserve']:7.3f}"
                    f"  {best['error_reserve']:5.1f}, {best['error']:7.1f}",
                    flush=True,
                )


def read(data: Path, name: str) -> Benchmark:
    if name == "gpqa":
        return read_scores(data / "gpqa.parquet", confidence=None)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, data / "make_leaderboard.py", name, folder], check=True)
        return read_scores(Path(folder) / f"{name}.parquet", confidence=None)


def accuracies(board: Benchmark) -> np.ndarray:
    return true_accuracies(board, "seen", np.arange(board.n_models), np.arange(board.n_items)).accuracy


def random_models(board: Benchmark, split: int) -> np.ndarray:
    return np.sort(np.random.default_rng(split).permutation(board.n_models)[:HELD_OUT])


def best_models(board: Benchmark) -> np.ndarray:
    return np.sort(np.argsort(-accuracies(board), kind="stable")[: math.ceil(BEST * board.n_models)])


def held_out(board: Benchmark, method: Method, size: int, groups: list[np.ndarray]) -> dict[str, float]:
    """Means over the groups and their models; widths and errors in points."""
    rows = [row for seed, group in enumerate(groups) for row in one_group(board, method, size, group, seed)]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def one_group(board: Benchmark, method: Method, size: int, group: np.ndarray, seed: int) -> Iterator[dict[str, float]]:
    """A row per model of the group, scored by a micro-benchmark built on all other models."""
    known, new, column_of = split_off(board, group)
    micro = build(known, method, size, seed)
    by_items, with_reserve = scored_twice(micro, new, column_of)
    for alone, both, truth in zip(by_items, with_reserve, accuracies(board)[group], strict=True):
        assert alone.interval is not None
        assert alone.estimate is not None
        assert both.interval is not None
        assert both.estimate is not None
        inner = AccuracyInterval(low=alone.interval.low, high=alone.interval.high, kind=alone.interval.kind)
        wide = interval_if_better(micro, alone.estimate, inner, np.zeros(known.n_models))[0] or inner
        reported, reserve = alone.extrapolated_interval or inner, both.extrapolated_interval or both.interval
        yield {
            "covered": inner.low <= truth <= inner.high,
            "reported": reported.low <= truth <= reported.high,
            "wide": wide.low <= truth <= wide.high,
            "warned": bool(alone.warnings),
            "width": 100 * (inner.high - inner.low),
            "reserve": reserve.low <= truth <= reserve.high,
            "error": 100 * abs(alone.estimate - truth),
            "error_reserve": 100 * abs(both.estimate - truth),
            "width_wide": 100 * (wide.high - wide.low),
        }


def split_off(board: Benchmark, group: np.ndarray) -> tuple[Benchmark, np.ndarray, dict[str, int]]:
    """The board without the group's models; the group's responses, (n, n_items), NaN where missing; the items' columns by id."""
    known = np.setdiff1d(np.arange(board.n_models), group)
    new = board.scores[group] / board.units
    new[board.scores[group] == board.missing] = np.nan
    column_of = {str(name): k for k, name in enumerate(board.item_ids)}
    return Benchmark(board.name, board.models.take(pa.array(known)), board.items, board.units), new, column_of


def scored_twice(micro: MicroBenchmark, new: np.ndarray, column_of: dict[str, int]) -> tuple[list[Scored], list[Scored]]:
    """The scores of these models by the micro-benchmark's items alone, and with the reserve."""
    names = [f"new {k}" for k in range(len(new))]
    alone, both = (
        score(micro, new[:, [column_of[name] for name in ids]], ids, names) for ids in (micro.item_ids, micro.all_item_ids)
    )
    return alone, both


if __name__ == "__main__":
    main()
