"""Composes conf/ and the command line into a checked configuration, or reports what is wrong in one message."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from microbench_ray.cli.conf_files import choices, no_config_dir, unreadable_file
from microbench_ray.cli.config_errors import explained, missing_value
from microbench_ray.cli.keys import MAPPING_KEYS, PATH_KEYS, TEXT_KEYS, schema_of
from microbench_ray.cli.renamed_keys import RenamedKeys
from microbench_ray.cli.settings.benchmark import BENCHMARKS, SuiteConf
from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.core.masking import mask_secrets
from microbench_ray.core.storage.urls import check_address, check_place, is_url, local_path
from microbench_ray.methods.presets import CONF, Parts, find_parts, method_parts

if TYPE_CHECKING:
    from microbench_ray.audit.job import AcceptJob, AuditJob
    from microbench_ray.cli.methods import MethodsJob
    from microbench_ray.cli.settings.sweep import ReduceConf, SweepConf, TargetsConf
    from microbench_ray.ingest.run import IngestJob
    from microbench_ray.methods import Method
    from microbench_ray.micro.compare.job import CompareJob
    from microbench_ray.micro.export_job import ExportJob
    from microbench_ray.micro.plan_job import PlanJob
    from microbench_ray.micro.score_job import ScoreJob
    from microbench_ray.micro.sequential.job import NextJob
    from microbench_ray.sweeps.cluster.submission import SubmitJob
    from microbench_ray.sweeps.driver import SweepJob

MODELS = "models"
"""The folder of the models in a folder of ingested responses, as in `data.responses`, which imports pyarrow."""


@dataclass
class HydraParts(HydraConf):
    """Hydra's own configuration without its launchers, sweepers, log files and help, which no job uses: composing them takes longer
    than a job's own configuration."""

    defaults: list[Any] = field(default_factory=list)


ConfigStore.instance().store(group="hydra", name="config", node=HydraParts(), provider="hydra")


