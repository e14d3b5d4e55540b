"""From `key=value` on the command line to a checked configuration: composing conf/, and one message for what is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from microbench_ray.cli.config_errors import explained, needed
from microbench_ray.cli.settings.benchmark import BENCHMARKS
from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.methods.presets import CONF, checked_parts, method_parts

if TYPE_CHECKING:
    from microbench_ray.audit.job import AcceptJob, AuditJob
    from microbench_ray.cli.settings.sweep import ReduceConf, SweepConf, TargetsConf
    from microbench_ray.ingest.run import IngestJob
    from microbench_ray.methods import Method
    from microbench_ray.micro.export_job import ExportJob
    from microbench_ray.micro.plan_job import PlanJob
    from microbench_ray.micro.score_job import ScoreJob
    from microbench_ray.sweeps.cluster.submission import SubmitJob
    from microbench_ray.sweeps.driver import SweepJob

JOBS = ("sweep", "reduce", "submit", "ingest", "audit", "accept", "plan", "export", "score")

TEXTS = (
    "targets.where",
    "targets.regex",
    "benchmark.path",
    "benchmark.confidence",
    "benchmark.metadata",
    "data_dir",
    "figure_note",
    "out",
    "micro",
    "path",
    "responses",
    "results",
    "submit.address",
    "submit.working_dir",
)
"""Keys of expressions and paths, which may hold any sign."""
OPEN = ("engine.resources", "lists", "limits")
"""Mappings whose keys are labels of methods, which are checked with their values."""


class Composer:
    """Composes conf/ for one command line.

    Parameters
    ----------
    job
        A key of `JOBS`.
    overrides
        `key=value` in Hydra's grammar. `benchmark=[a,b]` stands for several configured benchmarks.
    config_dir
        The user's folder beside conf/, with benchmark/NAME.yaml, method/NAME.yaml, experiment/NAME.yaml and so on.
    log_level
        Handed on to a submitted job.
    """

    def __init__(self, job: str, overrides: Sequence[str], config_dir: Path | None = None, *, log_level: str = "info") -> None:
        if config_dir is not None and not config_dir.is_dir():
            raise ConfigError("There is no such folder.", where="--config-dir", got=str(config_dir))
        for each in overrides:
            if each.startswith("~"):
                raise ConfigError("A key cannot be left out.", got=each, hint="give it another value: key=value")
        self.job, self.given, self.config_dir, self.log_level = job, tuple(overrides), config_dir, log_level
        self.overrides = [re.sub(r"^benchmark=\s*\[", "benchmarks=[", quoted(each)) for each in overrides]
        if job == "export":  # method=NAME, which to Hydra is a choice from a group
            self.overrides = [re.sub(r"^method=(.*)$", r"methods=[\1]", each, flags=re.DOTALL) for each in self.overrides]
        keys = [each.split("=", 1)[0] for each in self.overrides]
        if job in ("sweep", "submit") and "benchmark" in keys and "benchmarks" not in keys:
            self.overrides.append("benchmarks=null")  # one benchmark stands for the list of an experiment
        self.folders = [CONF] if config_dir is None else [CONF, config_dir.resolve()]

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The job's configuration as Hydra composes it; ConfigError for whatever Hydra says."""
        search = [f"hydra.searchpath=['file://{folder}']" for folder in self.folders[1:]]
        try:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                return compose(self.job, overrides=[*search, *overrides])
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise explained(error, schema_of(self.job)) from None
        except (ValueError, TypeError) as error:  # such as grid=null
            raise ConfigError("A choice from conf/ is a name.", got=str(error), hint="key=NAME, such as grid=default") from None

    def text(self) -> str:
        """The composed configuration as YAML."""
        return OmegaConf.to_yaml(self.compose(self.overrides))

    def reduce(self) -> ReduceConf:
        """The configuration of `microbench reduce`."""
        conf: ReduceConf = checked(schema_of("reduce"), self.compose(self.overrides))
        return conf

    def ingest(self) -> IngestJob:
        """What `microbench ingest` is to read."""
        made: IngestJob = checked(schema_of("ingest"), self.compose(self.overrides)).job()
        return made

    def plan(self) -> PlanJob:
        """What `microbench plan` is asked."""
        composed = self.compose(self.overrides)
        asked: PlanJob = checked(schema_of("plan"), composed).job(benchmark_conf(composed.benchmark))
        return asked

    def export(self) -> ExportJob:
        """What `microbench export` is to build."""
        composed = self.compose(self.overrides)
        conf = checked(schema_of("export"), composed)
        made: ExportJob = conf.job(benchmark_conf(composed.benchmark), [self.method(entry) for entry in conf.methods])
        return made

    def score(self) -> ScoreJob:
        """What `microbench score` is to score."""
        made: ScoreJob = checked(schema_of("score"), self.compose(self.overrides)).job()
        return made

    def audit(self) -> AuditJob:
        """The audit that is asked for."""
        composed = self.compose(self.overrides)
        conf = checked(schema_of("audit"), composed)
        lists = [{"method": "fixed", "label": label, "selector": {"path": path}} for label, path in conf.lists.items()]
        methods = [self.method(entry) for entry in (*lists, *conf.methods)]
        made: AuditJob = conf.job(benchmark_conf(composed.benchmark), methods, plain(composed))
        return made

    def accept(self) -> AcceptJob:
        """What `microbench accept` changes."""
        job: AcceptJob = checked(schema_of("accept"), self.compose(self.overrides)).job()
        return job

    def sweep(self) -> tuple[SweepConf, SweepJob]:
        """The configuration of `microbench sweep`, and the sweep that it asks for."""
        composed = self.compose(self.overrides)
        conf: SweepConf = checked(schema_of("sweep"), composed)
        conf.also_targets = [self.target_group(entry) for entry in conf.also_targets]
        methods = [self.method(entry) for entry in conf.methods]
        return conf, conf.job(self.benchmarks(conf, composed), methods, plain(composed))

    def submit(self) -> SubmitJob:
        """The sweep that `microbench submit` hands to a cluster, checked as far as that goes without the files, which lie there."""
        from microbench_ray.cli.settings.submit import SubmittedConf, check_place

        composed = self.compose(self.overrides)
        conf: SubmittedConf = checked(SubmittedConf, composed)
        conf.also_targets = [self.target_group(entry) for entry in conf.also_targets]
        methods = [self.method(entry, files=False) for entry in conf.methods]
        benchmarks = self.benchmarks(conf, composed)
        conf.parts(benchmarks, methods)
        conf.check_places(benchmarks)
        arguments = [each for each in self.given if not re.match(r"[+~]*submit(\.|=)", each)]
        if not any(each.startswith("engine=") for each in arguments):
            arguments.insert(0, "engine=cluster")
        if self.log_level != "info":
            arguments.append(f"log_level={self.log_level}")
        if self.config_dir is not None:
            check_place("--config-dir", str(self.config_dir))
            arguments += ["--config-dir", str(self.config_dir)]
        content = {key: value for key, value in plain(composed).items() if key != "submit"}
        parts = [repr(each) for each in (*benchmarks, *methods)]
        return conf.submit.submission(arguments, {"config": content, "parts": parts})

    def benchmarks(self, conf: SweepConf, composed: DictConfig) -> list[Any]:
        """The configurations of the benchmarks, as objects of their readers' classes."""
        if conf.benchmarks is None:
            return [benchmark_conf(composed.benchmark)]
        return [benchmark_conf(self.compose(self._with_benchmark(name)).benchmark) for name in conf.benchmarks]

    def target_group(self, entry: Any) -> TargetsConf:
        """A group of targets from its name in conf/targets/, or from a mapping with the keys of such a file."""
        from microbench_ray.cli.settings.sweep import TargetsConf

        if not isinstance(entry, str | dict):
            raise ConfigError("A group of targets is a name or a mapping.", where="also_targets", got=repr(entry))
        content = self.compose([f"targets={entry}"]).targets if isinstance(entry, str) else DictConfig(entry)
        conf: TargetsConf = checked(TargetsConf, content, prefix="also_targets.")
        return conf

    def method(self, entry: Any, *, files: bool = True) -> Method:
        """A method from its name in conf/method/, or from a mapping over one.

        A mapping has `method` (the name that it starts from), `label`, and whatever of `selector` and `estimator` differs; one
        with a `name` of its own replaces the selector or the estimator whole. Without `files`, a selector's list of items that lies
        in a file is not read: its path stands for it.
        """
        label, parts = method_parts(entry, lambda name: self._named("method", name))
        from microbench_ray.methods import build_method  # slow to import, and not every job has methods

        path = parts["selector"].get("path")
        if path is not None and not files:
            from microbench_ray.cli.settings.submit import check_place

            check_place(f"methods, {label}, selector.path", str(path))
            parts["selector"] |= {"path": None, "items": [str(path)]}
        return build_method(label, parts["selector"], parts["estimator"])

    def _named(self, group: str, name: str) -> dict[str, dict[str, Any]]:
        files = {path.stem: path for folder in self.folders for path in sorted((folder / group).glob("*.yaml"))}
        if name not in files:
            raise unknown(group, f"{group}s", name, files)
        try:
            content = OmegaConf.to_container(OmegaConf.load(files[name]), resolve=True)
        except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
            got = " ".join(str(error).split())
            raise ConfigError("A configuration file cannot be read.", where=str(files[name]), got=got) from None
        return checked_parts(content, files[name])

    def _with_benchmark(self, name: str) -> list[str]:
        kept = []
        for each in self.overrides:
            key = each.split("=", 1)[0].lstrip("+~")
            if key.startswith("benchmark."):
                raise ConfigError(
                    "A key of one benchmark does not go with a list of benchmarks.",
                    where=each,
                    hint="give each a benchmark/NAME.yaml in a folder of your own, and --config-dir FOLDER",
                )
            if key not in ("benchmark", "benchmarks"):
                kept.append(each)
        return [*kept, f"benchmark={name}"]


