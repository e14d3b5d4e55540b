"""lm-evaluation-harness `--log_samples`: `samples_<task>_<time>.jsonl` beside `results_<time>.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import Log, Options, Sample, Tally, fraction, wanted
from microbench_ray.ingest.jsonl import json_lines
from microbench_ray.ingest.likelihoods import confidence
from microbench_ray.ingest.lm_eval_files import Described, checked, described

MAIN = ("acc_norm", "acc", "exact_match", "prompt_level_strict_acc", "pass@1", "pass_at_1")
"""Metrics by which is taken where none is asked for; a task with none of them is read by the first that is a score."""
FIELDS = frozenset(
    (
        "doc_id",
        "doc",
        "target",
        "arguments",
        "resps",
        "filtered_resps",
        "filter",
        "metrics",
        "doc_hash",
        "prompt_hash",
        "target_hash",
    )
)
"""What a line holds beside its metrics."""
JOINED = 16
"""How many hexadecimal digits of a document's hash name an item: of a million items two share them with a chance of 3e-8."""
ROUNDING = 1e-9
"""How far from [0, 1] a score may lie that is a mean of floats."""


@dataclass(frozen=True)
class LmEvalReader:
    """Folders that `lm_eval --log_samples --output_path` writes, at any depth; a log is one file of samples.

    Items are joined on the document's hash; where a task holds the same document twice, the second has its own id. Older files
    without hashes are joined on the hash that the harness would have written, and without documents on the position.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        """One log for each file of samples; several of one task and model are several logs."""
        return logs(described(path, options.max_line_bytes, tally), path, options, tally)

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        """Its samples, the subtask being the task."""
        return samples(log, options, tally, options.metric, lambda doc, where: log.part)


def logs(found: Iterable[Described], path: Path, options: Options, tally: Tally) -> list[Log]:
    """Those that are wanted; DataError, telling what there is, where none is."""
    chosen, tasks, models = [], set(), set()
    for file, model, facts in found:
        tasks.add(file.task)
        models.add(model)
        if wanted(file.task, options.tasks) and wanted(model, options.models):
            chosen.append(Log(model, (file.path,), file.task, facts))
    if not chosen and tally.failed:
        raise next(iter(tally.failed.values()))
    if not tasks:
        raise DataError(
            "There are no samples of lm-evaluation-harness.",
            where=str(path),
            hint="run lm_eval with --log_samples and --output_path, and give that folder",
        )
    if not chosen:
        got = f"tasks {first_few(sorted(tasks))}; models {first_few(sorted(models))}"
        raise DataError("No log is of a wanted task and model.", where=str(path), got=got, hint="see tasks= and models=")
    return chosen


def samples(
    log: Log, options: Options, tally: Tally, metric: str | None, subtask: Callable[[Mapping[str, Any], str], str]
) -> Iterator[Sample]:
    """The samples of a file.

    Parameters
    ----------
    log
        Its first file holds them; its part is the task.
    options
        What is wanted.
    tally
        Counts the lines that are left out.
    metric
        The metric to take; None for the task's main one.
    subtask
        From a document (empty where the file has none), and its place for errors, to the subtask.

    Raises
    ------
    DataError
        A line is no sample, has no such metric, or a score outside [0, 1]; or no line has the filter.
    """
    path, task = log.files[0], log.part
    chosen, filtered, none = metric, options.filter, True
    filters: set[str] = set()
    identify = _Identities(task)
    for number, row in json_lines(path, options.max_line_bytes):
        where = f"{path}: line {number}"
        if not isinstance(row, dict):
            raise DataError(
                "A line is no sample.", where=where, got=type(row).__name__, hint="is it a log of lm-evaluation-harness?"
            )
        name = row.get("filter")
        if not isinstance(name, str | None):
            raise DataError("The name of a filter is none.", where=where, got=_shown(name))
        if name is not None:
            filters.add(name)
            filtered = name if filtered is None else filtered
        elif options.filter is not None:
            raise DataError("This log does not name its filters.", where=where, hint="leave out filter=")
        if name is not None and name != filtered:
            tally.drop("of another filter")
            continue
        item_id, content, again = identify(row, where)
        if again and name is None:  # before it named filters, the harness wrote a line for each
            tally.drop("of another filter (unnamed)")
            continue
        if none:
            chosen, none = _metric(row, metric, where), False
            tally.take(f"{task}: metric {chosen}" + (f", filter {filtered}" if filtered not in (None, "none") else ""))
        doc = row.get("doc")
        yield Sample(
            item_id,
            subtask(doc if isinstance(doc, dict) else {}, where),
            _score(row, chosen or "", where),
            *confidence(row, tally),
            content,
            str(row["doc_id"]) if "doc_id" in row else None,
        )
    if none and filters:
        raise DataError(
            "No line has this filter.", where=str(path), got=f"filter={filtered}", hint=f"there are: {first_few(sorted(filters))}"
        )
    if none:
        raise DataError("The log holds no sample.", where=str(path), hint="remove it, or run the task again")


class _Identities:
    """Names the items of one log: the second document with a hash is another item, the same document again is not."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.documents: dict[str, dict[int | str | None, int]] = {}

    def __call__(self, row: Mapping[str, Any], where: str) -> tuple[str, str | None, bool]:
        """The item's id, the hash of its document, and whether it was met before."""
        position = row.get("doc_id")
        if not isinstance(position, int | str | None):
            raise DataError("A document's number is none.", where=where, got=f"doc_id {_shown(position)}")
        if isinstance(position, str):
            checked(position, "document", where)
        content = _content(row, where)
        if content is None:
            if position is None:
                raise DataError("A line names no document.", where=where, got="neither doc_hash nor doc nor doc_id")
            key = str(position)
        else:
            key = content[:JOINED]
        met = self.documents.setdefault(key, {})
        again = position in met
        place = met.setdefault(position, len(met))
        return f"{self.task}/{key}" + (f"#{place + 1}" if place else ""), content, again


