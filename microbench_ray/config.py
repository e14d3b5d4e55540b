"""From `key=value` on the command line to a checked configuration: composing conf/, and one message for what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from microbench_ray.benchmark_settings import BENCHMARKS
from microbench_ray.driver import Sweep
from microbench_ray.errors import ConfigError
from microbench_ray.ingest.run import Ingest
from microbench_ray.ingest_settings import IngestConf
from microbench_ray.methods import Method, build_method
from microbench_ray.methods.registry import unknown
from microbench_ray.settings import ReduceConf, SweepConf
from microbench_ray.submission import Submission
from microbench_ray.submit_settings import SubmittedConf, check_place

PACKAGED = Path(__file__).parent / "conf"
CONF = PACKAGED if PACKAGED.is_dir() else Path(__file__).parent.parent / "conf"
"""Inside the package where it is installed from a wheel, beside it in a checkout."""

JOBS: dict[str, Any] = {"sweep": SweepConf, "reduce": ReduceConf, "submit": SubmittedConf, "ingest": IngestConf}


TEXTS = (
    "targets.where",
    "targets.regex",
    "benchmark.path",
    "benchmark.confidence",
    "benchmark.metadata",
    "data_dir",
    "figure_note",
    "out",
    "path",
    "submit.address",
    "submit.working_dir",
)
"""Keys of expressions and paths, which may hold any sign."""
OPEN = "engine.resources"
"""A mapping whose keys are labels of methods; `resources.parse_requests` checks them."""


class Composer:
    """Composes conf/ for one command line.

    Parameters
    ----------
    job
        A key of `JOBS`.
    overrides
        `key=value` in Hydra's grammar. `benchmark=[a,b]` stands for several configured benchmarks.
    config_dir
        A folder of one's own beside conf/, with benchmark/NAME.yaml, method/NAME.yaml, experiment/NAME.yaml and so on.
    """

    def __init__(self, job: str, overrides: Sequence[str], config_dir: Path | None = None) -> None:
        if config_dir is not None and not config_dir.is_dir():
            raise ConfigError("There is no such folder.", where="--config-dir", got=str(config_dir))
        for each in overrides:
            if each.startswith("~"):
                raise ConfigError("A key cannot be left out.", got=each, mend="give it another value: key=value")
        self.job, self.given, self.config_dir = job, tuple(overrides), config_dir
        self.overrides = [re.sub(r"^benchmark=\s*\[", "benchmarks=[", quoted(each)) for each in overrides]
        keys = [each.split("=", 1)[0] for each in self.overrides]
        if issubclass(JOBS[job], SweepConf) and "benchmark" in keys and "benchmarks" not in keys:
            self.overrides.append("benchmarks=null")  # one benchmark stands for the list of an experiment
        self.folders = [CONF] if config_dir is None else [CONF, config_dir.resolve()]

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The job's configuration as Hydra composes it; ConfigError for whatever Hydra says."""
        search = [f"hydra.searchpath=['file://{folder}']" for folder in self.folders[1:]]
        try:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                return compose(self.job, overrides=[*search, *overrides])
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise _explained(error, JOBS[self.job]) from None
        except (ValueError, TypeError) as error:  # such as grid=null
            raise ConfigError("A choice from conf/ is a name.", got=str(error), mend="key=NAME, such as grid=default") from None

    def text(self) -> str:
        """The composed configuration as YAML."""
        return OmegaConf.to_yaml(self.compose(self.overrides))

    def reduce(self) -> ReduceConf:
        """The configuration of `microbench reduce`."""
        conf: ReduceConf = checked(ReduceConf, self.compose(self.overrides))
        return conf

    def ingest(self) -> Ingest:
        """What `microbench ingest` is to read."""
        conf: IngestConf = checked(IngestConf, self.compose(self.overrides))
        return conf.ingest()

    def sweep(self) -> tuple[SweepConf, Sweep]:
        """The configuration of `microbench sweep`, and the sweep that it asks for."""
        composed = self.compose(self.overrides)
        conf: SweepConf = checked(SweepConf, composed)
        methods = [self.method(entry) for entry in conf.methods]
        return conf, conf.sweep(self.benchmarks(conf, composed), methods, plain(composed))

    def submission(self) -> Submission:
        """The sweep that `microbench submit` hands to a cluster, checked as far as that goes without the files, which lie there."""
        composed = self.compose(self.overrides)
        conf: SubmittedConf = checked(SubmittedConf, composed)
        methods = [self.method(entry, files=False) for entry in conf.methods]
        benchmarks = self.benchmarks(conf, composed)
        conf.parts(benchmarks, methods)
        conf.check_places(benchmarks)
        arguments = [each for each in self.given if not re.match(r"[+~]*submit(\.|=)", each)]
        if not any(each.startswith("engine=") for each in arguments):
            arguments.insert(0, "engine=cluster")
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

    def method(self, entry: Any, *, files: bool = True) -> Method:
        """A method from its name in conf/method/, or from a mapping over one.

        A mapping has `method` (the name that it starts from), `label`, and whatever of `selector` and `estimator` differs; one
        with a `name` of its own replaces the selector or the estimator whole. Without `files`, a selector's list of items that lies
        in a file is not read: its path stands for it.
        """
        if not isinstance(entry, str | dict):
            raise ConfigError("A method is a name or a mapping.", where="methods", got=repr(entry))
        changes: dict[str, Any] = {"method": entry, "label": entry} if isinstance(entry, str) else dict(entry)
        base = changes.pop("method", None)
        label = str(changes.pop("label", base))
        parts: dict[str, dict[str, Any]]
        parts = {"selector": {}, "estimator": {"name": "mean"}} if base is None else self._named("method", str(base))
        for part in changes:
            if part not in ("selector", "estimator"):
                raise unknown("key of a method", f"methods, {label}", part, ["method", "label", "selector", "estimator"])
            if not isinstance(changes[part], dict):
                raise ConfigError(
                    f"{part} is a mapping.", where=f"methods, {label}", got=repr(changes[part]), mend=f"{part}: {{name: …}}"
                )
            replaced = changes[part].get("name", parts[part].get("name")) != parts[part].get("name")
            parts[part] = changes[part] if replaced else parts[part] | changes[part]
        path = parts["selector"].get("path")
        if path is not None and not files:
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
        if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
            raise ConfigError("A method file holds a selector and an estimator.", where=str(files[name]), got=repr(content))
        return {"selector": {}, "estimator": {}} | {str(key): part for key, part in content.items()}

    def _with_benchmark(self, name: str) -> list[str]:
        kept = []
        for each in self.overrides:
            key = each.split("=", 1)[0].lstrip("+~")
            if key.startswith("benchmark."):
                raise ConfigError(
                    "A key of one benchmark does not go with a list of benchmarks.",
                    where=each,
                    mend="give each a benchmark/NAME.yaml in a folder of your own, and --config-dir FOLDER",
                )
            if key not in ("benchmark", "benchmarks"):
                kept.append(each)
        return [*kept, f"benchmark={name}"]


