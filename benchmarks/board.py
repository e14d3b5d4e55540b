"""Reading a folder of responses as a benchmark: `python -m benchmarks.board [--models 5000] [--items 20000] [--folder DIR]`.

Writes one file per model, with confidences, as `microbench ingest` does; reads them, and prints seconds and memory. With
`--apart`, no two models answered the same items (each misses one in 50), which is the slowest case. 5,000 × 20,000 need 8 GB of
disk. An existing folder is read as it is.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data import read_ingested
from microbench_ray.data.responses import MODELS, ModelRecord, model_file, pack


def write_board(folder: Path, n_models: int, n_items: int, *, apart: bool = False, answers: bool = False) -> None:
    """Write the files of models that answered the same items, or with `apart` nearly the same ones."""
    rng = np.random.default_rng(0)
    schema = SCHEMAS["responses"]
    contents = [rng.bytes(32).hex() for _ in range(n_items)]
    ids = [f"exam_{k % 14:02}/{content[:16]}" for k, content in enumerate(contents)]
    order = np.argsort(ids)
    columns = {
        "item_id": pa.array(ids),
        "subtask": pa.array([name.partition("/")[0] for name in ids]),
        "label": pa.array(rng.integers(4, size=n_items), pa.int32()) if answers else pa.nulls(n_items, pa.int32()),
        "content": pa.array(contents),
        "position": pa.array([str(k) for k in range(n_items)]),
        "log": pa.array(["logs/a/samples_exam_2026-01-21T03-44-18.458309.jsonl"] * n_items),
    }
    items = pa.table(columns).take(order)
    (folder / MODELS).mkdir(parents=True)
    for number in range(n_models):
        sure = rng.random(n_items)
        own = {"score": pa.array((sure > 0.4).astype(float)), "confidence": pa.array(sure)}
        shares = np.column_stack([sure] + [(1 - sure) / 3] * 3).astype(np.float32)
        offsets = pa.array(np.arange(0, 4 * n_items + 1, 4), pa.int32())
        own["answers"] = (
            pa.ListArray.from_arrays(offsets, shares.ravel()) if answers else pa.nulls(n_items, schema.field("answers").type)
        )
        own["repeats"] = pa.nulls(n_items, schema.field("repeats").type)
        table = pa.table({name: own[name] if name in own else items[name] for name in schema.names}, schema)
        if apart:
            table = table.filter(pa.array(rng.random(n_items) > 0.02))
        model = f"maker/model-{number:05}"
        (folder / model_file(model)).write_bytes(pack(table, ModelRecord(model=model, facts={}, logs={})))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=5000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--answers", action="store_true", help="also write the probability of every answer, and labels")
    parser.add_argument("--folder", type=Path, help="kept afterwards; default: a temporary folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name, "board")
        if not (folder / MODELS).is_dir():
            write_board(folder, given.models, given.items, apart=given.apart, answers=given.answers)
        before = psutil.Process().memory_full_info().uss
        wall, cpu = time.perf_counter(), time.process_time()
        benchmark = read_ingested(folder)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    kept = psutil.Process().memory_full_info().uss - before
    print(f"{benchmark}: {wall:.1f} s, {cpu:.1f} CPU s, {kept / 1e6:.0f} MB kept, peak {peak / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
