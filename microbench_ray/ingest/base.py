"""The interface of a log reader: it finds the logs of models and yields their samples one at a time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from microbench_ray.core.errors import DataError, DataWarning, MicrobenchError
from microbench_ray.data.names import escape_controls, show_name
from microbench_ray.data.tables.keys import DEFAULT_KEYS, TableKeys

logger = logging.getLogger(__name__)
Error = TypeVar("Error", bound=MicrobenchError)


class Sample(NamedTuple):
    """One response of one model, as logged.

    Attributes
    ----------
    item_id
        The key that joins responses of different models. Samples of one log with the same `item_id` are repetitions (epochs) and
        are averaged.
    subtask
        The item's subtask.
    score
        In [0, 1]; None if the sample is unscored or ended in an error.
    confidence
        Probability in [0, 1] given to the correct answer; None if the log does not record it.
    answers, label
        Probabilities of all answers, and the index of the correct one; None if the log does not record them.
    content
        Digest of the item as the model saw it (question, choices, target), equal across models. Two digests of one `item_id` are
        two versions of the item.
    position
        The item's own name or number in the log.
    text
        The item as the model saw it, for messages: a text or a JSON value; None if the log does not hold it.
    prompt
        Digest of all that was sent to the model, with few-shot examples and chat template; None if the log does not record it.
    """

    item_id: str
    subtask: str
    score: float | None
    confidence: float | None = None
    answers: tuple[float, ...] | None = None
    label: int | None = None
    content: str | None = None
    position: str | None = None
    text: Any = None
    prompt: str | None = None


@dataclass(frozen=True)
class ModelLog:
    """The unit of reading: one log of one model.

    Attributes
    ----------
    model
        The model's id, as logged.
    files
        The files that hold the log. If one of them changes, the log is read again.
    part
        Which part of the files this log is (a task, a column), if they hold more than one.
    facts
        What the log records about the model (`params`, `family`, `release_date`, …): texts, numbers, booleans.
    revision
        Which version of the model the log is of, such as a commit; empty if the log does not record it.
    name
        The model's name alone, as logged; empty if it is `model`.
    read_as
        The id that the reader gave the model, before settings were added to it; filled in by `identity.find_logs`.
    tasks
        The tasks that the log holds; empty for the one that `part` names.
    sets
        What the run sets, of `identity.SETTINGS` without the revision, as texts; an empty text for a default. A setting that the
        log does not record is left out.
    metric, filter
        The metric and the answer filter chosen for all logs of the task; None if each log is read by its own first one.
    """

    model: str
    files: tuple[Path, ...]
    part: str = ""
    facts: Mapping[str, str | float | bool] = field(default_factory=dict)
    revision: str = ""
    name: str = ""
    read_as: str = ""
    tasks: tuple[str, ...] = ()
    sets: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    filter: str | None = None


@dataclass(frozen=True)
class Scale:
    """How logged values become scores in [0, 1]: the best value is 1, the worst 0.

    `Scale(10, 1)` is for judges from 1 to 10, `Scale(0, 1)` reverses a rate of errors.
    """

    best: float = 1.0
    worst: float = 0.0

    @property
    def reversed(self) -> bool:
        """Whether lower values are better."""
        return self.best < self.worst

    def score(self, value: float) -> float:
        """The score of a value; outside [0, 1] for a value that is not between the worst and the best."""
        return value if self is LOGGED else (value - self.worst) / (self.best - self.worst)

    def settings(self) -> dict[str, float]:
        """The values as JSON holds them; empty for scores as logged."""
        return {} if self == LOGGED else {"best": self.best, "worst": self.worst}


LOGGED = Scale()
"""Scores as logged."""


@dataclass(frozen=True)
class Options:
    """Which parts of the logs are read, and how.

    Attributes
    ----------
    tasks
        `fnmatch` patterns of task names; empty selects all tasks.
    models
        `fnmatch` patterns of model ids; empty selects all models.
    metric
        Which of a log's scores to read; None for the default of the format.
    filter
        Which answer filter of lm-evaluation-harness to read; None for the first.
    max_line_bytes
        Maximum size of a line, a document or an archive member.
    items
        The ids of all items, for logs that list right answers only; empty if none are given.
    table
        How a table is read, where its names do not tell.
    scale
        How logged values become scores.
    join
        Which responses are to one item: see `join.joined`.
    reduce
        How the scores of an item's repeats become one: see `data.reduce.reducer`.
    identify
        The parts of a model's identity, `name` and any of `identity.SETTINGS`; empty to decide by what differs between logs.
    confidences
        Whether confidences are read, where that takes time.
    preview
        Whether the first rows of a table are shown also where its layout needs no guess.
    """

    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    metric: str | None = None
    filter: str | None = None
    max_line_bytes: int = 64 << 20
    items: tuple[str, ...] = ()
    table: TableKeys = DEFAULT_KEYS
    identify: tuple[str, ...] = ()
    scale: Scale = LOGGED
    join: Literal["content", "id", "hash"] = "content"
    reduce: str = "mean"
    confidences: bool = True
    preview: bool = False


class OwnScore(NamedTuple):
    """The score that a tool itself gives a log, in [0, 1], and how far rounding may have moved it."""

    score: float
    within: float = 1e-9


@dataclass
class Tally:
    """Counts that a reader collects for the summary.

    Attributes
    ----------
    dropped
        Samples and logs left out, by reason. A reason is a plural: `samples without a score`.
    choices
        Logs by the choice made where a log offers several, such as `leaderboard_gpqa: metric acc_norm`.
    failed
        Errors by the path of the file or folder that could not be read.
    metrics
        The metric that was read, by task.
    suspicious
        Warnings about what was read, by their text.
    scale
        How logged values become scores, for readers.
    left_out
        Why logs of a model were left out, by model.
    own
        The tool's own score of a log, where the log tells; compared with the mean over the items that were read.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    choices: Counter[str] = field(default_factory=Counter)
    failed: dict[str, DataError] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    suspicious: dict[str, DataWarning] = field(default_factory=dict)
    scale: Scale = LOGGED
    left_out: dict[str, set[str]] = field(default_factory=dict)
    own: OwnScore | None = None

    @contextmanager
    def collect_error(self, path: Path) -> Iterator[None]:
        """Record an error raised inside the block under `path` instead of raising it, so that the other logs are still read."""
        try:
            with refuse_unreadable(str(path)):
                yield
        except DataError as error:
            self.failed[str(path)] = for_terminal(error)
            logger.debug("%s could not be read: %s", show_name(path), self.failed[str(path)])

    def drop(self, reason: str, count: int = 1, model: str | None = None) -> None:
        """Count samples or logs that are left out; with the `model` of a log, which is named if no other log of it is read."""
        self.dropped[reason] += count
        if model is not None:
            self.left_out.setdefault(model, set()).add(reason)

    def read_by(self, task: str, metric: str) -> None:
        """Record the metric that a task is read by, which must be the same in all logs."""
        self.metrics[task] = metric

    def suspect(self, warning: DataWarning) -> None:
        """Record a warning, once."""
        self.suspicious[warning.note] = warning

    def choose(self, choice: str) -> None:
        """Count a log by the choice made for it."""
        self.choices[choice] += 1


