"""Discovery of lm-evaluation-harness files: which samples belong to which model, task and time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few, storable
from microbench_ray.ingest.base import Tally, finite_number
from microbench_ray.ingest.identity import effort, few_shot, settings_of_arguments
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.regular import is_regular
from microbench_ray.ingest.revisions import parse_arguments, revision_argument

STAMP = r"\d{4}-\d{2}-\d{2}T\d{2}[-:]\d{2}[-:]\d{2}(?:\.\d+)?"
SAMPLES_NAME = re.compile(rf"samples_(?P<task>.+?)(?:_(?P<time>{STAMP}))?\.jsonl", re.DOTALL)
RESULTS_NAME = re.compile(rf"(?:.*_(?P<time>{STAMP})|results)\.json", re.DOTALL)
_MODEL_ARGUMENTS = ("peft", "delta", "pretrained", "model", "path", "engine")
"""Arguments that may hold the model's name, in the harness's own order: an adapter (`peft`) precedes its base model."""


class SampleFile(NamedTuple):
    """A sample file with the task and time in its name; `time` is empty if the name has none."""

    path: Path
    task: str
    time: str


class RunResults(NamedTuple):
    """Contents of a results file: the model's name and revision (empty for the default one), facts about the model, the tasks, and
    for each task the metrics of which lower values are better, what the run sets, and the number of few-shot examples by task."""

    model: str | None
    revision: str
    facts: Mapping[str, str | float | bool]
    tasks: frozenset[str]
    lower_is_better: Mapping[str, frozenset[str]]
    sets: Mapping[str, str]
    few_shot: Mapping[str, Any]


class ModelSamples(NamedTuple):
    """A sample file with its model, the revision that the model was loaded by, facts about the model, and the metrics of which
    lower values are better, and what the run sets."""

    file: SampleFile
    model: str
    revision: str
    facts: Mapping[str, str | float | bool]
    lower_is_better: frozenset[str]
    sets: Mapping[str, str]


def read_results(folder: Path, max_bytes: int) -> dict[str, RunResults]:
    """Read the results files in a folder, by time (empty for `results.json`)."""
    runs = {}
    for path in sorted(folder.iterdir()):
        if (name := RESULTS_NAME.fullmatch(path.name)) and path.is_file():
            content = json_file(path, max_bytes)
            if isinstance(content, dict) and ("results" in content or "config" in content):
                runs[_normalise_time(name["time"])] = RunResults(
                    model=_model_name(content),
                    revision=_revision(content),
                    facts=_facts(content),
                    tasks=_tasks(content),
                    lower_is_better=_lower_is_better(content),
                    sets=_sets(content),
                    few_shot=value if isinstance(value := content.get("n-shot"), dict) else {},
                )
    return runs


def find_samples(path: Path, max_bytes: int, tally: Tally) -> Iterator[ModelSamples]:
    """Yield the sample files at or below `path` with their models, sorted, skipping hidden folders.

    The model is named by the results of the same time, or else by all results in the folder if they agree, or else by the
    folder's name.
    """
    for folder, names in _folders(path):
        if not any(SAMPLES_NAME.fullmatch(name) for name in names) and not (path.is_file() or "results.json" in names):
            continue
        with tally.collect_error(folder):
            runs = read_results(folder, max_bytes)
            for name in names:
                if (file := _parse_name(folder / name, runs)) is not None:
                    if not is_regular(file.path, tally):
                        continue
                    with tally.collect_error(file.path):
                        yield _with_model(file, runs)
                elif path.is_file():
                    hint = "give a file samples_<task>_<time>.jsonl, or a folder of them"
                    raise DataError("The file name is not that of a sample file.", where=str(path), hint=hint)


def _folders(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the folders at or below `path` with their file names; for a file, its folder with that name only."""
    if path.is_file():
        yield path.parent, [path.name]
        return
    if not path.is_dir():
        raise DataError("The path does not exist.", where=str(path), hint="give a log or a folder of logs with path=…")
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), sorted(names)


def _parse_name(path: Path, runs: Mapping[str, RunResults]) -> SampleFile | None:
    """Parse the name of a sample file; None for another file. Versions before 0.4.3 wrote `<arguments>_<task>.jsonl` beside
    `results.json`."""
    if match := SAMPLES_NAME.fullmatch(path.name):
        return SampleFile(path=path, task=match["task"], time=_normalise_time(match["time"]))
    tasks = runs[""].tasks if "" in runs and path.suffix == ".jsonl" else ()
    candidates = [task for task in tasks if path.stem.endswith(f"_{task}")]
    return SampleFile(path=path, task=max(candidates, key=len), time="") if candidates else None


