"""Runs to compare: read from logs of any format, from a board, or taken from memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

from microbench_ray.core.errors import ConfigError, DataError, closest
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.data.names import first_few
from microbench_ray.data.responses import MODELS, list_model_files, read_responses
from microbench_ray.ingest.base import ModelLog, Options, Reader, Sample, Tally, refuse_unreadable
from microbench_ray.ingest.fold import TOLERANCE
from microbench_ray.ingest.registry import get_reader
from microbench_ray.micro.log_formats import source_of, without_keys_of_ingest

SeveralLogs = Literal["error", "last", "repeats"]
SEVERAL_LOGS: tuple[SeveralLogs, ...] = get_args(SeveralLogs)
FEW_TASKS = 3
"""Tasks up to which each is named in the notes."""
ADVICE = "microbench ingest has the keys: {}; then give its folder as board="
"""Around a hint with keys that runs do not have."""


class Run(NamedTuple):
    """The scores of one model in one evaluation.

    Attributes
    ----------
    name
        Of the model, or of the file where several runs are of one model.
    scores
        By item id, the scores of its repeats in [0, 1], in their order; empty where the item was asked but has no score.
    subtask
        By item id.
    content
        By item id, a digest of the item as the model saw it; None where the log does not tell.
    prompt
        By item id, a digest of all that was sent; without the items of which the log does not tell.
    """

    name: str
    scores: Mapping[str, tuple[float, ...]]
    subtask: Mapping[str, str]
    content: Mapping[str, str | None]
    prompt: Mapping[str, str] = MappingProxyType({})


class ReadRuns(NamedTuple):
    """Runs, in the order in which they were named, and notes on how they were read."""

    runs: list[Run]
    notes: list[str]


class RunsInput(NamedTuple):
    """Which runs to read, and how.

    Attributes
    ----------
    runs
        Paths of logs or tables of one model each; with `board`, names of its models.
    board
        Logs, a wide table, or a folder of `microbench ingest`, of all the models.
    source
        A format of `microbench ingest`; None to tell it from the names of files.
    options
        Which tasks and scores to read.
    several_logs
        What to do where two logs of one run score the same item: refuse them if their scores differ, use the last one by name, or
        take them as repeats.
    """

    runs: tuple[str, ...]
    board: str | None
    source: str | None
    options: Options
    several_logs: SeveralLogs = "error"


def read_runs(given: RunsInput) -> ReadRuns:
    """Read the runs.

    Raises
    ------
    ConfigError
        Fewer than two runs, one named twice, an unknown format or model.
    DataError
        Logs that are missing, cannot be read, hold several models, or conflict.
    """
    if len(given.runs) < 2:
        hint = "microbench compare BASE NEW, or board=BOARD MODEL MODEL"
        raise ConfigError("A comparison needs two runs.", where="runs", got=", ".join(given.runs) or "none", hint=hint)
    return read_named_runs(given)


def read_named_runs(given: RunsInput) -> ReadRuns:
    """The same for any number of runs."""
    twice = sorted({run for run in given.runs if given.runs.count(run) > 1})
    if twice:
        raise ConfigError("A run is named twice.", where="runs", got=twice[0], hint="name each run once")
    tally = Tally()
    try:
        runs = _all_runs(given, tally)
    except DataError as error:
        raise without_keys_of_ingest(error, "the run's path", ADVICE) from None
    if tally.failed:
        raise next(iter(tally.failed.values()))
    notes = [f"read: {choice}" for choice in _by_choice(tally.choices)]
    notes += [f"left out: {count:,} {reason}" for reason, count in sorted(tally.dropped.items())]
    notes += [f"warning: {note}" for note in tally.suspicious]
    return ReadRuns(runs, notes)


def _all_runs(given: RunsInput, tally: Tally) -> list[Run]:
    if given.board is not None:
        found = _runs_in(Path(given.board), given, tally, given.runs)
        return [found[name] for name in given.runs]
    runs = [_only_run(Path(path), given, tally) for path in given.runs]
    if len({run.name for run in runs}) < len(runs):  # runs of one model
        runs = [run._replace(name=path) for run, path in zip(runs, given.runs, strict=True)]
    return runs


def _by_choice(choices: Iterable[str]) -> list[str]:
    """What was chosen, such as `task: metric acc`; many tasks with the same choice are one sentence."""
    tasks: dict[str, list[str]] = defaultdict(list)
    for choice in sorted(choices):
        task, colon, rest = choice.partition(": ")
        tasks[rest if colon else ""].append(task)
    return [
        each
        for rest, names in tasks.items()
        for each in (
            [f"{first_few(names, FEW_TASKS)}: {rest}"]
            if rest and len(names) > FEW_TASKS
            else [f"{name}: {rest}" if rest else name for name in names]
        )
    ]


def _runs_in(path: Path, given: RunsInput, tally: Tally, names: Sequence[str]) -> dict[str, Run]:
    """The runs below a path that are named, by model."""
    if is_ingested(path, given.source):
        return _ingested_runs(path, names)
    reader = get_reader(source_of(path, given.source))
    by_model: dict[str, list[ModelLog]] = defaultdict(list)
    for log in reader.find(path, given.options, tally):
        by_model[log.model].append(log)
    _check_models(names, by_model)
    return {model: _run(model, by_model[model], reader, given, tally) for model in names}


def _check_models(names: Sequence[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError("The board has no such model.", where="runs", got=name, hint=closest(name, known, count=10))


def is_ingested(path: Path, source: str | None) -> bool:
    """Whether a path is a folder that `microbench ingest` wrote, unless a format is given."""
    return source is None and (path / MODELS).is_dir()


def _ingested_runs(path: Path, names: Sequence[str] | None) -> dict[str, Run]:
    """The runs in a folder of responses: those that are named, or the only one."""
    folder = open_folder(path)
    files = {file.record.model: file for file in list_model_files(folder)}
    if names is None:
        _check_one(path, sorted(files))
    else:
        _check_models(names, files)
    runs = {}
    for name in names or files:
        table = read_responses(folder, files[name].name)
        ids, scores, repeats = (table[column].to_pylist() for column in ("item_id", "score", "repeats"))
        own = {
            item: () if score is None else tuple(several or (score,))
            for item, score, several in zip(ids, scores, repeats, strict=True)
        }
        subtask, content = (dict(zip(ids, table[column].to_pylist(), strict=True)) for column in ("subtask", "content"))
        runs[name] = Run(name, own, subtask, content)
    return runs


def _check_one(path: Path, models: Sequence[str]) -> None:
    if len(models) != 1:
        raise DataError(
            "A run must be of one model.",
            where=str(path),
            got=f"{len(models)} models: {first_few(models)}",
            hint=f"board={path} and the names of two models, or models=[NAME] to read one of them",
        )


def _only_run(path: Path, given: RunsInput, tally: Tally) -> Run:
    """The run below a path that holds one model."""
    if not path.exists():
        hint = "give a log, a folder of logs or a table; names of models need board=PATH"
        raise DataError("The path of a run does not exist.", where=str(path), hint=hint)
    if is_ingested(path, given.source):
        (run,) = _ingested_runs(path, None).values()
        return run
    reader = get_reader(source_of(path, given.source))
    logs = list(reader.find(path, given.options, tally))
    models = sorted({log.model for log in logs})
    _check_one(path, models)
    return _run(models[0], logs, reader, given, tally)


def _run(model: str, logs: Iterable[ModelLog], reader: Reader, given: RunsInput, tally: Tally) -> Run:
    scores: dict[str, tuple[float, ...]] = {}
    subtask: dict[str, str] = {}
    content: dict[str, str | None] = {}
    prompt: dict[str, str] = {}
    log_of: dict[str, str] = {}
    for name, log in sorted((_log_name(log), log) for log in logs):
        known_metrics = dict(tally.metrics)
        with refuse_unreadable(name):
            samples = _by_item(reader.read(log, given.options, tally), name)
        for task, metric in tally.metrics.items():
            if known_metrics.get(task, metric) != metric:
                raise DataError(
                    "The runs are scored by different metrics.",
                    where=f"task {task!r}",
                    got=f"{known_metrics[task]} before, {metric} in {name}",
                    hint="metric=NAME of a metric that all logs have, and filter=NAME for lm_eval",
                )
        for item, repeats in samples.items():
            first, own = repeats[0], tuple([each.score for each in repeats if each.score is not None])
            known = scores.get(item)
            if known and own and given.several_logs == "error" and not _equal(known, own):
                raise DataError(
                    "Two logs of one run score an item differently.",
                    where=f"model {model!r}, item {item!r}",
                    got=f"{known[0]:g} in {log_of[item]}, {own[0]:g} in {name}",
                    hint="several_logs=repeats takes them as repeats, several_logs=last the one whose name sorts last",
                )
            if known and own:
                own = (*known, *own) if given.several_logs == "repeats" else own
            scores[item] = own or known or ()
            subtask[item], content[item], log_of[item] = first.subtask, first.content, name
            if first.prompt is not None:
                prompt[item] = first.prompt
    if not any(scores.values()):
        raise DataError(
            "A run has no scores.", where=f"model {model!r}", got=f"{len(scores):,} items", hint="check source=, tasks= and metric="
        )
    return Run(model, scores, subtask, content, prompt)


def _log_name(log: ModelLog) -> str:
    return f"{log.files[0]}" + (f"#{log.part}" if log.part else "")


def _equal(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= TOLERANCE for a, b in zip(one, other, strict=True))


def _by_item(samples: Iterable[Sample], log: str) -> dict[str, list[Sample]]:
    """The repeats of each item in one log; DataError for a score outside [0, 1]."""
    items: dict[str, list[Sample]] = {}
    for sample in samples:
        score = sample.score
        if score is not None and not 0 <= score <= 1:
            if not -TOLERANCE <= score <= 1 + TOLERANCE:
                raise DataError(
                    "A score is outside [0, 1].",
                    where=f"{log}: item {sample.item_id!r}",
                    got=f"{score:g}",
                    hint="choose another metric with metric=NAME if the log has several",
                )
            sample = sample._replace(score=min(max(score, 0.0), 1.0))
        items.setdefault(sample.item_id, []).append(sample)
    return items
