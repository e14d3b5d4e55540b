"""The questions that a sequential test answers, and the checks of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from microbench_ray.core.errors import ConfigError, unknown

Question = Literal["superior", "noninferior", "equivalent", "best", "accuracy"]
QUESTIONS: tuple[Question, ...] = get_args(Question)
HINTS = {
    "one model": "give one run or name; question=superior compares two models, question=best any number",
    "two models": "give two runs, or names=[base,new]; question=accuracy is about one model, question=best about any number",
    "two or more models": "give all runs, or names=[a,b,c]",
}
"""What to do, by the number of models that a question has."""


@dataclass(frozen=True)
class SequentialRules:
    """What is asked, and how often the answer may be wrong.

    Attributes
    ----------
    question
        `superior`: is the second model better than the first by more than the margin; `noninferior`: is it worse by less than the
        margin; `equivalent`: both; `best`: which of two or more models is best, or with a margin, which one is at most so much
        worse than the best; `accuracy`: what is the accuracy of one model, within ± margin.
    margin
        A fraction: 0.02 is two points.
    alpha
        Largest probability of a wrong answer, whenever one stops.
    """

    question: Question = "superior"
    margin: float = 0.0
    alpha: float = 0.05

    @property
    def level(self) -> float:
        """Of the intervals: both ends hold with it, each end with 1 − `alpha` where only one of them can make an answer wrong."""
        return 1 - 2 * self.alpha if self.question in ("superior", "noninferior") else 1 - self.alpha


def check_rules(rules: SequentialRules, models: Sequence[str]) -> None:
    """Raise ConfigError for a value that is out of range, or a number of models that the question does not have."""
    if rules.question not in QUESTIONS:
        raise unknown("question", "question", rules.question, QUESTIONS)
    if not 0.0001 <= rules.alpha < 0.5:
        what = "alpha must be at least 0.0001 and below 0.5."
        raise ConfigError(what, where="alpha", got=repr(rules.alpha), hint="alpha=0.05")
    if not 0 <= rules.margin < 1:
        hint = "margin=0.02 for two points"
        raise ConfigError("The margin must be a fraction in [0, 1).", where="margin", got=repr(rules.margin), hint=hint)
    if rules.question in ("noninferior", "equivalent", "accuracy") and not rules.margin:
        hint = "margin=0.02 for two points"
        raise ConfigError("This question needs a margin above 0.", where="margin", got="0", hint=hint)
    needed = {"accuracy": "one model", "best": "two or more models"}.get(rules.question, "two models")
    fits = {"accuracy": len(models) == 1, "best": len(models) >= 2}.get(rules.question, len(models) == 2)
    if not fits:
        got = f"{len(models)}: {', '.join(models)}" if models else "none"
        raise ConfigError(
            f"This question is about {needed}.", where=f"models, question={rules.question}", got=got, hint=HINTS[needed]
        )
    if len(set(models)) < len(models):
        raise ConfigError("A model is named twice.", where="models", got=", ".join(models), hint="name each model once")
