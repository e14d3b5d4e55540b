"""Reading logs whole, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from microbench_ray.ingest.base import Options, Reader, Sample, Tally


def read_all(reader: Reader, path: Path, options: Options | None = None) -> tuple[dict[str, list[Sample]], Tally]:
    """Samples by model, and what was left out."""
    options, tally, samples = options or Options(), Tally(), defaultdict(list)
    for log in reader.find(path, options, tally):
        samples[log.model] += reader.read(log, options, tally)
    return dict(samples), tally


def scores(samples: list[Sample]) -> dict[str, list[float | None]]:
    """Scores by item, repetitions sorted."""
    found = defaultdict(list)
    for sample in samples:
        found[sample.item_id].append(sample.score)
    return {item: sorted(values, key=lambda value: (value is None, value)) for item, values in found.items()}


def values(samples: list[Sample]) -> list[float | None]:
    """Scores, ordered by the number at the end of the items' ids."""
    return [sample.score for sample in sorted(samples, key=lambda sample: int("".join(filter(str.isdigit, sample.position or ""))))]


def read_apart(module: str, reader: str, path: Path, most: int) -> tuple[str, int]:
    """Read in a process of its own: the error it ends in, if any, and by how many bytes its memory grew at most."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", _APART, module, reader, str(path), str(most)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=True)
    said, _, grown = done.stdout.rpartition("grown ")
    return said, int(grown) << 10


_APART = """
import importlib, sys
from pathlib import Path
from tests.helpers.reading import read_all
from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally



def peak():  # of this program alone, which ru_maxrss is not
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])


module, reader, path, most = sys.argv[1:]
reader = getattr(importlib.import_module("microbench_ray.ingest." + module), reader)()
options, tally = Options(max_line_bytes=int(most)), Tally()
try:
    logs = reader.find(Path(path), options, tally)
    before = peak()
    for log in logs:
        for sample in reader.read(log, options, tally):
            pass
except DataError as error:
    print(error)
print("grown", peak() - before)
"""
