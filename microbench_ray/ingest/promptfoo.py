"""Results of promptfoo: the file of `promptfoo eval --output results.json`, or `results.jsonl`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.errors import DataError, DataWarning
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import ModelLog, Options, OwnScore, Sample, Tally, matches
from microbench_ray.ingest.documents import find_logs, has_fields, optional
from microbench_ray.ingest.jsonl import json_file, json_lines
from microbench_ray.ingest.values import ENDED_IN_ERROR, item_digest, parse_score, value_at

PASS, SCORE = "pass", "score"
_FIELDS = ("success", "provider", "vars")
_NEEDED = ("failureReason", "success", "score")
_ERROR = 2  # `failureReason` of a test that did not run


class PromptfooReader:
    """Reads one log per file and column of promptfoo's table: a provider, and a prompt if there are several.

    A test case is an item; repeats are repetitions. Items are joined on the variables of the test. Test cases of one file with the
    same variables and other assertions are several items. The metric is `pass` (0 or 1); `metric=score` reads the weighted score of
    the assertions, and any other name a named score.
    """

    weighs = "promptfoo's mean over all results, an error being 0"

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return a log for each provider and prompt."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            if not has_fields(document, *_FIELDS) and _rows(document) is None:
                return None
            results = _by_model(file, options.max_line_bytes, document)
            unlabelled = sorted({result.provider for found in results.values() for result in found if result.is_numbered})
            if unlabelled:
                tally.suspect(
                    DataWarning(
                        "Several columns of promptfoo's table have one name; each is a model, with the number of its column.",
                        where=str(file),
                        got=first_few(unlabelled),
                        hint="give each provider and each prompt a label in promptfoo's configuration",
                    )
                )
            return [ModelLog(model=name, files=(file,), part=name) for name in results]

        return find_logs(path, ("*.json", "*.jsonl"), "promptfoo", options, tally, logs_of, keep=False)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per test."""
        (file,) = log.files
        metric = options.metric or PASS
        by_model = _by_model(file, options.max_line_bytes)
        measured = _items_with(metric, by_model, str(file))
        total, weights = 0.0, 0.0
        for result in by_model.get(log.part, ()):
            if not matches(result.subtask, options.tasks):
                continue
            if measured is not None and result.item not in measured:
                tally.drop(f"results of tests without the score {metric!r}")
                continue
            score = None
            if result.row.get("failureReason") == _ERROR:
                tally.drop(ENDED_IN_ERROR)
            else:
                value = _value(result.row, metric, f"{file}: result {result.number}")
                score = parse_score(value, tally, file=file, item=result.item, metric=metric)
            tally.read_by(result.subtask, metric)
            weight = _weight(result.row, metric)
            total, weights = total + weight * (score or 0.0), weights + weight
            yield Sample(item_id=result.item, subtask=result.subtask, score=score, content=result.content, position=result.position)
        if weights:
            tally.own = OwnScore(total / weights)


class _Result(NamedTuple):
    """A result: its number in the file (from 1), the item that it answers, and the fields that are needed."""

    number: int
    item: str
    content: str
    subtask: str
    position: str
    provider: str
    is_numbered: bool
    row: Mapping[str, Any]


_ByModel = Mapping[str, Sequence[_Result]]
_last: dict[tuple[Path, int, int], _ByModel] = {}
"""The file that was read last, which is read for one model after the other."""


def _rows(document: Any) -> list[Any] | None:
    results = document.get("results") if isinstance(document, dict) else None
    rows = results.get("results") if isinstance(results, dict) else None
    return rows if isinstance(rows, list) and all(has_fields(row, *_FIELDS) for row in rows) else None


def _by_model(file: Path, max_bytes: int, document: Any = None) -> _ByModel:
    """The results of a file, whose document may be known, by model."""
    status = file.stat()
    key = (file, status.st_size, status.st_mtime_ns)
    if key not in _last:
        rows: Iterable[tuple[int, Any]]
        if file.suffix == ".jsonl":
            rows = json_lines(file, max_bytes)
        else:
            rows = enumerate(_rows(json_file(file, max_bytes) if document is None else document) or (), 1)
        grouped = _grouped(str(file), rows)
        _last.clear()
        _last[key] = grouped
    return _last[key]


class _Read(NamedTuple):
    """A row of the file: what the names of its model and item are made of."""

    number: int
    test: int
    provider: str
    prompt: str
    column: int
    variables: str
    content: str
    row: dict[str, Any]
    subtask: str


