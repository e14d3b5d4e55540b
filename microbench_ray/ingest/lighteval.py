"""lighteval details in Parquet, `details/<model>/<time>/details_<task>_<time>.parquet`, as written by any version."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pq
from microbench_ray.data.names import first_few
from microbench_ray.data.tables.vocabulary import LOWER_IS_BETTER
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches, selects
from microbench_ray.ingest.identity import settings_of_arguments
from microbench_ray.ingest.jsonl import json_file, too_large
from microbench_ray.ingest.metrics import check_higher_is_better, most_common_metric
from microbench_ray.ingest.parquet_limits import check_rows
from microbench_ray.ingest.revisions import DEFAULT, UNKNOWN, name_with_revision, parse_arguments, revision_argument
from microbench_ray.ingest.values import (
    CHECK_SOURCE,
    WRITE_AGAIN_OR_CHECK,
    choice_probabilities,
    files_below,
    item_digest,
    parse_score,
    require_logs,
    value_at,
)

_NAME = re.compile(r"details_(?P<task>.+)_(?P<time>\d{4}-\d{2}-\d{2}T[^_]*)\.parquet")
_REPOSITORY = re.compile(r"(?:datasets--.+?--|.+__)?details_(?P<model>.+?)(?:_private)?")  # on the hub, and in a local cache of it
_OLD = ("example", "full_prompt", "choices", "gold", "gold_index", "predictions", "metrics")
_NEW: dict[str, tuple[tuple[str, ...], ...]] = {
    "doc": (("query",), ("choices",), ("gold_index",), ("id",)),
    "metric": ((),),
    "model_response": (("logprobs",),),
}
_BATCH_ROWS = 16  # a whole row group can hold a thousand prompts
_NON_FINITE = re.compile(r"(?<=[ \[(])-?(?:nan|inf)(?=[,\])}])")
_MAX_LITERAL = 1 << 20  # characters of a Python literal, which versions before 2025 wrote


class LightevalReader:
    """Reads one log per file. The subtask is the task; the default metric is the first in the task's own order.

    Items are joined on the position in their dataset, which newer versions write, or else on their content.

    Only the results file of a run records the revision of its model: `results/<model>/results_<time>.json` beside `details`. A
    model loaded by one is named `org/name@revision`. Without that file, several runs of a model may be of several revisions, and
    are refused.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the detail files; the model comes from the folders, the task from the file name."""
        logs = []
        lower: dict[str, frozenset[str]] = {}
        for file in files_below(path, ("details_*.parquet",), tally):
            match = _NAME.fullmatch(file.name)
            if match is None:
                tally.drop("Parquet files not named details_TASK_TIME.parquet")
                continue
            task, name = match["task"], _model(file, path, match["time"])
            with tally.collect_error(file):
                run = _run(file, name, match["time"], options.max_line_bytes)
                model = name_with_revision(name, run.revision)
                lower[task] = lower.get(task, frozenset()) | run.lower_is_better(task)
                if matches(task, options.tasks) and selects(options.models, model, name):
                    logs.append(ModelLog(model=model, name=name, files=(file,), part=task, revision=run.commit, sets=run.sets))
        return require_logs(_with_metrics(logs, lower, options, tally), path, "lighteval", options, tally)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the samples, reading a few rows at a time."""
        (file,) = log.files
        metric = log.metric
        if metric is not None:
            tally.choose(f"{log.part}: metric {metric}")
        for number, row in enumerate(_rows(file, options.max_line_bytes), 1):
            if not row.metrics:
                raise DataError("The row has no metrics.", where=f"{file}: row {number}", hint=WRITE_AGAIN_OR_CHECK)
            if metric is None:
                metric = next(iter(row.metrics))
                tally.choose(f"{log.part}: metric {metric}")
            if metric not in row.metrics:
                got = f"metrics {first_few(row.metrics)}"
                hint = "choose a metric with metric=NAME, and the tasks that have it with tasks=[…]"
                raise DataError(f"The task has no metric {metric!r}.", where=f"{file}: row {number}", got=got, hint=hint)
            tally.read_by(log.part, metric)
            value = row.metrics[metric]
            if value is None and any(other is not None for other in row.metrics.values()):
                tally.drop("rows of the other sampling method")  # generative and log-likelihood metrics have separate rows
                continue
            content = item_digest(f"{file}: row {number}", query=row.query, choices=row.choices, gold=row.gold)
            item = f"{log.part}/{row.name or content}"
            score = parse_score(value, tally, file=file, item=item, metric=metric)
            answers, label = _answers(row)
            yield Sample(
                item_id=item,
                subtask=log.part,
                score=score,
                confidence=None if answers is None or label is None else answers[label],
                answers=answers,
                label=label,
                content=content,
                position=row.name or str(number - 1),
                text={"query": row.query, "choices": row.choices},
            )


