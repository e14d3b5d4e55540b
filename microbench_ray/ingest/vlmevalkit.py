"""Results of VLMEvalKit with a verdict per sample: `<model>/…/<model>_<dataset>_<judge>_result.xlsx` (or `.tsv`, `.json`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.core.parquet import OversizedTable
from microbench_ray.data.names import first_few
from microbench_ray.data.tables.excel import read_excel
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.jsonl import json_file, too_large
from microbench_ray.ingest.separated import separated_rows
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
