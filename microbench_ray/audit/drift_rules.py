"""What counts as drift: rules, each about one metric, held together so that a whole night alarms falsely as seldom as promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from microbench_ray.audit.pair_sums import DriftTies
from microbench_ray.core.errors import ConfigError

Family = Literal["new", "added", "same"]
"""Which models a metric looks at: tonight's new ones, all that were added since the baseline, or those there at both times."""

Sides = Literal["two", "up", "down"]
Scope = Literal["together", "each", "both"]


@dataclass(frozen=True)
class Metric:
    """A number of a night.

    Attributes
    ----------
    family
        Whose.
    of_list
        Whether there is one per audited list; otherwise it is about the benchmark alone.
    scopes
        Whether there is one of all subtasks together, of each, or both.
    about
        What it is, in a sentence after the list and the subtask.
    """

    family: Family
    of_list: bool
    scopes: Scope
    about: str


METRICS: dict[str, Metric] = {
    "bias_new": Metric("new", True, "both", "mean of estimate − accuracy of tonight's new models"),
    "bias_added": Metric("added", True, "both", "mean of estimate − accuracy of the models added since the baseline"),
    "residual_new": Metric("new", False, "each", "tonight's new models, against what their other subtasks say"),
    "residual_worst": Metric("new", False, "each", "the new model that is furthest from what its other subtasks say"),
    "residual_added": Metric(
        "added",
        False,
        "each",
        "models added since the baseline, against what their other subtasks say",
    ),
    "agreement_new": Metric("new", True, "both", "share of pairs with one of tonight's new models that are ordered right"),
    "agreement_added": Metric("added", True, "both", "share of pairs with a model added since the baseline that are ordered right"),
    "agreement": Metric("added", True, "both", "share of all pairs that are ordered right"),
    "mdad_monotone": Metric("added", True, "both", "MDAD over all models"),
    "accuracy_change": Metric("same", False, "both", "accuracy of the models that the baseline has too, against then"),
}


@dataclass(frozen=True)
class DriftRule:
    """One metric to be watched.

    Parameters
    ----------
    metric
        One of `METRICS`.
    subjects
        Labels of lists; None for all. Without meaning for a metric that is about no list.
    scope
        All subtasks together, each apart, or both; None for all that the metric has, but for metrics of pairs, where every
        subtask costs as much as all together, only together.
    subtasks
        Which, where they are taken apart; None for every one.
    sides
        Whether a value too high, too low, or both is outside.
    nights
        On how many nights running it must be outside, on the same side, for an alarm. A night on which the metric has no value is
        passed over.
    factor
        Widens the interval (or narrows it, below 1) against those of the other rules of its family: all together keep the policy's
        level, which is what widens them all.
    severity
        What an alarm is: `fail` violates the policy, `warn` is only told.
    """

    metric: str
    subjects: tuple[str, ...] | None = None
    scope: Scope | None = None
    subtasks: tuple[str, ...] | None = None
    sides: Sides = "two"
    nights: int = 1
    factor: float = 1.0
    severity: Literal["warn", "fail"] = "fail"

    def __post_init__(self) -> None:
        known = METRICS.get(self.metric)
        if known is None:
            raise _wrong("Unknown metric of a drift rule.", "metric", self.metric, f"one of {', '.join(METRICS)}")
        if self.scope not in (None, "together", "each", "both") or (
            self.scope is not None and known.scopes != "both" and self.scope != known.scopes
        ):
            raise _wrong(f"{self.metric} has no such scope.", "scope", self.scope, f"{known.scopes}, or leave it out")
        if self.sides not in ("two", "up", "down"):
            raise _wrong("A rule is about two sides, or up, or down.", "sides", self.sides, "two, up or down")
        if self.severity not in ("warn", "fail"):
            raise _wrong("Unknown severity of a drift rule.", "severity", self.severity, "warn or fail")
        if self.nights < 1:
            raise _wrong("A rule needs at least one night.", "nights", self.nights, "1 for an alarm at once")
        if not 0 < self.factor < float("inf"):
            raise _wrong("The factor of a rule is a positive number.", "factor", self.factor, "1 for the interval as it is")

    def wants(self, together: bool) -> bool:
        """Whether it is about all subtasks together, or about each."""
        scope = self.scope or ("together" if is_of_pairs(self.metric) else METRICS[self.metric].scopes)
        return scope == "both" or scope == ("together" if together else "each")


