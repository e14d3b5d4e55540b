"""Details of lighteval in Parquet, `details/<model>/<time>/details_<task>_<time>.parquet`, with the columns of any version."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import Log, Options, Sample, Tally, wanted
from microbench_ray.ingest.jsonl import too_long
from microbench_ray.ingest.values import checked_score, choice_probabilities, files_below, found, item_digest, part

_NAME = re.compile(r"details_(?P<task>.+)_(?P<time>\d{4}-\d{2}-\d{2}T[^_]*)\.parquet")
_REPOSITORY = re.compile(r"(?:datasets--.+?--|.+__)?details_(?P<model>.+?)(?:_private)?")  # of the hub, and its copy in a cache
_OLD = ("example", "full_prompt", "choices", "gold", "gold_index", "predictions", "metrics")
_NEW: dict[str, tuple[tuple[str, ...], ...]] = {
    "doc": (("query",), ("choices",), ("gold_index",), ("id",)),
    "metric": ((),),
    "model_response": (("logprobs",),),
}
_ROWS = 16  # at once; whole row groups would be up to a thousand prompts
_NO_LITERAL = re.compile(r"(?<=[ \[(])-?(?:nan|inf)(?=[,\])}])")
_LONGEST_TEXT = 1 << 20  # of what versions before 2025 wrote as the text of a Python value


class LightevalReader:
    """A file is one model's run of one task, which is the subtask. The metric is by default the first of the task's own order.

    Items are joined on the position in their dataset that newer versions write; older ones have none, there an item is its content.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        """The files of details; model and task are told by folders and names."""
        logs = []
        for file in files_below(path, ("details_*.parquet",)):
            match = _NAME.fullmatch(file.name)
            if match is None:
                tally.drop("Parquet file that is not named details_TASK_TIME.parquet")
                continue
            task, model = match["task"], _model(file, path, match["time"])
            if wanted(task, options.tasks) and wanted(model, options.models):
                logs.append(Log(model, (file,), task))
        return found(logs, path, "lighteval", options, tally)

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        """Its samples, a few rows at a time."""
        (file,) = log.files
        metric = options.metric
        for number, row in enumerate(_rows(file, options.max_line_bytes), 1):
            if not row.metrics:
                raise DataError("The row has no metrics.", where=f"{file}: row {number}", hint="write or copy it again")
            metric = metric or next(iter(row.metrics))
            if metric not in row.metrics:
                got, hint = f"metrics {first_few(row.metrics)}", "choose one: metric=NAME, and the tasks that have it: tasks=[…]"
                raise DataError(f"The task has no metric {metric!r}.", where=f"{file}: row {number}", got=got, hint=hint)
            value = row.metrics[metric]
            if value is None and any(other is not None for other in row.metrics.values()):
                tally.drop("row of the task's other way of sampling")  # generated and log-likelihood metrics have a row each
                continue
            content = item_digest(f"{file}: row {number}", query=row.query, choices=row.choices, gold=row.gold)
            item = f"{log.part}/{row.name or content}"
            score = checked_score(value, tally, file=file, item=item, metric=metric)
            answers, label = _answers(row)
            yield Sample(
                item,
                log.part,
                score,
                confidence=None if answers is None or label is None else answers[label],
                answers=answers,
                label=label,
                content=content,
                position=row.name or str(number - 1),
            )


class _Row(NamedTuple):
    name: str
    query: str
    choices: list[Any]
    gold: list[Any]
    logprobs: list[Any]
    metrics: dict[str, Any]


def _model(file: Path, given: Path, time: str) -> str:
    """The model, by the folders: below `details`, of a copy of the hub's, or between the given folder and the run's."""
    folder = file.absolute().parent
    folder = folder.parent if folder.name == time else folder
    names = list(folder.parts[1:])
    if "details" in names:
        below = names[len(names) - names[::-1].index("details") :]
        if below:
            return "/".join(below)
    for name in reversed(names):
        match = _REPOSITORY.fullmatch(name)
        if match is not None:
            return match["model"].replace("__", "/")
    top = given.absolute()
    return "/".join(folder.relative_to(top).parts) if folder.is_relative_to(top) and folder != top else folder.name


