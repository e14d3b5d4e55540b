"""Scores of the Berkeley Function-Calling Leaderboard: `score/<model>/…/BFCL_v<n>_<category>_score.json`, lists of failures."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.data.columns import text_array
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.columns import ItemColumns, are_storable, table_of
from microbench_ray.ingest.documents import find_logs, has_fields
from microbench_ray.ingest.jsonl import json_columns, json_lines
from microbench_ray.ingest.overall import SubtaskMean
from microbench_ray.ingest.values import WRITE_AGAIN_OR_CHECK, value_at

_NAME = re.compile(r"(?:BFCL_v\d+_)?(?P<category>.+)_score\.json")

MEAN = "the mean over tests, where BFCL's overall accuracy weighs categories"
_LIVE = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
_MULTI_TURN = ("multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param", "multi_turn_long_context")
_NOT_VERSION_4 = ("simple", "java", "javascript")
_EXECUTED = ("exec_simple", "rest", "exec_multiple", "exec_parallel", "exec_parallel_multiple")
_ONLY_VERSION_4 = ("simple_python", "simple_java", "simple_javascript", "web_search_base", "memory_kv", "memory_vector")


class BfclReader:
    """Reads one log per model and category. A test is an item, the category its subtask; a test that is not among the failures is
    passed.

    A score file lists failures only, so that the file of results with the same name (`result/<model>/…/…_result.json`) is needed
    for the tests that passed. The folder below `score` names the model.
    """

    weighs = "BFCL's overall accuracy, which weighs categories and counts those that were not run as 0"

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the score files, each with its file of results."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            match = _NAME.fullmatch(file.name)
            if match is None or not has_fields(document, "accuracy", "correct_count", "total_count"):
                return None
            if not matches(match["category"], options.tasks):
                return ()
            place = file.absolute()
            top = next((folder for folder in place.parents[1:] if folder.name == "score"), place.parents[1])
            model = place.relative_to(top).parts[0]
            return [ModelLog(model=model, files=(file, _results(place, top)), part=match["category"])]

        return find_logs(path, ("*_score.json",), "BFCL", options, tally, logs_of, lines=True)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per test, in the order of the results."""
        file, results = log.files
        tally.choose(MEAN)
        lines = json_lines(file, options.max_line_bytes)
        _, header = next(lines, (1, None))
        failed = dict.fromkeys(_id(line, file, number) for number, line in lines)
        tests = dict.fromkeys(_id(line, results, number) for number, line in json_lines(results, options.max_line_bytes))
        _check(header, failed, tests, file)
        for name in tests:
            yield Sample(item_id=name, subtask=log.part, score=float(name not in failed), position=name)

    def responses(self, log: ModelLog, options: Options, tally: Tally, name: str) -> pa.Table | None:
        """The tests of a category, where both files are plain."""
        file, results = log.files
        header = next((line for _, line in json_lines(file, options.max_line_bytes)), None)
        columns = [_ids(each, options.max_line_bytes) for each in (file, results)]
        if columns[0] is None or columns[1] is None:
            return None
        failures, items = columns[0].slice(1), columns[1].unique()
        if not len(items) or failures.null_count or not are_storable(items):
            return None
        failed = dict.fromkeys(failures.to_pylist())
        tests = dict.fromkeys(items.to_pylist())
        _check(header, failed, tests, file)
        tally.choose(MEAN)
        scores = np.array([test not in failed for test in tests], np.float64)
        return table_of(ItemColumns(items=items, subtasks=text_array([log.part] * len(items)), positions=items), scores, name)

    def overall(self, subtasks: Mapping[str, SubtaskMean]) -> float | None:
        """The overall accuracy of versions 3 and 4; None for categories of others, or if only some of the live ones were run."""
        is_4 = any(name in subtasks for name in _ONLY_VERSION_4)
        names = _LIVE if is_4 else (*_LIVE, "live_irrelevance", "live_relevance")
        live = [subtasks[name] for name in names if name in subtasks]
        is_3 = any(name in subtasks for name in _MULTI_TURN) and any(name in subtasks for name in _NOT_VERSION_4)
        if not (is_4 or is_3) or len(live) not in (0, len(names)):
            return None

        def mean(*names: str) -> float:
            return fmean(subtasks[name].mean if name in subtasks else 0.0 for name in names)

        count = sum(each.n_items for each in live)
        of_live = sum(each.mean * each.n_items for each in live) / count if count else 0.0
        if not is_4:
            parts_3 = [
                mean("simple", "java", "javascript"),
                *map(mean, ("multiple", "parallel", "parallel_multiple", "irrelevance")),
            ]
            if any(name in subtasks for name in _EXECUTED):  # until 2025
                parts_3 += [mean("exec_simple", "rest"), *map(mean, _EXECUTED[2:])]
            return fmean([fmean(parts_3), of_live, mean(*_MULTI_TURN)])
        simple = mean("simple_python", "simple_java", "simple_javascript")
        parts = (
            (10, fmean([simple, mean("multiple"), mean("parallel"), mean("parallel_multiple")])),
            (10, of_live),
            (10, mean("irrelevance", "live_irrelevance")),
            (30, mean(*_MULTI_TURN)),
            (40, fmean([mean("web_search_base", "web_search_no_snippet"), mean("memory_kv", "memory_vector", "memory_rec_sum")])),
        )
        return sum(weight * value for weight, value in parts) / 100


def _results(file: Path, top: Path) -> Path:
    """The file of results of a score file: in the folder `result` beside `score`, or in the same folder."""
    name = file.name.removesuffix("_score.json") + "_result.json"
    places = (top.parent / "result" / file.relative_to(top).parent / name, file.with_name(name))
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise DataError(
            "The file of results is missing; scores list only the tests that failed.",
            where=str(file),
            got=f"no {places[0]}",
            hint="copy the folder result beside the folder score",
        )
    return found


def _ids(file: Path, max_bytes: int) -> pa.Array | None:
    table = json_columns(file, {"id": pa.string()}, max_bytes)
    return None if table is None or not table.num_rows else table["id"].combine_chunks()


def _check(header: Any, failed: Collection[str], tests: Collection[str], file: Path) -> None:
    """Check that the failures and the tests fit the numbers that the first line of the scores gives."""
    total, correct = (value_at(header, int, f"{file}: line 1", name) for name in ("total_count", "correct_count"))
    unknown = next((name for name in failed if name not in tests), None)
    if unknown is not None or len(tests) != total or total - len(failed) != correct:
        counts = f"{len(tests)} results, total_count {total}; {len(failed)} failures, correct_count {correct}"
        got = counts if unknown is None else f"{unknown!r} has a score and no result"
        raise DataError("The scores and the results do not match.", where=str(file), got=got, hint=WRITE_AGAIN_OR_CHECK)


def _id(line: Any, file: Path, number: int) -> str:
    return value_at(line, str, f"{file}: line {number}", "id")
