"""What a second night costs: `python -m benchmarks.nightly [--models 400] [--items 12000] [--folder DIR]`.

Writes logs of lm-evaluation-harness for synthetic models (14 tasks each, about 1.6 kB a line) and three lists of items, and runs
`microbench audit` as typed: a first night; a second night with 5 new models; `microbench accept what=[pool]` and a third night
without new logs; and a fourth night without new logs, which only compares. Prints for each night the wall and CPU seconds, the
number of logs read, and the cells computed. 400 x 12,000 need 8 GB of disk.

With `--before REVISION`, five more nights without new logs follow, of that revision, which must read these folders, and of this
checkout in turn, each on a copy of the audit's folder; of these, the medians and the ratio are printed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from microbench_ray.data import Benchmark, synthetic
from studies.same_tables import ROOT, unpack

TIME = "2026-01-21T03-44-18.458309"
ADDED = 5
LISTS = (100, 250, 1000)
METHODS = ("random", "stratified_confidence")
LEVELS = 1000
LETTERS = "ABCD"


class Lines:
    """Writes the lines of logs: the same documents for all models, with each model's likelihoods and scores."""

    def __init__(self, world: Benchmark) -> None:
        draw = random.Random(0)
        words = ["".join(draw.choices("etaoinshrdlucm", k=draw.randint(2, 11))) for _ in range(4000)]
        self.targets = [draw.randrange(len(LETTERS)) for _ in range(world.n_items)]
        self.starts = [self._start(k, target, draw.choices(words, k=100)) for k, target in enumerate(self.targets)]
        self.middles = [
            [[_likelihoods(target, level / LEVELS, right) for level in range(LEVELS)] for right in (0, 1)]
            for target in range(len(LETTERS))
        ]
        self.ends = [[self._end(k, right) for right in (0, 1)] for k in range(world.n_items)]

    @staticmethod
    def _start(k: int, target: int, words: list[str]) -> str:
        question, prompt = " ".join(words[:50]), " ".join(words[50:])
        doc = {"question_id": k, "question": question, "options": words[:4], "answer": LETTERS[target]}
        requests = {
            f"gen_args_{j}": {"arg_0": prompt[: len(prompt) // 4], "arg_1": f" {letter}"} for j, letter in enumerate(LETTERS)
        }
        return json.dumps({"doc_id": k, "doc": doc, "target": target, "arguments": requests})[:-1]

    @staticmethod
    def _end(k: int, right: int) -> str:
        hashes = {f"{what}_hash": digest(k) for what in ("doc", "prompt", "target")}
        return json.dumps({"filter": "none", "metrics": ["acc"]} | hashes | {"acc": float(right)})[1:] + "\n"

    def text(self, items: np.ndarray, right: np.ndarray, confidence: np.ndarray) -> str:
        """The log of a model on some items, from its scores and its confidences in the correct answer."""
        levels = np.minimum((confidence * LEVELS).astype(int), LEVELS - 1)
        return "".join(
            self.starts[k] + self.middles[self.targets[k]][score][level] + self.ends[k][score]
            for k, level, score in zip(items.tolist(), levels.tolist(), right.tolist(), strict=True)
        )


def digest(k: int) -> str:
    """A stand-in for the hash of a document."""
    return hashlib.sha256(str(k).encode()).hexdigest()


def _likelihoods(target: int, confidence: float, right: int) -> str:
    """The responses to the four requests: the target is the most likely one if the model is right, else another one."""
    confidence = max(confidence, 0.3) if right else min(max(confidence, 0.001), 0.4)
    shares = [(1 - confidence) * share for share in (0.8, 0.1, 0.1)] if not right else [(1 - confidence) / 3] * 3
    shares.insert(target, confidence)
    pairs = [[str(math.log(share)), "False"] for share in shares]
    return f', "resps": {json.dumps([[pair] for pair in pairs])}, "filtered_resps": {json.dumps(pairs)}, '


def write_logs(folder: Path, world: Benchmark, lines: Lines, models: range) -> int:
    """Write the logs of some models; return their size in bytes."""
    assert world.confidence is not None
    size = 0
    for model in models:
        name = world.model_ids[model]
        model_folder = folder / f"org__{name}"
        model_folder.mkdir(parents=True)
        (model_folder / f"results_{TIME}.json").write_text(json.dumps({"results": {}, "model_name": f"org/{name}"}))
        right, confidence = world.scores[model], world.confidence[model]
        for code, task in enumerate(world.subtask_names):
            items = np.flatnonzero(world.subtask_codes == code)
            text = lines.text(items, right[items], confidence[items])
            size += (model_folder / f"samples_exam_{task}_{TIME}.jsonl").write_text(text)
    return size


def write_lists(folder: Path, world: Benchmark) -> list[Path]:
    """Write lists of random item ids."""
    rng = np.random.default_rng(0)
    names = [f"exam_{world.subtask_names[code]}/{digest(k)[:16]}" for k, code in enumerate(world.subtask_codes)]
    paths = []
    for size in LISTS:
        path = folder / f"list_{size}.txt"
        path.write_text("\n".join(rng.choice(names, min(size, len(names) // 2), replace=False)) + "\n")
        paths.append(path)
    return paths


def run(*arguments: str, checkout: Path = ROOT) -> tuple[float, float, str]:
    """Run `microbench` with the code of a checkout; return wall and CPU seconds, and its output and messages."""
    before, started = children_seconds(), time.perf_counter()
    command = [sys.executable, "-c", "from microbench_ray.cli.main import entry_point; entry_point()"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(checkout)
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=checkout)
    wall = time.perf_counter() - started
    if done.returncode not in (0, 3):  # 3 is the verdict that the policy is violated
        sys.exit(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return wall, children_seconds() - before, done.stdout + done.stderr


def children_seconds() -> float:
    """CPU seconds of all processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def night(label: str, arguments: list[str]) -> tuple[float, float]:
    """Run a night and print its row; return wall and CPU seconds."""
    wall, cpu, output = run("audit", *arguments, f"night={label}")
    logs = re.search(r"logs read: ([\d,]+)", output)
    swept = re.findall(r"^([\w-]+): ([\d,]+) cells computed, ([\d,]+) reused", output, re.MULTILINE)
    cells = "; ".join(f"{name} {computed} computed, {reused} reused" for name, computed, reused in swept)
    print(f"{label:>10} {wall:8.1f} {cpu:8.1f} {logs[1] if logs else '0':>10}   {cells}", flush=True)
    return wall, cpu


def compare(folder: Path, arguments: list[str], revision: str) -> None:
    """Run further quiet nights by a revision and by this checkout in turn, and print their medians."""
    old = folder / "before"
    old.mkdir()
    unpack(revision, old)
    seconds: dict[Path, list[tuple[float, float]]] = {old: [], ROOT: []}
    for number in range(len(seconds)):
        shutil.copytree(folder / "audit", folder / f"audit_{number}")
    for label in range(5, 10):
        for number, (checkout, measured) in enumerate(seconds.items()):
            out = [f"out={folder / f'audit_{number}'}" if each.startswith("out=") else each for each in arguments]
            measured.append(run("audit", *out, f"night={label}", checkout=checkout)[:2])
    for position, kind in enumerate(("wall s", "CPU s")):  # the first night of each may compile
        before, now = ([night[position] for night in nights[1:]] for nights in seconds.values())
        ratio = median(a / b for a, b in zip(before, now, strict=True))
        print(f"quiet nights, {kind}: {median(before):.2f} before, {median(now):.2f} now, ratio {ratio:.2f}")


def measure(folder: Path, n_models: int, n_items: int, engine: str, revision: str | None) -> None:
    """Run all nights and print a row for each."""
    world = synthetic(n_models=n_models + ADDED, n_items=n_items, n_subtasks=14)
    lines, logs = Lines(world), folder / "logs"
    size = write_logs(logs, world, lines, range(n_models))
    print(f"{n_models} models, {n_items:,} items: {size / 1e9:.2f} GB of logs, {size / n_models / n_items / 1e3:.2f} kB a line")
    lists = ", ".join(f"{path.stem}: {path}" for path in write_lists(folder, world))
    arguments = [
        f"ingest={{source: lm_eval, path: {logs}}}",
        "benchmark=ingested",
        f"benchmark.path={folder / 'board'}",
        f"lists={{{lists}}}",
        f"methods=[{', '.join(METHODS)}]",
        f"engine={engine}",
        f"out={folder / 'audit'}",
    ]
    run(
        "audit", "benchmark=synthetic", f"out={folder / 'warm'}", "methods=[random]", "grid.runs=1"
    )  # fills the caches of compiled code
    print(f"{'night':>10} {'wall s':>8} {'CPU s':>8} {'logs read':>10}   cells")
    first = night("1", arguments)
    write_logs(logs, world, lines, range(n_models, n_models + ADDED))
    second = night("2", arguments)
    print(f"{'2 : 1':>10} {second[0] / first[0]:8.3f} {second[1] / first[1]:8.3f}")
    print(run("accept", f"out={folder / 'audit'}", "what=[pool]")[2].strip())
    night("3", arguments)
    night("4", arguments)
    if revision is not None:
        compare(folder, arguments, revision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=400)
    parser.add_argument("--items", type=int, default=12_000)
    parser.add_argument("--engine", default="auto", help="a key of conf/engine")
    parser.add_argument("--folder", type=Path, help="an empty folder to keep; by default a temporary one")
    parser.add_argument("--before", metavar="REVISION", help="a revision to compare quiet nights with")
    given = parser.parse_args()
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
        measure(given.folder.resolve(), given.models, given.items, given.engine, given.before)
        return
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), given.models, given.items, given.engine, given.before)


if __name__ == "__main__":
    main()
