"""Times commands of this checkout beside an earlier revision's: `python -m benchmarks.commands REVISION DATA_DIR [--pairs 3]`.

Each command is run in a new process, in pairs (the revision's, then this one), after one pair that is not counted. Prints for each
command the median wall seconds until its first line on standard output and until its end, its CPU seconds (without those of Ray's
own processes), and the ratios. `plan`, `score` and the sweeps read GPQA (`DATA_DIR/gpqa.parquet`); `ingest` reads a small table.
Python's compiled files are kept between the runs, as in an installation. `--only WORD` runs the commands whose names contain it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from studies.same_tables import ROOT, unpack

SWEEP = ["sweep", "experiment=paper_gpqa", "methods=[random,random_subtask_equal]", "benchmark.name=gpqa"]
PROGRAM = "from microbench_ray.cli.main import entry_point; entry_point()"


class Seconds(NamedTuple):
    """Wall seconds of a command until its first line on standard output and until its end, and its CPU seconds."""

    first_line: float
    end: float
    cpu: float


def commands(data: Path, folder: Path) -> dict[str, list[str]]:
    """The arguments of each command, by name; `OUT` stands for a new folder."""
    board = ["benchmark=scores", f"benchmark.path={data / 'gpqa.parquet'}"]
    return {
        "plan, 100 items": ["plan", *board, "size=100"],
        "score, a new model": ["score", f"micro={folder / 'micro'}", f"responses={folder / 'new.csv'}", "source=scores"],
        "ingest, 30 lines": ["ingest", "source=scores", f"path={folder / 'scores.csv'}", "out=OUT"],
        "sweep of two random kinds": [*SWEEP, *board[1:], "out=OUT"],
        "the same, engine=serial": [*SWEEP, *board[1:], "engine=serial", "out=OUT"],
        "the same, engine=local": [*SWEEP, *board[1:], "engine=local", "out=OUT"],
    }


def prepare(data: Path, folder: Path, checkout: Path) -> None:
    """Write the table to ingest, a micro-benchmark by a checkout's code, and responses to its items."""
    rows = [f"q{item},{item % 2},{item % 3 % 2},1" for item in range(30)]
    (folder / "scores.csv").write_text("\n".join(["item_id,a,b,c", *rows]) + "\n")
    micro = folder / "micro"
    board = ["benchmark=scores", f"benchmark.path={data / 'gpqa.parquet'}"]
    run(checkout, ["export", *board, "method=random", "size=100", f"out={micro}"])
    items = (micro / "items.txt").read_text().splitlines()
    (folder / "new.csv").write_text("\n".join(["item_id,new", *(f"{item},{k % 2}" for k, item in enumerate(items))]) + "\n")


def run(checkout: Path, arguments: list[str]) -> Seconds:
    """Run a command with the code of a checkout."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment | {"PYTHONPATH": str(checkout)},
        cwd=checkout,  # from which `-c` imports first
    )
    assert process.stdout is not None
    process.stdout.readline()
    first_line = time.monotonic() - started
    process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")
    return Seconds(first_line=first_line, end=time.monotonic() - started, cpu=used.ru_utime + used.ru_stime)


def paired(before: Path, after: Path, arguments: list[str], pairs: int, out: Path) -> tuple[list[Seconds], list[Seconds]]:
    """Seconds of a command by both checkouts, run in turn; the first pair is left out."""
    seconds: tuple[list[Seconds], list[Seconds]] = ([], [])
    for number in range(pairs + 1):
        for checkout, kept in zip((before, after), seconds, strict=True):
            measured = run(checkout, [argument.replace("OUT", str(out)) for argument in arguments])
            shutil.rmtree(out, ignore_errors=True)
            if number:
                kept.append(measured)
    return seconds


def main() -> None:
    """Print a row per command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--only", default="", metavar="WORD")
    given = parser.parse_args()
    data = given.data.resolve()
    print("| | first line: before | now | ratio | end: before | now | ratio | CPU: before | now | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder, before = Path(temporary), Path(temporary) / "before"
        before.mkdir()
        unpack(given.revision, before)
        prepare(data, folder, before)  # this checkout reads what an earlier one exported
        for name, arguments in commands(data, folder).items():
            if given.only not in name:
                continue
            cells = [name]
            measured = paired(before, ROOT, arguments, given.pairs, folder / "out")
            for field in Seconds._fields:
                old, new = (statistics.median(getattr(each, field) for each in seconds) for seconds in measured)
                ratio = statistics.median(getattr(a, field) / getattr(b, field) for a, b in zip(*measured, strict=True))
                cells += [f"{old:.2f}", f"{new:.2f}", f"{ratio:.2f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