class Composer:
    """Composes conf/ for one command line.

    Parameters
    ----------
    job
        One of `JOBS`.
    arguments
        `key=value` in Hydra's grammar. `benchmark=[a,b]` stands for several configured benchmarks.
    config_dir
        The user's folder beside conf/, with benchmark/NAME.yaml, method/NAME.yaml, experiment/NAME.yaml and so on.
    log_level
        Passed on to a submitted job.

    Raises
    ------
    ConfigError
        A folder that does not exist, a key with ~, or a key that is given under its old and its new name.
    """

    def __init__(self, job: str, arguments: Sequence[str], config_dir: Path | None = None, *, log_level: str = "info") -> None:
        if config_dir is not None and not config_dir.is_dir():
            raise no_config_dir(str(config_dir))
        for argument in arguments:
            if argument.startswith("~"):
                raise ConfigError("A key cannot be removed.", got=argument, hint="give it another value: key=value")
        self.job, self.config_dir, self.log_level = job, config_dir, log_level
        self.renamed_keys = RenamedKeys(job, lambda: schema_of(job)())
        self.arguments = tuple(self.renamed_keys.in_arguments(arguments))
        self.overrides = [re.sub(r"^benchmark=\s*\[", "benchmarks=[", quoted(argument)) for argument in self.arguments]
        if job == "export":  # to Hydra, method=NAME is a choice from a group
            self.overrides = [re.sub(r"^method=(.*)$", r"methods=[\1]", each, flags=re.DOTALL) for each in self.overrides]
        keys = [each.split("=", 1)[0] for each in self.overrides]
        if job in ("sweep", "submit") and "benchmark" in keys and "benchmarks" not in keys:
            self.overrides.append("benchmarks=null")  # one benchmark replaces the list of an experiment
        self.folders = [CONF] if config_dir is None else [CONF, config_dir.resolve()]

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The job's configuration as Hydra composes it; ConfigError for an error of Hydra, OmegaConf or YAML."""
        search = [f"hydra.searchpath=['file://{folder}']" for folder in self.folders[1:]]
        try:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                composed = compose(self.job, overrides=[*search, *overrides])
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise explained(error, schema_of(self.job), arguments=self.arguments) from None
        except (ValueError, TypeError) as error:  # such as grid=null
            raise ConfigError("A part of conf/ is chosen by name.", got=str(error), hint="key=NAME, such as grid=default") from None
        renamed = self.renamed_keys.in_files(composed)
        check_places(renamed)
        # Other paths of a submitted job are those of the cluster, where they are expanded.
        expand_home(renamed.get("submit") if self.job == "submit" else renamed)
        return renamed

    def text(self) -> str:
        """The composed configuration as YAML."""
        shown = mask_secrets(OmegaConf.to_container(self.compose(self.overrides)))
        return OmegaConf.to_yaml(OmegaConf.create(shown))

    def reduce(self) -> ReduceConf:
        """The configuration of `microbench reduce`."""
        conf: ReduceConf = checked(schema_of("reduce"), self.compose(self.overrides))
        return conf

    def ingest(self) -> IngestJob:
        """The job of `microbench ingest`."""
        job: IngestJob = checked(schema_of("ingest"), self.compose(self.overrides)).job()
        return job

    def plan(self) -> PlanJob:
        """The job of `microbench plan`."""
        composed = self.compose(self.overrides)
        job: PlanJob = checked(schema_of("plan"), composed).job(self.benchmark(composed))
        return job

    def export(self) -> ExportJob:
        """The job of `microbench export`."""
        composed = self.compose(self.overrides)
        conf = checked(schema_of("export"), composed)
        job: ExportJob = conf.job(self.benchmark(composed), [self.method(entry) for entry in conf.methods])
        return job

    def score(self) -> ScoreJob:
        """The job of `microbench score`."""
        job: ScoreJob = checked(schema_of("score"), self.compose(self.overrides)).job()
        return job

    def compare(self, runs: Sequence[str]) -> CompareJob:
        """The job of `microbench compare`; `runs` are those named without a key."""
        job: CompareJob = checked(schema_of("compare"), self.compose(self.overrides)).job(runs)
        return job

    def next(self, runs: Sequence[str]) -> NextJob:
        """The job of `microbench next`; `runs` are those named without a key."""
        job: NextJob = checked(schema_of("next"), self.compose(self.overrides)).job(runs)
        return job

    def methods(self) -> MethodsJob:
        """The job of `microbench methods`."""
        job: MethodsJob = checked(schema_of("methods"), self.compose(self.overrides)).job()
        return job._replace(folders=self.folders)

    def audit(self) -> AuditJob:
        """The job of `microbench audit`."""
        composed = self.compose(self.overrides)
        conf = checked(schema_of("audit"), composed)
        lists = [{"method": "fixed", "label": label, "selector": {"path": path}} for label, path in conf.lists.items()]
        methods = [self.method(entry) for entry in (*lists, *conf.methods)]
        job: AuditJob = conf.job(self.benchmark(composed), methods, plain(composed))
        return job

    def accept(self) -> AcceptJob:
        """The job of `microbench accept`."""
        job: AcceptJob = checked(schema_of("accept"), self.compose(self.overrides)).job()
        return job

    def sweep(self) -> tuple[SweepConf, SweepJob]:
        """The configuration and the job of `microbench sweep`."""
        composed = self.compose(self.overrides)
        conf: SweepConf = checked(schema_of("sweep"), composed)
        conf.extra_targets = [self.target_group(entry) for entry in conf.extra_targets]
        methods = [self.method(entry) for entry in conf.methods]
        return conf, conf.job(self.benchmarks(conf, composed), methods, plain(composed))

    def submit(self) -> SubmitJob:
        """The job of `microbench submit`. Files are not read: their paths are those of the cluster."""
        from microbench_ray.cli.settings.submit import SubmittedConf, check_absolute

        composed = self.compose(self.overrides)
        conf: SubmittedConf = checked(SubmittedConf, composed)
        conf.extra_targets = [self.target_group(entry) for entry in conf.extra_targets]
        methods = [self.method(entry, files=False) for entry in conf.methods]
        benchmarks = self.benchmarks(conf, composed)
        conf.parts(benchmarks, methods)
        conf.check_places(benchmarks)
        arguments = [each for each in self.arguments if not re.match(r"[+~]*submit(\.|=)", each)]
        if not any(each.startswith("engine=") for each in arguments):
            arguments.insert(0, "engine=cluster")
        if self.log_level != "info":
            arguments.append(f"log_level={self.log_level}")
        if self.config_dir is not None:
            check_absolute("--config-dir", str(self.config_dir))
            arguments += ["--config-dir", str(self.config_dir)]
        content = {key: value for key, value in plain(composed).items() if key != "submit"}
        parts = [repr(each) for each in (*benchmarks, *methods)]
        return conf.submit.submission(arguments, {"config": content, "parts": parts})

    def benchmarks(self, conf: SweepConf, composed: DictConfig) -> list[Any]:
        """The configurations of the benchmarks, as objects of the classes in `BENCHMARKS`."""
        if conf.benchmarks is None:
            return [self.benchmark(composed)]
        return [self.benchmark(self.compose(self._with_benchmark(name))) for name in conf.benchmarks]

    def benchmark(self, composed: DictConfig) -> Any:
        """The configuration of a benchmark, as an object of its class in `BENCHMARKS`."""
        return benchmark_conf(composed.benchmark, self._named_board)

    def _named_board(self, entry: Any) -> Any:
        """The content of benchmark/NAME.yaml for a board that is such a name and not a file; else the entry."""
        if not isinstance(entry, str) or entry not in choices("benchmark", self.folders) or Path(entry).exists():
            return entry
        kept = [each for each in self.overrides if not re.match(r"[+~]*benchmarks?[.=]", each)]
        return OmegaConf.to_container(self.compose([*kept, f"benchmark={entry}"]).benchmark, resolve=True)

    def target_group(self, entry: Any) -> TargetsConf:
        """A group of targets, from a name in conf/targets/ or a mapping with the keys of such a file."""
        from microbench_ray.cli.settings.sweep import TargetsConf

        if not isinstance(entry, str | dict):
            hint = "extra_targets=[best], or extra_targets=[{label: NAME, where: …}]"
            raise ConfigError("A group of targets must be a name or a mapping.", where="extra_targets", got=repr(entry), hint=hint)
        content = self.compose([f"targets={entry}"]).targets if isinstance(entry, str) else DictConfig(entry)
        conf: TargetsConf = checked(TargetsConf, content, prefix="extra_targets.")
        return conf

    def method(self, entry: Any, *, files: bool = True) -> Method:
        """A method, from a name in conf/method/ or a mapping that changes one (`method_parts`).

        Without `files`, a selector's list of items is not read from its file: the method holds the path instead.
        """
        label, parts = method_parts(entry, self._method_parts)
        from microbench_ray.methods import build_method  # slow to import

        path = parts["selector"].get("path")
        if path is not None:
            check_place(str(path), f"methods, {label}, selector.path")
        if path is not None and not files:
            from microbench_ray.cli.settings.submit import check_absolute

            check_absolute(f"methods, {label}, selector.path", str(path))
            parts["selector"] |= {"path": None, "items": [str(path)]}
        return build_method(label, parts["selector"], parts["estimator"])

    def _method_parts(self, name: str) -> Parts:
        """The parts of a method by its name: a file of conf/method/ or of the user's folder, or of an installed package."""
        files = {path.stem: path for folder in self.folders for path in sorted((folder / "method").glob("*.yaml"))}

        def read(file: Path) -> Any:
            try:
                return OmegaConf.to_container(OmegaConf.load(file), resolve=True)
            except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
                got = " ".join(str(error).split())
                raise unreadable_file(file, got) from None

        return find_parts(name, files, read)

    def _with_benchmark(self, name: str) -> list[str]:
        """The overrides with one benchmark instead of several."""
        kept = []
        for override in self.overrides:
            key = override.split("=", 1)[0].lstrip("+")
            if key.startswith("benchmark."):
                raise ConfigError(
                    "A key of one benchmark cannot be used with a list of benchmarks.",
                    where=override,
                    hint="write a benchmark/NAME.yaml for each in a folder, and add --config-dir FOLDER",
                )
            if key not in ("benchmark", "benchmarks"):
                kept.append(override)
        return [*kept, f"benchmark={name}"]


