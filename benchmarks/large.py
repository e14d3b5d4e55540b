"""Sweep of a leaderboard of 5,000 models × 100,000 items: `python -m benchmarks.large FOLDER`. FOLDER keeps the score table.

The score table is simulated: scores of 0 or 1, one ability per model, one difficulty per item, 20 subtasks, no confidences. The
console script sweeps it with local Ray, while the own memory (USS) of the driver and of the workers and the size of the object
store are sampled. Then sweeps that do not fit into memory are requested, which must be refused at once.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

SAMPLE_SECONDS = 2.0
METHODS = (
    "random,random_subtask_equal,random_subtask_proportional,random_subtask_inverse,stratified_confidence,"
    "{method: anchor_points, label: anchor_points_6000, selector: {max_items: 6000}}"
)
TOO_LARGE = ("anchor_points", "anchor_points_predictor")
LARGE = ("diversity", "tinybenchmarks")


def draw(path: Path, n_models: int, n_items: int, seed: int = 0) -> None:
    """Write a simulated wide score table, one model at a time."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 1.5, n_items).astype(np.float32)
    columns = {
        "item_id": pa.array([f"item-{k:06d}" for k in range(n_items)]),
        "subtask": pa.array([f"subtask-{k % 20:02d}" for k in range(n_items)]),
    }
    for model, ability in enumerate(rng.normal(0.5, 1, n_models)):
        chance = 1 / (1 + np.exp(difficulty - np.float32(ability)))
        columns[f"model-{model:04d}"] = pa.array((rng.random(n_items, np.float32) < chance).astype(np.uint8))
    pq.write_table(pa.table(columns), path, compression="zstd")


def own_memory(pid: int) -> tuple[int, int]:
    """Private bytes of a process (USS), and bytes of shared memory that it has touched."""
    private = shared = 0
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            private += int(line.split()[1]) * 1024 if line.startswith(("Private_Clean", "Private_Dirty")) else 0
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        shared = next((int(line.split()[1]) * 1024 for line in status if line.startswith("RssShmem")), 0)
    return private, shared


def run_measured(arguments: Sequence[str]) -> tuple[subprocess.CompletedProcess[str], float, dict[str, int]]:
    """Run the console script.

    Returns
    -------
    The completed process, its wall seconds, and the peak memory in bytes of each of its parts.
    """
    peak = {"driver": 0, "worker": 0, "object store": 0, "machine": 0}
    before = psutil.virtual_memory().available
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        words = [sys.executable, "-c", "from microbench_ray.cli.main import entry_point; entry_point()", *arguments]
        process = psutil.Popen(words, stdout=out, stderr=err, text=True)
        while process.poll() is None:
            processes = [("driver", process.pid)]
            with contextlib.suppress(psutil.Error):
                for child in process.children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        if child.name().startswith("ray::"):
                            processes.append(("worker", child.pid))
            for part, pid in processes:
                own, shared = own_memory(pid)
                peak[part] = max(peak[part], own)
                peak["object store"] = max(peak["object store"], shared)  # a process maps only the part that it has used
            peak["machine"] = max(peak["machine"], before - psutil.virtual_memory().available)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(SAMPLE_SECONDS)
        out.seek(0)
        err.seek(0)
        done = subprocess.CompletedProcess(words, process.returncode, out.read(), err.read())
    return done, time.monotonic() - started, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=5000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    board = args.folder / f"board-{args.models}-{args.items}.parquet"
    if not board.exists():
        args.folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        draw(board, args.models, args.items)
        print(f"simulated in {time.monotonic() - started:.0f} s: {board.stat().st_size / 1e6:,.0f} MB of Parquet", flush=True)
    common = ["sweep", "benchmark=scores", f"benchmark.path={board}", "figures=false", f"engine.workers={args.workers}"]
    common += [f"grid.runs={args.runs}", "grid.sizes=[100,1000]", "grid.n_target=50"]
    with tempfile.TemporaryDirectory() as out:
        whole = [*common, f"methods=[{METHODS}]", "grid.n_source=[300,1000]", f"out={out}"]
        for name, more in (("plan_only=true", ["plan_only=true"]), ("sweep", []), ("the same sweep again", [])):
            done, seconds, peak = run_measured([*whole, *more])
            assert done.returncode == 0, done.stdout + done.stderr
            figures = ", ".join(f"{part} {size / 1e6:,.0f} MB" for part, size in peak.items() if size)
            print(f"\n{name}: {seconds:.0f} s; peak memory: {figures}", flush=True)
            if more:
                print(done.stdout)
    for method in (*TOO_LARGE, *LARGE):
        with tempfile.TemporaryDirectory() as folder:
            more = [f"methods=[{method}]", "grid.n_source=[4950]", f"out={folder}/out"]
            done, seconds, _ = run_measured([*common, *more, f"plan_only={method in LARGE}"])
            assert not Path(folder, "out").exists(), done.stdout
        print(f"\n{method}, 4,950 source models: exit code {done.returncode} after {seconds:.0f} s")
        print(done.stderr or done.stdout, flush=True)


if __name__ == "__main__":
    main()
