"""Results of VLMEvalKit with a verdict per sample: `<model>/…/<model>_<dataset>_<judge>_result.xlsx` (or `.tsv`, `.json`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.core.parquet import OversizedTable
from microbench_ray.data.columns import nullable_numbers, text_array
from microbench_ray.data.names import first_few
from microbench_ray.data.tables.excel import read_excel
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, finite_number, matches
from microbench_ray.ingest.columns import ItemColumns, scores_of, table_of
from microbench_ray.ingest.jsonl import json_file, too_large
from microbench_ray.ingest.separated import separated_cells, separated_rows
from microbench_ray.ingest.values import CHECK_SOURCE, files_below, item_digest, parse_score, require_logs, value_at

_SUFFIXES = (".xlsx", ".tsv", ".json")
_EXACT = "_exact_matching"
_QUESTION = ("question", "answer", *"ABCDEFGH")


class VlmEvalKitReader:
    """Reads one log per file. A sample is an item, dataset and category its subtask; the score is `hit`.

    The folder that the file's name begins with names the model; what follows are dataset and judge. Files of scores and predictions
    without `hit` are left out.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the files of results; model and dataset come from the path."""
        logs = []
        for file in files_below(path, tuple(f"*_result{suffix}" for suffix in _SUFFIXES), tally):
            with tally.collect_error(file):
                model, dataset = _names(file)
                if matches(model, options.models):
                    logs.append(ModelLog(model=model, files=(file,), part=dataset))
        return require_logs(logs, path, "VLMEvalKit", options, tally)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the samples."""
        (file,) = log.files
        metric = options.metric or "hit"
        place = str(file)
        for number, row in enumerate(_rows(file, options.max_line_bytes), 1):
            where = f"{place}: row {number}"
            for name in ("index", metric):
                if name not in row:
                    got, hint = f"columns {first_few(row, 20)}", f"choose another column with metric=NAME, or {CHECK_SOURCE}"
                    raise DataError(f"The results have no column {name!r}.", where=where, got=got, hint=hint)
            name = _text(row["index"])
            category = row.get("category")
            subtask = f"{log.part}/{category}" if isinstance(category, str) and category else log.part
            if options.tasks and not matches(subtask, options.tasks) and not matches(log.part, options.tasks):
                continue
            item = f"{log.part}/{name}"
            value = None if row[metric] == "" else row[metric]
            score = parse_score(value, tally, file=file, item=item, metric=metric)
            tally.read_by(log.part, metric)
            question = {key: _text(cell) for key in _QUESTION if (cell := row.get(key)) is not None and cell != ""}
            content = item_digest(where, **question)
            yield Sample(item_id=item, subtask=subtask, score=score, content=content, position=name)

    def responses(self, log: ModelLog, options: Options, tally: Tally, name: str) -> pa.Table | None:
        """The samples of a `.tsv` whose rows have all columns, and whose scores are numbers."""
        (file,) = log.files
        metric = options.metric or "hit"
        if file.suffix != ".tsv" or not matches(log.part, options.tasks):
            return None
        names, rows = separated_cells(file, "\t", options.max_line_bytes)
        distinct = set(names)
        if not distinct >= {"index", metric} or len(distinct) < len(names):
            return None
        if not rows or any(len(row) != len(names) for row in rows):
            return None
        cells = dict(zip(names, zip(*rows, strict=True), strict=True))
        number_of = {text: finite_number(text) if text else math.nan for text in set(cells[metric])}
        if None in number_of.values() or "" in cells["index"]:
            return None
        scores = scores_of(nullable_numbers(np.array([number_of[text] for text in cells[metric]], np.float64)), tally)
        if scores is None:
            return None
        tally.read_by(log.part, metric)
        categories = cells.get("category", ("",) * len(rows))
        subtask_of = {category: f"{log.part}/{category}" if category else log.part for category in set(categories)}
        asked = tuple(key for key in _QUESTION if key in cells)
        questions = zip(*(cells[key] for key in asked), strict=True) if asked else [()] * len(rows)
        about = ItemColumns(
            items=text_array([f"{log.part}/{index}" for index in cells["index"]]),
            subtasks=text_array([subtask_of[category] for category in categories]),
            positions=text_array(cells["index"]),
            contents=text_array([_content(asked, question) for question in questions]),
        )
        return table_of(about, scores, name)


@lru_cache(maxsize=1 << 15)  # the models of a benchmark are asked the same
def _content(asked: tuple[str, ...], question: tuple[str, ...]) -> str:
    """The digest of a question's cells in the columns `asked`."""
    return item_digest("", **{key: cell for key, cell in zip(asked, question, strict=True) if cell})


def _names(file: Path) -> tuple[str, str]:
    """The model and the dataset of a file."""
    stem = file.stem.removesuffix("_result")
    model = next((folder.name for folder in file.absolute().parents if folder.name and stem.startswith(f"{folder.name}_")), None)
    if model is None:
        hint = "keep the results in the folder of the model, as VLMEvalKit writes them"
        raise DataError("No folder of the file is named after its model.", where=str(file), got=f"file {file.name!r}", hint=hint)
    rest = stem.removeprefix(f"{model}_")
    dataset = rest.removesuffix(_EXACT) if rest.endswith(_EXACT) else rest.rpartition("_")[0]
    return model, dataset or rest


def _rows(file: Path, max_bytes: int) -> Iterator[Mapping[str, Any]]:
    size = file.stat().st_size
    if size > max_bytes:
        raise too_large("The file is too large.", str(file), f"{size:,} bytes")
    if file.suffix == ".json":
        yield from (value_at(row, dict, str(file)) for row in value_at(json_file(file, max_bytes), list, str(file)))
    elif file.suffix == ".tsv":
        yield from separated_rows(file, "\t", max_bytes)
    else:
        try:
            yield from read_excel(file).to_pylist()
        except OversizedTable as error:
            raise too_large("The workbook is too large.", str(file), str(error)) from None


def _text(value: Any) -> str:
    """A cell as a text; whole numbers are written the same in all files."""
    if type(value) is str:  # the common case
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
