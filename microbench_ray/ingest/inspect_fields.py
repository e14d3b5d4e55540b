"""What is read of Inspect's logs: taken from plain JSON, or from the classes of the inspect-ai library.

Importing the library takes longer than reading a small log. Its classes also accept the forms of older versions: only documents
in the common form of today are taken here, and None stands for any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

VERSION = 2
_EFFORT = ("reasoning_effort", "reasoning_tokens", "effort")
_SCALAR = (str, int, float, bool)
_STATUS = ("started", "success", "cancelled", "error")
_ASKING = ("system", "user")
"""Roles of messages whose texts the library leaves as they are."""


@dataclass(frozen=True)
class Header:
    """A log without its samples.

    Attributes
    ----------
    status, invalidated
        How the run ended, and whether its log was invalidated.
    task, model
        Names.
    model_args, task_args, generation
        What the model, the task and the generation were given.
    solver
        The solver that the run names; None for the task's own.
    epochs, reducers
        The number of repetitions, and how they become one score.
    scorers
        Names of the scorers of the results, or else of the task.
    """

    status: str
    invalidated: bool
    task: str
    model: str
    model_args: Mapping[str, Any]
    task_args: Mapping[str, Any]
    generation: Mapping[str, Any]
    solver: str | None
    epochs: int
    reducers: Sequence[str]
    scorers: Sequence[str]


@dataclass(frozen=True, slots=True)
class InspectSample:
    """A sample.

    Attributes
    ----------
    id
        The sample's id in its task.
    input
        A text, or lists of role and text.
    choices, target
        As in the log.
    values
        Values of the scores by scorer; None without scores.
    failed
        Whether the sample ended in an error.
    seconds, tokens
        What the sample took: seconds of work, and tokens of all models.
    """

    id: str | int
    input: Any
    choices: Sequence[str] | None
    target: str | Sequence[str]
    values: Mapping[str, Any] | None
    failed: bool
    seconds: float
    tokens: int


def header_of(log: EvalLog) -> Header:
    """The header of a log that the library has read."""
    about, results = log.eval, log.results
    return Header(
        status=log.status,
        invalidated=log.invalidated,
        task=about.task,
        model=about.model,
        model_args=about.model_args,
        task_args=about.task_args,
        generation=about.model_generate_config.model_dump(exclude_none=True) | log.plan.config.model_dump(exclude_none=True),
        solver=about.solver,
        epochs=about.config.epochs or 1,
        reducers=about.config.epochs_reducer or ["mean"],
        scorers=_names([score.scorer for score in results.scores] if results else [], [each.name for each in about.scorers or ()]),
    )


def plain_header(document: Mapping[str, Any]) -> Header | None:
    """The header in a document of the common form."""
    about, results, plan = document.get("eval"), document.get("results"), document.get("plan", {})
    if not (document.get("version", VERSION) == VERSION and isinstance(about, dict) and isinstance(plan, dict)):
        return None
    config, scorers = about.get("config"), about.get("scorers") or []
    settings = [about.get(name, {}) for name in ("model_generate_config", "model_args", "task_args")] + [plan.get("config", {})]
    scores = [] if results is None else results.get("scores") if isinstance(results, dict) else None
    solver, invalidated = about.get("solver"), document.get("invalidated", False)
    if not (isinstance(config, dict) and isinstance(about.get("dataset"), dict)):
        return None
    plain = (
        all(type(about.get(name)) is str for name in ("task", "model", "created"))
        and all(isinstance(each, dict) for each in settings)
        and document.get("status") in _STATUS
        and isinstance(invalidated, bool)
        and (solver is None or isinstance(solver, str))
        and _all_name(scores, "scorer")
        and _all_name(scorers, "name")
    )
    if not plain:
        return None
    epochs, reducers = config.get("epochs") or 1, config.get("epochs_reducer") or ["mean"]
    if type(epochs) is not int or not _all_texts(reducers):
        return None
    generation, model_args, task_args, of_plan = settings
    return Header(
        status=document["status"],
        invalidated=invalidated,
        task=about["task"],
        model=about["model"],
        model_args=model_args,
        task_args=task_args,
        generation={name: each[name] for each in (generation, of_plan) for name in _EFFORT if each.get(name) is not None},
        solver=solver,
        epochs=epochs,
        reducers=reducers,
        scorers=_names([score["scorer"] for score in scores or ()], [each["name"] for each in scorers]),
    )


def sample_of(sample: EvalSample) -> InspectSample:
    """A sample that the library has read."""
    asked = sample.input
    return InspectSample(
        id=sample.id,
        input=asked if isinstance(asked, str) else [[message.role, message.text] for message in asked],
        choices=sample.choices,
        target=sample.target,
        values=None if sample.scores is None else {name: score.value for name, score in sample.scores.items()},
        failed=sample.error is not None,
        seconds=float(sample.working_time or 0),
        tokens=sum(usage.total_tokens for usage in sample.model_usage.values()),
    )


def plain_sample(document: Mapping[str, Any]) -> InspectSample | None:
    """The sample in a document of the common form."""
    get = document.get
    asked, choices, target, scores, error = get("input"), get("choices"), get("target", 0), get("scores"), get("error")
    used, seconds = get("model_usage", {}), get("working_time") or 0
    plain = (
        type(get("id")) in (str, int)
        and type(get("epoch")) is int
        and (choices is None or _all_texts(choices))
        and (isinstance(target, str) or _all_texts(target))
        and (scores is None or _all_scores(scores))
        and (error is None or isinstance(error, dict))
        and type(seconds) in (int, float)
        and isinstance(used, dict)
        and all(isinstance(each, dict) and type(each.get("total_tokens")) is int for each in used.values())
        and "score" not in document  # as older versions wrote it
    )
    if not plain:
        return None
    if not isinstance(asked, str):
        if not (isinstance(asked, list) and all(_is_plain_message(each) for each in asked)):
            return None
        asked = [[message["role"], message["content"]] for message in asked]
    return InspectSample(
        id=document["id"],
        input=asked,
        choices=choices,
        target=target,
        values=None if scores is None else {name: score["value"] for name, score in scores.items()},
        failed=error is not None,
        seconds=float(seconds),
        tokens=sum(usage["total_tokens"] for usage in used.values()),
    )


def _names(of_results: Sequence[str], of_task: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(of_results or [name.removeprefix("inspect_ai/") for name in of_task]))


def _all_name(documents: Any, field: str) -> bool:
    return isinstance(documents, list) and all(isinstance(each, dict) and type(each.get(field)) is str for each in documents)


def _all_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(each, str) for each in values)


def _all_scores(scores: Any) -> bool:
    return isinstance(scores, dict) and all(isinstance(score, dict) and _is_value(score.get("value")) for score in scores.values())


def _is_value(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(each, _SCALAR) for each in value)
    if isinstance(value, dict):
        return all(each is None or isinstance(each, _SCALAR) for each in value.values())
    return isinstance(value, _SCALAR)


def _is_plain_message(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") in _ASKING and isinstance(message.get("content"), str)
