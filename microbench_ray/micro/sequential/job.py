"""The job `next`: begin or continue a sequential test, read new answers, and name the next items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError, closest
from microbench_ray.methods.item_lists import id_lines, read_list
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.artifact import load as load_micro
from microbench_ray.micro.compare.runs import Run, RunsInput, read_named_runs
from microbench_ray.micro.responses import REPETITION
from microbench_ray.micro.sequential import report
from microbench_ray.micro.sequential.rules import SequentialRules
from microbench_ray.micro.sequential.state import State, load, shuffled
from microbench_ray.micro.sequential.upcoming import upcoming
from microbench_ray.micro.sequential.verdict import Verdict, verdict

FORMATS = (*report.FORMATS, "ids")
DEFAULT_NAMES = {"accuracy": ("new",), "best": ()}
"""Names of the models where none are given; `base` and `new` for two."""


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
    seed: int
    batch: int
    runs: RunsInput
    samples: Path | None
    form: str
    out: Path | None


class NextOutcome(NamedTuple):
    """The state, what it says, the next items, and notes on how answers were read."""

    state: State
    verdict: Verdict
    upcoming: list[str]
    notes: list[str]

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
    notes: list[str] = []
    exists = job.state.exists()
    state = load(job.state) if exists else None
    if state is not None:
        _check_same(job, state)
    runs = read_named_runs(job.runs) if job.runs.runs else None
    if runs is not None:
        notes += runs.notes
    if state is None:
        state = _begin(job, [run.name for run in runs.runs] if runs else [], notes)
    if runs is not None:
        for model, run in _matched(state, runs.runs):
            others = state.add(model, {item: sum(each) / len(each) if each else None for item, each in run.scores.items()})
            if others:
                notes.append(f"ignored: {others:,} answers of {model} to items outside the list")
    found = verdict(state)
    state.save(job.state)
    return NextOutcome(state, found, upcoming(state, found, job.batch), notes)


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
    if job.items is not None:
        ids = read_list(job.items).items
        return State(shuffled(ids, job.seed), len(set(ids)), names, rules)
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
    if n_items > len(kept):
        name = micro.benchmark["name"]
        notes.append(f"the answer is about all {n_items:,} items of {name}, of which the list is a random sample")
    known = micro.responses[:, columns]
    complete = micro.signal == "correctness" and not np.isnan(known).any() and not (n_left_out and n_items > len(kept))
    means = known.mean(axis=1) if n_items == len(kept) else micro.accuracy
    state = State(
        items=shuffled([item.id for item in kept], job.seed),
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
            why = "items with the same content" if n_left_out else "missing answers, or confidences instead of scores"
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


def _check_same(job: NextJob, state: State) -> None:
    """Raise ConfigError where a key contradicts the saved test."""
    rules = state.rules
    saved = {
        "question": rules.question,
        "margin": rules.margin,
        "alpha": rules.alpha,
        "names": state.models,
        "base": state.models[0],
    }
    given = {"question": job.question, "margin": job.margin, "alpha": job.alpha, "names": job.names or None, "base": job.base}
    for key, value in given.items():
        if value is not None and value != saved[key]:
            raise ConfigError(
                "A test that has begun keeps its question.",
                where=key,
                got=f"{value}, in {job.state} {saved[key]}",
                hint=f"leave out {key}, or begin another test with another state=FILE",
            )
    for key, path in (("items", job.items), ("micro", job.micro)):
        if path is not None:
            listed = read_list(path).items if key == "items" else load_micro(path).item_ids
            if not set(state.items) <= set(listed):
                hint = f"leave out {key}, or begin another test with another state=FILE"
                raise ConfigError("A test that has begun keeps its items.", where=key, got=str(path), hint=hint)


def _matched(state: State, runs: list[Run]) -> list[tuple[str, Run]]:
    """Each run with the model that it is of: by its name, else by its place."""
    if all(run.name in state.models for run in runs):
        return [(run.name, run) for run in runs]
    asked = state.models if state.known_mean is None else state.models[1:]
    if len(runs) == len(asked):
        return list(zip(asked, runs, strict=True))
    raise ConfigError(
        "It is unknown which models these runs are of.",
        where="runs",
        got=", ".join(run.name for run in runs),
        hint=f"give a run for each of {', '.join(asked)}, in this order, or runs of these names",
    )
