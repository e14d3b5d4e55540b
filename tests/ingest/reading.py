"""Reading logs whole, for tests."""

from __future__ import annotations

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
