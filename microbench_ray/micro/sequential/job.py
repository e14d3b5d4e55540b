"""The job `next`: begin or continue a sequential test, read new answers, and name the next items."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError, DataError, StoreError, closest
from microbench_ray.core.storage.causes import one_line
from microbench_ray.core.storage.folders import LocalFolder
from microbench_ray.core.storage.lock import lock_folder
from microbench_ray.data.score_grid import find_units
from microbench_ray.data.truth import RANKED_BY
from microbench_ray.methods.item_lists import id_lines, read_list
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.artifact import load as load_micro
from microbench_ray.micro.compare.runs import ReadRuns, Run, RunsInput, read_named_runs
from microbench_ray.micro.responses import REPETITION
from microbench_ray.micro.sequential import report
from microbench_ray.micro.sequential.rules import SequentialRules
from microbench_ray.micro.sequential.state import State, load, shuffled
from microbench_ray.micro.sequential.upcoming import batch_text, upcoming
from microbench_ray.micro.sequential.verdict import Verdict, verdict

FORMATS = (*report.FORMATS, "ids")
DEFAULT_NAMES = {"accuracy": ("new",), "best": ()}
"""Names of the models where none are given; `base` and `new` for two."""
WHOLE = 1e-10
"""Distance from a whole number, as a share of all points, below which a sum of points is one."""
WAIT = 60.0
"""Seconds to wait for another command that changes a state in the same folder."""


class NextJob(NamedTuple):
    """What to test, and where to report it. Keys as in conf/next.yaml; None for what a saved state decides."""

    state: Path
    items: Path | None
    micro: Path | None
    question: str | None
    margin: float | None
    alpha: float | None
    names: tuple[str, ...]
    base: str | None
    seed: int | None
    batch: int
    runs: RunsInput
    samples: Path | None
    form: str
    out: Path | None


class NextOutcome(NamedTuple):
    """The state, what it says, the next items and the text of their file, and notes on how answers were read."""

    state: State
    verdict: Verdict
    upcoming: list[str]
    notes: list[str]
    batch: str | None = None

    def text(self, form: str) -> str:
        """The report in one of `FORMATS`; `ids` are the next items, one a line."""
        return id_lines(self.upcoming) if form == "ids" else report.text(self.verdict, self.upcoming, self.notes, form)


def run_next(job: NextJob) -> NextOutcome:
    """Begin or continue the test of a job, and save its state.

    Raises
    ------
    ConfigError, DataError
        As for `load`, `read_list` and `read_named_runs`; a new test without items, or a key that a saved test contradicts.
    """
    runs = read_named_runs(job.runs) if job.runs.runs else ReadRuns([], [])
    with _alone(job.state):
        return _run_next(job, runs)


def _run_next(job: NextJob, runs: ReadRuns) -> NextOutcome:
    notes = [*runs.notes]
    state = load(job.state) if job.state.exists() else None
    if state is None:
        state = _begin(job, [run.name for run in runs.runs], notes)
    else:
        _check_same(job, state)
    for model, run in _matched(state, runs.runs) if runs.runs else []:
        others = state.add(model, {item: sum(each) / len(each) if each else None for item, each in run.scores.items()})
        if others == len(run.scores):
            hint = f"ids must be equal: the list has {min(state.items)!r}, the run {min(run.scores)!r}"
            raise DataError("No answer is to an item of the list.", where=f"run {run.name!r}", got=f"{others:,} answers", hint=hint)
        if others:
            notes.append(f"ignored: {others:,} answers of {model} to items outside the list")
    found = verdict(state)
    items = upcoming(state, found, job.batch)
    batch = None if job.samples is None else batch_text(state, items, job.samples)
    state.save(job.state)
    return NextOutcome(state, found, items, notes, batch)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no two commands change a state at the same time, so that no answers are lost; StoreError after `WAIT` seconds."""
    if not path.parent.is_dir():  # it is made for a new state
        yield
        return
    try:
        lock = lock_folder(LocalFolder(path.parent), WAIT)
    except StoreError as error:
        hint = "wait for the other command to finish, then run this one again"
        raise StoreError(
            "Another command is writing in the folder of the state.", where=str(path), got=error.got, hint=hint
        ) from None
    except OSError as error:
        raise StoreError("The file cannot be written.", where=str(path), got=one_line(error), hint="state=FILE elsewhere") from None
    try:
        yield
    finally:
        lock.release()


def _begin(job: NextJob, run_names: list[str], notes: list[str]) -> State:
    question = job.question or "superior"
    names = (
        job.names
        or ((job.base, *(run_names or ("new",))) if job.base else tuple(run_names))
        or DEFAULT_NAMES.get(question, ("base", "new"))
    )
    rules = SequentialRules(question, job.margin or 0.0, 0.05 if job.alpha is None else job.alpha)  # type: ignore[arg-type]
    if (job.items is None) == (job.micro is None):
        got = "neither" if job.items is None else "both"
        hint = "items=FILE, a list of all items, or micro=DIR, which microbench export wrote"
        raise ConfigError("A new test needs a list of items.", where="items, micro", got=got, hint=hint)
    if job.base is not None and job.micro is None:
        hint = "micro=DIR, an export whose known models include it; or give the model's answers as a run"
        raise ConfigError("A known model needs a micro-benchmark.", where="base", got=job.base, hint=hint)
    if job.base is not None and question in ("best", "accuracy"):
        hint = "leave out base=, or question=superior, noninferior or equivalent"
        raise ConfigError("This question has no known model.", where="base", got=f"{job.base}, question={question}", hint=hint)
    if job.items is not None:
        ids = read_list(job.items).items
        return State(shuffled(ids, job.seed or 0), len(set(ids)), names, rules, seed=job.seed or 0)
    assert job.micro is not None
    return _of_micro(load_micro(job.micro), job, names, rules, notes)


