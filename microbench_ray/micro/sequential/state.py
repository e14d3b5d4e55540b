"""The state of a sequential test: the items in their order, the question, and the answers so far; saved as one JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.seeding import stream
from microbench_ray.core.shown import storable
from microbench_ray.core.storage.causes import one_line
from microbench_ray.data.names import first_few
from microbench_ray.micro.json_values import checksum, dumps, finite_number, json_number, plain_text
from microbench_ray.micro.report import write
from microbench_ray.micro.sequential.rules import SequentialRules, check_rules

FloatArray = NDArray[np.float64]
FORMAT, VERSION = "microbench_ray sequential test", 1
HINT = "copy the file of the test again, or begin a new test in a new file: state=NEW_FILE"
MAX_ITEMS = 1_000_000
TOLERANCE = 1e-9
"""Within which two scores of one item are equal, and a score may lie outside [0, 1]."""


@dataclass(eq=False)
class State:
    """A sequential test.

    Attributes
    ----------
    items
        Ids in the order in which they are looked at: a random order.
    n_items
        Size of the list that the answer is about. More than the number of `items` where these are a random sample of that list.
    models
        Names.
    rules
        The question.
    scores
        By model and item id: the score in [0, 1], or None where the model was asked and has no score.
    tasks
        By item id: the task and the item's number or name in the tool that runs it; empty where unknown.
    source
        The format of the logs that the items are from; None where unknown.
    known_mean
        The first model's mean on the whole list, where its scores on all `items` were known when the test began; else None.
    predictions, prediction_mean
        By item id, a predicted score of the model that is asked, and the mean of the predictions of the whole list; empty without
        predictions. They are fixed when the test begins, and need a known first model or the question `accuracy`.
    seed
        Of the order; None where that is not from a seed, or where it is unknown.
    """

    items: tuple[str, ...]
    n_items: int
    models: tuple[str, ...]
    rules: SequentialRules
    scores: dict[str, dict[str, float | None]] = field(default_factory=dict)
    tasks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    source: str | None = None
    known_mean: float | None = None
    predictions: Mapping[str, float] = field(default_factory=dict)
    prediction_mean: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        check_rules(self.rules, self.models)
        _check_items(self.items, self.n_items)
        _check_predictions(self)
        self.scores = {model: self.scores.get(model, {}) for model in self.models}

    def add(self, model: str, scores: Mapping[str, float | None]) -> int:
        """Add the scores of a model, None or NaN where it was asked and has none; returns the number of items outside the list.

        Raises
        ------
        ConfigError
            An unknown model.
        DataError
            A score outside [0, 1], or one that differs from the score that the item has.
        """
        if model not in self.models:
            raise ConfigError("The test has no such model.", where="models", got=model, hint=f"models: {', '.join(self.models)}")
        listed, own, others = set(self.items), self.scores[model], 0
        added: dict[str, float | None] = {}
        for item, given in scores.items():
            if item not in listed:
                others += 1
                continue
            value = None if given is None or math.isnan(given) else float(given)
            where = f"model {model!r}, item {item!r}"
            if value is not None:
                if not -TOLERANCE <= value <= 1 + TOLERANCE:
                    raise DataError("A score is outside [0, 1].", where=where, got=f"{value:g}", hint="divide by the largest score")
                value = min(max(value, 0.0), 1.0)
            known = own.get(item)
            if known is not None and value is not None and abs(known - value) > TOLERANCE:
                raise DataError(
                    "An item has another score than before.",
                    where=where,
                    got=f"{known:g}, then {value:g}",
                    hint="an answer that was looked at is not exchanged; begin a new test, or remove the second answer",
                )
            added[item] = known if value is None else value
        own.update(added)
        return others

    def matrix(self) -> tuple[FloatArray, NDArray[np.bool_]]:
        """(n_models, n) scores in the order of the items, NaN where unknown; and where the model was asked."""
        scores = np.full((len(self.models), len(self.items)), np.nan)
        asked = np.zeros(scores.shape, bool)
        column_of = {item: column for column, item in enumerate(self.items)}
        for row, model in enumerate(self.models):
            for item, value in self.scores[model].items():
                asked[row, column_of[item]] = True
                if value is not None:
                    scores[row, column_of[item]] = value
        return scores, asked

    def save(self, path: Path) -> None:
        """Write the file atomically; StoreError where it cannot be written."""
        content = self.content()
        write(path, dumps(content | {"checksum": checksum(content)}).encode(), "state")

    def content(self) -> dict[str, Any]:
        """The content of the file, without its checksum."""
        rules = self.rules
        return {
            "format": FORMAT,
            "version": VERSION,
            "question": rules.question,
            "margin": rules.margin,
            "alpha": rules.alpha,
            "n_items": self.n_items,
            "source": self.source,
            "models": list(self.models),
            "known_mean": self.known_mean,
            "prediction_mean": self.prediction_mean,
            "seed": self.seed,
            "items": [self._item_content(item) for item in self.items],
            "scores": [
                {"model": model, "scores": {item: None if value is None else json_number(value) for item, value in own.items()}}
                for model, own in self.scores.items()
            ],
        }

    def _item_content(self, item: str) -> dict[str, Any]:
        content: dict[str, Any] = {"id": item}
        if item in self.tasks:
            content["task"], content["position"] = self.tasks[item]
        if item in self.predictions:
            content["prediction"] = json_number(self.predictions[item])
        return content


def begin(
    items: tuple[str, ...],
    n_items: int,
    models: tuple[str, ...],
    rules: SequentialRules,
    *,
    known: Mapping[str, float | None] | None = None,
    predictions: Mapping[str, float] | None = None,
) -> State:
    """A new test of a whole list.

    Parameters
    ----------
    items, n_items, models, rules
        As in `State`.
    known
        The first model's scores on all items; None where it is asked like the other.
    predictions
        As in `State`; by default the known model's scores.

    Raises
    ------
    ConfigError, DataError
        As for `State`; an item without a known score.
    """
    given = dict(predictions or {})
    given |= {item: fraction(given[item], f"prediction of item {item!r}") for item in items if item in given}
    if known is None:
        mean = sum(given.get(item, 0.0) for item in items) / max(len(items), 1)
        return State(items, n_items, models, rules, predictions=given, prediction_mean=mean if given else 0.0)
    scores = {str(item): score for item, score in known.items()}
    without = [item for item in items if scores.get(item) is None or scores[item] != scores[item]]
    if without:
        got = f"{len(without):,} of {len(items):,} items without a score: {first_few(without)}"
        raise DataError(
            "A known model has a score on every item.", where="known", got=got, hint="leave out known, and add its scores"
        )
    own = {item: fraction(scores[item], f"known score of item {item!r}") for item in items}
    given = given or own
    means = [
        sum(values[item] for item in items) / len(items) if items else 0.0 for values in (own, given) if set(items) <= set(values)
    ]
    state = State(items, n_items, models, rules, known_mean=means[0], predictions=given, prediction_mean=means[-1])
    state.add(models[0], own)
    return state


def shuffled(items: Sequence[str], seed: int) -> tuple[str, ...]:
    """The items in a random order, which depends on the seed and on the set of ids only."""
    ids = sorted(items)
    return tuple(ids[k] for k in stream(seed, "sequential", "order").permutation(len(ids)))


def load(path: Path) -> State:
    """Read a state; DataError where the file is missing, of another kind or version, or was edited."""
    if path.is_dir():
        raise DataError("The state is a file, not a folder.", where=str(path), hint=f"state={path / 'test.json'}")
    if not path.exists():
        raise DataError("There is no such state.", where=str(path), hint="the file that microbench next or Sequential.save wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError("The state cannot be read.", where=str(path), got=one_line(error)[:200], hint=HINT) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(
            "The file is not the state of a sequential test.",
            where=str(path),
            hint="state=FILE of microbench next, or the name of a new file",
        )
    if content.get("version") != VERSION:
        got = f"version {content.get('version')!r:.40}"
        raise DataError("The state has an unsupported format version.", where=str(path), got=got, hint=HINT)
    try:
        if content["checksum"] != checksum(content):
            raise DataError("The state was edited.", where=str(path), got="a checksum that does not match", hint=HINT)
        return _state_of(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        got = f"{type(error).__name__}: {error}"[:200]
        raise DataError("The state is incomplete or malformed.", where=str(path), got=got, hint=HINT) from None


def _state_of(content: Mapping[str, Any]) -> State:
    rows = content["items"]
    state = State(
        items=tuple(row["id"] for row in rows),
        n_items=content["n_items"],
        models=tuple(plain_text(name, "models") for name in content["models"]),
        rules=SequentialRules(
            question=content["question"],
            margin=finite_number(content["margin"], "margin"),
            alpha=finite_number(content["alpha"], "alpha"),
        ),
        tasks={row["id"]: (str(row["task"]), str(row["position"])) for row in rows if "task" in row},
        source=content["source"],
        known_mean=content["known_mean"],
        predictions={row["id"]: fraction(row["prediction"], "prediction") for row in rows if "prediction" in row},
        prediction_mean=fraction(content["prediction_mean"], "prediction_mean"),
        seed=content.get("seed"),
    )
    for row in content["scores"]:
        state.add(row["model"], row["scores"])
    return state


def fraction(value: Any, where: str) -> float:
    """A number in [0, 1]; DataError for anything else."""
    number = None if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    if number is None or not 0 <= number <= 1:
        raise DataError(
            "The value must be a number in [0, 1].", where=where, got=f"{value!r:.40}", hint="divide by the largest score"
        )
    return number


def _check_predictions(state: State) -> None:
    if state.known_mean is not None:
        fraction(state.known_mean, "known_mean")
        if state.rules.question in ("best", "accuracy"):
            hint = "question=superior, noninferior or equivalent"
            raise ConfigError("This question has no known model.", where="known", got=state.rules.question, hint=hint)
    if state.predictions:
        if state.known_mean is None and state.rules.question != "accuracy":
            hint = "give the first model's scores on all items when the test begins, or leave out the predictions"
            raise ConfigError("Predictions need a known model to compare with.", where="predictions", hint=hint)
        if without := [item for item in state.items if item not in state.predictions]:
            got = f"{len(without):,} items without one: {first_few(without)}"
            raise DataError("Every item needs a prediction.", where="predictions", got=got, hint="leave out the predictions")
        for item in state.items:
            fraction(state.predictions[item], f"prediction of item {item!r}")


def _check_items(items: Sequence[str], n_items: int) -> None:
    wrong = next((item for item in items if not storable(item)), None)
    if wrong is not None:
        raise DataError("An item's id is not a text.", where="items", got=f"{wrong!r:.40}", hint="give ids that are texts")
    if len(items) < 2:
        raise DataError("A test needs at least two items.", where="items", got=str(len(items)), hint="give the whole list")
    if len(set(items)) < len(items):
        twice = sorted({item for item in items if items.count(item) > 1}) if len(items) < 10_000 else []
        raise DataError("An item is listed twice.", where="items", got=first_few(twice) or None, hint="list each item once")
    if isinstance(n_items, bool) or not isinstance(n_items, int) or not len(items) <= n_items <= MAX_ITEMS:
        raise ConfigError(
            "n_items must be a whole number from the number of items on.",
            where="n_items",
            got=repr(n_items),
            hint=f"n_items={len(items)}, or the size of the benchmark that the items are a random sample of",
        )
