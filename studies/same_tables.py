"""Compares this checkout's tables with a revision's, byte for byte: `python -m studies.same_tables REVISION [DATA_DIR]`.

Runs the same sweeps on both: the main job and, where a data folder is given, GPQA and a simulated leaderboard of MMLU-Pro's size.
The revision is unpacked into `--oracle DIR` (by default a temporary folder); tables already in DIR are not made again. Exit code 1
where a table differs or is missing on one side.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = "[random,stratified_confidence,diversity,anchor_points,tinybenchmarks,anchor_points_predictor]"


def sweeps(data: Path | None, boards: Path) -> dict[str, list[str]]:
    """The arguments of each sweep, by name; draws the leaderboard of MMLU-Pro's size into `boards` if it is not there."""
    found = {"main_job": ["seed=0"], "main_job_of_two_runs": ["seed=1", "grid.runs=2", "baseline=random", "keep_estimates=true"]}
    if data is None:
        return found
    found["gpqa"] = [
        "benchmark=scores",
        f"benchmark.path={data / 'gpqa.parquet'}",
        "grid.sizes=[10,25,50,100,200]",
        "grid.n_source=[50,300]",
        "grid.runs=5",
        "baseline=best",
    ]
    drawn = boards / "mmlu_pro.parquet"
    if not drawn.exists():
        subprocess.run([sys.executable, data / "make_leaderboard.py", "mmlu_pro", boards], check=True)
    found["mmlu_pro"] = [
        "benchmark=scores",
        f"benchmark.path={drawn}",
        f"methods={BLOCK}",
        "grid.sizes=[10,25,50,100,250,500,1000]",
        "grid.n_source=[300]",
        "grid.runs=2",
    ]
    return found


def unpack(revision: str, folder: Path) -> None:
    """The files of a revision."""
    packed = subprocess.run(["git", "-C", ROOT, "archive", revision], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def run(checkout: Path, arguments: list[str], out: Path) -> None:
    """Run a sweep with the code of a checkout; nothing is done where it has finished before."""
    if (out / "summary.parquet").exists():
        return
    command = [
        sys.executable,
        checkout / "jobs" / "sweep.py",
        "engine=serial",
        "figures=false",
        "report=false",
        *arguments,
        f"out={out}",
    ]
    subprocess.run(
        [str(word) for word in command],
        check=True,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
        cwd=checkout,
    )


def differences(before: Path, after: Path) -> tuple[int, list[str]]:
    """The number of Parquet files compared, and the names of those that differ or exist on one side alone."""
    names = sorted({path.relative_to(folder).as_posix() for folder in (before, after) for path in folder.rglob("*.parquet")})
    content = [
        {name: (folder / name).read_bytes() if (folder / name).exists() else b"" for name in names} for folder in (before, after)
    ]
    return len(names), [name for name in names if content[0][name] != content[1][name]]


def main() -> None:
    """Run, compare, print a line per sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--oracle", type=Path)
    given = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        oracle = (given.oracle or Path(temporary) / "oracle").resolve()
        checkout = oracle / "checkout"
        if not checkout.exists():
            checkout.mkdir(parents=True)
            unpack(given.revision, checkout)
        for name, arguments in sweeps(None if given.data is None else given.data.resolve(), oracle).items():
            before, after = oracle / name, Path(temporary) / name
            run(checkout, arguments, before)
            run(ROOT, arguments, after)
            compared, different = differences(before, after)
            failed |= bool(different) or not compared
            print(
                f"{name}: {compared} files compared, {len(different)} differ" + "".join(f"\n  {each}" for each in different),
                flush=True,
            )
    sys.exit(failed)


if __name__ == "__main__":
    main()
