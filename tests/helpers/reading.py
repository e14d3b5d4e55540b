"""Reading whole logs, in this process or in another one whose memory is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from microbench_ray.ingest.base import Options, Reader, Sample, Tally

MEGABYTE = 1 << 20


def read_all(reader: Reader, path: Path, options: Options | None = None) -> tuple[dict[str, list[Sample]], Tally]:
    """Read all logs at or below `path`: the samples by model, and the tally."""
    options, tally = options or Options(), Tally()
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    for log in reader.find(path, options, tally):
        samples[log.model] += reader.read(log, options, tally)
    return dict(samples), tally


def scores(samples: Sequence[Sample]) -> dict[str, list[float | None]]:
    """Scores by item, the repetitions sorted with missing ones last."""
    by_item: defaultdict[str, list[float | None]] = defaultdict(list)
    for sample in samples:
        by_item[sample.item_id].append(sample.score)
    return {item: sorted(values, key=lambda value: (value is None, value)) for item, values in by_item.items()}


def values(samples: Sequence[Sample]) -> list[float | None]:
    """Scores, ordered by the digits in the samples' positions."""
    return [sample.score for sample in sorted(samples, key=lambda sample: int("".join(filter(str.isdigit, sample.position or ""))))]


class Reading(NamedTuple):
    """The message of the error that reading ended in (empty if none), and the peak growth of memory in bytes."""

    message: str
    growth: int


def read_in_subprocess(
    reader: type, paths: Mapping[str, Path], max_line_bytes: int, warm_up: Path | None = None
) -> dict[str, Reading]:
    """Read several logs in one fresh interpreter, and measure the peak growth of its resident memory for each.

    Parameters
    ----------
    reader
        The class of the reader.
    paths
        Logs or folders of logs, by name.
    max_line_bytes
        The option of that name.
    warm_up
        A harmless log to read first, so that imports are not part of the growth.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    logs = [*([warm_up] if warm_up else []), *paths.values()]
    arguments = [reader.__module__, reader.__name__, str(max_line_bytes), *map(str, logs)]
    finished = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == 0, finished.stderr
    readings = [Reading(**json.loads(line)) for line in finished.stdout.splitlines()]
    return dict(zip(paths, readings[len(readings) - len(paths) :], strict=True))


_SCRIPT = """
import importlib, json, sys
from pathlib import Path
from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally


def memory(field):
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) << 10


module, name, max_line_bytes, *paths = sys.argv[1:]
reader, options = getattr(importlib.import_module(module), name)(), Options(max_line_bytes=int(max_line_bytes))
for path in paths:
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, message, tally = memory("VmRSS"), "", Tally()
    try:
        for log in reader.find(Path(path), options, tally):
            for sample in reader.read(log, options, tally):
                pass
    except DataError as error:
        message = str(error)
    print(json.dumps({"message": message, "growth": memory("VmHWM") - before}))
"""
