"""How runs are compared, and what a gate accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.metrics.multiplicity import ADJUSTMENTS, Adjustment
from microbench_ray.metrics.run_difference import REFERENCES, Reference
from microbench_ray.micro.compare.pairing import REPEATS, TRUTHS, Repeats, Truth

Accept = Literal["superior", "noninferior", "equivalent"]
ACCEPTS: tuple[Accept, ...] = get_args(Accept)
Decision = Literal["yes", "no", "cannot be told"]
Against = Literal["first", "all"]
AGAINST: tuple[Against, ...] = get_args(Against)


@dataclass(frozen=True)
class CompareRules:
    """How runs are compared. Keys as in conf/compare.yaml.

    Attributes
    ----------
    truth
        `micro`: every item counts the same; `macro`: every subtask does; `weights`: items count by weights that were given.
    repeats
        `samples`: an item's repeats are independent of other items'; `runs`: the k-th repeats of all items are one run, which
        may be better or worse than other runs on all items.
    reference
        `population`: for all such items; `benchmark`: for these items, where only repeats vary.
    confidence
        Of the intervals.
    against
        `first`: every run with the first one; `all`: all pairs.
    adjust
        Of the p-values of several comparisons.
    accept, margin
        The gate: `superior` (better by more than the margin), `noninferior` (worse by less than the margin), `equivalent` (both);
        None for no gate. A fraction.
    min_common
        Share of the items that all runs must have answered for the gate to say yes or no.
    """

    truth: Truth = "micro"
    repeats: Repeats = "samples"
    reference: Reference = "population"
    confidence: float = 0.95
    against: Against = "first"
    adjust: Adjustment = "holm"
    accept: Accept | None = None
    margin: float = 0.0
    min_common: float = 0.9


CHOICES: dict[str, tuple[str | None, ...]] = {
    "truth": TRUTHS,
    "repeats": REPEATS,
    "reference": REFERENCES,
    "against": AGAINST,
    "adjust": ADJUSTMENTS,
    "accept": (*ACCEPTS, None),
}
"""Valid values of rules."""


def check_rules(rules: CompareRules) -> None:
    """Raise ConfigError for a value that is unknown or out of range."""
    for key, valid in CHOICES.items():
        value = getattr(rules, key)
        if value not in valid:
            raise unknown("value", key, value, filter(None, valid))
    if not 0.5 <= rules.confidence < 1:
        raise ConfigError(
            "The confidence must be at least 0.5 and below 1.",
            where="confidence",
            got=repr(rules.confidence),
            hint=fraction_hint("confidence", rules.confidence, "0.95"),
        )
    if not 0 <= rules.margin < 1:
        hint = fraction_hint("margin", rules.margin, "0.02 for two points")
        raise ConfigError("The margin must be a fraction in [0, 1).", where="margin", got=repr(rules.margin), hint=hint)
    if not 0 <= rules.min_common <= 1:
        hint = fraction_hint("min_common", rules.min_common, "0.9")
        raise ConfigError("min_common must be a share in [0, 1].", where="min_common", got=repr(rules.min_common), hint=hint)
    if rules.accept in ("noninferior", "equivalent") and not rules.margin:
        raise ConfigError("This gate needs a margin above 0.", where="margin", got="0", hint="margin=0.02 for two points")
    if rules.margin and rules.accept is None:
        raise ConfigError("A margin needs a gate.", where="accept", got="none", hint="accept=noninferior, superior or equivalent")
