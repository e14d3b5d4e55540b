"""Time and memory of methods, reduce and readers against budgets: `MICROBENCH_TEST_DATA=… pytest benchmarks --benchmark-only`.

CPU seconds of one core for a leaderboard of 447 models × 12,032 items: 300 source and 50 target models, seven sizes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from microbench_ray.cli.compose import Composer
from microbench_ray.core.schemas import SCHEMA_VERSION, SCHEMAS
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark, read_scores
from microbench_ray.methods import build_method
from microbench_ray.metrics import compare, mean_abs_error, true_pairs
from microbench_ray.sweeps.evaluate import draw_run, estimate_run, evaluate_shard, true_accuracies
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.inventory import scan_shard_files
from microbench_ray.sweeps.reduce import Rules, reduce_partitions
from microbench_ray.sweeps.results import SweepStore
from microbench_ray.sweeps.shards import Shard, plan_sweep
from microbench_ray.sweeps.tables import rows_table

SIZES = (10, 25, 50, 100, 250, 500, 1000)
GRID = Grid(sizes=SIZES, n_source=(300,), n_target=50, runs=50)
NONE = SCHEMAS["resamples"].empty_table()
BUDGETS = {
    "random": 0.02,
    "random_subtask_equal": 0.02,
    "random_subtask_proportional": 0.02,
    "random_subtask_inverse": 0.02,
    "random_subtask_neyman": 0.15,
    "stratified_confidence": 0.15,
    "anchor_points": 1.5,
    "tinybenchmarks": 5,
    "diversity": 2.5,
    "disco": 0.5,
    "fisher_information": 3,
    "embedding_kmeans": 3,
    "greedy": 2.5,
    "mdad_guided": 6,
    "auto": 12,
    "random_ridge_remainder": 0.5,
    "random_ridge": 0.5,
    "random_aipw": 2.5,
    "random_irt_ability": 3,
}
WORKER_MB = 700
SLACK = float(os.environ.get("MICROBENCH_PERF_SLACK", "1"))
"""Factor by which a budget may be exceeded, because a shared machine is slower for a while."""
ROUNDS = int(os.environ.get("MICROBENCH_PERF_ROUNDS", "5"))
"""With one, as in .ci/run, memory is sampled less often, and the sweep that is reduced has two methods, not ten."""
N_METHODS = 2 if ROUNDS == 1 else 10

cpu_time = pytest.mark.benchmark(timer=time.process_time, min_rounds=1, warmup=False)


@pytest.fixture(scope="module")
def mmlu_pro(drawn) -> Benchmark:
    benchmark = read_scores(drawn)
    assert (benchmark.n_models, benchmark.n_items) == (447, 12_032)
    assert benchmark.confidence is not None
    return benchmark


@pytest.fixture(scope="module")
def saved(mmlu_pro, tmp_path_factory) -> Path:
    """The benchmark saved to a folder, to be memory-mapped: shared pages, as in Ray's object store."""
    folder = tmp_path_factory.mktemp("saved") / "mmlu_pro"
    mmlu_pro.save(folder)
    return folder


# Runs of a method in a new process: its memory and, with several rounds, the share of its time spent counting pairs.
WORKER = """
import json, sys, threading, time
from dataclasses import replace
import psutil
from microbench_ray.sweeps import evaluate
from microbench_ray.cli.compose import Composer
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import plan_sweep

counting = 0.0

def timed(function):
    def wrapper(*arguments):
        global counting
        started = time.process_time()
        result = function(*arguments)
        counting += time.process_time() - started
        return result
    return wrapper

for name in ("compare", "true_accuracies", "mean_abs_error", "rows_table"):
    setattr(evaluate, name, timed(getattr(evaluate, name)))
process, stop, peak = psutil.Process(), threading.Event(), 0

def sample():
    global peak
    while not stop.wait(0.05 if int(sys.argv[3]) > 1 else 0.25):
        peak = max(peak, process.memory_full_info().uss)

grid = Grid(sizes=(10, 25, 50, 100, 250, 500, 1000), n_source=(300,), n_target=50, runs=2)
benchmark = Benchmark.open(sys.argv[1])
shard = plan_sweep([benchmark], [Composer("sweep", []).method(sys.argv[2])], grid, Targets()).shards[0]
share = None
with one_thread():
    if int(sys.argv[3]) > 1:
        evaluate.evaluate_shard(replace(shard, runs=(0,)), benchmark)  # imports, and compiles
        counting, started = 0.0, time.process_time()
        evaluate.evaluate_shard(replace(shard, runs=(1,)), benchmark)
        share = counting / (time.process_time() - started)
    threading.Thread(target=sample, daemon=True).start()  # which slows the process down
    evaluate.evaluate_shard(replace(shard, runs=(1,)), benchmark)
stop.set()
peak = max(peak, process.memory_full_info().uss)
print(json.dumps({"uss_mb": peak / 1e6} | ({} if share is None else {"share_counting": share})))
"""


