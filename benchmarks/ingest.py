"""Speed and memory of reading logs: `python -m benchmarks.ingest [--driver] [--logs 20] [--lines 12000] [--files 20000]`.

Writes logs as lm-evaluation-harness does for a multiple-choice task with long prompts (4 to 5 kB a line: document, one request per
choice, likelihoods as strings), reads them one after another, and prints MB per CPU second and memory after each log. The logs are
written to a temporary folder, one model after another, from the same documents.

With `--files`, it writes that many small logs instead, of 100 models and two lines each, ingests them at once, once more while
nothing has changed, and prints seconds and the peak of memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import tempfile
import time
from pathlib import Path

import psutil

from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.lm_eval import LmEvalReader

TIME = "2026-01-21T03-44-18.458309"
LETTERS = "ABCD"


def write_log(folder: Path, model: str, lines: int, *, hashed: bool = True) -> Path:
    """Write the log of a model, `samples_exam_<time>.jsonl` and its results; the documents are the same for every model."""
    place = folder / model.replace("/", "__")
    place.mkdir(parents=True)
    (place / f"results_{TIME}.json").write_text(json.dumps({"results": {}, "model_name": model}))
    words = _words(random.Random(0))
    draw = random.Random(model)
    path = place / f"samples_exam_{TIME}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for k in range(lines):
            file.write(json.dumps(_line(k, random.Random(k), words, draw, hashed), ensure_ascii=False) + "\n")
    return path


def _words(draw: random.Random) -> list[str]:
    return ["".join(draw.choices("etaoinshrdlucmé", k=draw.randint(2, 11))) for _ in range(4000)]


def _line(k: int, content: random.Random, words: list[str], draw: random.Random, hashed: bool) -> dict[str, object]:
    def text(count: int) -> str:
        return " ".join(content.choices(words, k=count))

    choices = [text(8) for _ in LETTERS]
    doc = {"question_id": k, "question": text(60), "options": choices, "answer": content.choice(LETTERS), "category": "law"}
    listed = "".join(f"{letter}. {choice}\n" for letter, choice in zip(LETTERS, choices, strict=True))
    prompt = f'Question: "{doc["question"]}"\n{listed}Answer:'
    pairs = [[str(draw.uniform(-9, -0.01)), "False"] for _ in LETTERS]
    likeliest = LETTERS[max(range(len(LETTERS)), key=lambda index: float(pairs[index][0]))]
    right = float(likeliest == doc["answer"])
    line: dict[str, object] = {
        "doc_id": k,
        "doc": doc,
        "target": doc["answer"],
        "arguments": {f"gen_args_{j}": {"arg_0": prompt, "arg_1": f" {LETTERS[j]}"} for j in range(len(LETTERS))},
        "resps": [[pair] for pair in pairs],
        "filtered_resps": pairs,
        "filter": "none",
        "metrics": ["acc"],
    }
    if hashed:
        digest = hashlib.sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode()).hexdigest()
        line |= {"doc_hash": digest, "prompt_hash": digest, "target_hash": digest}
    return line | {"acc": right}


def write_small_logs(folder: Path, count: int, models: int = 100) -> int:
    """Write small logs, of as many tasks for each model, and return their size."""
    size = 0
    first = write_log(folder / "first", "org/model", 2)
    text = first.read_text(encoding="utf-8")
    for number in range(models):
        place = folder / "logs" / f"org__model-{number}"
        place.mkdir(parents=True)
        (place / f"results_{TIME}.json").write_text(json.dumps({"results": {}, "model_name": f"org/model-{number}"}))
        for task in range(count // models):
            size += (place / f"samples_exam{task}_{TIME}.jsonl").write_text(text, encoding="utf-8")
    return size


def measure_files(folder: Path, count: int) -> None:
    """Ingest many small logs, twice, and print seconds and memory."""
    from microbench_ray.ingest.run import IngestJob, run_ingest

    size = write_small_logs(folder, count)
    for again in (False, True):
        started, cpu = time.perf_counter(), time.process_time()
        summary = run_ingest(IngestJob("lm_eval", str(folder / "logs"), folder / "out"))
        assert summary.logs == (0 if again else count), summary.lines()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(
            f"{'again' if again else 'first'}: {count:,} files, {size / 1e6:.0f} MB, {time.perf_counter() - started:.1f} s, "
            f"{time.process_time() - cpu:.1f} CPU s, peak {peak / 1e6:.0f} MB",
            flush=True,
        )


def read_log(folder: Path) -> int:
    """Read all logs below a folder with the reader, and return the number of samples."""
    reader, options, tally = LmEvalReader(), Options(), Tally()
    count = sum(1 for log in reader.find(folder, options, tally) for _ in reader.read(log, options, tally))
    assert not tally.dropped, tally
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--logs", type=int, default=20)
    parser.add_argument("--lines", type=int, default=12_000)
    parser.add_argument("--without-hashes", action="store_true", help="write logs as older versions did")
    parser.add_argument("--driver", action="store_true", help="run the whole ingest, not only the reader")
    parser.add_argument("--files", type=int, help="small logs that are ingested at once")
    given = parser.parse_args()
    if given.files:
        with tempfile.TemporaryDirectory() as name:
            measure_files(Path(name), given.files)
        return
    process = psutil.Process()
    print(f"{'log':>4} {'MB':>7} {'kB a line':>9} {'CPU s':>7} {'MB/s':>6} {'USS MB':>7} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as name:
        if given.driver:
            from microbench_ray.ingest.run import IngestJob, run_ingest
        for number in range(1, given.logs + 1):
            folder = Path(name, "logs", str(number))
            size = write_log(folder, f"org/model-{number}", given.lines, hashed=not given.without_hashes).stat().st_size
            started = time.process_time()
            if given.driver:
                summary = run_ingest(IngestJob("lm_eval", str(folder.parent), Path(name, "out")))
                assert (summary.logs, summary.responses, len(summary.unchanged)) == (1, given.lines, number - 1), summary
            else:
                assert read_log(folder) == given.lines
            seconds = time.process_time() - started
            memory = process.memory_full_info()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            print(
                f"{number:4} {size / 1e6:7.1f} {size / given.lines / 1e3:9.2f} {seconds:7.2f} {size / 1e6 / seconds:6.1f} "
                f"{memory.uss / 1e6:7.1f} {peak / 1e6:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
