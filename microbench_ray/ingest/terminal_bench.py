"""Trials of Terminal-Bench (`results.json` of a run, beside `run_metadata.json`) and of Harbor (`result.json` of a trial)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import ModelLog, Options, Sample, Tally, matches
from microbench_ray.ingest.documents import find_logs, has_fields, optional, read_document
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.values import item_digest, parse_score, value_at

_RUN = re.compile(r"run.?\d+.*|\d{4}-\d{2}-\d{2}__\d{2}-\d{2}-\d{2}.*")
"""Names of the folders of single runs."""
UNRESOLVED = "trials without a verdict: not resolved, as in the run's accuracy"
NO_REWARD = "trials without a reward: 0, as in the job's mean"


class TerminalBenchReader:
    """Reads one log per agent and model, of all its runs. A task is an item; trials of all runs are repetitions.

    The name is `agent: model`, from `run_metadata.json`; without it, the run's folder, or the one above if the run's is
    named by a number or a time.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the runs, together for each agent and model."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            if not (has_fields(document, "results") and isinstance(document["results"], list)):
                return () if has_fields(document, "trial_name", "task_id") else None  # the file of a single trial
            metadata = file.parent / "run_metadata.json"
            if not metadata.is_file():
                folder = file.absolute().parent
                return [ModelLog(model=(folder.parent if _RUN.fullmatch(folder.name) else folder).name, files=(file,))]
            about = value_at(json_file(metadata, options.max_line_bytes), dict, str(metadata))
            name = _named(about.get("agent_name"), about.get("model_name"), metadata)
            return [ModelLog(model=name, files=(file, metadata), part=str(about.get("dataset_name") or ""))]

        return together(find_logs(path, ("results.json",), "Terminal-Bench", options, tally, logs_of))

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per trial."""
        tally.choose("metric is_resolved of each trial")
        for file in log.files:
            if file.name == "run_metadata.json":
                continue
            place = str(file)
            document = read_document(file, options.max_line_bytes)
            for number, trial in enumerate(value_at(document, list, place, "results"), 1):
                where = f"{place}: trial {number}"
                name, resolved = value_at(trial, str, where, "task_id"), trial.get("is_resolved")
                if not matches(name, options.tasks):
                    continue
                if resolved is None:
                    tally.choose(UNRESOLVED)
                score = parse_score(resolved or False, tally, file=file, item=name, metric="is_resolved")
                instruction = trial.get("instruction")
                content = item_digest(where, instruction=instruction) if instruction else None
                yield Sample(item_id=name, subtask=log.part or "all", score=score, content=content, position=name)


class HarborReader:
    """Reads one log per agent and model, of all its jobs. A task is an item, its source the subtask; trials are repetitions.

    The score is the only reward of the verifier, or the one named `reward`. The name is `agent: model`.
    """

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the trials, together for each agent and model."""

        def logs_of(file: Path, document: Any) -> Sequence[ModelLog] | None:
            if not has_fields(document, "task_name", "agent_info"):
                return () if has_fields(document, "stats") else None  # the summary of a job
            agent, model = value_at(document, dict, str(file), "agent_info"), None
            if agent.get("model_info"):
                about = value_at(agent, dict, str(file), "model_info")
                model = "/".join(str(each) for each in (about.get("provider"), about.get("name")) if each)
            return [ModelLog(model=_named(agent.get("name"), model, file), files=(file,))]

        return together(find_logs(path, ("result.json",), "Harbor", options, tally, logs_of))

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield one sample per trial."""
        for file in log.files:
            trial = read_document(file, options.max_line_bytes)
            name, source = value_at(trial, str, str(file), "task_name"), str(trial.get("source") or "all")
            if not matches(source, options.tasks):
                continue
            reward_name, reward = _reward(trial, options.metric, file)
            if reward is None:
                tally.choose(NO_REWARD)
            else:
                tally.choose(f"{source}: metric {reward_name}")
            score = parse_score(0 if reward is None else reward, tally, file=file, item=name, metric=options.metric or "reward")
            content = str(trial["task_checksum"]) if trial.get("task_checksum") else None
            yield Sample(item_id=name, subtask=source, score=score, content=content, position=name)


def together(logs: Sequence[ModelLog]) -> Sequence[ModelLog]:
    """Join the logs of one model and part: their samples are repetitions, not responses that must agree."""
    files: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
    for log in logs:
        files[log.model, log.part] += log.files
    return [ModelLog(model=model, files=tuple(paths), part=part) for (model, part), paths in files.items()]


def _named(agent: Any, model: Any, file: Path) -> str:
    names = [str(name) for name in (agent, model) if name]
    if not names:
        raise DataError("The log names neither an agent nor a model.", where=str(file), hint="write the log again")
    return ": ".join(names)


def _reward(trial: dict[str, Any], metric: str | None, file: Path) -> tuple[str, Any]:
    """The name and value of a trial's reward; the value is None if the verifier gave none."""
    rewards = optional(trial, dict, str(file), "verifier_result").get("rewards")
    if rewards is None:
        return "", None
    rewards = value_at(rewards, dict, f"{file}: rewards")
    name = metric or (next(iter(rewards)) if len(rewards) == 1 else "reward")
    if name not in rewards:
        got = f"rewards {first_few(rewards)}" if rewards else "no rewards"
        raise DataError(f"The trial has no reward {name!r}.", where=str(file), got=got, hint="choose a reward with metric=NAME")
    return name, rewards[name]