def _grouped(place: str, rows: Iterable[tuple[int, Any]]) -> _ByModel:
    read = [_read(number, row, f"{place}: result {number}") for number, row in rows]
    several = len({each.prompt for each in read}) > 1
    names = {
        (each.provider, each.prompt, each.column): f"{each.provider} ({each.prompt})" if several else each.provider for each in read
    }
    shared = Counter(names.values())
    order = sorted(read, key=lambda each: (each.test, each.number))
    contents: defaultdict[str, dict[str, int]] = defaultdict(dict)  # of tests with the same variables: their numbers
    for each in order:
        contents[each.variables].setdefault(each.content, len(contents[each.variables]) + 1)
    by_model: defaultdict[str, list[_Result]] = defaultdict(list)
    for each in read:
        name = names[each.provider, each.prompt, each.column]
        is_numbered = shared[name] > 1
        model = f"{name} (column {each.column + 1})" if is_numbered else name
        nth = contents[each.variables][each.content]
        by_model[model].append(
            _Result(
                number=each.number,
                item=each.variables if nth == 1 else f"{each.variables}#{nth}",
                content=each.content,
                subtask=each.subtask,
                position=str(each.test),
                provider=name,
                is_numbered=is_numbered,
                row=each.row,
            )
        )
    return by_model


def _read(number: int, row: Any, where: str) -> _Read:
    test = optional(row, dict, where, "testCase")
    variables = value_at(row, dict, where, "vars")
    kept = {name: row[name] for name in _NEEDED if name in row}
    weights = optional(row, dict, where, "gradingResult").get("namedScoreWeights")
    kept["namedScores"] = optional(row, dict, where, "namedScores")
    return _Read(
        number=number,
        test=value_at(row, int, where, "testIdx") if "testIdx" in row else number - 1,
        provider=_provider(row, where),
        prompt=_prompt(row),
        column=value_at(row, int, where, "promptIdx") if "promptIdx" in row else 0,
        variables=item_digest(where, vars=variables),
        content=item_digest(where, vars=variables, asserted=test.get("assert")),
        row=kept | ({"weights": weights} if isinstance(weights, dict) else {}),
        subtask=str(optional(test, dict, where, "metadata").get("category") or "all"),
    )


def _provider(row: dict[str, Any], where: str) -> str:
    """The provider's label or id."""
    provider = row["provider"]
    name = provider.get("label") or provider.get("id") if isinstance(provider, dict) else provider
    if not isinstance(name, str) or not name:
        raise DataError("A result names no provider.", where=where, hint="write the results again")
    return name


def _prompt(row: dict[str, Any]) -> str:
    """The name of a prompt, for the model's name: its label in one line, or else its number."""
    prompt = row.get("prompt")
    label = _one_line(str(prompt.get("label") or "") if isinstance(prompt, dict) else "")
    return label or f"prompt {row.get('promptIdx', 0)}"


@lru_cache(maxsize=64)
def _one_line(label: str) -> str:
    return re.sub(r"\s+", " ", label).strip()[:80]


def _items_with(metric: str, by_model: _ByModel, where: str) -> set[str] | None:
    """The items that have a named score; None for the metrics that all items have."""
    if metric in (PASS, SCORE):
        return None
    items: defaultdict[str, set[str]] = defaultdict(set)
    for result in (each for found in by_model.values() for each in found):
        for name in result.row["namedScores"]:
            items[name].add(result.item)
    if metric not in items:
        got = f"named scores {first_few(sorted(items))}" if items else "no named scores"
        raise DataError(
            f"No result has a score {metric!r}.", where=where, got=got, hint=f"metric={PASS}, metric={SCORE} or a named score"
        )
    return items[metric]


def _weight(row: Mapping[str, Any], metric: str) -> float:
    """What a result counts in promptfoo's mean: 1, or for a named score the weights of its assertions; 0 if it has none."""
    if metric in (PASS, SCORE):
        return 1.0
    if row.get("failureReason") == _ERROR:
        return 0.0
    weight = row.get("weights", {}).get(metric, 1.0)
    return float(weight) if isinstance(weight, int | float) else 1.0


def _value(row: Mapping[str, Any], metric: str, where: str) -> Any:
    if metric == PASS:
        return value_at(row, bool, where, "success")
    if metric == SCORE:
        return row.get("score")
    return row["namedScores"].get(metric)
