"""Results of tau-bench (a list of trials) and tau2-bench (an object with `info` and `simulations`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.documents import find_logs, has_fields, optional, read_document
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.values import CHECK_SOURCE, files_below, item_digest, parse_score, value_at

_RUN = re.compile(r"(?P<agent>tool-calling|act|react|few-shot)-(?P<model>.+)-[\d.]+_range_-?\d+--?\d+_user-.+_\d{10}")
_POLICY = re.compile(r"#\s*(?P<domain>\w+) agent policy", re.IGNORECASE)
_DOMAINS = ("airline", "retail")  # of tau-bench; tau2-bench names its domain
_DEFAULT_AGENTS = ("tool-calling", "llm_agent")
_INFRASTRUCTURE = "infrastructure_error"
ERRORS = "trials that ended in an error (tau-bench counts them as failed)"
NOT_RUN = "trials that ended in an infrastructure error (tau2-bench leaves them out too)"


class TauBenchReader:
    """Reads one log per results file. A task is an item, the domain its subtask; trials are repetitions, scored by their reward.

    A model with an agent other than the default one is named `model (agent)`.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the results files, with the files of single simulations if the results are stored in those."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            log = _log(file, document)
            return log if log is None or matches(log[0].part, options.tasks) else ()

        return find_logs(path, ("*.json",), "tau-bench", options, tally, logs_of)

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per trial."""
        file, *simulations = log.files
        tally.choose("metric reward of each trial")
        place = str(file)
        document = read_document(file, options.max_line_bytes)
        if isinstance(document, list):
            yield from _trials(document, log, tally)
            return
        described = value_at(document, list, place, "tasks")
        tasks = {str(task["id"]): task.get("user_scenario") for task in described if has_fields(task, "id")}
        single = optional(document, list, place, "simulations")
        runs = [(run, f"{place}: simulation {number}") for number, run in enumerate(single, 1)]
        runs += [(json_file(each, options.max_line_bytes), str(each)) for each in simulations]
        contents: dict[str, str | None] = {}
        for run, where in runs:
            name = value_at(run, str, where, "task_id")
            reward = optional(run, dict, where, "reward_info").get("reward")
            if run.get("termination_reason") == _INFRASTRUCTURE:
                tally.drop(NOT_RUN)
                score = None
            else:
                score = parse_score(reward, tally, file=file, item=name, metric="reward")
            if name not in contents:
                contents[name] = item_digest(where, scenario=tasks[name]) if tasks.get(name) else None
            yield Sample(item_id=f"{log.part}/{name}", subtask=log.part, score=score, content=contents[name], position=name)


def _log(file: Path, document: Any) -> list[ModelLog] | None:
    if isinstance(document, list) and document and all(has_fields(each, "task_id", "reward", "trial") for each in document):
        run = _RUN.fullmatch(file.stem)
        domain = _domain(document, file)
        name = _named(run["model"], run["agent"]) if run else file.stem.removesuffix(f"-{domain}")
        return [ModelLog(model=name, files=(file,), part=domain)]
    if not has_fields(document, "info", "tasks"):
        return None
    agent = value_at(document, dict, str(file), "info", "agent_info")
    domain = value_at(document, str, str(file), "info", "environment_info", "domain_name")
    name = _named(str(agent.get("llm") or agent.get("implementation")), str(agent.get("implementation")))
    folder = file.parent / "simulations"
    simulations = files_below(folder, ("*.json",), Tally()) if not document.get("simulations") and folder.is_dir() else []
    return [ModelLog(model=name, files=(file, *simulations), part=domain)]


def _named(model: str, agent: str) -> str:
    return model if agent in (*_DEFAULT_AGENTS, model) else f"{model} ({agent})"


def _domain(trials: Sequence[dict[str, Any]], file: Path) -> str:
    """The domain of tau-bench: the policy that the agent was given names it, or else the file's name or folder."""
    for trial in trials:
        messages = optional(trial, list, str(file), "traj")
        match = _POLICY.match(str(messages[0].get("content"))) if messages and isinstance(messages[0], dict) else None
        if match:
            return match["domain"].lower()
    for part in (file.stem, file.absolute().parent.name):
        if len(named := [domain for domain in _DOMAINS if domain in part]) == 1:
            return named[0]
    raise DataError(
        "The domain of the tasks is not recorded.",
        where=str(file),
        got=f"fields {first_few(trials[0])}",
        hint=f"name the file or its folder after the domain: {' or '.join(_DOMAINS)}; or {CHECK_SOURCE}",
    )


def _trials(trials: Sequence[Any], log: ModelLog, tally: Tally) -> Iterator[Sample]:
    (file,) = log.files
    place = str(file)
    contents: dict[str, str] = {}  # by instruction, of which a task's trials have the same
    for number, trial in enumerate(trials, 1):
        where = f"{place}: trial {number}"
        name, info = str(value_at(trial, int, where, "task_id")), value_at(trial, dict, where, "info")
        task = info.get("task")
        instruction = task.get("instruction") if isinstance(task, dict) else None
        content = contents.get(instruction) if isinstance(instruction, str) else None
        if content is None and isinstance(task, dict):
            content = item_digest(where, instruction=instruction)
            if isinstance(instruction, str):
                contents[instruction] = content
        if "error" in info:
            tally.drop(ERRORS)
            score = None
        else:
            score = parse_score(trial["reward"], tally, file=file, item=name, metric="reward")
        yield Sample(item_id=f"{log.part}/{name}", subtask=log.part, score=score, content=content, position=name)
