"""What conf/audit.yaml and conf/accept.yaml may hold."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from microbench_ray.audit.baseline import WHATS
from microbench_ray.audit.drift_rules import DEFAULT_RULES, DriftRule, Policy
from microbench_ray.audit.findings import DEFAULT_ACTIONS, check_actions
from microbench_ray.audit.history import check_night
from microbench_ray.audit.job import AcceptJob, AuditJob, Unlike
from microbench_ray.audit.webhook import Webhook
from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.cli.settings.ingest import IngestConf
from microbench_ray.cli.settings.sweep import EngineConf, GridConf, RulesConf, place_of
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.storage.urls import is_url
from microbench_ray.data import item_versions
from microbench_ray.methods import Fixed, Method


@dataclass
class IngestPartConf(IngestConf):
    """The key `ingest`: all of conf/ingest.yaml, where `out` is the benchmark's folder."""

    out: str = ""


@dataclass
class UnlikeConf:
    """The key `extrapolation`: see `microbench_ray.audit.run.Unlike`."""

    best: float | None = 0.2
    newer: str | None = None
    families: int = 0


@dataclass
class DriftConf:
    """The key `drift`: see `microbench_ray.audit.drift_rules.Policy`."""

    level: float = 0.99
    n_resamples: int = 2000
    tolerance: float = 0.0025
    rules: list[Any] | None = None

    def policy(self, threshold: float, tie_policy: str) -> Policy:
        """Checked. Drift has no form of the paper's tie policy, and counts ties as wrong there."""
        rules = DEFAULT_RULES if self.rules is None else tuple(drift_rule(entry) for entry in self.rules)
        ties: Any = "wrong" if tie_policy == "paper" else tie_policy
        return Policy(rules, self.level, self.n_resamples, threshold, ties, self.tolerance)


def drift_rule(entry: Any) -> DriftRule:
    """A rule from its mapping, or from the name of its metric."""
    given = {"metric": entry} if isinstance(entry, str) else entry
    known = set(DriftRule.__dataclass_fields__)
    if not isinstance(given, dict) or set(given) - known or "metric" not in given:
        raise ConfigError(
            "A rule of drift is the name of a metric, or a mapping with it.",
            where="drift.rules",
            got=repr(entry),
            hint=f"{{metric: bias_added, nights: 2}}; keys: {', '.join(sorted(known))}",
        )
    lists = {key: tuple(given[key]) for key in ("subjects", "subtasks") if given.get(key) is not None}
    try:
        return DriftRule(**(given | lists))
    except TypeError as error:
        raise ConfigError("A rule of drift has a value of the wrong type.", where="drift.rules", got=str(error)) from None


@dataclass
class WebhookConf:
    """The key `webhook`."""

    url: str | None = None
    shape: str = "verdict"

    def webhook(self) -> Webhook | None:
        """Checked; None for nobody."""
        shape: Any = self.shape
        return None if self.url is None else Webhook(self.url, shape)