def _with_model(file: SampleFile, runs: Mapping[str, RunResults]) -> ModelSamples:
    run = runs.get(file.time)
    where = str(file.path)
    if run is None and len({each.model for each in runs.values()}) == 1:
        revisions = sorted({each.revision or str(each.facts.get("revision", "")) for each in runs.values()})
        if len(revisions) > 1:
            raise DataError(
                "It is unknown which revision of the model the samples are of.",
                where=where,
                got=f"no results file of their time, and results of several revisions: {first_few(revisions)}",
                hint="copy the results file of the run into the folder, or move the samples to a folder of their own",
            )
        run = runs[max(runs)]
    model = (run.model if run is not None else None) or model_from_folder(file.path.parent)
    check_name(file.task, "task", where)
    return ModelSamples(
        file=file,
        model=check_name(model, "model", where),
        revision="" if run is None else run.revision,
        facts={} if run is None else run.facts,
        lower_is_better=frozenset() if run is None else run.lower_is_better.get(file.task, frozenset()),
        sets={} if run is None else dict(run.sets) | few_shot(run.few_shot.get(file.task)),
    )


def model_from_folder(folder: Path) -> str:
    """The model id encoded in a folder's name: the first `__` stands for the `/` of `org/name`. In a name that starts with `__`,
    which was a path, every `__` stands for a `/`."""
    name = folder.absolute().name
    return name.replace("__", "/", -1 if name.startswith("__") else 1)


def check_name(name: str, kind: str, where: str) -> str:
    """Return a name that can be stored: not empty, and valid UTF-8. Any other text is allowed, since no path is built from it.

    Raises
    ------
    DataError
        The name is empty or cannot be encoded.
    """
    if storable(name):
        return name
    raise DataError(f"The {kind} name is empty or not valid Unicode.", where=where, got=ascii(name))


def _normalise_time(time: str | None) -> str:
    return (time or "").replace(":", "-")


def _arguments(content: Mapping[str, Any]) -> Mapping[str, Any]:
    config = content.get("config")
    return parse_arguments(config.get("model_args") if isinstance(config, dict) else None)


def _model_name(content: Mapping[str, Any]) -> str | None:
    name = content.get("model_name")
    if not (isinstance(name, str) and name):
        arguments = _arguments(content)
        name = next((arguments[key] for key in _MODEL_ARGUMENTS if arguments.get(key)), None)
    return name if isinstance(name, str) and name else None


def _revision(content: Mapping[str, Any]) -> str:
    return revision_argument(_arguments(content))


def _sets(content: Mapping[str, Any]) -> dict[str, str]:
    """What the run sets for all tasks: see `identity.SETTINGS`."""
    sets = settings_of_arguments(_arguments(content))
    config = content.get("config")
    generation = parse_arguments(config.get("gen_kwargs") if isinstance(config, dict) else None)
    if effort(generation):
        sets["reasoning_effort"] = effort(generation)
    if "chat_template" in content:
        sets["chat_template"] = "yes" if content["chat_template"] else ""
    return sets


def _lower_is_better(content: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """For each task the metrics of which lower values are better."""
    lower: dict[str, set[str]] = {}
    tasks = content.get("higher_is_better")
    for task, metrics in tasks.items() if isinstance(tasks, dict) else ():
        if isinstance(metrics, dict):
            lower.setdefault(task, set()).update(metric for metric, higher in metrics.items() if higher is False)
    configs = content.get("configs")
    for task, config in configs.items() if isinstance(configs, dict) else ():
        metrics = config.get("metric_list") if isinstance(config, dict) else None
        for each in metrics if isinstance(metrics, list) else ():
            if isinstance(each, dict) and isinstance(each.get("metric"), str) and each.get("higher_is_better") is False:
                lower.setdefault(task, set()).add(each["metric"])
    return {task: frozenset(metrics) for task, metrics in lower.items()}


def _facts(content: Mapping[str, Any]) -> dict[str, str | float | bool]:
    """Facts about the model: `params` (count), `precision`, `revision`, `chat_template` (whether used), `evaluated` (day)."""
    config = content.get("config")
    config = config if isinstance(config, dict) else {}
    facts: dict[str, str | float | bool] = {}
    params = finite_number(config.get("model_num_parameters"))
    if params is not None and params > 0:
        facts["params"] = params
    for name, value in (("precision", config.get("model_dtype")), ("revision", config.get("model_sha"))):
        if isinstance(value, str) and value:
            facts[name] = value.removeprefix("torch.")
    if "chat_template" in content:
        facts["chat_template"] = bool(content["chat_template"])
    date = finite_number(content.get("date"))
    if date is not None and 0 < date < 1e11:
        facts["evaluated"] = datetime.fromtimestamp(date, UTC).date().isoformat()
    return facts


def _tasks(content: Mapping[str, Any]) -> frozenset[str]:
    configs = content.get("configs")
    return frozenset(configs) if isinstance(configs, dict) else frozenset()


def _unreadable(error: OSError) -> None:
    raise DataError("A folder cannot be read.", where=str(error.filename), got=str(error.strerror), hint="check its permissions")