def quoted(argument: str) -> str:
    """A `key=value` in Hydra's grammar.

    Values of `TEXT_KEYS` are quoted, so that the shell's quotes are enough. `MAPPING_KEYS` accept new keys without a `+`.
    """
    key, _, value = argument.partition("=")
    if any(key == each or key.startswith(f"{each}.") for each in MAPPING_KEYS):
        return f"++{argument}"
    if key not in TEXT_KEYS or value in ("", "null") or value[0] in "'\"":
        return argument
    escaped = re.sub(r"(\\*)('|$)", lambda match: 2 * match[1] + ("\\'" if match[2] else ""), value)
    return f"{key}='{escaped}'"


def expand_home(content: Any) -> None:
    """Expand the `~` of every value that is a path such as `~/x`: shells do not expand it in `key=~/x`."""
    if isinstance(content, ListConfig):
        keys: Sequence[Any] = range(len(content))
    elif isinstance(content, DictConfig):
        keys = list(content)
    else:
        return
    for key in keys:
        if OmegaConf.is_missing(content, key) or OmegaConf.is_interpolation(content, key):
            continue
        value = content[key]
        if isinstance(value, str) and (value == "~" or value.startswith("~/")):
            content[key] = str(local_path(value))
        else:
            expand_home(value)


def check_places(composed: DictConfig) -> None:
    """Raise ConfigError for a malformed path, URL or address in the configuration, before anything is read."""
    places = [(key, OmegaConf.select(composed, key)) for key in PATH_KEYS if _has_value(composed, key)]
    lists = composed.get("lists") if "lists" in composed else None
    if isinstance(lists, DictConfig):
        places += [(f"lists.{label}", lists[label]) for label in map(str, lists) if _has_value(lists, label)]
    for key, place in places:
        if isinstance(place, str):
            check_place(place, key)
    for key in ("submit.address", "engine.address"):
        if _has_value(composed, key) and isinstance(address := OmegaConf.select(composed, key), str) and address != "auto":
            check_address(address, key)