def quoted(override: str) -> str:
    """A `key=value` whose value is a text, quoted as Hydra's grammar wants it, so that a shell's quotes are enough.

    A key of one's own, where there may be such, is added without a sign of Hydra's.
    """
    key, _, value = override.partition("=")
    if key == OPEN or key.startswith(f"{OPEN}."):
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
        raise _explained(error, BENCHMARKS[reader], "benchmark.") from None
    return checked(BENCHMARKS[reader], alone, prefix="benchmark.")


def checked(schema: Any, composed: DictConfig, prefix: str = "") -> Any:
    """An object of the dataclass `schema`; ConfigError for an unknown key, a wrong type or a missing value."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), composed)
        conf = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise _explained(error, schema, prefix) from None
    for key, value in vars(conf).items():
        if value == "":  # an unset variable of the shell, for one
            raise _needed(prefix + key)
    return conf


def _explained(error: Exception, schema: Any, prefix: str = "") -> ConfigError:
    """One message for an error of Hydra or OmegaConf."""
    text = str(error).strip()
    if isinstance(error, OverrideParseException):
        return ConfigError(
            "An argument is not of the form key=value.",
            got=repr(error.override),
            mend="quote a value that has spaces or any of ()[]{}:,=: 'key=\"value\"'",
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, name = str(error.missing_cfg_file).rsplit("/", 1)
        return unknown(group, group, name, error.options)
    if isinstance(error, ConfigCompositionException) and (found := re.search(r"Could not override '([^']+)'", text)):
        inside = getattr(error.__cause__, "full_key", None)  # of a mapping: grid={rnus: 3}
        return unknown_key(inside or found[1].split("@")[0], schema)
    if isinstance(error, YAMLError):
        return ConfigError("A configuration file cannot be read.", got=" ".join(text.split()), mend="mend the YAML there")
    if found := re.match(r"Ambiguous value for argument '([^']+)'", text):
        key, _, value = found[1].partition("=")
        return ConfigError("A list needs brackets.", where=key, got=value, mend=f"'{key}=[{value}]'")
    if found := re.match(r"Multiple values for (\w+)", text):
        return ConfigError("A choice is made, not added.", where=found[1], got=f"+{found[1]}=…", mend=f"{found[1]}=…, without +")
    key = prefix + str(getattr(error, "full_key", None) or "")
    if isinstance(error, ConfigKeyError):
        return unknown_key(key, schema, prefix)
    if isinstance(error, MissingMandatoryValue):
        return _needed(key)
    kind = _kind(schema, key.removeprefix(prefix))
    return ConfigError(
        "The configuration is not valid.",
        where=key or None,
        got="no list" if "is not a ListConfig" in text else (text.splitlines() or [type(error).__name__])[0],
        mend=None if kind is None else f"give {kind}",
    )


def _needed(key: str) -> ConfigError:
    return ConfigError("A value is needed.", where=key, got="nothing", mend=f"{key}=…")


KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Any: "a value", NoneType: "null"}


def _kind(schema: Any, key: str) -> str | None:
    """In words, what the dataclass wants at a key; None where it has no such key."""
    hint = schema
    for part in re.findall(r"[^.\[\]]+", key):
        if part.isdigit():
            hint = next(iter(get_args(hint)), None)
        else:
            hint = get_type_hints(hint).get(part) if is_dataclass(hint) else None
    if hint in KINDS:
        return KINDS[hint]
    if getattr(hint, "__origin__", None) is dict:
        return "a mapping in braces, as {key: value}"
    parts = [KINDS.get(each, "a list in brackets, as [a,b]") for each in get_args(hint)]
    if getattr(hint, "__origin__", None) is list:
        return f"a list in brackets, each {parts[0]}"
    return " or ".join(parts) or None


def unknown_key(key: str, schema: Any, prefix: str = "") -> ConfigError:
    """The error for a key that does not exist: names the nearest one, and all at its place."""
    known: Mapping[str, Any] = OmegaConf.structured(schema)
    *path, last = key.removeprefix(prefix).split(".")
    for part in path:
        if part == "benchmark":
            names = {name for kind in BENCHMARKS.values() for name in kind.__dataclass_fields__}
            return unknown("key", key, last, names)
        known = known[part] if part in known and OmegaConf.is_dict(known[part]) else {}
    return unknown("key", key, last, [str(name) for name in known])
