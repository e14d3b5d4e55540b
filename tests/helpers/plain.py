"""A minimal log format for testing what all readers share: files MODEL.log with lines `item subtask score [content]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, finite_number, matches


class PlainReader:
    """Records in `read_logs` which files it has read. A line `broken` is a DataError."""

    def __init__(self) -> None:
        self.read_logs: list[str] = []

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        logs = [
            ModelLog(model=file.stem.split("@")[0], files=(file,), facts={"family": file.stem[0]})
            for file in sorted(path.glob("*.log"))
        ]
        if not logs:
            raise DataError("No logs were found.", where=str(path))
        return [log for log in logs if matches(log.model, options.models)]

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        self.read_logs.append(log.files[0].name)
        for number, line in enumerate(log.files[0].read_text().splitlines(), 1):
            if line == "broken":
                raise DataError("The log is broken.", where=f"{log.files[0]}: line {number}")
            item, subtask, score, *content = line.split()
            yield Sample(
                item_id=item,
                subtask=subtask,
                score=finite_number(score),
                content=content[0] if content else None,
                position=str(number),
            )
