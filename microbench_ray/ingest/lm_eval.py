"""lm-evaluation-harness logs of `--log_samples`: `samples_<task>_<time>.jsonl` beside `results_<time>.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import LOGGED, ModelLog, Options, Sample, Scale, Tally, finite_number, matches, selects
from microbench_ray.ingest.jsonl import json_lines
from microbench_ray.ingest.likelihoods import NO_CONFIDENCE, read_confidence
from microbench_ray.ingest.lm_eval_choice import MAIN_METRICS, Log, choose, metric_names, scalar_metrics
from microbench_ray.ingest.lm_eval_files import ModelSamples, check_name, find_samples
from microbench_ray.ingest.metrics import ROUNDING, why_no_score
from microbench_ray.ingest.revisions import name_with_revision
from microbench_ray.ingest.values import CHECK_SOURCE

HASH_DIGITS = 16
"""Hexadecimal digits of a document's hash in an item id: the probability that two of a million items collide is 3e-8."""


@dataclass(frozen=True)
class LmEvalReader:
    """Reads one log per sample file, in the folders that `lm_eval --log_samples --output_path` writes, at any depth.

    Items are joined on the document's hash; if a task holds the same document twice, the second is a separate item. Older files
    without hashes are joined on the hash that the harness would have written, or on the position if they lack documents too.

    A model loaded with `revision=` is named `org/name@revision`. All logs of a task are read by one metric and one filter.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return one log per sample file; several runs of one task and model are several logs."""
        files = find_samples(path, options.max_line_bytes, tally)
        return select_logs(files, path, options, tally, by_revision=True)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the samples; the subtask is the task."""
        return read_samples(log, options, tally, options.metric, lambda doc, where: log.part)


def select_logs(
    files: Iterable[ModelSamples],
    path: Path,
    options: Options,
    tally: Tally,
    *,
    by_revision: bool = False,
    fixed_metric: Callable[[str], str | None] = lambda task: None,
) -> list[ModelLog]:
    """Return the logs that `options` selects.

    Parameters
    ----------
    files
        The sample files found.
    path, options, tally
        As in `Reader.find`.
    by_revision
        Whether revisions of a model are models of their own.
    fixed_metric
        Maps a task to its metric if `options` names none; None to choose one.

    Raises
    ------
    DataError
        There are none. The message lists the tasks and models found.
    """
    found: list[Log] = []
    tasks, models = set(), set()
    for file, name, revision, facts, lower_is_better, sets in files:
        model = name_with_revision(name, revision) if by_revision else name
        tasks.add(file.task)
        models.add(model)
        if matches(file.task, options.tasks) and selects(options.models, model, name):
            log = ModelLog(
                model=model,
                name=name,
                files=(file.path,),
                part=file.task,
                facts=facts,
                revision=str(facts.get("revision") or revision),
                sets=sets,
            )
            found.append(Log(log=log, lower_is_better=lower_is_better))
    selected = choose(found, lambda task: options.metric or fixed_metric(task), options, tally)
    if not selected and tally.failed:
        raise next(iter(tally.failed.values()))
    if not tasks:
        raise DataError(
            "No lm-evaluation-harness samples were found.",
            where=str(path),
            got=f"left out: {', '.join(f'{count:,} {reason}' for reason, count in tally.dropped.items())}"
            if tally.dropped
            else None,
            hint="run lm_eval with --log_samples and --output_path, and give that folder with path=…",
        )
    if not selected:
        got = f"tasks {first_few(sorted(tasks))}; models {first_few(sorted(models))}"
        raise DataError("No log matches tasks= and models=.", where=str(path), got=got, hint="change tasks= or models=")
    return selected


def read_samples(
    log: ModelLog, options: Options, tally: Tally, metric: str | None, subtask: Callable[[Mapping[str, Any], str], str]
) -> Iterator[Sample]:
    """Yield the samples of a file.

    Parameters
    ----------
    log
        The log; its first file holds the samples, its part is the task.
    options
        The options of the job; `filter` selects the answer filter.
    tally
        Counts the lines that are left out.
    metric
        The metric to read; None for the task's main metric.
    subtask
        Maps a document (empty if the file has none) and its place, for errors, to the subtask.

    Raises
    ------
    DataError
        A line is not a sample, lacks the metric, or has a score outside [0, 1]; or no line has the filter.
    """
    path, task = log.files[0], log.part
    selected_metric: str | None = None
    selected_filter = log.filter or options.filter
    first_place = ""
    filters: set[str] = set()
    item_ids = _ItemIds(task)
    for number, row in json_lines(path, options.max_line_bytes):
        where = f"{path}: line {number}"
        if not isinstance(row, dict):
            raise DataError("The line is not a sample.", where=where, got=_display(row), hint=CHECK_SOURCE)
        name = row.get("filter")
        if not isinstance(name, str | None):
            raise DataError("The filter is not a string.", where=where, got=_display(name), hint=CHECK_SOURCE)
        if name is not None:
            filters.add(name)
            selected_filter = name if selected_filter is None else selected_filter
        elif options.filter is not None:
            raise DataError("The log does not name its filters.", where=where, got="no field 'filter'", hint="leave out filter=")
        if name is not None and name != selected_filter:
            tally.drop("samples of another filter")
            continue
        item = item_ids.assign(row, where)
        if item.repeated and name is None:  # older versions wrote one line per filter without naming it
            tally.drop("samples of another, unnamed filter")
            continue
        first_place = first_place or where
        if selected_metric is None and metric_names(row):
            selected_metric = _select_metric(row, metric or log.metric, where)
            suffix = f", filter {selected_filter}" if selected_filter not in (None, "none") else ""
            tally.choose(f"{task}: metric {selected_metric}{suffix}")
            tally.read_by(task, f"{selected_metric}{suffix}")
        confidence = read_confidence(row, tally) if options.confidences else NO_CONFIDENCE
        doc = row.get("doc")
        yield Sample(
            item_id=item.item_id,
            subtask=subtask(doc if isinstance(doc, dict) else {}, where),
            score=None if selected_metric is None else _score(row, selected_metric, where, tally.scale),
            confidence=confidence.confidence,
            answers=confidence.answers,
            label=confidence.label,
            content=item.content,
            position=str(row["doc_id"]) if "doc_id" in row else None,
            text=doc,
            prompt=prompt if isinstance(prompt := row.get("prompt_hash"), str) else None,
        )
    if selected_metric is None and first_place:
        raise DataError(
            "No metric of the log is a score in [0, 1].",
            where=first_place,
            got="no metrics",
            hint="run the task again, or exclude it with tasks=[…]",
        )
    if selected_metric is None and filters:
        got, hint = f"filter={selected_filter}", f"choose one of {first_few(sorted(filters))}"
        raise DataError("No line has this filter.", where=str(path), got=got, hint=hint)
    if selected_metric is None:
        raise DataError("The log holds no samples.", where=str(path), hint="remove it, or run the task again")


class _ItemId(NamedTuple):
    """The id of a line's item, the hash of its document, and whether the document has occurred before in the log."""

    item_id: str
    content: str | None
    repeated: bool


