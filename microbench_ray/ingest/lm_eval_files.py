"""What lm-evaluation-harness writes into a folder: which samples belong to which model, task and time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Tally, fraction
from microbench_ray.ingest.jsonl import json_file

STAMP = r"\d{4}-\d{2}-\d{2}T\d{2}[-:]\d{2}[-:]\d{2}(?:\.\d+)?"
SAMPLES = re.compile(rf"samples_(?P<task>.+?)(?:_(?P<time>{STAMP}))?\.jsonl", re.DOTALL)
RESULTS = re.compile(rf"(?:.*_(?P<time>{STAMP})|results)\.json", re.DOTALL)
_MODEL_ARGUMENTS = ("peft", "delta", "pretrained", "model", "path", "engine")
"""Where a model's name is among its arguments; the harness looks in this order too, since an adapter comes with its base."""


class SampleFile(NamedTuple):
    """A file of samples, by what its name tells; `time` is empty where it tells none."""

    path: Path
    task: str
    time: str


class Run(NamedTuple):
    """What a file of results tells: the model's name, facts on it, and the tasks."""

    model: str | None
    facts: Mapping[str, str | float | bool]
    tasks: frozenset[str]


class Described(NamedTuple):
    """A file of samples, the model that it is of, and facts on it."""

    file: SampleFile
    model: str
    facts: Mapping[str, str | float | bool]


def runs(folder: Path, most: int) -> dict[str, Run]:
    """What the files of results in a folder tell, by time (empty for `results.json`)."""
    found = {}
    for path in sorted(folder.iterdir()):
        if (name := RESULTS.fullmatch(path.name)) and path.is_file():
            content = json_file(path, most)
            if isinstance(content, dict) and ("results" in content or "config" in content):
                found[_plain(name["time"])] = Run(_model_name(content), _facts(content), _tasks(content))
    return found


def described(path: Path, most: int, tally: Tally) -> Iterator[Described]:
    """The files of samples in a folder and below it (or the one at `path`), each with its model; sorted, without hidden folders.

    The model is the one that the results of the same time name; where there are none, the one that all of the folder's results
    agree on; where they do not, or name none, the folder's name is the model's.
    """
    for folder, names in _folders(path):
        if not any(SAMPLES.fullmatch(name) for name in names) and not (path.is_file() or "results.json" in names):
            continue
        with tally.going_on(folder):
            known = runs(folder, most)
            for name in names:
                if (file := _samples(folder / name, known)) is not None:
                    yield _described(file, known)
                elif path.is_file():
                    raise DataError(
                        "This is no file of samples.", where=str(path), hint="give samples_<task>_<time>.jsonl, or a folder of such"
                    )


def _folders(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders with their files, or the folder of one file with that alone."""
    if path.is_file():
        yield path.parent, [path.name]
        return
    if not path.is_dir():
        raise DataError("There is no such folder.", where=str(path))
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), sorted(names)


def _samples(path: Path, known: Mapping[str, Run]) -> SampleFile | None:
    """What the file's name tells; versions before 0.4.3 wrote `<arguments>_<task>.jsonl` beside `results.json`."""
    if found := SAMPLES.fullmatch(path.name):
        return SampleFile(path, found["task"], _plain(found["time"]))
    tasks = known[""].tasks if "" in known and path.suffix == ".jsonl" else ()
    fitting = [task for task in tasks if path.stem.endswith(f"_{task}")]
    return SampleFile(path, max(fitting, key=len), "") if fitting else None


def _described(file: SampleFile, known: Mapping[str, Run]) -> Described:
    run = known.get(file.time)
    if run is None and len({each.model for each in known.values()}) == 1:
        run = known[max(known)]
    where = str(file.path)
    model = (run.model if run is not None else None) or model_of(file.path.parent)
    checked(file.task, "task", where)
    return Described(file, checked(model, "model", where), run.facts if run is not None else {})


def model_of(folder: Path) -> str:
    """The model that a folder's name stands for: its first `__` is the `/` of `org/name`, since a name may hold more of them; where
    it begins with `__`, all are, since it was a path."""
    name = folder.absolute().name
    return name.replace("__", "/", -1 if name.startswith("__") else 1)


def checked(name: str, of: str, where: str) -> str:
    """A name that can be stored: not empty, and in UTF-8. It may be anything else: no path is made of it."""
    try:
        if name.encode():
            return name
    except UnicodeEncodeError:
        pass
    raise DataError(f"The name of the {of} is empty or broken.", where=where, got=ascii(name))


def _plain(time: str | None) -> str:
    return (time or "").replace(":", "-")


def _model_name(content: Mapping[str, Any]) -> str | None:
    name = content.get("model_name")
    config = content.get("config")
    arguments = config.get("model_args") if isinstance(config, dict) else None
    if not (isinstance(name, str) and name) and isinstance(arguments, str):
        arguments = dict(each.partition("=")[::2] for each in arguments.split(","))
    if not (isinstance(name, str) and name) and isinstance(arguments, dict):
        name = next((arguments[key] for key in _MODEL_ARGUMENTS if arguments.get(key)), None)
    return name if isinstance(name, str) and name else None


def _facts(content: Mapping[str, Any]) -> dict[str, str | float | bool]:
    """What is told of `params` (count), `precision`, `revision`, `chat_template` (whether one was used), `evaluated` (day)."""
    config = content.get("config")
    config = config if isinstance(config, dict) else {}
    facts: dict[str, str | float | bool] = {}
    params = fraction(config.get("model_num_parameters"))
    if params is not None and params > 0:
        facts["params"] = params
    for name, value in (("precision", config.get("model_dtype")), ("revision", config.get("model_sha"))):
        if isinstance(value, str) and value:
            facts[name] = value.removeprefix("torch.")
    if "chat_template" in content:
        facts["chat_template"] = bool(content["chat_template"])
    date = fraction(content.get("date"))
    if date is not None and 0 < date < 1e11:
        facts["evaluated"] = datetime.fromtimestamp(date, UTC).date().isoformat()
    return facts


def _tasks(content: Mapping[str, Any]) -> frozenset[str]:
    configs = content.get("configs")
    return frozenset(configs) if isinstance(configs, dict) else frozenset()


def _unreadable(error: OSError) -> None:
    raise DataError("A folder cannot be read.", where=str(error.filename), got=str(error.strerror))
