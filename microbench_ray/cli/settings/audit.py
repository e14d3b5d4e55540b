"""Schemas of conf/audit.yaml and conf/accept.yaml."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from microbench_ray.audit.baseline import PARTS
from microbench_ray.audit.drift_rules import DEFAULT_RULES, DriftPolicy, DriftRule
from microbench_ray.audit.findings import DEFAULT_ACTIONS, check_actions
from microbench_ray.audit.history import check_night
from microbench_ray.audit.job import AcceptJob, AuditJob, Extrapolation
from microbench_ray.audit.webhook import Webhook
from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.cli.settings.ingest import IngestConf
from microbench_ray.cli.settings.places import check_shown, place_of
from microbench_ray.cli.settings.sweep import EngineConf, GridConf, RulesConf
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.core.masking import mask_secrets
from microbench_ray.core.storage.urls import is_url
from microbench_ray.data import item_versions
from microbench_ray.data.names import show_name
from microbench_ray.data.stamps import board_stamp
from microbench_ray.methods import Fixed, Method
from microbench_ray.sweeps.fit_grid import open_keys


@dataclass
class IngestPartConf(IngestConf):
    """The key `ingest`: the keys of conf/ingest.yaml; `out` is set to the benchmark's folder."""

    out: str = ""


@dataclass
class ExtrapolationConf:
    """The key `extrapolation`: see `microbench_ray.audit.job.Extrapolation`."""

    best: float | None = 0.2
    newer: str | None = None
    families: int = 0


@dataclass
class DriftConf:
    """The key `drift`: see `microbench_ray.audit.drift_rules.DriftPolicy`."""

    level: float = 0.99
    n_resamples: int = 2000
    tolerance: float = 0.0025
    rules: list[Any] | None = None

    def policy(self, threshold: float, tie_policy: str) -> DriftPolicy:
        """The checked policy. For `tie_policy=paper`, which drift does not support, ties count as wrong."""
        rules = DEFAULT_RULES if self.rules is None else tuple(drift_rule(entry) for entry in self.rules)
        ties: Any = "wrong" if tie_policy == "paper" else tie_policy
        return DriftPolicy(
            rules=rules,
            level=self.level,
            n_resamples=self.n_resamples,
            threshold=threshold,
            tie_policy=ties,
            tolerance=self.tolerance,
        )


def drift_rule(entry: Any) -> DriftRule:
    """A rule from a mapping, or from the name of a metric."""
    given = {"metric": entry} if isinstance(entry, str) else entry
    known = set(DriftRule.__dataclass_fields__)
    if not isinstance(given, dict) or set(given) - known or "metric" not in given:
        raise ConfigError(
            "A drift rule must be the name of a metric, or a mapping with the key metric.",
            where="drift.rules",
            got=repr(entry),
            hint=f"for example {{metric: bias_added, nights: 2}}; valid keys: {', '.join(sorted(known))}",
        )
    lists = {key: tuple(given[key]) for key in ("subjects", "subtasks") if given.get(key) is not None}
    try:
        return DriftRule(**(given | lists))
    except TypeError as error:
        raise ConfigError("A drift rule has a value of the wrong type.", where="drift.rules", got=str(error)) from None


@dataclass
class WebhookConf:
    """The key `webhook`."""

    url: str | None = None
    shape: str = "verdict"

    def webhook(self) -> Webhook | None:
        """The checked webhook; None if there is no URL."""
        shape: Any = self.shape
        return None if self.url is None else Webhook(self.url, shape)


