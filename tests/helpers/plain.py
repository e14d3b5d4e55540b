"""The simplest format there could be, to test what all readers share: MODEL.log with `item subtask score [content]` per line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Log, Options, Sample, Tally, fraction, wanted


class PlainReader:
    """Counts what it reads."""

    def __init__(self) -> None:
        self.read_logs: list[str] = []

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        logs = [Log(file.stem.split("@")[0], (file,), facts={"family": file.stem[0]}) for file in sorted(path.glob("*.log"))]
        if not logs:
            raise DataError("There is no log.", where=str(path))
        return [log for log in logs if wanted(log.model, options.models)]

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        self.read_logs.append(log.files[0].name)
        for number, line in enumerate(log.files[0].read_text().splitlines(), 1):
            if line == "broken":
                raise DataError("The log is broken.", where=f"{log.files[0]}: line {number}")
            item, subtask, score, *content = line.split()
            value = fraction(score)
            yield Sample(item, subtask, value, content=content[0] if content else None, position=str(number))