class _Row(NamedTuple):
    name: str
    query: str
    choices: list[Any]
    gold: list[Any]
    logprobs: list[Any]
    metrics: dict[str, Any]


def _model(file: Path, top: Path, time: str) -> str:
    """The model named by the folders: below `details`, in a copy of a hub repository, or between `top` and the run's folder."""
    folder = file.absolute().parent
    folder = folder.parent if folder.name == time else folder
    names = list(folder.parts[1:])
    if "details" in names:
        after_details = names[len(names) - names[::-1].index("details") :]
        if after_details:
            return "/".join(after_details)
    for name in reversed(names):
        match = _REPOSITORY.fullmatch(name)
        if match is not None:
            return match["model"].replace("__", "/")
    top = top.absolute()
    return "/".join(folder.relative_to(top).parts) if folder.is_relative_to(top) and folder != top else folder.name


class _Run(NamedTuple):
    """The revision that a run's model was loaded by (empty for the default one), what identifies the model's version, and what the
    run sets."""

    revision: str
    commit: str
    sets: Mapping[str, str]
    tasks: Mapping[str, Any]
    """The configurations of the tasks, by task."""

    def lower_is_better(self, task: str) -> frozenset[str]:
        """The metrics of which the configuration of a task says that lower values are better."""
        configs = [config for name, config in self.tasks.items() if isinstance(config, dict) and f"|{task}|" in f"|{name}|"]
        listed = [each for config in configs for key in ("metrics", "metric") for each in _list(config.get(key))]
        lower = set()
        for each in listed:
            names, higher = (each.get("metric_name"), each.get("higher_is_better")) if isinstance(each, dict) else (None, None)
            values = higher if isinstance(higher, dict) else {name: higher for name in _list(names) if isinstance(name, str)}
            lower |= {str(name) for name, value in values.items() if value is False}
        return frozenset(lower)


def _run(file: Path, model: str, time: str, max_bytes: int) -> _Run:
    """Read the results of the run that wrote a detail file."""
    folder = file.absolute().parent
    folder = folder.parent if folder.name == time else folder
    name = f"results_{time}.json"
    places = [folder / name]
    for parent in folder.parents:
        places += [parent / "results" / model / name, parent / "results" / model.replace("/", "__") / name]
        if parent.name == "details":
            places += [parent.parent / name, parent.parent / "results" / model / name]
            break
        places.append(parent / name)
    results = next((place for place in places if place.is_file()), None)
    if results is None:
        return _Run(revision="", commit=f"{UNKNOWN}, without {name}", sets={}, tasks={})
    document = json_file(results, max_bytes)
    general = value_at(document, dict, str(results), "config_general")
    tasks = document.get("config_tasks")
    config = general.get("model_config")
    config = config if isinstance(config, dict) else {}
    arguments = parse_arguments(f"model_name={config.get('model_name') or general.get('model_name')}")
    revision = revision_argument({"revision": config.get("revision"), "subfolder": config.get("subfolder")}) or revision_argument(
        arguments
    )
    sets = settings_of_arguments(dict(arguments) | config)
    templates = [each[key] for each in (config, general) for key in ("use_chat_template", "override_chat_template") if key in each]
    template = next(iter(templates), None)
    if isinstance(template, bool):
        sets["chat_template"] = "yes" if template else ""
    commit = general.get("model_sha") or config.get("model_sha")
    return _Run(
        revision=revision,
        commit=commit if isinstance(commit, str) and commit else revision or DEFAULT,
        sets=sets,
        tasks=tasks if isinstance(tasks, dict) else {},
    )


def _with_metrics(logs: Sequence[ModelLog], lower: Mapping[str, frozenset[str]], options: Options, tally: Tally) -> list[ModelLog]:
    """The logs with one metric for all runs of a task: of those of which higher values are better the first of most logs.

    `lower` are the metrics of which the runs say that lower values are better, by task.
    """
    runs: dict[str, list[ModelLog]] = {}
    for log in logs:
        runs.setdefault(log.part, []).append(log)
    chosen = []
    for task, group in runs.items():
        metric = options.metric
        if metric is None:
            metrics = [_metrics(log.files[0], options.max_line_bytes) for log in group]
            worse = frozenset() if options.scale.reversed else LOWER_IS_BETTER | lower[task]
            metric = most_common_metric([[name for name in names if name not in worse] or names for names in metrics])
        with tally.collect_error(Path(f"task {task}")):
            if metric is not None:
                check_higher_is_better(metric, task, options.scale, lower[task])
            chosen += [replace(log, metric=metric) for log in group]
    return chosen


