"""Metrics of a task: which are scores, of which lower values are better, and which one is read from all logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.data.responses import ModelRecord
from microbench_ray.data.tables.vocabulary import LOWER_IS_BETTER
from microbench_ray.ingest.base import Scale, Tally, finite_number
from microbench_ray.ingest.log_names import FoundLog

ROUNDING = 1e-9
"""How far outside [0, 1] a score may lie: means of floats can end up just above 1."""
AVERAGED = "the mean of repeated samples of an item"


def most_common_metric(metrics: Sequence[Sequence[str]], order: Sequence[str] = ()) -> str | None:
    """The metric that most logs of a task have; None if none has any.

    Parameters
    ----------
    metrics
        The metrics of each log, in the order of the log.
    order
        Which of equally common metrics to prefer; then the one that is the first in most logs, then the smallest.
    """
    counts = Counter(name for names in metrics for name in dict.fromkeys(names))
    first = Counter(names[0] for names in metrics if names)
    rank = {name: k for k, name in enumerate(dict.fromkeys(order))}
    return min(counts, key=lambda name: (-counts[name], rank.get(name, len(rank)), -first[name], name), default=None)


def why_no_score(value: Any, scale: Scale) -> str | None:
    """Why a value of a metric is not a score in [0, 1] on a scale; None if it is one, or is missing."""
    if isinstance(value, list | tuple):
        return "a list, as of a metric of the whole corpus"
    if isinstance(value, dict):
        return "several values"
    number = finite_number(value)
    if number is None:
        return "a text" if isinstance(value, str) else None
    score = scale.score(number)
    return None if -ROUNDING <= score <= 1 + ROUNDING else f"{number:g}, out of range"


def check_higher_is_better(metric: str, task: str, scale: Scale, declared: Collection[str] = ()) -> None:
    """Check that higher values of a metric are better, or that `scale` reverses it.

    Parameters
    ----------
    metric, task
        Their names.
    scale
        How values become scores.
    declared
        The metrics of which the logs say that lower values are better, besides `LOWER_IS_BETTER`.

    Raises
    ------
    DataError
        Lower values are better.
    """
    if not scale.reversed and (metric in declared or metric.rpartition("/")[2].lower() in LOWER_IS_BETTER):
        raise DataError(
            "Lower values of this metric are better, so it is not a score.",
            where=f"task {task!r}",
            got=f"metric {metric!r}" + (", higher_is_better: false" if metric in declared else ""),
            hint=f"choose another metric with metric=NAME, reverse this one with metric={metric} scale=BEST offset=WORST (a rate: "
            "scale=0 offset=1), or exclude the task with tasks=[…]",
        )


def say_metrics(tally: Tally, responses: pa.Table, reduce: str) -> None:
    """Choose what a log was read by, if its reader has not said so, and how repetitions become one score.

    Raises
    ------
    DataError
        Lower values of a metric are better.
    """
    for task, metric in tally.metrics.items():
        check_higher_is_better(metric, task, tally.scale)
        said = f"{task}: metric {metric}"
        if said not in tally.choices and not any(choice.startswith((f"{task}: ", f"{task}/")) for choice in tally.choices):
            tally.choose(said)
    if responses["repeats"].null_count < len(responses) and not any("mean over" in choice for choice in tally.choices):
        tally.choose(AVERAGED if reduce == "mean" else f"{reduce} of repeated samples of an item")


def check_metrics(log: str, metrics: Mapping[str, str], others: Mapping[str, str]) -> None:
    """Check that a log was read by the same metrics as the other logs of its tasks.

    Raises
    ------
    DataError
        A metric differs.
    """
    for task, metric in metrics.items():
        if others.get(task, metric) != metric:
            raise DataError(
                "The logs of one task are scored by different metrics.",
                where=f"{log}: task {task!r}",
                got=f"{metric!r}, but {others[task]!r} in other logs",
                hint="choose one metric for all with metric=NAME and a new folder out=DIR",
            )


def kept_metrics(known: Iterable[ModelRecord], pending: Mapping[str, Sequence[FoundLog]]) -> dict[str, str]:
    """The metric of each task in the logs that are kept as they are."""
    metrics: dict[str, str] = {}
    for model in known:
        replaced = {each.name for each in pending.get(model.model, ())}
        for name, record in model.logs.items():
            if name not in replaced:
                metrics |= record.metrics
    return metrics