class _ItemIds:
    """Assigns item ids within one log. Equal documents at different positions (`doc_id`) are different items."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.documents: dict[str, dict[int | str | None, int]] = {}

    def assign(self, row: Mapping[str, Any], where: str) -> _ItemId:
        """Return the item id of a line; `where` is its place for the DataError."""
        position = row.get("doc_id")
        if not isinstance(position, int | str | None):
            raise DataError("The doc_id is not a number or a string.", where=where, got=_display(position), hint=CHECK_SOURCE)
        if isinstance(position, str):
            check_name(position, "document", where)
        content = _content(row, where)
        if content is None:
            if position is None:
                raise DataError(
                    "The line identifies no document.", where=where, got="none of doc_hash, doc, doc_id", hint=CHECK_SOURCE
                )
            key = str(position)
        else:
            key = content[:HASH_DIGITS]
        positions = self.documents.setdefault(key, {})
        repeated = position in positions
        order = positions.setdefault(position, len(positions))
        suffix = f"#{order + 1}" if order else ""
        return _ItemId(item_id=f"{self.task}/{key}{suffix}", content=content, repeated=repeated)


def _content(row: Mapping[str, Any], where: str) -> str | None:
    content = row.get("doc_hash")
    if content is None and isinstance(row.get("doc"), dict | list | str):
        try:
            text = json.dumps(row["doc"], indent=2, ensure_ascii=False)
        except RecursionError:
            raise DataError("JSON is nested too deeply.", where=where, hint="check that the file is a log") from None
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    if content is not None and not (isinstance(content, str) and content.isalnum() and content.isascii() and len(content) <= 128):
        raise DataError("The doc_hash is not a hash.", where=where, got=_display(content), hint=CHECK_SOURCE)
    return content


def _select_metric(row: Mapping[str, Any], metric: str | None, where: str) -> str:
    """Select the metric of a log by its first line with metrics: `metric`, or else the main metric."""
    names = metric_names(row)
    if metric is not None:
        if metric in names:
            return metric
        hint = (
            f"choose one that all logs have, here {', '.join(names)}, with metric=NAME and a new out=DIR, or exclude this log with "
            "models=[…] or tasks=[…]"
        )
        raise DataError("The log has no such metric.", where=where, got=f"metric={metric}", hint=hint)
    scalars = scalar_metrics(row)
    main = [name for name in MAIN_METRICS if name in scalars]
    other = [name for name in scalars if (score := finite_number(row.get(name))) is not None and 0 <= score <= 1]
    if not main and not other:
        raise DataError(
            "No metric of the log is a score in [0, 1].",
            where=where,
            got="metrics " + "; ".join(f"{name!r}: {why_no_score(row.get(name), LOGGED) or 'no value'}" for name in names),
            hint="exclude the task with tasks=[…]",
        )
    return (main or other)[0]


def _score(row: Mapping[str, Any], metric: str, where: str, scale: Scale) -> float | None:
    value = row.get(metric)
    number = finite_number(value)
    score = None if number is None else scale.score(number)
    if score is not None and 0 <= score <= 1:
        return score
    if isinstance(value, list | dict) or (score is not None and not -ROUNDING <= score <= 1 + ROUNDING):
        raise DataError(
            "A score is not a number in [0, 1].",
            where=f"{where}: {metric}",
            got=_display(value),
            hint="choose another metric with metric=NAME, give the range of this one with scale=BEST offset=WORST, or "
            "exclude the task with tasks=[…]",
        )
    return None if score is None else min(max(score, 0.0), 1.0)


def _display(value: Any) -> str:
    """A logged value for a message; lists and objects are shown by their type only."""
    return f"a {type(value).__name__}" if isinstance(value, list | dict) else repr(value)[:100]
