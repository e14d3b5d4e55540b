"""What a comparison of two logs costs: `python -m benchmarks.two_logs [--items 12000] [--rounds 5] [--before REVISION]`.

Writes logs of lm-evaluation-harness of two synthetic models (14 tasks, about 1.6 kB a line), and runs `microbench compare` as
typed, `mb.compare` on the same items in memory, and the imports that no command can do without, as a measure of the machine. Prints
medians of the wall and CPU seconds; with `--before`, those of a revision too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import microbench_ray as mb
from benchmarks.nightly import Lines, children_seconds, run, write_logs
from studies.same_tables import ROOT, unpack

IMPORTS = "import numpy, pyarrow"
Seconds = tuple[float, float]
"""Wall and CPU."""


def imports() -> Seconds:
    """Seconds of a process that only imports."""
    before, started = children_seconds(), time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - started, children_seconds() - before


def in_memory(world: mb.Benchmark) -> Seconds:
    """Seconds of `mb.compare` on two models' scores by item."""
    a, b = (dict(zip(world.item_ids, row.astype(float).tolist(), strict=True)) for row in world.scores)
    subtask = {item: world.subtask_names[code] for item, code in zip(world.item_ids, world.subtask_codes, strict=True)}
    started, wall = time.process_time(), time.perf_counter()
    mb.compare(a, b, subtask=subtask)
    return time.perf_counter() - wall, time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", metavar="REVISION", help="a revision to compare with")
    given = parser.parse_args()
    world = mb.synthetic(n_models=2, n_items=given.items, n_subtasks=14)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_logs(folder / "logs", world, Lines(world), range(2))
        logs = [str(path) for path in sorted((folder / "logs").iterdir())]
        checkouts = {"now": ROOT}
        if given.before is not None:
            unpack(given.before, folder / "before")
            checkouts = {given.before: folder / "before"} | checkouts
        seconds: dict[str, list[Seconds]] = {}
        for _ in range(given.rounds):
            for label, checkout in checkouts.items():
                found = run("compare", *logs, "source=lm_eval", checkout=checkout)
                seconds.setdefault(f"microbench compare, {label}", []).append(found[:2])
            seconds.setdefault("mb.compare", []).append(in_memory(world))
            seconds.setdefault(f"python -c '{IMPORTS}'", []).append(imports())
    print(f"{given.items:,} items, {size / 1e6:.0f} MB of logs; seconds, medians of {given.rounds}")
    for label, rows in seconds.items():
        wall, cpu = map(median, zip(*rows, strict=True))
        print(f"{label}: {wall:.2f} wall, {cpu:.2f} CPU")


if __name__ == "__main__":
    main()