def _content(row: Mapping[str, Any], where: str) -> str | None:
    content = row.get("doc_hash")
    if content is None and isinstance(row.get("doc"), dict | list | str):
        try:
            text = json.dumps(row["doc"], indent=2, ensure_ascii=False)
        except RecursionError:
            raise DataError("JSON is nested too deeply.", where=where) from None
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    if content is not None and not (isinstance(content, str) and content.isalnum() and content.isascii() and len(content) <= 128):
        raise DataError("A document's hash is none.", where=where, got=_shown(content))
    return content


def _metric(row: Mapping[str, Any], asked: str | None, where: str) -> str:
    """Which metric is taken, judged by a log's first line."""
    named = row.get("metrics")
    if isinstance(named, list):
        names = [name for name in named if isinstance(name, str)]
    else:
        names = [name for name in row if name not in FIELDS]
    if asked is not None:
        if asked in names:
            return asked
        raise DataError(
            "The log has no such metric.", where=where, got=f"metric={asked}", hint=f"there are: {', '.join(names) or 'none'}"
        )
    scores = [name for name in names if isinstance(row.get(name), bool | int | float | str | None)]
    first = [name for name in MAIN if name in scores]
    other = [name for name in scores if (score := fraction(row.get(name))) is not None and 0 <= score <= 1]
    if not first and not other:
        raise DataError(
            "No metric of this log is a score in [0, 1].",
            where=where,
            got=", ".join(names) or "none",
            hint="leave the task out with tasks=[…]",
        )
    return (first or other)[0]


def _score(row: Mapping[str, Any], metric: str, where: str) -> float | None:
    value = row.get(metric)
    score = fraction(value)
    if isinstance(value, list | dict) or (score is not None and not -ROUNDING <= score <= 1 + ROUNDING):
        raise DataError(
            "A score must be in [0, 1].",
            where=f"{where}: {metric}",
            got=_shown(value),
            hint="take another metric= of the log, or leave the task out with tasks=[…]",
        )
    return None if score is None else min(max(score, 0.0), 1.0)


def _shown(value: Any) -> str:
    """A value of a line for a message; what is nested only by its kind."""
    return f"a {type(value).__name__}" if isinstance(value, list | dict) else repr(value)[:100]
