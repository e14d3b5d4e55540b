"""The layout of the paper's released results as logs: one per model, a row of its memory-mapped matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.release import open_release
from microbench_ray.ingest.base import Log, Options, Sample, Tally, wanted
from microbench_ray.ingest.values import checked_score, found

_FIRST_FILE = "_models-by-confidence_combined.npy"


class ReleaseReader:
    """A model is a log, its row the part. `path` is FOLDER/NAME, or the folder where it holds one benchmark."""

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        """The models, named as `read_release` names them."""
        release = open_release(path)
        models = enumerate(release.models)
        logs = [Log(name, release.files, str(row)) for row, name in models if wanted(name, options.models)]
        return found(logs, path, "the paper's release", options, tally)

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        """Its responses, in the order of the items, with the probabilities of all answers."""
        first, correctness = log.files[:2]
        release = open_release(first.with_name(first.name.removesuffix(_FIRST_FILE)))
        row = int(log.part)
        if row >= len(release.models) or release.models[row] != log.model:
            raise DataError("The release has changed while it was read.", where=str(first), got=f"no {log.model!r} in row {row}")
        left_out = {subtask for subtask in set(release.subtasks) if not wanted(subtask, options.tasks)}
        own = (release.scores[row].tolist(), release.answers[row].tolist(), release.labels.tolist())
        items = zip(release.item_ids, release.subtasks, *own, strict=True)
        for place, (item, subtask, value, numbers, right) in enumerate(items):
            if subtask in left_out:
                continue
            score = checked_score(value, tally, file=correctness, item=item, metric="correctness")
            label = _label(right, release.answers.shape[2], log.files[2], item)
            answers = tuple(map(float, numbers))
            if not all(0 <= number <= 1 for number in answers):
                if score is not None:
                    where = f"{first}: model {log.model!r}, item {item!r}"
                    raise DataError("Confidences must be probabilities.", where=where, got=str(answers[:5]))
                yield Sample(item, subtask, None, label=label, position=str(place))
            else:
                yield Sample(item, subtask, score, answers[label], answers, label, position=str(place))


def _label(value: Any, n_answers: int, file: Path, item: str) -> int:
    if value not in range(n_answers):
        got = f"{value} for {n_answers} answers"
        raise DataError("A label must be one of the answers, counted from 0.", where=f"{file}: item {item!r}", got=got)
    return int(value)