@dataclass
class AuditConf(RulesConf):
    """conf/audit.yaml: see `microbench_ray.audit.run.AuditJob`."""

    data_dir: str = "leaderboards"
    benchmark: Any = None
    ingest: IngestPartConf | None = None
    lists: dict[str, str] = field(default_factory=dict)
    methods: list[Any] = field(default_factory=list)
    grid: GridConf = field(default_factory=GridConf)
    engine: EngineConf = field(default_factory=EngineConf)
    seed: int = 0
    out: str = NEEDED
    night: str | None = None
    wait_for_out: float = 0.0
    report: bool = True
    figures: bool = True
    wanted: float = 0.02
    top_k: int = 10
    limits: dict[str, float] = field(default_factory=dict)
    extrapolation: UnlikeConf = field(default_factory=UnlikeConf)
    drift: DriftConf = field(default_factory=DriftConf)
    policy: dict[str, str] = field(default_factory=dict)
    max_missing_share: float = 0.05
    webhook: WebhookConf = field(default_factory=WebhookConf)

    def job(self, benchmark: Any, methods: Sequence[Method], content: Mapping[str, Any]) -> AuditJob:
        """The audit that this configuration asks for; no file of the benchmark is read yet.

        Parameters
        ----------
        benchmark
            The configuration of the benchmark.
        methods
            The configured methods, and those of `lists`.
        content
            The whole configuration as plain values, for the manifest.
        """
        if not methods:
            raise ConfigError(
                "There is nothing to audit.",
                where="lists, methods",
                got="neither",
                hint="lists={tiny: tiny.txt}, or methods=[random]",
            )
        if self.seed < 0:
            raise ConfigError("seed must be at least 0.", where="seed", got=str(self.seed), hint="seed=0")
        for key, least, most in (("wanted", 0.0, 1.0), ("max_missing_share", -1e-9, 1.0)):
            if not least < getattr(self, key) <= most:
                raise ConfigError(
                    f"{key} is a fraction.", where=key, got=f"{getattr(self, key):g}", hint=f"{key}=0.02 for 2 points"
                )
        if self.top_k < 1:
            raise ConfigError("top_k must be at least 1.", where="top_k", got=str(self.top_k), hint="top_k=10")
        labels = [method.label for method in methods]
        for label, limit in self.limits.items():
            if label not in labels or not 0 < limit <= 1:
                raise ConfigError(
                    "A limit is the largest MDAD of a list or method, a fraction.",
                    where="limits",
                    got=f"{label}: {limit:g}",
                    hint=f"labels: {', '.join(labels)}",
                )
        ingest = None
        if self.ingest is not None:
            if benchmark.reader != "ingested":
                raise ConfigError("Logs are read into an ingested benchmark.", where="ingest", got=f"benchmark={benchmark.reader}")
            self.ingest.out = benchmark.path
            ingest = self.ingest.job()
        rules = self.rules()
        return AuditJob(
            read=benchmark.read,
            items=(lambda: item_versions(benchmark.path)) if benchmark.reader == "ingested" else None,
            ingest=ingest,
            lists=tuple(each for each in methods if isinstance(each.selector, Fixed)),
            methods=tuple(each for each in methods if not isinstance(each.selector, Fixed)),
            grid=self.grid.grid(),
            rules=rules,
            engine=lambda: self.engine.engine(methods),
            out=folder_of(self.out, self.wait_for_out),
            night=check_night(self.night or time.strftime("%Y-%m-%d", time.gmtime())),
            seed=self.seed,
            wanted=self.wanted,
            top_k=self.top_k,
            limits=dict(self.limits),
            unlike=Unlike(**asdict(self.extrapolation)),
            drift=self.drift.policy(rules.thresholds[0], rules.tie_policy),
            actions=check_actions({**DEFAULT_ACTIONS, **self.policy}),
            max_missing_share=self.max_missing_share,
            webhook=self.webhook.webhook(),
            report=self.report,
            figures=self.figures,
            wait_for_out=self.wait_for_out,
            config=content,
        )


@dataclass
class AcceptConf:
    """conf/accept.yaml."""

    out: str = NEEDED
    what: list[str] = field(default_factory=lambda: list(WHATS))
    wait_for_out: float = 0.0

    def job(self) -> AcceptJob:
        """Checked."""
        hint = "what=[baseline,pool]"
        if not self.what:
            raise ConfigError("Nothing is to be accepted.", where="what", got="[]", hint=hint)
        for each in self.what:
            if each not in WHATS:
                raise ConfigError("What is accepted is the baseline, the pool or both.", where="what", got=each, hint=hint)
        what = tuple(each for each in WHATS if each in self.what)
        return AcceptJob(folder_of(self.out, self.wait_for_out), what, self.wait_for_out)


def folder_of(out: str, wait_for_out: float) -> Path:
    """The audit's folder, checked."""
    if is_url(out):
        raise ConfigError(
            "An audit keeps its baseline and history in a folder of this machine.",
            where="out",
            got=out,
            hint="out=DIR, on a volume that is kept; the benchmark may be a URL",
        )
    return Path(place_of(out, wait_for_out))