def schema_of(job: str) -> Any:
    """The dataclass of a job's configuration. Each job imports its own alone: a sweep need not wait for readers and audits."""
    if job in ("sweep", "reduce"):
        from microbench_ray.cli.settings.sweep import ReduceConf, SweepConf

        return SweepConf if job == "sweep" else ReduceConf
    if job == "submit":
        from microbench_ray.cli.settings.submit import SubmittedConf

        return SubmittedConf
    if job == "ingest":
        from microbench_ray.cli.settings.ingest import IngestConf

        return IngestConf
    if job == "plan":
        from microbench_ray.cli.settings.plan import PlanConf

        return PlanConf
    if job == "export":
        from microbench_ray.cli.settings.export import ExportConf

        return ExportConf
    if job == "score":
        from microbench_ray.cli.settings.score import ScoreConf

        return ScoreConf
    from microbench_ray.cli.settings.audit import AcceptConf, AuditConf

    return AuditConf if job == "audit" else AcceptConf


def quoted(override: str) -> str:
    """A `key=value` whose value is a text, quoted as Hydra's grammar wants it, so that a shell's quotes are enough.

    A key of one's own, where there may be such, is added without a sign of Hydra's.
    """
    key, _, value = override.partition("=")
    if any(key == each or key.startswith(f"{each}.") for each in OPEN):
        return f"++{override}"
    if key not in TEXTS or value in ("", "null") or value[0] in "'\"":
        return override
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
    return f"{key}='{escaped}'"


def plain(composed: DictConfig) -> dict[str, Any]:
    """A configuration as plain values, its references resolved."""
    content = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def benchmark_conf(composed: Any) -> Any:
    """The configuration of a benchmark, as an object of its reader's class."""
    reader = composed.get("reader") if isinstance(composed, DictConfig) else None
    if reader not in BENCHMARKS:
        raise unknown("reader", "benchmark.reader", reader, BENCHMARKS)
    try:
        alone = DictConfig(OmegaConf.to_container(composed, resolve=True))  # data_dir is not inside it
    except OmegaConfBaseException as error:
        raise explained(error, BENCHMARKS[reader], "benchmark.") from None
    return checked(BENCHMARKS[reader], alone, prefix="benchmark.")


def checked(schema: Any, composed: DictConfig, prefix: str = "") -> Any:
    """An object of the dataclass `schema`; ConfigError for an unknown key, a wrong type or a missing value."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), composed)
        conf = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise explained(error, schema, prefix) from None
    for key, value in vars(conf).items():
        if value == "":  # an unset variable of the shell, for one
            raise needed(prefix + key)
    return conf