@dataclass
class AuditConf(RulesConf):
    """conf/audit.yaml: see `microbench_ray.audit.job.AuditJob`."""

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
    target_difference: float = 0.02
    top_k: int = 10
    max_mdad: dict[str, float] = field(default_factory=dict)
    extrapolation: ExtrapolationConf = field(default_factory=ExtrapolationConf)
    drift: DriftConf = field(default_factory=DriftConf)
    policy: dict[str, str] = field(default_factory=dict)
    max_missing_share: float = 0.05
    webhook: WebhookConf = field(default_factory=WebhookConf)

    def job(self, benchmark: Any, methods: Sequence[Method], content: Mapping[str, Any]) -> AuditJob:
        """Check the configuration and build the job. No file of the benchmark is read.

        Parameters
        ----------
        benchmark
            The configuration of the benchmark.
        methods
            The configured methods, including those of `lists`.
        content
            The whole configuration as plain values, for the page.

        Raises
        ------
        ConfigError
            A key has a value that is not allowed.
        """
        if not methods:
            raise ConfigError(
                "Nothing to audit.",
                where="lists, methods",
                got="both are empty",
                hint="'lists={tiny: tiny.txt}', or methods=[random]",
            )
        if self.seed < 0:
            raise ConfigError("seed must be at least 0.", where="seed", got=str(self.seed), hint="seed=0")
        if not 0 < self.target_difference <= 1:
            raise ConfigError(
                "target_difference must be a fraction above 0, up to 1.",
                where="target_difference",
                got=f"{self.target_difference:g}",
                hint=fraction_hint("target_difference", self.target_difference, "0.02 for 2 points"),
            )
        if not 0 <= self.max_missing_share <= 1:
            raise ConfigError(
                "max_missing_share must be a fraction from 0 to 1.",
                where="max_missing_share",
                got=f"{self.max_missing_share:g}",
                hint=fraction_hint("max_missing_share", self.max_missing_share, "0.05 for 5 %"),
            )
        best, families = self.extrapolation.best, self.extrapolation.families
        if best is not None and not 0 < best < 1:
            raise ConfigError(
                "extrapolation.best must be a fraction between 0 and 1.",
                where="extrapolation.best",
                got=f"{best:g}",
                hint=fraction_hint("extrapolation.best", best, "0.2"),
            )
        if families < 0:
            raise ConfigError(
                "extrapolation.families must be at least 0.",
                where="extrapolation.families",
                got=str(families),
                hint="extrapolation.families=3",
            )
        if self.top_k < 1:
            raise ConfigError("top_k must be at least 1.", where="top_k", got=str(self.top_k), hint="top_k=10")
        labels = [method.label for method in methods]
        for label in labels:
            if not label.isprintable():
                raise ConfigError(
                    "A label must not contain line breaks or other control characters.",
                    where="lists, methods",
                    got=show_name(label),
                    hint="'lists={tiny: tiny.txt}'",
                )
        for label, limit in self.max_mdad.items():
            if label not in labels:
                raise ConfigError(
                    "Unknown label of a list or method.", where="max_mdad", got=label, hint=f"valid: {', '.join(labels)}"
                )
            if not 0 < limit <= 1:
                raise ConfigError(
                    "The largest allowed MDAD must be a fraction above 0, up to 1.",
                    where=f"max_mdad.{label}",
                    got=f"{limit:g}",
                    hint=fraction_hint(f"max_mdad.{label}", limit, "0.03 for 3 points"),
                )
        ingest = None
        if self.ingest is not None:
            if benchmark.reader != "ingested":
                of_suite = (
                    "leave out ingest, and before each audit run for every board: microbench ingest source=… path=LOGS out=BOARD"
                )
                raise ConfigError(
                    "Logs can only be read into an ingested benchmark.",
                    where="ingest",
                    got=f"benchmark={benchmark.reader}",
                    hint=of_suite if benchmark.reader == "suite" else "benchmark=ingested, or ingest=null",
                )
            self.ingest.out = benchmark.path
            ingest = self.ingest.job()
        check_shown(figures=self.figures, report=self.report)
        rules = self.rules()
        self.engine.engine(methods)  # checked now, and made when the sweeps start
        return AuditJob(
            read=benchmark.read,
            items=(lambda: item_versions(benchmark.path)) if benchmark.reader == "ingested" else None,
            stamp=(lambda: board_stamp(benchmark.path, asdict(benchmark))) if benchmark.reader == "ingested" else None,
            ingest=ingest,
            lists=tuple(each for each in methods if isinstance(each.selector, Fixed)),
            methods=tuple(each for each in methods if not isinstance(each.selector, Fixed)),
            grid=self.grid.grid(),
            open_keys=open_keys(vars(self.grid), methods),
            rules=rules,
            engine=lambda: self.engine.engine(methods),
            out=audit_folder(self.out, self.wait_for_out),
            night=check_night(self.night or time.strftime("%Y-%m-%d", time.gmtime())),
            seed=self.seed,
            target_difference=self.target_difference,
            top_k=self.top_k,
            max_mdad=dict(self.max_mdad),
            extrapolation=Extrapolation(**asdict(self.extrapolation)),
            drift=self.drift.policy(rules.thresholds[0], rules.tie_policy),
            actions=check_actions({**DEFAULT_ACTIONS, **self.policy}),
            max_missing_share=self.max_missing_share,
            webhook=self.webhook.webhook(),
            report=self.report,
            figures=self.figures,
            wait_for_out=self.wait_for_out,
            config=mask_secrets(content),
        )


@dataclass
class AcceptConf:
    """conf/accept.yaml."""

    out: str = NEEDED
    what: list[str] = field(default_factory=lambda: list(PARTS))
    night: str | None = None
    violated: bool = False
    drop: str | None = None
    wait_for_out: float = 0.0

    def job(self) -> AcceptJob:
        """Check the configuration and build the job; ConfigError for a value that is not allowed."""
        hint = "what=[baseline,pool]"
        if not self.what:
            raise ConfigError("Nothing to accept.", where="what", got="[]", hint=hint)
        for each in self.what:
            if each not in PARTS:
                raise ConfigError("what must be baseline, pool, or both.", where="what", got=each, hint=hint)
        if self.drop is not None and (self.night is not None or self.violated):
            raise ConfigError(
                "A night is either accepted or set aside.",
                where="drop, night, violated",
                got=f"drop={self.drop}",
                hint="give drop alone",
            )
        for label in (self.night, self.drop):
            if label is not None:
                check_night(label)
        return AcceptJob(
            out=audit_folder(self.out, self.wait_for_out),
            what=tuple(each for each in PARTS if each in self.what),
            wait_for_out=self.wait_for_out,
            night=self.night,
            violated=self.violated,
            drop=self.drop,
        )


def audit_folder(out: str, wait_for_out: float) -> Path:
    """Check the audit's folder; ConfigError for a URL."""
    if is_url(out):
        raise ConfigError(
            "The folder of an audit must be on this machine, not a URL.",
            where="out",
            got=out,
            hint="out=DIR on a persistent volume; only the benchmark may be a URL",
        )
    return Path(place_of(out, wait_for_out))