def _has_value(composed: DictConfig, key: str) -> bool:
    """Whether a key has a value that can be resolved; errors of others are reported where they are used."""
    try:
        return OmegaConf.select(composed, key, throw_on_missing=True) is not None
    except OmegaConfBaseException:
        return False


def plain(composed: DictConfig) -> dict[str, Any]:
    """A configuration as plain values, interpolations resolved."""
    content = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def benchmark_conf(composed: Any, named_board: Callable[[Any], Any]) -> Any:
    """The configuration of a benchmark, as an object of its class in `BENCHMARKS`; `named_board` looks up a name among boards."""
    reader = composed.get("reader") if isinstance(composed, DictConfig) else None
    if reader not in BENCHMARKS:
        raise unknown("reader", "benchmark.reader", reader, BENCHMARKS)
    try:
        alone = DictConfig(OmegaConf.to_container(composed, resolve=True))  # resolved here: data_dir is outside it
    except OmegaConfBaseException as error:
        raise explained(error, BENCHMARKS[reader], "benchmark.") from None
    conf = checked(BENCHMARKS[reader], alone, prefix="benchmark.")
    if isinstance(conf, SuiteConf):
        boards = [named_board(entry) for entry in conf.boards]
        conf.boards = [board_conf(entry, f"benchmark.boards[{k}]", conf.max_missing) for k, entry in enumerate(boards)]
    return conf


def board_conf(entry: Any, where: str, max_missing: float) -> Any:
    """The configuration of a board of a suite: of a path, or of a mapping with the keys of a benchmark."""
    given: Any = {"path": entry} if isinstance(entry, str) else entry
    if not isinstance(given, dict):
        hint = "a path, the NAME of a benchmark/NAME.yaml, or a mapping such as {path: FILE, truth: macro}"
        raise ConfigError("A board must be a path, a name or a mapping.", where=where, got=repr(entry), hint=hint)
    path = str(given.get("path", ""))
    check_place(path, f"{where}.path")
    is_ingested = path and not is_url(path) and (local_path(path) / MODELS).is_dir()
    reader, known = given.get("reader", "ingested" if is_ingested else "scores"), [each for each in BENCHMARKS if each != "suite"]
    if reader not in known:
        raise unknown("reader", f"{where}.reader", reader, known)
    schema = BENCHMARKS[reader]
    shared = {"max_missing": max_missing} if "max_missing" in schema.__dataclass_fields__ else {}
    return checked(schema, DictConfig(shared | given), prefix=f"{where}.")


def checked(schema: Any, composed: DictConfig, prefix: str = "") -> Any:
    """An object of the dataclass `schema`; ConfigError for an unknown key, a wrong type or a missing value."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), composed)
        conf = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise explained(error, schema, prefix, given=composed) from None
    for key, value in vars(conf).items():
        if value == "":  # such as out=$UNSET
            raise missing_value(prefix + key)
    return conf