def _metrics(file: Path, max_bytes: int) -> list[str]:
    """The metrics of a log in their order; empty if it cannot be read, which is reported when it is read."""
    try:
        with pq.ParquetFile(file) as table:
            field = next((field for field in table.schema_arrow if field.name.strip("_") == "metric"), None)
        if field is not None and pa.types.is_struct(field.type):
            return [field.type.field(k).name for k in range(field.type.num_fields)]
        return list(next(_rows(file, max_bytes)).metrics)
    except (pa.ArrowException, OSError, UnicodeDecodeError, StopIteration, DataError):
        return []


def _rows(file: Path, max_bytes: int) -> Iterator[_Row]:
    try:
        with pq.ParquetFile(file) as table:
            check_rows(table, file)
            new, columns = _columns(table.schema_arrow.names, file)
            number = 0
            for batch in table.iter_batches(batch_size=_batch_rows(table, columns, file, max_bytes), columns=columns):
                for number, row in enumerate(batch.to_pylist(), number + 1):  # noqa: B020
                    where = f"{file}: row {number}"
                    yield _new_row({name.strip("_"): value for name, value in row.items()}, where) if new else _old_row(row, where)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            "The file is truncated or not a Parquet file of lighteval.",
            where=str(file),
            got=(str(error).splitlines() or [type(error).__name__])[0][:200],
            hint=WRITE_AGAIN_OR_CHECK,
        ) from None


def _columns(names: Sequence[str], file: Path) -> tuple[bool, list[str]]:
    """Whether the table has the newer column names, and the columns to read."""
    plain = {name.strip("_"): name for name in names}
    if _NEW.keys() <= plain.keys():
        return True, [".".join((plain[name], *field)) for name, fields in _NEW.items() for field in fields]
    if "metrics" in names and ("example" in names or "full_prompt" in names):
        return False, [name for name in _OLD if name in names]
    got = f"columns {first_few(names)}"
    raise DataError("The table does not hold lighteval details.", where=str(file), got=got, hint=CHECK_SOURCE)


def _batch_rows(table: pq.ParquetFile, columns: Sequence[str], file: Path, max_bytes: int) -> int:
    """Rows per batch, such that a batch takes at most `max_bytes` bytes even if every row repeats the longest text.

    Raises
    ------
    DataError
        A column of one row group is larger than `max_bytes`.
    """
    largest = 1
    for number in range(table.metadata.num_row_groups):
        group = table.metadata.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            name, size = column.path_in_schema, column.total_uncompressed_size
            if not any(name == read or name.startswith(f"{read}.") for read in columns):
                continue
            if size > max_bytes:
                where = f"{file}: row group {number + 1}, column {name!r}"
                raise too_large("A row group is too large.", where, f"{size:,} bytes")
            largest = max(largest, size)
    return max(1, min(_BATCH_ROWS, max_bytes // largest))


def _new_row(row: dict[str, Any], where: str) -> _Row:
    doc, response = value_at(row, dict, where, "doc"), row.get("model_response") or {}
    metrics = value_at(row, dict, where, "metric")
    return _Row(
        name=str(doc.get("id") or ""),
        query=str(doc.get("query") or ""),
        choices=_list(doc.get("choices")),
        gold=_list(doc.get("gold_index")),
        logprobs=_list(response.get("logprobs")),
        metrics=metrics,
    )


def _old_row(row: dict[str, Any], where: str) -> _Row:
    """A row written before mid-2025. Before February 2025 every value except the prompts was written as a Python literal."""
    row = {
        name: value if name in ("example", "full_prompt") else _literal(value, f"{where}: {name}") for name, value in row.items()
    }
    gold = _list(row.get("gold_index")) or _list(row.get("gold"))
    # A prediction is a log-likelihood, or a pair of it and whether the answer is the greedy one.
    predictions = [value[0] if isinstance(value, list | tuple) and value else value for value in _list(row.get("predictions"))]
    logprobs = predictions if not any(isinstance(value, str) for value in predictions) else []
    query = str(row.get("example") or row.get("full_prompt") or "")
    return _Row(
        name="",
        query=query,
        choices=_list(row.get("choices")),
        gold=gold,
        logprobs=logprobs,
        metrics=value_at(row, dict, where, "metrics"),
    )


def _literal(value: Any, where: str) -> Any:
    if not isinstance(value, str):
        return value
    if len(value) > _MAX_LITERAL:
        raise too_large("A value is too long.", where, f"{len(value):,} characters")
    try:
        return ast.literal_eval(_NON_FINITE.sub("1e999", value))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value


def _answers(row: _Row) -> tuple[tuple[float, ...] | None, int | None]:
    """Probabilities of the answers and the index of the correct one; None unless every answer has a log-likelihood and exactly one
    is correct."""
    label = row.gold[0] if len(row.gold) == 1 and isinstance(row.gold[0], int) else None
    if label is None or len(row.logprobs) != len(row.choices) or not 0 <= label < len(row.choices):
        return None, None
    answers = choice_probabilities(row.logprobs)
    return (answers, label) if answers is not None else (None, None)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
