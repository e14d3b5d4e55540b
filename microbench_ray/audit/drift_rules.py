"""The drift policy: the metrics that can be watched, and the rules that say which are watched and when they raise an alarm.

The intervals of all rules of a night hold simultaneously at one level, so a night without drift rarely raises an alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from microbench_ray.audit.pair_sums import DriftTies
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.sweeps.reduce import MAX_RESAMPLES

Family = Literal["new", "added", "same"]
"""The models of a metric: tonight's new ones, all added since the baseline, or those of the baseline that are still present."""

Sides = Literal["two", "up", "down"]
Scope = Literal["together", "each", "both"]


@dataclass(frozen=True)
class Metric:
    """A metric of a night.

    Attributes
    ----------
    family
        The models that it is about.
    of_list
        Whether each audited list has one; otherwise it is about the benchmark.
    scopes
        Whether it exists for all subtasks together, for each subtask, or both.
    description
        What it measures, for findings.
    """

    family: Family
    of_list: bool
    scopes: Scope
    description: str


METRICS: dict[str, Metric] = {
    "bias_new": Metric("new", True, "both", "mean of estimate − accuracy over tonight's new models"),
    "bias_added": Metric("added", True, "both", "mean of estimate − accuracy over the models added since the baseline"),
    "residual_new": Metric("new", False, "each", "accuracy of tonight's new models relative to what their other subtasks predict"),
    "residual_worst": Metric("new", False, "each", "largest deviation of a new model from what its other subtasks predict"),
    "residual_added": Metric(
        "added",
        False,
        "each",
        "accuracy of the models added since the baseline relative to what their other subtasks predict",
    ),
    "agreement_new": Metric("new", True, "both", "agreement on pairs with one of tonight's new models"),
    "agreement_added": Metric("added", True, "both", "agreement on pairs with a model added since the baseline"),
    "agreement": Metric("added", True, "both", "agreement on all pairs"),
    "mdad_monotone": Metric("added", True, "both", "MDAD on all models"),
    "accuracy_change": Metric("same", False, "both", "change in the accuracy of the baseline's models"),
}


@dataclass(frozen=True)
class DriftRule:
    """Watch one metric.

    Parameters
    ----------
    metric
        One of `METRICS`.
    subjects
        Labels of lists; None for all. Ignored for a metric of the benchmark.
    scope
        `together` for all subtasks as one, `each` for every subtask, or `both`. None for every scope of the metric, except that
        metrics of pairs are then watched for all subtasks together only, as each subtask costs as much as all of them.
    subtasks
        Names of subtasks, for rules about each; None for all.
    sides
        Whether values that are too high (`up`), too low (`down`), or both (`two`) are outside.
    nights
        Number of nights in a row, outside on the same side, that raise an alarm. Nights on which the metric is undefined are
        skipped.
    factor
        Widens (above 1) or narrows (below 1) the interval relative to the other rules of its family. The level holds for all
        rules together whatever the factors.
    severity
        Severity of an alarm: `fail` violates the policy, `warn` does not.

    Raises
    ------
    ConfigError
        A value that is not allowed.
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
            raise _error("Unknown metric of a drift rule.", "metric", self.metric, f"valid: {', '.join(METRICS)}")
        if self.scope not in (None, "together", "each", "both") or (
            self.scope is not None and known.scopes != "both" and self.scope != known.scopes
        ):
            raise _error(f"Unsupported scope for {self.metric}.", "scope", self.scope, f"scope: {known.scopes}, or leave it out")
        if self.sides not in ("two", "up", "down"):
            raise _error("Unknown sides of a drift rule.", "sides", self.sides, "valid: two, up, down")
        if self.severity not in ("warn", "fail"):
            raise _error("Unknown severity of a drift rule.", "severity", self.severity, "valid: warn, fail")
        if self.nights < 1:
            raise _error("nights must be at least 1.", "nights", self.nights, "1 raises an alarm on the first night")
        if not 0 < self.factor < float("inf"):
            raise _error("factor must be a positive number.", "factor", self.factor, "1 keeps the interval as it is")

    def covers(self, together: bool) -> bool:
        """Whether the rule watches all subtasks together, or else each subtask."""
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
class DriftPolicy:
    """The drift rules of an audit and their common settings.

    Parameters
    ----------
    rules
        The first rule that matches a metric, list and subtask applies.
    level
        Probability that a night without drift has no value outside its interval, over all rules, lists and subtasks together.
    n_resamples
        Number of simulated nights behind the intervals.
    threshold
        Agreement that defines the MDAD.
    tie_policy
        How tied estimates count.
    tolerance
        Largest change in the accuracy of the same models that is inside (`accuracy_change`), a fraction.

    Raises
    ------
    ConfigError
        A value that is not allowed.
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
            raise _error("level must be between 0 and 1.", "level", self.level, fraction_hint("drift.level", self.level, "0.99"))
        if self.n_resamples > MAX_RESAMPLES:
            raise _error(f"n_resamples must be at most {MAX_RESAMPLES:,}.", "n_resamples", self.n_resamples, "n_resamples=2000")
        if self.n_resamples * (1 - self.level) < 2:
            needed = int(2 / (1 - self.level)) + 1
            raise _error("Too few resamples for this level.", "n_resamples", self.n_resamples, f"at least {needed}")
        if self.tie_policy not in ("wrong", "half", "drop"):
            raise _error("Unknown tie policy for drift.", "tie_policy", self.tie_policy, "valid: wrong, half, drop")
        if not 0 <= self.tolerance < 1:
            hint = fraction_hint("drift.tolerance", self.tolerance, "0.0025 for a quarter of a point")
            raise _error("tolerance must be a fraction, below 1.", "tolerance", self.tolerance, hint)

    def check(self, subjects: Sequence[str], subtasks: Sequence[str]) -> None:
        """Raise ConfigError if a rule names an unknown list or subtask."""
        for rule in self.rules:
            for key, named, known in (("subjects", rule.subjects, subjects), ("subtasks", rule.subtasks, subtasks)):
                unknown = [name for name in named or () if name not in known]
                if unknown:
                    what = f"The drift rule for {rule.metric} names unknown {key}."
                    raise _error(what, key, ", ".join(unknown), f"valid: {', '.join(known) or '(none)'}")

    def rule(self, metric: str, subject: str, subtask: str) -> DriftRule | None:
        """The first rule for a metric, list and subtask; an empty list is the benchmark, an empty subtask all together."""
        for rule in self.rules:
            if (
                rule.metric == metric
                and rule.covers(together=subtask == "")
                and (rule.subjects is None or subject in ("", *rule.subjects))
                and (rule.subtasks is None or subtask in ("", *rule.subtasks))
            ):
                return rule
        return None

    def watched(self, metric: str, subject: str, subtask: str, n_subtasks: int) -> DriftRule | None:
        """The rule, as for `rule`; None for the only subtask of a benchmark where one watches it as the whole benchmark."""
        if subtask and n_subtasks == 1 and self.rule(metric, subject, "") is not None:
            return None
        return self.rule(metric, subject, subtask)


def is_of_pairs(metric: str) -> bool:
    """Whether a metric is about pairs of models, which costs far more than a mean over models."""
    return metric == "mdad_monotone" or metric.startswith("agreement")


def _error(what: str, key: str, got: object, hint: str) -> ConfigError:
    return ConfigError(what, where=f"drift rules, {key}", got=str(got), hint=hint)
