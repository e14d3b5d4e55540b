"""Which logs are of one model: its name, its revision, and what the run sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from microbench_ray.core.errors import ConfigError, DataError, unknown
from microbench_ray.data.names import first_few
from microbench_ray.data.responses import LogRecord, ModelRecord
from microbench_ray.ingest.base import ModelLog, Options, Reader, Tally, matches
from microbench_ray.ingest.log_names import log_name
from microbench_ray.ingest.revisions import UNKNOWN, name_with_revision

NAME = "name"
SETTINGS = {
    "revision": "revisions",
    "reasoning_effort": "reasoning efforts",
    "chat_template": "chat templates",
    "few_shot": "numbers of few-shot examples",
    "quantisation": "quantisations",
    "adapter": "adapters",
    "scaffold": "scaffolds",
}
"""What can tell models of one name apart, with its plural, in the order in which it stands in names."""
OF_A_TASK = ("few_shot", "scaffold")
"""Settings that tasks have their own values of: logs of different tasks may differ in them."""
MAX_LENGTH = 80
"""Characters of a value in a model's name."""
_OFF = ("", "none", "false", "0", "null")


class _Entry(NamedTuple):
    """A log, found now or ingested before: the model as its reader calls it, its tasks and its recorded settings."""

    model: str
    tasks: tuple[str, ...]
    values: Mapping[str, str]


def check_identify(keys: Sequence[str]) -> tuple[str, ...]:
    """Return the value of `identify`, in which a name comes first.

    Raises
    ------
    ConfigError
        A key is unknown or given twice, or the name is missing.
    """
    for key in keys:
        if key != NAME and key not in SETTINGS:
            raise unknown("part of a model's identity", "identify", key, (NAME, *SETTINGS))
    if keys and (NAME not in keys or len(set(keys)) < len(keys)):
        hint = "for example identify=[name,revision]"
        raise ConfigError("identify must contain name, and each part once.", where="identify", got=f"[{','.join(keys)}]", hint=hint)
    return tuple(key for key in (NAME, *SETTINGS) if key in keys)


def find_logs(reader: Reader, path: Any, options: Options, tally: Tally, known: Iterable[ModelRecord] = ()) -> list[ModelLog]:
    """Find logs and name the model of each.

    With `options.identify` the name consists of these parts. By default, it is the name that the reader gives, and logs of one name
    and task that record different settings are of several models, whose names say what differs. A model that was ingested before
    keeps its name.

    Parameters
    ----------
    reader, path, options, tally
        As for `Reader.find`.
    known
        The models that are ingested.

    Raises
    ------
    DataError
        No log was found.
    """
    logs = reader.find(path, options, tally)
    if options.identify:
        named = [replace(log, model=_name(log.name or log.model, _identity(log), options.identify[1:])) for log in logs]
    else:
        named = _tell_apart(logs, list(known), tally)
    patterns = options.models
    kept = [
        new
        for old, new in zip(logs, named, strict=True)
        if matches(new.model, patterns) or matches(old.model, patterns) or matches(old.name, patterns)
    ]
    if not kept:
        got = f"models {first_few(sorted({log.model for log in named}))}"
        raise DataError("No log matches models=.", where=str(path), got=got, hint="change models=")
    return kept


def check_one_identity(model: str, records: Mapping[str, LogRecord]) -> None:
    """Check that the logs of a model record the same settings; logs that do not record one are accepted.

    Parameters
    ----------
    model
        The model's id.
    records
        Its logs, by name.

    Raises
    ------
    DataError
        Two logs record different revisions or settings. Those in `OF_A_TASK` may differ between tasks.
    """
    for setting, plural in SETTINGS.items():
        logs: dict[str, dict[str, str]] = {}
        for name, record in sorted(records.items()):
            value = record.revision if setting == "revision" else record.sets.get(setting)
            if value is None or (setting == "revision" and not value):
                continue
            for task in record.tasks if setting in OF_A_TASK else ("",):
                logs.setdefault(task, {}).setdefault(value, name)
        different = next((values for _, values in sorted(logs.items()) if len(values) > 1), None)
        if different is None:
            continue
        (first, first_log), (second, second_log), *others = sorted(different.items())
        more = f"; {plural}: {first_few(sorted(different))}" if others else ""
        both = [_name(model, {setting: value}, (setting,)) for value in (first, second)]
        hint = f"make them models of their own with identify=[name,{setting}], or one model with identify=[name], and a new out=DIR"
        if any(value.startswith(UNKNOWN) for value in different):
            hint = "copy the results files to their places beside the logs, or make them one model with identify=[name]"
        raise DataError(
            f"The logs of one model are of different {plural}.",
            where=f"model {model!r}",
            got=f"{both[0]!r} in {first_log}, {both[1]!r} in {second_log}{more}",
            hint=hint,
        )


