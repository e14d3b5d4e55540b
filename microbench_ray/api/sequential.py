"""`microbench next` on data in memory: `Sequential`, a test that may stop at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microbench_ray.api.arguments import number, whole_number
from microbench_ray.core import formats
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.presented import Presented
from microbench_ray.core.storage.urls import local_path
from microbench_ray.micro.compare.rules import Decision
from microbench_ray.micro.sequential import report
from microbench_ray.micro.sequential.rules import Question, SequentialRules
from microbench_ray.micro.sequential.state import begin, load, shuffled
from microbench_ray.micro.sequential.upcoming import upcoming
from microbench_ray.micro.sequential.verdict import Verdict, verdict

if TYPE_CHECKING:
    import pandas as pd

Scores = Mapping[str, float | None]


@dataclass(frozen=True, eq=False, repr=False)
class SequentialVerdict(Presented):
    """What the answers of a `Sequential` say so far.

    Attributes
    ----------
    found
        All numbers: see `microbench_ray.micro.sequential.verdict.Verdict`.
    next
        The items to answer next, at most as many as were asked for last.
    """

    found: Verdict
    next: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision:
        """`yes`, `no`, or `cannot be told` so far."""
        return self.found.decision

    @property
    def best(self) -> list[str]:
        """The answer to the question `best`: one model, or several equally good ones; empty while it cannot be told."""
        return self.found.best

    def headline(self) -> str:
        """The answer in one sentence, and the items that it rests on."""
        return " ".join(report.sentences(self.found, self.next)[:2])

    def table(self) -> pd.DataFrame:
        """One row for each pair of models.

        Columns: `a`, `b`, `n_items`, `mean_a`, `mean_b`, `difference` (b less a) with its interval `low` and `high` at any stopping
        time, and `decision`; for `best` a row for each model beside the leader, with `in_the_race`; for `accuracy` one row with
        `model`, `n_items`, `mean`, `low`, `high` and `decision`. Scores and differences are fractions.
        """
        import pandas as pd

        return pd.DataFrame(report.table_rows(self.found))

    def overview(self) -> formats.Table:
        """The rows of `table`."""
        rows = report.table_rows(self.found)
        return formats.Table.of_rows(rows, tuple(rows[0]))

    def to_json(self) -> dict[str, Any]:
        """The same object as `microbench next format=json` prints: the keys of `mb.compare`, and `sequential`."""
        return report.to_json(self.found, self.next)


class Sequential:
    """Answer a question about models with as few items as it takes.

    Items are looked at in random order. After every answer, or every batch, `verdict` says whether the question is answered. Its
    answer is wrong with a probability of at most `alpha`, whenever and for whatever reason one stops.

    Parameters
    ----------
    items
        Ids of all items of the list that the answer is about.
    question
        `superior`: is the second model better than the first by more than `margin`; `noninferior`: is it worse by less than
        `margin`; `equivalent`: both; `best`: which of two or more models is the best one, or with a margin, which one is at most
        so much worse than the best; `accuracy`: the accuracy of one model within ± `margin`.
    models
        Names: two, one for `accuracy`, two or more for `best`.
    margin
        A fraction: 0.02 is two points.
    alpha
        Largest probability of a wrong answer.
    seed
        Of the random order; None where `items` are in random order already.
    n_items
        Size of the list that the answer is about, where `items` are a random sample of it. By default the number of items.
    known
        The first model's scores by item id, where they are known for all items before the test: only the second model is then
        asked. For `superior`, `noninferior` and `equivalent`.
    predictions
        By item id, a predicted score of the model that is asked, in [0, 1], such as the mean score of other models. They make no
        answer wrong, however bad they are, and the better they are, the fewer items it takes. For `accuracy`, and with `known`,
        whose scores are the predictions by default.

    Raises
    ------
    ConfigError, DataError
        A parameter out of range, a wrong number of models, or invalid ids.

    Notes
    -----
    Tests by betting on a list that is drawn without replacement: see `microbench_ray.metrics.betting`.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> test = mb.Sequential([f"q{k}" for k in range(400)], "superior", ["base", "new"])
    >>> while (batch := test.next(25)) and test.verdict().decision == "cannot be told":
    ...     test.add({"base": dict.fromkeys(batch, 0), "new": dict.fromkeys(batch, 1)})
    >>> test.verdict().decision
    'yes'
    """

    def __init__(
        self,
        items: Sequence[str],
        question: Question = "superior",
        models: Sequence[str] | str = ("base", "new"),
        *,
        margin: float = 0.0,
        alpha: float = 0.05,
        seed: int | None = 0,
        n_items: int | None = None,
        known: Scores | None = None,
        predictions: Mapping[str, float] | None = None,
    ) -> None:
        if isinstance(items, str):
            raise ConfigError("items must be a list of ids.", where="items", got=repr(items), hint="items=['q1', 'q2', …]")
        ids = [str(item) for item in items]
        if len(set(ids)) < len(ids):
            raise DataError("An item is listed twice.", where="items", got=f"{len(ids)} ids, {len(set(ids))} different ones")
        seed = None if seed is None else whole_number("seed", seed, 0)
        ordered = tuple(ids) if seed is None else shuffled(ids, seed)
        names = (models,) if isinstance(models, str) else tuple(map(str, models))
        total = len(ids) if n_items is None else whole_number("n_items", n_items, 1)
        if total > len(ids) and (known is not None or predictions is not None):
            hint = "leave out n_items; microbench next micro=DIR base=MODEL knows the means of exported benchmarks"
            raise ConfigError("Known scores and predictions need the whole list.", where="n_items", got=str(total), hint=hint)
        level = number("alpha", alpha, "alpha=0.05")
        rules = SequentialRules(question, number("margin", margin, "margin=0.02 for two points"), level)
        self._state = begin(ordered, total, names, rules, known=known, predictions=predictions)
        self._state.seed = seed
        self._count = 10

    @property
    def items(self) -> tuple[str, ...]:
        """All items in their order."""
        return self._state.items

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""
        return self._state.models

    def add(self, scores: Mapping[str, Any], model: str | None = None) -> None:
        """Add answers; only items at the head of the order count, so that batches may be answered in any order.

        Parameters
        ----------
        scores
            By item id, the score in [0, 1] of one model, None or NaN where it was asked and has no score; or such a mapping by
            model. A score that is missing counts as the worst case for every answer. Items outside the list are ignored.
        model
            Whose scores these are; needed for a single mapping, unless the test is about one model.

        Raises
        ------
        ConfigError
            An unknown model, or none.
        DataError
            A score outside [0, 1], or one that differs from the score that the item has.
        """
        if not hasattr(scores, "items"):
            hint = "test.add({'base': {'q1': 1}, 'new': {'q1': 0}})"
            raise ConfigError("scores must be a mapping.", where="scores", got=type(scores).__name__, hint=hint)
        if model is None and len(self.models) == 1 and not set(scores) <= set(self.models):
            model = self.models[0]
        by_model = {model: scores} if model is not None else scores
        wrong = next((name for name, own in by_model.items() if not hasattr(own, "items")), None)
        if wrong is not None:
            hint = "test.add({'base': {'q1': 1}, 'new': {'q1': 0}}), or test.add({'q1': 1}, model='new')"
            raise ConfigError("It is unknown which model these scores are of.", where="model", got=str(wrong), hint=hint)
        for name, own in by_model.items():
            self._state.add(str(name), {str(item): _score(item, score) for item, score in own.items()})

    def next(self, count: int = 10) -> list[str]:
        """The next items that a model in the race was not asked, in their order; none once the question is answered."""
        self._count = whole_number("count", count, 1)
        return upcoming(self._state, verdict(self._state, intervals=False), self._count)

    def verdict(self) -> SequentialVerdict:
        """What the answers so far say."""
        found = verdict(self._state)
        return SequentialVerdict(found, tuple(upcoming(self._state, found, self._count)))

    def save(self, path: str | Path) -> None:
        """Write the state to one JSON file, atomically, as `microbench next` does; StoreError where it cannot be written."""
        self._state.save(local_path(path))

    @classmethod
    def load(cls, path: str | Path) -> Sequential:
        """Read a state that `save` or `microbench next` wrote; DataError where that is not one."""
        test = cls.__new__(cls)
        test._state, test._count = load(local_path(path)), 10
        return test

    def __repr__(self) -> str:
        return f"Sequential test, {self._state.rules.question} of {', '.join(self.models)}\n{self.verdict()!r}"


def _score(item: object, given: Any) -> float | None:
    return None if given is None else number(f"the score of {item}", given, "1 for a right answer, 0 for a wrong one")
