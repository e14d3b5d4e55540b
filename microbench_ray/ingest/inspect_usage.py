"""What the samples of Inspect logs cost: the tokens or the seconds that their logs record."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.inspect_logs import InspectReader, samples_of

Unit = Literal["tokens", "seconds"]


def mean_usage(path: str | Path, unit: Unit = "tokens") -> dict[str, float]:
    """Mean cost of each item over the samples and models that used anything, by the id that `ingest source=inspect` gives it.

    Parameters
    ----------
    path
        A log, or a folder of logs; as for `ingest`, only successful ones count.
    unit
        `tokens`, of the input and the output of all models of a sample, or `seconds` of work, without waiting for rate limits.

    Raises
    ------
    ConfigError
        Another unit.
    DataError
        No logs, a damaged one, or none that records usage.
    """
    if unit not in get_args(Unit):
        raise ConfigError("Unknown unit of costs.", where="unit", got=repr(unit), hint=" or ".join(get_args(Unit)))
    options, tally = Options(), Tally()
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    logs = InspectReader().find(Path(path), options, tally)
    if tally.failed:
        raise next(iter(tally.failed.values()))
    for log in logs:
        for sample in samples_of(log.files[0], options.max_line_bytes):
            used = sample.seconds if unit == "seconds" else float(sample.tokens)
            if used > 0 and not sample.failed:
                item = f"{log.part}/{sample.id}"
                sums[item] = sums.get(item, 0.0) + used
                counts[item] = counts.get(item, 0) + 1
    if not sums:
        raise DataError(f"No log records the {unit} of its samples.", where=str(path), hint="give a table of costs")
    return {item: sums[item] / counts[item] for item in sorted(sums)}