def settings_of_arguments(arguments: Mapping[str, Any]) -> dict[str, str]:
    """The adapter, quantisation and reasoning effort in the arguments that a model was loaded with; empty if there are none.

    A setting that the arguments do not name has the default value, an empty text.
    """
    if not arguments:
        return {}
    quantisation = _first(arguments, "quantization", "quantization_method", "autogptq", "gptqmodel")
    dtype = str(arguments.get("dtype", ""))
    quantisation = quantisation or (dtype if dtype.endswith("bit") else "")
    for bits in ("4bit", "8bit"):
        quantisation = bits if _first(arguments, f"load_in_{bits}") else quantisation
    return {
        "adapter": _first(arguments, "peft", "lora_local_path", "adapter", "adapter_weights", "delta", "delta_weights"),
        "quantisation": quantisation,
        "reasoning_effort": effort(arguments),
    }


def effort(arguments: Mapping[str, Any]) -> str:
    """The reasoning effort in arguments or generation settings; empty for the default."""
    thinking = arguments.get("enable_thinking")
    return _first(arguments, "reasoning_effort", "reasoning_tokens", "effort") or (
        "" if thinking is None else "no thinking" if str(thinking).lower() in _OFF else "thinking"
    )


def few_shot(count: Any) -> dict[str, str]:
    """The setting `few_shot` for a number of examples; empty if it is not a number."""
    text = str(count)
    return {"few_shot": text} if not isinstance(count, bool) and text.isascii() and text.isdigit() else {}


def _first(arguments: Mapping[str, Any], *names: str) -> str:
    """The first of these arguments that is set, as a text."""
    for name in names:
        value = arguments.get(name)
        if isinstance(value, str | int | float) and str(value).lower() not in _OFF:
            return str(value)
    return ""


def _identity(log: ModelLog) -> dict[str, str]:
    """All settings that a log records. A named revision takes precedence over the commit."""
    name = log.name or log.model
    revision = log.model.removeprefix(f"{name}@") if log.model.startswith(f"{name}@") else log.revision
    return dict(log.sets) | ({"revision": revision} if revision and not revision.startswith(UNKNOWN) else {})


def _tell_apart(logs: Sequence[ModelLog], known: Sequence[ModelRecord], tally: Tally) -> list[ModelLog]:
    """Name the models of logs, so that logs of one model do not differ on a task."""
    found = [_Entry(log.model, log.tasks or (log.part,), _recorded(log.sets, log.revision)) for log in logs]
    entry_of = dict(zip(map(log_name, logs), found, strict=True)) if known else {}
    before = {
        name: (each.model, _Entry(record.name or each.model, record.tasks, _recorded(record.sets, record.revision)))
        for each in known
        for name, record in each.logs.items()
    }
    kept: dict[Any, str] = {}
    for name, (model, entry) in sorted(before.items()):
        kept.setdefault(_key(entry_of.get(name, entry)), model)
    groups: dict[str, list[_Entry]] = {}
    for entry in (*found, *(entry for name, (_, entry) in before.items() if name not in entry_of)):
        groups.setdefault(entry.model, []).append(entry)
    different = {model: _different(entries) for model, entries in groups.items()}
    named = []
    for log, entry in zip(logs, found, strict=True):
        model = kept.get(_key(entry)) or _name(entry.model, entry.values, tuple(different[entry.model]), marked=True)
        named.append(replace(log, model=model, read_as=log.model))
    for model, settings in different.items():
        for setting, values in settings.items():
            shown = first_few(sorted(value or "default" for value in values))
            if any(log.read_as == model for log in named):
                tally.choose(f"{model}: told apart by its {SETTINGS[setting]}, {shown}")
    return named


def _recorded(sets: Mapping[str, str], revision: str) -> dict[str, str]:
    return dict(sets) | ({"revision": revision} if revision and not revision.startswith(UNKNOWN) else {})


def _key(entry: _Entry) -> Any:
    return entry.model, tuple(sorted(entry.values.items()))


def _different(entries: Sequence[_Entry]) -> dict[str, set[str]]:
    """The settings of which the logs of a task record several values, with all their values."""
    of_task: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        for setting, value in entry.values.items():
            for task in entry.tasks:
                of_task.setdefault((setting, task), set()).add(value)
    settings = {setting for (setting, _), values in of_task.items() if len(values) > 1}
    return {
        setting: {entry.values[setting] for entry in entries if setting in entry.values}
        for setting in SETTINGS
        if setting in settings
    }


def _name(model: str, values: Mapping[str, str], settings: Sequence[str], *, marked: bool = False) -> str:
    """A model's id with some of its settings: `org/name@revision (5-shot, effort high)`.

    Where `marked`, a setting that the log does not record is unknown in the name; else it is left out.
    """
    parts = []
    for setting in settings:
        value = values.get(setting)
        if value is not None:
            value = value if len(value) <= MAX_LENGTH else f"{value[:MAX_LENGTH]}…"
        if value is None:
            parts += [f"{setting.replace('_', ' ')} unknown"] if marked else []
        elif setting == "revision":
            model = name_with_revision(model, value)
        elif setting == "few_shot":
            parts.append(f"{value}-shot")
        elif setting == "chat_template":
            parts.append("chat template" if value else "no chat template")
        elif value:
            parts.append({"reasoning_effort": "effort ", "quantisation": ""}.get(setting, f"{setting} ") + value)
    return f"{model} ({', '.join(parts)})" if parts else model
