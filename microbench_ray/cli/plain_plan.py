"""`microbench plan` without Hydra: a benchmark of conf/ by its name, and plain values of the keys that plans are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from microbench_ray.cli.keys import PATH_KEYS, schema_of
from microbench_ray.cli.plain_arguments import NOT_NAMES, PLAIN_NAME, PLAIN_TEXT
from microbench_ray.cli.settings.benchmark import BENCHMARKS, NEEDED
from microbench_ray.core.storage.urls import check_place
from microbench_ray.methods.presets import CONF

if TYPE_CHECKING:
    from microbench_ray.micro.plan_job import PlanJob

WHOLE = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
DECIMAL = re.compile(r"(0|[1-9][0-9]{0,8})?\.[0-9]{1,9}", re.ASCII)
MODEL = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*", re.ASCII)
LIST = re.compile(r"\[([^\[\]]+)\]")


def _matching(pattern: re.Pattern[str], kind: Callable[[str], Any] = str) -> Callable[[str], Any]:
    """Reads a value of this form; None for another."""

    def read(text: str) -> Any:
        plain = pattern.fullmatch(text) is not None and text.lower() not in NOT_NAMES
        return kind(text) if plain else None

    return read


def _several(read_one: Callable[[str], Any]) -> Callable[[str], Any]:
    """Reads a list of such values, without spaces; None for another."""

    def read(text: str) -> Any:
        inside = LIST.fullmatch(text)
        values = [read_one(part) for part in inside[1].split(",")] if inside else [None]
        return None if None in values else values

    return read


READ: dict[str, Callable[[str], Any]] = {
    "benchmark": _matching(PLAIN_NAME),
    "benchmark.path": _matching(PLAIN_TEXT),
    "benchmark.name": _matching(PLAIN_NAME),
    "differences": _several(_matching(DECIMAL, float)),
    "results": _matching(PLAIN_TEXT),
    "size": _matching(WHOLE, int),
    "cost": _matching(WHOLE, float),
    "models": _several(_matching(MODEL)),
    "ranks": _matching(PLAIN_NAME),
    "scores": _several(_matching(DECIMAL, float)),
    "drop": _matching(DECIMAL, float),
    "threshold": _matching(DECIMAL, float),
    "tie_policy": _matching(PLAIN_NAME),
    "n_repeats": _matching(WHOLE, int),
    "budget": _several(_matching(WHOLE, int)),
    "format": _matching(PLAIN_NAME),
}
"""By key, what its value is where nothing in it needs a grammar."""


def plain_plan(arguments: Sequence[str]) -> PlanJob | None:
    """The same job that Hydra's configuration gives; None where Hydra must read it, errors as for `plain_arguments.plain_conf`."""
    values: dict[str, Any] = {}
    for argument in arguments:
        key, separator, text = argument.partition("=")
        value = READ[key](text) if separator and key in READ and key not in values else None
        if value is None:
            return None
        values[key] = value
    plan = _read_conf("plan.yaml")
    if plan is None:
        return None
    parts = {group: name for part in plan.pop("defaults") if isinstance(part, dict) for group, name in part.items()}
    benchmark = _read_conf(f"benchmark/{values.pop('benchmark', parts['benchmark'])}.yaml")
    if benchmark is None or "defaults" in benchmark:
        return None
    benchmark |= {key.removeprefix("benchmark."): values.pop(key) for key in list(values) if key.startswith("benchmark.")}
    reader = BENCHMARKS[benchmark["reader"]]
    if not set(benchmark) <= set(reader.__dataclass_fields__) or NEEDED in benchmark.values():
        return None
    for key, place in {**values, **{f"benchmark.{key}": value for key, value in benchmark.items()}}.items():
        if key in PATH_KEYS and isinstance(place, str):
            check_place(place, key)
    job: PlanJob = schema_of("plan")(**{**plan, **values}).job(reader(**benchmark))
    return job


def _read_conf(name: str) -> dict[str, Any] | None:
    """A file of conf/ as plain values; None where there is no such file, or it refers to other values."""
    import yaml

    path = CONF / name
    if not path.is_file() or "${" in (text := path.read_text(encoding="utf-8")):
        return None
    content = yaml.safe_load(text)
    return content if isinstance(content, dict) else None
