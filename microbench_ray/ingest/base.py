"""What a reader of logs is, and what it hands over: one sample at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from microbench_ray.core.errors import DataError


class Sample(NamedTuple):
    """One response of one model, as a log tells it.

    Attributes
    ----------
    item_id
        What responses of different models are joined on. Samples of one log with one `item_id` are repetitions (epochs): they
        become their mean.
    subtask
        The item's subtask.
    score
        In [0, 1]; None where the log has none (unscored, or the sample ended in an error).
    confidence
        Probability in [0, 1] that was given to the correct answer, where the log tells it.
    answers, label
        Probabilities of all answers, and the position of the correct one, where the log tells them.
    content
        Digest of the item as the model saw it (question, choices, target), the same from any model's log: two of one `item_id`
        are two versions of an item.
    position
        The item's own name or number in the log.
    """

    item_id: str
    subtask: str
    score: float | None
    confidence: float | None = None
    answers: tuple[float, ...] | None = None
    label: int | None = None
    content: str | None = None
    position: str | None = None


@dataclass(frozen=True)
class Log:
    """What one model's responses are read from in one go.

    Attributes
    ----------
    model
        The model's id, as the log names it.
    files
        The files it lies in: where one of them changes, the log is read again.
    part
        What of the files it is, where they hold more: a task, a column.
    facts
        What the log tells of the model (`params`, `family`, `release_date`, …): texts, numbers, booleans.
    """

    model: str
    files: tuple[Path, ...]
    part: str = ""
    facts: Mapping[str, str | float | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """What of the logs is wanted.

    Attributes
    ----------
    tasks
        Patterns (`fnmatch`) of the names of tasks; none stands for all.
    models
        Patterns (`fnmatch`) of model ids; none stands for all.
    metric
        Which of a log's scores to take; None for the format's main one.
    filter
        Which of lm-evaluation-harness's answer filters to take; None for the first.
    max_line_bytes
        The longest line, document or member of an archive that is read.
    """

    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    metric: str | None = None
    filter: str | None = None
    max_line_bytes: int = 64 << 20


@dataclass
class Tally:
    """What was left out on the way, counted by reason, what was taken where a log leaves a choice, and by path, what could not be
    read: a reader adds, the summary tells."""

    dropped: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    failed: dict[str, DataError] = field(default_factory=dict)

    @contextmanager
    def going_on(self, path: Path) -> Iterator[None]:
        """Keep the DataError that a file or folder raises while logs are looked for, so that the others are read all the same."""
        try:
            yield
        except DataError as error:
            self.failed[str(path)] = error

    def drop(self, reason: str, count: int = 1) -> None:
        """Count samples (or logs) that were left out, by a reason such as `without a score`."""
        self.dropped[reason] += count

    def take(self, what: str) -> None:
        """Count logs by what was taken of them, such as `leaderboard_gpqa: metric acc_norm`."""
        self.taken[what] += 1


class Reader(Protocol):
    """One format. It imports what is not among the project's own dependencies only when used, and raises DataError for all that is
    wrong with a file, naming it. Its memory is bounded by one sample, not by one file, wherever the format allows."""

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        """The logs below `path` (or the one at it) that `options` want, without reading samples; DataError where there is none.

        What is wrong with one of the files goes to `tally.going_on`.
        """
        ...

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        """Its samples, in the order of the log."""
        ...


def wanted(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches one of the patterns, or there are none."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def fraction(value: Any) -> float | None:
    """A score as a log has it (number, boolean, text of a number) as a number; None where it is none, NaN or infinite."""
    if type(value) is float:  # nearly always
        return value if isfinite(value) else None
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and abs(value) < float("inf"):  # NaN compares as False
        return float(value)
    return None
