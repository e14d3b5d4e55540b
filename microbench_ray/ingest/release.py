"""The paper's released results as logs: one per model, each a row of the memory-mapped matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.release import open_release
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.values import parse_score, require_logs

_FIRST_FILE = "_models-by-confidence_combined.npy"


class ReleaseReader:
    """Reads one log per model; the log's part is the row. `path` is FOLDER/NAME, or FOLDER if it holds one benchmark."""

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return one log per model, named as `read_release` names them."""
        release = open_release(path)
        models = enumerate(release.models)
        logs = [ModelLog(model=name, files=release.files, part=str(row)) for row, name in models if matches(name, options.models)]
        return require_logs(logs, path, "release", options, tally)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the model's responses in the order of the items, with the probabilities of all answers."""
        first, correctness = log.files[:2]
        release = open_release(first.with_name(first.name.removesuffix(_FIRST_FILE)))
        row = int(log.part)
        if row >= len(release.models) or release.models[row] != log.model:
            raise DataError("The release changed while it was being read.", where=str(first), got=f"no {log.model!r} in row {row}")
        left_out = {subtask for subtask in set(release.subtasks) if not matches(subtask, options.tasks)}
        rows = (release.scores[row].tolist(), release.answers[row].tolist(), release.labels.tolist())
        items = zip(release.item_ids, release.subtasks, *rows, strict=True)
        for position, (item, subtask, value, probabilities, correct) in enumerate(items):
            if subtask in left_out:
                continue
            score = parse_score(value, tally, file=correctness, item=item, metric="correctness")
            label = _label(correct, release.answers.shape[2], log.files[2], item)
            answers = tuple(map(float, probabilities))
            if not all(0 <= probability <= 1 for probability in answers):
                if score is not None:
                    where = f"{first}: model {log.model!r}, item {item!r}"
                    raise DataError("A confidence is not a probability.", where=where, got=str(answers[:5]))
                yield Sample(item_id=item, subtask=subtask, score=None, label=label, position=str(position))
            else:
                yield Sample(
                    item_id=item,
                    subtask=subtask,
                    score=score,
                    confidence=answers[label],
                    answers=answers,
                    label=label,
                    position=str(position),
                )


def _label(value: Any, n_answers: int, file: Path, item: str) -> int:
    if value not in range(n_answers):
        got = f"{value} for {n_answers} answers"
        hint = f"labels are counted from 0: at most {n_answers - 1}"
        raise DataError("A label is not the index of an answer.", where=f"{file}: item {item!r}", got=got, hint=hint)
    return int(value)