class Reader(Protocol):
    """A reader of one log format.

    A reader imports optional packages only when it needs them, and raises a DataError that names the file for any malformed input.
    Where the format allows, its memory is bounded by the size of one sample, not of one file.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the logs at or below `path` that `options` selects, without reading samples.

        Errors of single files are collected by `tally.collect_error`.

        Raises
        ------
        DataError
            No log was found.
        """
        ...

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the samples of a log in their logged order."""
        ...


@contextmanager
def refuse_unreadable(where: str) -> Iterator[None]:
    """Convert any exception to a DataError, because logs are untrusted, and no value in one may stop the others from being read."""
    try:
        yield
    except MicrobenchError:
        raise
    except Exception as error:
        logger.debug("%s could not be read", show_name(where), exc_info=True)
        got = f"{type(error).__name__}: {' '.join(ascii(str(error))[1:-1].split())}"[:200]
        raise DataError(
            "The log holds a value that cannot be read.", where=where, got=got, hint="write or copy the log again"
        ) from None


def for_terminal(error: Error) -> Error:
    """The error with the names and values in it, which come from files, escaped for a terminal."""
    parts = {name: None if text is None else escape_controls(text) for name, text in vars(error).items() if name != "what"}
    return type(error)(escape_controls(error.what), **parts)


def selects(patterns: Sequence[str], *names: str) -> bool:
    """Whether patterns of model ids may select a model with one of these names, to which settings may still be added."""
    started = any(pattern.startswith((f"{name}@", f"{name} (")) for name in names for pattern in patterns)
    return started or any(matches(name, patterns) for name in names)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches one of the patterns; True if there are no patterns."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def finite_number(value: Any) -> float | None:
    """Convert a logged value (a number, a boolean or a numeric text) to a float; None if it is not a finite number."""
    if type(value) is float:  # the common case
        return value if isfinite(value) else None
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float | Decimal):
        try:
            number = float(value)
        except (OverflowError, ValueError):  # an integer above 1e308; a signalling NaN
            return None
        return number if isfinite(number) else None
    return None
