"""Results of promptfoo: the file of `promptfoo eval --output results.json`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.documents import find_logs, has_fields, optional
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.values import ENDED_IN_ERROR, item_digest, parse_score, value_at

PASS, SCORE = "pass", "score"
_NEEDED = ("testCase", "testIdx", "vars", "failureReason", "success", "score", "namedScores")
_ERROR = 2  # `failureReason` of a test that did not run


class PromptfooReader:
    """Reads one log per file and provider, and prompt if there are several. A test case is an item; repeats are repetitions.

    Items are joined on the variables of the test. The metric is `pass` (0 or 1); `metric=score` reads the weighted score of the
    assertions, and any other name a named score.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return a log for each provider and prompt."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            rows = _rows(document)
            if rows is None:
                return None
            return [ModelLog(model=name, files=(file,), part=name) for name in _by_model(file, options.max_line_bytes, rows)]

        return find_logs(path, ("*.json",), "promptfoo", options, tally, logs_of, keep=False)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per test."""
        (file,) = log.files
        metric = options.metric or PASS
        place = str(file)
        for number, row in _by_model(file, options.max_line_bytes).get(log.model, ()):
            where = f"{place}: result {number}"
            test = optional(row, dict, where, "testCase")
            variables = value_at(row, dict, where, "vars")
            subtask = str(optional(test, dict, where, "metadata").get("category") or "all")
            if not matches(subtask, options.tasks):
                continue
            content = item_digest(where, vars=variables, asserted=test.get("assert"))
            item = item_digest(where, vars=variables)
            if row.get("failureReason") == _ERROR:
                tally.drop(ENDED_IN_ERROR)
                score = None
            else:
                score = parse_score(_value(row, metric, where), tally, file=file, item=item, metric=metric)
            tally.read_by(subtask, metric)
            yield Sample(item_id=item, subtask=subtask, score=score, content=content, position=str(row.get("testIdx", number - 1)))


def _rows(document: Any) -> list[Any] | None:
    results = document.get("results") if isinstance(document, dict) else None
    rows = results.get("results") if isinstance(results, dict) else None
    return rows if isinstance(rows, list) and all(has_fields(row, "success", "provider", "vars") for row in rows) else None


_Rows = Mapping[str, Sequence[tuple[int, dict[str, Any]]]]
_last: dict[tuple[Path, int, int], _Rows] = {}
"""The file that was read last, which is read for one model after the other."""


def _by_model(file: Path, max_bytes: int, rows: Sequence[Any] | None = None) -> _Rows:
    """The numbered results of a file, whose rows may be known, by model."""
    status = file.stat()
    key = (file, status.st_size, status.st_mtime_ns)
    if key not in _last:
        grouped = _grouped(file, rows or _rows(json_file(file, max_bytes)) or [])
        _last.clear()
        _last[key] = grouped
    return _last[key]


def _grouped(file: Path, rows: Sequence[Any]) -> _Rows:
    prompts = [_prompt(row) for row in rows]
    several = len(set(prompts)) > 1
    by_model: defaultdict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    place = str(file)
    for number, (row, prompt) in enumerate(zip(rows, prompts, strict=True), 1):
        model = _provider(row, f"{place}: result {number}")
        model = f"{model} ({prompt})" if several else model
        by_model[model].append((number, {name: row[name] for name in _NEEDED if name in row}))
    return by_model


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


def _value(row: dict[str, Any], metric: str, where: str) -> Any:
    if metric == PASS:
        return value_at(row, bool, where, "success")
    if metric == SCORE:
        return row.get("score")
    scores = row.get("namedScores")
    if not isinstance(scores, dict) or metric not in scores:
        got = f"named scores {first_few(scores)}" if scores else "no named scores"
        raise DataError(
            f"The result has no score {metric!r}.", where=where, got=got, hint=f"metric={PASS}, metric={SCORE} or a named score"
        )
    return scores[metric]
