"""How often do the intervals of `microbench score` hold the true accuracy of a model that the micro-benchmark was not built from?

    python -m studies.score_coverage DATA_DIR [SPLITS] [BOARDS,…]

GPQA, and leaderboards of BBH and MMLU-Pro drawn from their factors. Drawn alike: 50 models at random are held out, and the
micro-benchmark is built on the others. Extrapolated: the best fifth are held out, all sources are weaker; `told` is what the tool
says by itself, which is the wider interval where it warns; `reserve` is what it says where the reserve was run too, with the mean
error of these estimates and of those without. Widths and errors are in points.
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
from microbench_ray.micro.score import Scored, score, wider
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
        "board     method        items  covered  width  warned       covered  told  always wide  warned  width, wide"
        "  reserve  error, without",
        flush=True,
    )
    for name in chosen:
        board = read(data, name)
        for method in METHODS:
            for size in SIZES:
                alike = held_out(board, method, size, [random_models(board, split) for split in range(splits)])
                beyond = held_out(board, method, size, [best_models(board)] * (splits if method.label.startswith("random") else 1))
                print(
                    f"{name:9s} {method.label:13s} {size:5d}  {alike['inside']:7.3f}  {alike['width']:5.1f}  {alike['warned']:6.3f}"
                    f"       {beyond['inside']:7.3f} {beyond['told']:5.3f}  {beyond['wide']:11.3f}  {beyond['warned']:6.3f}"
                    f"  {beyond['width']:5.1f}, {beyond['width_wide']:4.1f}  {beyond['reserve']:7.3f}"
                    f"  {beyond['error_reserve']:5.1f}, {beyond['error']:7.1f}",
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
    """Means over groups and their models; widths in points."""
    rows = [row for seed, group in enumerate(groups) for row in one_group(board, method, size, group, seed)]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def one_group(board: Benchmark, method: Method, size: int, group: np.ndarray, seed: int) -> Iterator[dict[str, float]]:
    known, new, column = split_off(board, group)
    made = build(known, method, size, seed)
    alone, both = scored_twice(made, new, column)
    for each, again, true in zip(alone, both, accuracies(board)[group], strict=True):
        assert each.interval is not None
        assert each.estimate is not None
        assert again.estimate is not None
        last = again.beyond or again.interval
        assert last is not None
        near, told = each.interval, each.beyond or each.interval
        wide = wider(made, each.estimate, near[:2], np.zeros(known.n_models))[0] or near
        yield {
            "inside": near.low <= true <= near.high,
            "told": told.low <= true <= told.high,
            "wide": wide.low <= true <= wide.high,
            "warned": bool(each.warnings),
            "width": 100 * (near.high - near.low),
            "reserve": last.low <= true <= last.high,
            "error": 100 * abs(each.estimate - true),
            "error_reserve": 100 * abs(again.estimate - true),
            "width_wide": 100 * (wide.high - wide.low),
        }


def split_off(board: Benchmark, group: np.ndarray) -> tuple[Benchmark, np.ndarray, dict[str, int]]:
    """All other models; the group's responses, (n, n_items), NaN where missing; and the items' columns by id."""
    known = np.setdiff1d(np.arange(board.n_models), group)
    new = board.scores[group] / board.units
    new[board.scores[group] == board.missing] = np.nan
    column = {str(name): k for k, name in enumerate(board.item_ids)}
    return Benchmark(board.name, board.models.take(pa.array(known)), board.items, board.units), new, column


def scored_twice(made: MicroBenchmark, new: np.ndarray, column: dict[str, int]) -> tuple[list[Scored], list[Scored]]:
    """What `score` says of these models by the micro-benchmark alone, and with the reserve."""
    names = [f"new {k}" for k in range(len(new))]
    alone, both = (score(made, new[:, [column[name] for name in ids]], ids, names) for ids in (made.item_ids, made.asked))
    return alone, both


if __name__ == "__main__":
    main()