DEFAULT_RULES = (
    DriftRule("bias_new"),
    DriftRule("residual_new"),
    DriftRule("residual_worst", sides="up", factor=1.5),
    DriftRule("agreement_new"),
    DriftRule("bias_added", nights=2),
    DriftRule("residual_added", nights=2),
    DriftRule("agreement_added", nights=2),
    DriftRule("agreement", nights=2),
    DriftRule("mdad_monotone", nights=2),
    DriftRule("accuracy_change"),
)


@dataclass(frozen=True)
class Policy:
    """The rules of a night.

    Parameters
    ----------
    rules
        The first that fits a metric, list and subtask counts.
    level
        Probability that a night without drift shows nothing outside, over all rules, lists and subtasks together.
    n_resamples
        Simulated nights that the intervals are read off.
    threshold
        Agreement that an MDAD is about.
    tie_policy
        How tied estimates count.
    tolerance
        Change of accuracy of the same models that is not worth a word (`accuracy_change`), a fraction.
    """

    rules: Sequence[DriftRule] = DEFAULT_RULES
    level: float = 0.99
    n_resamples: int = 2000
    threshold: float = 0.8
    tie_policy: DriftTies = "wrong"
    tolerance: float = 0.0025

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(self.rules))
        if not 0 < self.level < 1:
            raise _wrong("The level of the policy is a probability.", "level", self.level, "for example 0.99")
        if self.n_resamples * (1 - self.level) < 2:
            least = int(2 / (1 - self.level)) + 1
            raise _wrong("So few resamples do not tell such a level.", "n_resamples", self.n_resamples, f"at least {least}")
        if self.tie_policy not in ("wrong", "half", "drop"):
            raise _wrong("Drift knows no such tie policy.", "tie_policy", self.tie_policy, "wrong, half or drop")
        if not 0 <= self.tolerance < 1:
            raise _wrong("The tolerance is a fraction.", "tolerance", self.tolerance, "0.0025 for a quarter of a point")

    def check(self, subjects: Sequence[str], subtasks: Sequence[str]) -> None:
        """Raise ConfigError where a rule names a list or a subtask that there is not."""
        for rule in self.rules:
            for key, named, known in (("subjects", rule.subjects, subjects), ("subtasks", rule.subtasks, subtasks)):
                unknown = [name for name in named or () if name not in known]
                if unknown:
                    what = f"The rule about {rule.metric} is about something that there is not."
                    raise _wrong(what, key, ", ".join(unknown), f"one of {', '.join(known) or '(none)'}")

    def rule(self, metric: str, subject: str, subtask: str) -> DriftRule | None:
        """The first rule about a metric of a list (empty: of the benchmark) and a subtask (empty: all together)."""
        for rule in self.rules:
            if (
                rule.metric == metric
                and rule.wants(subtask == "")
                and (rule.subjects is None or subject in ("", *rule.subjects))
                and (rule.subtasks is None or subtask in ("", *rule.subtasks))
            ):
                return rule
        return None


def is_of_pairs(metric: str) -> bool:
    """Whether it is about pairs of models, and hence costs far more than a mean."""
    return metric == "mdad_monotone" or metric.startswith("agreement")


def _wrong(what: str, key: str, got: object, hint: str) -> ConfigError:
    return ConfigError(what, where=f"drift rules, {key}", got=str(got), hint=hint)