def shards(benchmark: Benchmark, name: str) -> list[Shard]:
    return list(plan_sweep([benchmark], [Composer("sweep", []).method(name)], GRID, Targets()).shards)


def within(benchmark, budget: float) -> None:
    """Record the budget beside the measurement, and require that the median stays below it."""
    benchmark.extra_info["budget_seconds"] = budget
    assert benchmark.stats.stats.median <= SLACK * budget


@pytest.mark.parametrize("name", sorted(BUDGETS))
@cpu_time
def test_a_run_of_a_method(benchmark, mmlu_pro, saved, name):
    shard, runs = shards(mmlu_pro, name)[0], iter(range(1000))
    few = Grid(sizes=(10,), n_source=(20,), n_target=10, runs=1)
    (small,) = plan_sweep([mmlu_pro], [Composer("sweep", []).method(name)], few, Targets()).shards

    def one_run():
        return (replace(shard, runs=(next(runs),)), mmlu_pro), {}

    evaluate_shard(small, mmlu_pro)  # imports and compiles
    with one_thread():
        tables = benchmark.pedantic(evaluate_shard, setup=one_run, rounds=2 * ROUNDS if BUDGETS[name] < 1 else ROUNDS)
    assert len(tables["cells"]) == 7 * 2
    words = [sys.executable, "-c", WORKER, str(saved), name, str(ROUNDS)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    worker = json.loads(done.stdout)
    benchmark.extra_info.update(worker | {"budget_mb": WORKER_MB})
    within(benchmark, BUDGETS[name])
    assert worker["uss_mb"] < WORKER_MB


@cpu_time
def test_counting_and_bootstrap_of_a_method(benchmark, mmlu_pro):
    runs = []
    for shard in shards(mmlu_pro, "random"):
        for run in shard.runs:
            draw = draw_run(shard, mmlu_pro, run)
            truths = [true_accuracies(mmlu_pro, split, draw.targets, getattr(draw, split)) for split in ("seen", "unseen")]
            runs.append((truths, list(estimate_run(shard, mmlu_pro, draw, run))))

    def count_and_reduce():
        rows, counts = [], []
        for truths, cells in runs:
            pairs = [true_pairs(*truth.totals[:3]) for truth in truths]
            for _, _, key, estimates in cells:
                for truth, ordered in zip(truths, pairs, strict=True):
                    found = compare(ordered, estimates)
                    counts.append(found.counts)
                    error = mean_abs_error(truth.accuracy, estimates)
                    rows.append(key | {"split": truth.split, "mean_abs_error": error, "kendall_tau": found.kendall_tau})
        return reduce_partitions([(rows_table("cells", rows, counts), NONE)], Rules(), 0)

    with one_thread():
        tables = benchmark.pedantic(count_and_reduce, rounds=ROUNDS, warmup_rounds=1)
    assert len(tables["mdad"]) == 7 * 2
    within(benchmark, 0.3)


@cpu_time
def test_reading_a_score_table_with_confidences(benchmark, drawn):
    read = benchmark.pedantic(read_scores, args=(drawn,), rounds=min(2, ROUNDS))
    benchmark.extra_info["megabytes"] = read.nbytes / 1e6


@cpu_time
def test_opening_a_saved_benchmark(benchmark, mmlu_pro, tmp_path):
    mmlu_pro.save(tmp_path / "saved")
    opened = benchmark.pedantic(Benchmark.open, args=(tmp_path / "saved",), rounds=5)
    assert opened.n_items == 12_032
    within(benchmark, 0.1)


# Runs in a new process, so that its memory is that of reducing alone.
REDUCE = """
import json, sys, threading, time
from pathlib import Path
import psutil

process, stop, peak = psutil.Process(), threading.Event(), 0

def sample():
    global peak
    while not stop.wait(0.02):
        peak = max(peak, process.memory_full_info().uss)

thread = threading.Thread(target=sample, daemon=True)
if sys.argv[3] == "uss":
    thread.start()
started = time.monotonic()
if sys.argv[1] == "command":
    from microbench_ray.cli.main import main
    code = main(["reduce", "out=" + sys.argv[2], "figures=false", "report=false"])
else:
    from microbench_ray.sweeps.driver import run_reduce
    from microbench_ray.sweeps.reduce import Rules
    code = 0 if run_reduce(Path(sys.argv[2]), Rules(baseline="method0" if sys.argv[1] == "paired" else None)) else 1
seconds, cpu = time.monotonic() - started, time.process_time()
stop.set()
# Not ru_maxrss, which starts at the memory of the parent process.
rss = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")) * 1024
print(json.dumps({"code": code or 0, "seconds": seconds, "cpu": cpu, "uss_mb": peak / 1e6, "rss_mb": rss / 1e6}), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def many_cells(mmlu_pro, tmp_path_factory) -> Path:
    """A finished sweep of 70,000 cells in 2,000 files, or of a fifth: real cells of one method under 200 keys."""
    out = tmp_path_factory.mktemp("store")
    store = SweepStore(out)
    store.prepare()
    with one_thread():
        cells = pa.concat_tables([evaluate_shard(shard, mmlu_pro)["cells"] for shard in shards(mmlu_pro, "random")])
    runs = cells["run"].to_numpy()
    blocks = [cells.filter(pa.array(runs // 5 == block)) for block in range(10)]
    first, methods = (
        shards(mmlu_pro, "random")[0],
        [build_method(f"method{k}", {"name": "random"}, {"name": "mean"}) for k in range(N_METHODS)],
    )
    partitions = []
    for benchmark in ("mmlu", "mmlu_pro", "bbh", "gpqa"):
        for method in range(N_METHODS):
            for n_source in (10, 30, 50, 100, 300):
                of_group = replace(first, benchmark=benchmark, methods=(methods[method],), n_source=n_source)
                whole = [replace(of_group, runs=tuple(range(5 * k, 5 * k + 5))) for k in range(10)]
                for shard, block in zip(whole, blocks, strict=True):
                    changed = {"benchmark": benchmark, "method": f"method{method}", "n_source": n_source}
                    columns = [
                        pa.array([changed[field.name]] * len(block), field.type) if field.name in changed else block[field.name]
                        for field in SCHEMAS["cells"]
                    ]
                    store.write_shard(shard, {"cells": pa.table(columns, schema=SCHEMAS["cells"])})
                partitions.append([{"file": shard.id} for shard in whole])
    store.write_table("failures", SCHEMAS["failures"].empty_table())
    manifest = {"schema_version": SCHEMA_VERSION, "seed": 0, "partitions": partitions, "benchmarks": {}}
    computed = {"computed": 7_000 * N_METHODS, "reused": 0, "failed": 0}
    store.write_manifest(manifest | {"cells": computed, "finished": "2026-01-01T00:00:00Z"})
    assert 2 * 20 * N_METHODS * sum(map(len, blocks)) == 4 * 7_000 * N_METHODS
    assert len(list((out / "cells").glob("*.parquet"))) == 200 * N_METHODS
    return out


@pytest.mark.benchmark(min_rounds=1, warmup=False)
def test_scanning_two_thousand_files(benchmark, many_cells, caplog):
    identities = benchmark.pedantic(
        scan_shard_files, args=(SweepStore(many_cells),), kwargs={"estimates": False}, rounds=min(3, ROUNDS)
    )
    assert (len(identities), caplog.messages) == (200 * N_METHODS, [])
    within(benchmark, 0.08 + 0.092 * N_METHODS)  # a second for ten methods; threads start once for any number of files


@pytest.mark.parametrize("how", ["function", "command", "paired"])
@pytest.mark.benchmark(min_rounds=1, warmup=False)
def test_reducing_seventy_thousand_cells(benchmark, many_cells, how):
    def reduce(what: str):
        command = [sys.executable, "-c", REDUCE, how, str(many_cells), what]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done, json.loads(done.stderr.strip().splitlines()[-1])

    budget = 2 + 1.3 * N_METHODS  # 2 for the start
    # Twice: sampling the USS slows a process down to a third of its speed.
    _, sampled = reduce("uss")
    done, figures = benchmark.pedantic(reduce, args=("time",), rounds=1)
    figures["uss_mb"] = sampled["uss_mb"]
    benchmark.extra_info.update(figures | {"budget_seconds": budget, "budget_mb": 400})
    assert figures["code"] == 0, done.stdout + done.stderr
    assert SweepStore(many_cells).read_table("mdad").num_rows == 4 * N_METHODS * 5 * 7 * 2
    assert figures["seconds"] < SLACK * budget
    assert figures["uss_mb"] < 400
    assert figures["rss_mb"] < 400
