"""Small logs in the forms that versions of lm-evaluation-harness have written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.ingest.base import ModelLog, Options, Reader, Sample, Tally

TIME = "2026-01-21T03-44-18.458309"


def digest(doc: Any) -> str:
    return hashlib.sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode()).hexdigest()


def line(doc_id: int, doc: Any = None, **fields: Any) -> dict[str, Any]:
    """A line in the current form; a field given as None is left out."""
    doc = {"question": f"q{doc_id}"} if doc is None else doc
    row = {
        "doc_id": doc_id,
        "doc": doc,
        "target": "text",
        "arguments": {"gen_args_0": {"arg_0": "q", "arg_1": {"until": []}}},
        "resps": [["said"]],
        "filtered_resps": ["said"],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": digest(doc),
        "prompt_hash": "0" * 64,
        "target_hash": "1" * 64,
        "acc": 1.0,
    }
    return {name: value for name, value in (row | fields).items() if value is not None}


def choice(doc_id: int, likelihoods: Sequence[float], texts: Sequence[str], target: str | None, **fields: Any) -> dict[str, Any]:
    """A line of a multiple-choice task."""
    pairs = [[str(value), "False"] for value in likelihoods]
    arguments = {f"gen_args_{k}": {"arg_0": "q", "arg_1": f" {text}"} for k, text in enumerate(texts)}
    return line(
        doc_id, **{"target": target, "arguments": arguments, "resps": [[pair] for pair in pairs], "filtered_resps": pairs} | fields
    )


def write(folder: Path, task: str, lines: Iterable[Any], time: str = TIME) -> Path:
    """Write a sample file; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{time}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in lines), encoding="utf-8")
    return path


def write_results(folder: Path, model: str | None, time: str = TIME, **content: Any) -> Path:
    """Write a results file, which names the model unless it is None; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"results_{time}.json"
    path.write_text(json.dumps({"results": {}, **({"model_name": model} if model else {}), **content}), encoding="utf-8")
    return path


def read(reader: Reader, path: Path, options: Options | None = None) -> tuple[list[tuple[ModelLog, list[Sample]]], Tally]:
    """Read all logs at or below `path`: each log with its samples, and the tally."""
    options, tally = options or Options(), Tally()
    return [(log, list(reader.read(log, options, tally))) for log in reader.find(path, options, tally)], tally


def read_one(reader: Reader, path: Path, options: Options | None = None) -> list[Sample]:
    """The samples of the only log at or below `path`."""
    [(_, samples)], _ = read(reader, path, options)
    return samples
