"""A sequential test as an early stopping manager of Inspect."""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.extras import require_extra
from microbench_ray.core.storage.urls import local_path
from microbench_ray.data.names import first_few
from microbench_ray.ingest.inspect_logs import number_of
from microbench_ray.micro.sequential import report
from microbench_ray.micro.sequential.rules import Question, SequentialRules, check_rules
from microbench_ray.micro.sequential.state import State, begin
from microbench_ray.micro.sequential.verdict import Verdict, verdict

if TYPE_CHECKING:
    from inspect_ai.util import EarlyStop

logger = logging.getLogger(__name__)

MANAGER = "microbench sequential test"


class InspectStopping:
    """Stops a task of Inspect as soon as a question about its model is answered: `Task(..., early_stopping=InspectStopping(...))`.

    Samples must be in random order (`sample_shuffle=SEED`, `--sample-shuffle SEED`): the answer is about all samples of the task,
    and those that run must be a random sample of them. A task whose samples come in the order of their file is refused. The mean
    over the epochs of a sample is its score. Inspect runs the first epoch of all samples before the second one, so that only the
    last epoch can be shortened, and a warning says so: use one epoch.

    Parameters
    ----------
    question, margin, alpha
        As for `Sequential`.
    known
        By name of another model, its scores by item id, `TASK/ID` as in boards that were ingested from Inspect's logs. Empty for
        the question `accuracy`.
    predictions
        As for `Sequential`, by item id: for `accuracy`, and where `known` has a score on every sample of the task.
    model
        The name of the model that runs, in the result. It is the last one of the test.
    scorer
        The scorer that counts, where there are several; for one with several values `SCORER/KEY`.
    state
        A file for the state after the task, which `Sequential.load` and `microbench next` read.

    Raises
    ------
    ConfigError
        A parameter out of range, or a wrong number of models; when the task begins, samples that are not in random order.

    Notes
    -----
    The log's `results.early_stopping` lists the samples that did not run; its metadata are the result, as `microbench next
    format=json` prints it.
    """

    def __init__(
        self,
        question: Question = "superior",
        known: Mapping[str, Mapping[str, float | None]] | None = None,
        *,
        predictions: Mapping[str, float] | None = None,
        model: str = "new",
        margin: float = 0.0,
        alpha: float = 0.05,
        scorer: str | None = None,
        state: str | Path | None = None,
    ) -> None:
        require_extra("inspect", "Early stopping of Inspect")
        self._known = dict(known or {})
        self._predictions = predictions
        self._model, self._scorer = model, scorer
        self._rules = SequentialRules(question, float(margin), float(alpha))
        self._path = None if state is None else local_path(state)
        self._models = (*self._known, model)
        check_rules(self._rules, self._models)
        self._state: State | None = None
        self._task, self._epochs = "", 1
        self._scores: dict[str, list[float]] = defaultdict(list)
        self._verdict: Verdict | None = None

    @property
    def state(self) -> State:
        """The state of the test; ConfigError before a task has begun."""
        if self._state is None:
            raise ConfigError("No task has begun.", where="early_stopping", hint="pass it to Task(early_stopping=…)")
        return self._state

    async def start_task(self, task: Any, samples: Sequence[Any], epochs: int) -> str:
        """Begin the test with the samples in the order in which Inspect runs them; returns the manager's name."""
        _check_order(task)
        if epochs > 1:
            logger.warning("Of %d epochs, early stopping can shorten the last one only: use epochs=1", epochs)
        self._task, self._epochs = task.task, epochs
        items = tuple(self._item(sample.id) for sample in samples)
        predictions = None if self._predictions is None else {item: self._predictions.get(item, math.nan) for item in items}
        base = next(iter(self._known.values()), {})
        known = base if len(self._models) == 2 and self._rules.question != "best" and set(items) <= _scored(base) else None
        self._state = begin(items, len(items), self._models, self._rules, known=known, predictions=predictions)
        self._state.source = "inspect"
        self._scores.clear()
        for name, scores in self._known.items():
            self._state.add(name, scores)
            if not self._state.scores[name]:
                got = f"{first_few(sorted(scores), 2)}; the task has {first_few(items, 2)}"
                raise DataError("A known model has no score of this task.", where=name, got=got, hint="ids are TASK/ID")
        self._verdict = verdict(self._state)
        return MANAGER

    async def schedule_sample(self, id: str | int, epoch: int) -> EarlyStop | None:
        """Stop the sample if the question is answered."""
        if self._verdict is None or self._verdict.decision == "cannot be told":
            return None
        from inspect_ai.util import EarlyStop

        return EarlyStop(id=id, epoch=epoch, reason=report.headline(self._verdict))

    async def complete_sample(self, id: str | int, epoch: int, scores: Mapping[str, Any]) -> None:
        """Count the scores of a sample when all its epochs are done."""
        item = self._item(id)
        self._scores[item].append(self._value(item, scores))
        if len(self._scores[item]) == self._epochs:
            self.state.add(self._model, {item: sum(self._scores[item]) / self._epochs})
            self._verdict = verdict(self.state, intervals=False)

    async def complete_task(self) -> dict[str, Any]:
        """Save the state, and return the result for the log."""
        found = verdict(self.state)
        if self._path is not None:
            self.state.save(self._path)
        content: dict[str, Any] = json.loads(json.dumps(report.to_json(found, [])))
        return content

    def _item(self, sample: str | int | None) -> str:
        return f"{self._task}/{sample}"

    def _value(self, item: str, scores: Mapping[str, Any]) -> float:
        name, _, key = (self._scorer or "").partition("/")
        if not name and len(scores) == 1:
            (name,) = scores
        if name not in scores:
            hint = f"scorer={first_few(scores, 1)}"
            raise DataError("The scorer that counts is missing.", where=item, got=first_few(scores) or "no score", hint=hint)
        value = scores[name].score.value
        if isinstance(value, dict):
            if key not in value:
                got = f"keys {first_few(value)}"
                raise DataError("The scorer returns several values.", where=item, got=got, hint=f"scorer={name}/KEY")
            value = value[key]
        number = number_of(value)
        if isinstance(number, bool | int | float):
            return float(number)
        raise DataError("The score is not a number.", where=item, got=repr(value)[:80], hint="scorer=NAME of another one")


def _check_order(task: Any) -> None:
    """Raise ConfigError where a task's samples are known to come in the order of their file."""
    shuffle = getattr(getattr(task, "config", None), "sample_shuffle", True)
    shuffled = getattr(getattr(task, "dataset", None), "shuffled", True)
    if not shuffled and (shuffle is None or shuffle is False):  # 0 is a seed
        raise ConfigError(
            "Early stopping needs samples in random order.",
            where=f"task {task.task}",
            got="samples in the order of their file",
            hint="sample_shuffle=7 (--sample-shuffle 7), or dataset.shuffle(7)",
        )


def _scored(scores: Mapping[str, float | None]) -> set[str]:
    return {item for item, score in scores.items() if score is not None}