def _rows(file: Path, most: int) -> Iterator[_Row]:
    try:
        with pq.ParquetFile(file) as table:
            new, columns = _columns(table.schema_arrow.names, file)
            rows = _rows_at_once(table, columns, file, most)
            number = 0
            for batch in table.iter_batches(batch_size=rows, columns=columns):
                for number, row in enumerate(batch.to_pylist(), number + 1):  # noqa: B020
                    where = f"{file}: row {number}"
                    yield _new_row({name.strip("_"): value for name, value in row.items()}, where) if new else _old_row(row, where)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            "The file is cut short, or no Parquet file of lighteval.",
            where=str(file),
            got=(str(error).splitlines() or [type(error).__name__])[0][:200],
            hint="write or copy it again",
        ) from None


def _columns(names: Sequence[str], file: Path) -> tuple[bool, list[str]]:
    """Whether the table is in the newer naming, and what is read of it."""
    plain = {name.strip("_"): name for name in names}
    if _NEW.keys() <= plain.keys():
        return True, [".".join((plain[name], *field)) for name, fields in _NEW.items() for field in fields]
    if "metrics" in names and ("example" in names or "full_prompt" in names):
        return False, [name for name in _OLD if name in names]
    got = f"columns {first_few(names)}"
    raise DataError("The table is none of lighteval's details.", where=str(file), got=got, hint="check source=…")


def _rows_at_once(table: pq.ParquetFile, columns: Sequence[str], file: Path, most: int) -> int:
    """So many that they take at most `most` bytes, even if all repeat the longest text; no row group may hold more in a column."""
    largest = 1
    for number in range(table.metadata.num_row_groups):
        group = table.metadata.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            name, size = column.path_in_schema, column.total_uncompressed_size
            if not any(name == read or name.startswith(f"{read}.") for read in columns):
                continue
            if size > most:
                where = f"{file}: row group {number + 1}, column {name!r}"
                raise too_long("A row group is too large.", where, f"{size:,} bytes")
            largest = max(largest, size)
    return max(1, min(_ROWS, most // largest))


def _new_row(row: dict[str, Any], where: str) -> _Row:
    doc, response = part(row, dict, where, "doc"), row.get("model_response") or {}
    metrics = part(row, dict, where, "metric")
    return _Row(
        str(doc.get("id") or ""),
        str(doc.get("query") or ""),
        _list(doc.get("choices")),
        _list(doc.get("gold_index")),
        _list(response.get("logprobs")),
        metrics,
    )


def _old_row(row: dict[str, Any], where: str) -> _Row:
    """A row of a version before mid-2025; before February 2025 every value but the prompts is the text of a Python value."""
    row = {name: value if name in ("example", "full_prompt") else _value(value, f"{where}: {name}") for name, value in row.items()}
    gold = _list(row.get("gold_index")) or _list(row.get("gold"))
    # answers' log-likelihoods stand alone, or with whether they are the greedy ones
    predictions = [value[0] if isinstance(value, list | tuple) and value else value for value in _list(row.get("predictions"))]
    logprobs = predictions if not any(isinstance(value, str) for value in predictions) else []
    query = str(row.get("example") or row.get("full_prompt") or "")
    return _Row("", query, _list(row.get("choices")), gold, logprobs, part(row, dict, where, "metrics"))


def _value(value: Any, where: str) -> Any:
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_TEXT:
        raise too_long("A value is too long.", where, f"{len(value):,} characters")
    try:
        return ast.literal_eval(_NO_LITERAL.sub("1e999", value))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value


def _answers(row: _Row) -> tuple[tuple[float, ...] | None, int | None]:
    """Probabilities of the answers, where each has its log-likelihood, and the correct one, where it is one."""
    label = row.gold[0] if len(row.gold) == 1 and isinstance(row.gold[0], int) else None
    if label is None or len(row.logprobs) != len(row.choices) or not 0 <= label < len(row.choices):
        return None, None
    answers = choice_probabilities(row.logprobs)
    return (answers, label) if answers is not None else (None, None)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
