"""The metric and the filter of each lm-evaluation-harness task, chosen over all its logs so that their scores are comparable."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.data.tables.vocabulary import LOWER_IS_BETTER
from microbench_ray.ingest.base import ModelLog, Options, Scale, Tally, finite_number
from microbench_ray.ingest.jsonl import json_lines
from microbench_ray.ingest.metrics import check_higher_is_better, why_no_score

logger = logging.getLogger(__name__)

MAIN_METRICS = ("acc_norm", "acc", "exact_match", "prompt_level_strict_acc", "pass@1", "pass_at_1")
"""Default metrics in order of preference; a task with none of them is scored by its first metric in [0, 1]."""
LOWER = "lower values are better"
SHOWN = 12
"""Number of metrics in a message."""
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
"""Fields of a line other than metrics."""


class Log(NamedTuple):
    """A log, and the metrics of which its results say that lower values are better."""

    log: ModelLog
    lower_is_better: frozenset[str]


class _Head(NamedTuple):
    """The filter of a log's first line, and its first line with metrics and the place of that line."""

    filter: str | None
    scored: Mapping[str, Any]
    where: str


def metric_names(row: Mapping[str, Any]) -> list[str]:
    """Names of the metrics of a line; empty if the line is unscored."""
    listed = row.get("metrics")
    if isinstance(listed, list):
        return [name for name in listed if isinstance(name, str)]
    return [name for name in row if name not in FIELDS]


def scalar_metrics(row: Mapping[str, Any]) -> list[str]:
    """Names of the metrics of a line whose values may be scores."""
    return [name for name in metric_names(row) if isinstance(row.get(name), bool | int | float | str | None)]


def choose(logs: Iterable[Log], fixed_metric: Callable[[str], str | None], options: Options, tally: Tally) -> list[ModelLog]:
    """Return the logs with the metric and filter of their task. A task that has none is left out, and its error collected.

    Parameters
    ----------
    logs
        The logs of all tasks.
    fixed_metric
        Maps a task to its metric if that is given; None to choose it.
    options
        The options of the job.
    tally
        Collects the errors, under the task.
    """
    by_task: dict[str, list[Log]] = {}
    for each in logs:
        by_task.setdefault(each.log.part, []).append(each)
    chosen = []
    for task, group in by_task.items():
        with tally.collect_error(Path(f"task {task}")):
            chosen += _choose_for_task(group, fixed_metric(task), options)
    return chosen


def _choose_for_task(group: Sequence[Log], metric: str | None, options: Options) -> list[ModelLog]:
    task, files = group[0].log.part, [each.log.files[0] for each in group]
    lower = frozenset().union(*(each.lower_is_better for each in group))
    if metric is not None:
        check_higher_is_better(metric, task, options.scale, lower)
        return [each.log for each in group]
    heads = [head for file in files if (head := _head(file, options.max_line_bytes)) is not None]
    filters = Counter(head.filter for head in heads if head.filter is not None)
    selected_filter = min(filters, key=lambda name: (-filters[name], name)) if len(filters) > 1 else None
    counts = Counter(name for head in heads for name in metric_names(head.scored))
    worse = () if options.scale.reversed else lower or LOWER_IS_BETTER
    usable = [name for name in counts if name not in worse]
    scalars = {name for head in heads for name in scalar_metrics(head.scored)}
    main = [name for name in MAIN_METRICS if name in usable and name in scalars]
    other, why = ([], {}) if main else _in_range(usable, heads, files, options)
    candidates = main or other
    if counts and not candidates:
        raise _no_score(task, heads, worse, why, options)
    best = max(candidates, key=lambda name: counts[name]) if candidates else None  # the first of the most frequent ones
    return [replace(each.log, metric=best, filter=options.filter or selected_filter) for each in group]


def _no_score(task: str, heads: Sequence[_Head], worse: Collection[str], why: Mapping[str, str], options: Options) -> DataError:
    """The error for a task none of whose metrics is a score, with the reason for each: that of `why`, or of the first lines."""
    reasons: dict[str, str] = dict(why)
    names = sorted({name for head in heads for name in metric_names(head.scored)})
    for head in heads:
        _exclude(names, head.scored, options.scale, reasons)
    reversible = [name for name in names if name in worse and name not in reasons]
    named = "; ".join(f"{name!r}: {reasons.get(name, LOWER)}" for name in names[:SHOWN])
    if reversible:
        return DataError(
            "Lower values of all metrics of the task are better, so none of them is a score.",
            where=f"task {task!r}",
            got=f"metrics {named}",
            hint=f"exclude the task with tasks=[…], or reverse a metric with metric={reversible[0]} scale=BEST offset=WORST (a "
            "rate: scale=0 offset=1)",
        )
    return DataError(
        "No metric of the task is a score in [0, 1] in all logs.",
        where=heads[0].where,
        got=f"metrics {named}",
        hint="exclude the task with tasks=[…], or give the range of a metric with metric=NAME scale=BEST offset=WORST",
    )


def _head(file: Path, max_bytes: int) -> _Head | None:
    """The head of a log; None if it has no metrics or cannot be read, which is reported when it is read."""
    first_filter: str | None = None
    try:
        for number, row in json_lines(file, max_bytes):
            if not isinstance(row, dict):
                return None
            if first_filter is None and isinstance(row.get("filter"), str):
                first_filter = row["filter"]
            if metric_names(row):
                return _Head(filter=first_filter, scored=row, where=f"{file}: line {number}")
    except DataError as error:
        logger.debug("No metrics were found in a log, which is read again later: %s", error)
    return None


def _in_range(
    names: Sequence[str], heads: Sequence[_Head], files: Sequence[Path], options: Options
) -> tuple[list[str], dict[str, str]]:
    """The metrics whose values are in [0, 1] in all logs, and why others are not. All lines are read only if the first ones leave
    several."""
    why: dict[str, str] = {}
    for row in (head.scored for head in heads):
        _exclude(names, row, options.scale, why)
    for name in names:
        if name not in why and all(finite_number(head.scored.get(name)) is None for head in heads):
            why[name] = "no value"
    for file in files if len(names) - len(why) > 1 else ():
        try:
            for _, row in json_lines(file, options.max_line_bytes):
                if isinstance(row, dict):
                    _exclude(names, row, options.scale, why)
        except DataError as error:
            logger.debug("A log was left out of the choice of metrics, and is read again later: %s", error)
    return [name for name in names if name not in why], why


def _exclude(names: Sequence[str], row: Mapping[str, Any], scale: Scale, why: dict[str, str]) -> None:
    """Add to `why` the metrics whose value in a line is not a score."""
    for name in names:
        if name not in why and (reason := why_no_score(row.get(name), scale)) is not None:
            why[name] = reason
