"""Speed of reading every format: `python -m benchmarks.formats [--text 0] [--items 5000] [--models 4] [--formats NAME …]`.

Writes logs of several models in the layout of each tool, with the shortest records that a tool may write (`--text 0`), or with
texts of some characters in each (`--text 1000`: prompts and answers), ingests each folder as `microbench ingest` does, and prints
its size, bytes for a response, CPU seconds, MB per CPU second, and microseconds for a response: the fastest of `--rounds`. The last
line is the load of the machine before and after.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers import tool_logs

WORDS = ["the", "of", "answer", "question", "because", "therefore", "is", "not", "a", "number", "which", "12", "that", "or", "we"]
TEXTS = (
    *("question", "trial_uri", "instructions"),
    *("solution", "prediction", "output_1", "output_2", "question_content", "result", "output", "content", "input", "instruction"),
    *("answer", "raw"),
)
"""Fields that hold texts of models or of the benchmark in real logs."""


def long_table(folder: Path, n_models: int, n_items: int) -> None:
    draw = random.Random(0)
    with (folder / "long.csv").open("w", encoding="utf-8") as file:
        file.write("model,item_id,subtask,score\n")
        for model in range(n_models):
            file.writelines(
                f"org/model-{model},question_{item:06d},task_{item % 7},{draw.randint(0, 1)}\n" for item in range(n_items)
            )


def long_lines(folder: Path, n_models: int, n_items: int) -> None:
    draw = random.Random(0)
    with (folder / "long.jsonl").open("w", encoding="utf-8") as file:
        for model in range(n_models):
            for item in range(n_items):
                row = {"model": f"org/model-{model}", "item_id": f"question_{item:06d}", "subtask": "law", "score": draw.random()}
                file.write(json.dumps(row) + "\n")


def wide_table(folder: Path, n_models: int, n_items: int) -> None:
    draw = random.Random(0)
    with (folder / "wide.csv").open("w", encoding="utf-8") as file:
        file.write(",".join(["item_id", "subtask", *(f"org/model-{k}" for k in range(n_models))]) + "\n")
        for item in range(n_items):
            file.write(f"question_{item:06d},law," + ",".join(str(draw.randint(0, 1)) for _ in range(n_models)) + "\n")


def files_of_models(folder: Path, n_models: int, n_items: int) -> None:
    draw = random.Random(0)
    for model in range(n_models):
        lines = [json.dumps({"id": f"question_{item:06d}", "correct": draw.random() < 0.5}) for item in range(n_items)]
        (folder / f"model-{model}.jsonl").write_text("\n".join(lines) + "\n")


def workbooks(folder: Path, n_models: int, n_items: int) -> None:
    """Results of VLMEvalKit as it writes them by default."""
    from openpyxl import Workbook

    draw = random.Random(0)
    for model in range(n_models):
        run = folder / f"model-{model}"
        run.mkdir()
        book = Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append(["index", "question", "answer", "A", "B", "category", "prediction", "hit", "log"])
        for item in range(n_items):
            sheet.append([item, f"{item}?", "A", "yes", "no", "logic", "A", draw.randint(0, 1), "…"])
        book.save(run / f"model-{model}_MMStar_exact_matching_result.xlsx")


WORKBOOKS = "vlmevalkit (xlsx)"
TABLES: dict[str, Callable[[Path, int, int], None]] = {
    "table (long, csv)": long_table,
    "table (long, jsonl)": long_lines,
    "table (wide, csv)": wide_table,
    "table (a file a model)": files_of_models,
}


def lengthen(folder: Path, characters: int) -> None:
    """Fill the fields of texts in all JSON files of a folder."""
    text = " ".join(random.Random(0).choices(WORDS, k=max(1, characters // 5)))[:characters]

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            longer = {name: f"{inner} {text}" for name, inner in value.items() if name in TEXTS and isinstance(inner, str)}
            return {name: longer.get(name) or fill(inner) for name, inner in value.items()}
        return [fill(inner) for inner in value] if isinstance(value, list) else value

    for file in folder.rglob("*.tsv"):
        rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
        column = rows[0].index('"question"')
        longer = [[*row[:column], f'{row[column][:-1]} {text}"', *row[column + 1 :]] for row in rows[1:]]
        file.write_text("".join("\t".join(row) + "\n" for row in [rows[0], *longer]), encoding="utf-8")
    for file in folder.rglob("*.json*"):
        documents = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(fill(document)) + "\n" for document in documents))


def write_logs(name: str, logs: Path, models: int, items: int, characters: int = 0) -> tuple[str, int]:
    """Write logs of a format into a new folder, and return its `source` and their bytes."""
    logs.mkdir()
    if name in TABLES:
        source = "table"
        TABLES[name](logs, models, items)
    elif name == WORKBOOKS:
        source = "vlmevalkit"
        workbooks(logs, models, items)
    else:
        source, write = tool_logs.WRITERS[name]
        write(logs, models, items)
        if characters:
            lengthen(logs, characters)
    return source, sum(file.stat().st_size for file in logs.rglob("*") if file.is_file())


def measure(name: str, models: int, items: int, characters: int, rounds: int = 1) -> str:
    """Ingest logs of one format, and return the row of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        logs = Path(temporary, "logs")
        source, size = write_logs(name, logs, models, items, characters)
        seconds = math.inf
        for number in range(rounds):
            for file in logs.rglob("*"):
                os.utime(file)  # as if written now: nothing is remembered of it
            started = time.process_time()
            summary = run_ingest(IngestJob(source, str(logs), Path(temporary, f"out{number}")))
            seconds = min(seconds, time.process_time() - started)
            assert len(summary.added) == models, summary
        megabytes, count = size / 1e6, models * items
        return (
            f"{name:24} {megabytes:7.1f} {size / count:8.0f} {seconds:7.2f} {megabytes / seconds:7.1f} {seconds / count * 1e6:7.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--text", type=int, default=0, help="characters of the texts in each record")
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", nargs="+", default=[*TABLES, *sorted(tool_logs.WRITERS), WORKBOOKS])
    given = parser.parse_args()
    measure("livebench", 2, 10, 0)  # imports
    before = os.getloadavg()[0]
    print(f"{'format':24} {'MB':>7} {'B a resp':>8} {'CPU s':>7} {'MB/s':>7} {'us/resp':>7}")
    for name in given.formats:
        print(measure(name, given.models, given.items, given.text, given.rounds), flush=True)
    print(f"load: {before:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