def _of_micro(micro: MicroBenchmark, job: NextJob, names: tuple[str, ...], rules: SequentialRules, notes: list[str]) -> State:
    """A new test on the items of a micro-benchmark; where these are random, its answer is about the whole benchmark."""
    columns = [column for column, item in enumerate(micro.items) if not REPETITION.search(item.id)]
    kept = [micro.items[column] for column in columns]
    n_left_out = micro.size - len(kept)
    if n_left_out:
        notes.append(f"left out: {n_left_out} items with the same content as another one")
    n_items = int(micro.benchmark["n_items"]) - n_left_out if micro.has_random_items else len(kept)
    notes += _about(micro, n_items, len(kept))
    known = micro.responses[:, columns]
    complete = micro.signal == "correctness" and not np.isnan(known).any() and not (n_left_out and n_items > len(kept))
    complete = complete and (n_items == len(kept) or _answered_all(micro))
    means = known.mean(axis=1) if n_items == len(kept) else micro.accuracy
    state = State(
        items=shuffled([item.id for item in kept], job.seed or 0),
        seed=job.seed or 0,
        n_items=n_items,
        models=names,
        rules=rules,
        tasks={item.id: (item.task, item.position) for item in kept if item.task is not None and item.position is not None},
        source=micro.source.get("source"),
    )
    if job.base is None and rules.question != "accuracy":
        return state
    if job.base is not None and job.base not in micro.models:
        hint = closest(job.base, micro.models, count=10)
        raise ConfigError("The micro-benchmark does not know this model.", where="base", got=job.base, hint=hint)
    if not complete:
        if job.base is not None:
            why = (
                "items with the same content"
                if n_left_out
                else "missing answers in the benchmark, or confidences instead of scores"
            )
            hint = "leave out base=, and give the model's answers as a run"
            raise ConfigError("The answers of the known models cannot be used.", where="base", got=f"{job.base}: {why}", hint=hint)
        return state
    state = replace(
        state,
        known_mean=None if job.base is None else float(means[micro.models.index(job.base)]),
        predictions=dict(zip([item.id for item in kept], known.mean(axis=0).tolist(), strict=True)),
        prediction_mean=float(means.mean()),
    )
    if job.base is not None:
        own = known[micro.models.index(job.base)]
        state.add(names[0], dict(zip([item.id for item in kept], own.tolist(), strict=True)))
    return state


def _answered_all(micro: MicroBenchmark) -> bool:
    """Whether the known models' accuracies can be means over all items of the benchmark: whole numbers of points by its items.

    Where answers are missing, the mean over the whole benchmark is not known, and a test that relies on it has no guarantee.
    """
    most = micro.benchmark["n_items"] * find_units(iter([(slice(None), micro.responses)]))
    points = micro.accuracy * most
    return bool((np.abs(points - np.rint(points)) <= WHOLE * most).all())


def _about(micro: MicroBenchmark, n_items: int, n_listed: int) -> list[str]:
    """A note on which items the answer is about, unless the list is the benchmark."""
    name = micro.benchmark["name"]
    if n_items > n_listed:
        return [f"the answer is about all {n_items:,} items of {name}, of which the list is a random sample"]
    mean = f"the answer is about the plain mean of the {n_items:,} items of the list"
    if micro.truth != "micro":
        return [f"{mean}; {name} ranks models by {RANKED_BY[micro.truth]}"]
    return [f"{mean}, which are no random sample of {name}"] if micro.benchmark["n_items"] > micro.size else []


def _check_same(job: NextJob, state: State) -> None:
    """Raise ConfigError where keys contradict the saved test; they are named in one message."""
    rules = state.rules
    saved = {
        "question": rules.question,
        "margin": rules.margin,
        "alpha": rules.alpha,
        "names": state.models,
        "base": None if state.known_mean is None else state.models[0],
        "seed": state.seed,
    }
    given = {key: getattr(job, key) for key in saved} | {"names": job.names or None}
    other = {
        key: f"{_shown(value)}; the test has {_shown(saved[key])}"
        for key, value in given.items()
        if value is not None and value != saved[key]
    }
    for key, path in (("items", job.items), ("micro", job.micro)):
        if path is not None:
            listed = set(read_list(path).items if key == "items" else load_micro(path).item_ids)
            if not (set(state.items) == listed if key == "items" else set(state.items) <= listed):
                other[key] = (
                    f"{path}; the test has {len(state.items):,} items, of which this lists {len(listed & set(state.items)):,}"
                )
    if other:
        keys = ", ".join(other)
        raise ConfigError(
            "A test that has begun keeps its question, its models and its items in their order.",
            where=keys,
            got=next(iter(other.values())) if len(other) == 1 else "; ".join(f"{key}: {text}" for key, text in other.items()),
            hint=f"leave out {keys}, or begin another test with another state=FILE",
        )


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _matched(state: State, runs: list[Run]) -> list[tuple[str, Run]]:
    """Each run with the model that it is of: by its name, else by its place."""
    if all(run.name in state.models for run in runs):
        return [(run.name, run) for run in runs]
    asked = state.models if state.known_mean is None else state.models[1:]
    by_place = list(zip(asked, runs, strict=False))
    # A run that is named like another model is most likely that model's: names and places contradict each other.
    if len(runs) == len(asked) and all(run.name == model or run.name not in state.models for model, run in by_place):
        return by_place
    raise ConfigError(
        "It is unknown which models these runs are of.",
        where="runs",
        got=", ".join(run.name for run in runs),
        hint=f"give a run for each of {', '.join(asked)}, in this order, or runs of these names",
    )
