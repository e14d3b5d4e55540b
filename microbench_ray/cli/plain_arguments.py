"""Configurations without Hydra: of jobs that are done before Hydra would be imported, from arguments that need no grammar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from microbench_ray.cli.keys import PATH_KEYS, TEXT_KEYS, schema_of
from microbench_ray.cli.settings.benchmark import NEEDED
from microbench_ray.core.storage.urls import check_place

PLAIN_JOBS = ("ingest", "score", "compare", "methods")
"""Jobs whose configuration has no parts of conf/ to choose from: the defaults are those of the dataclass."""
PLAIN_TEXT = re.compile(r"[\w./+@%:=,-]*[\w./-]", re.ASCII)
"""A path or URL without anything that a shell, Hydra or OmegaConf treats specially."""
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NOT_NAMES = ("null", "true", "false", "nan", "inf")
"""Words that Hydra reads as other values, in any case."""
PLAIN_NUMBER = re.compile(r"(0|[1-9]\d*)?\.\d+|0|[1-9]\d*", re.ASCII)


def plain_job(job: str, arguments: Sequence[str], runs: Sequence[str] = ()) -> Any:
    """The same job that Hydra's configuration gives; None where Hydra must read it, errors as for `plain_conf`.

    `runs` are those of `compare` that were named without a key.
    """
    if job == "plan":
        from microbench_ray.cli.plain_plan import plain_plan

        return plain_plan(arguments)
    conf = plain_conf(job, arguments)
    if conf is None:
        return None
    return conf.job(runs) if job == "compare" else conf.job()


def plain_conf(job: str, arguments: Sequence[str]) -> Any:
    """The same configuration that Hydra would compose, as an object of the job's dataclass.

    Returns
    -------
    object or None
        None where Hydra must read it: another job; a value with quotes, brackets, spaces, `~` or `$`; a number for a text; an
        unknown, repeated or missing key. Then Hydra reports what is wrong.

    Raises
    ------
    ConfigError
        A malformed path or URL.
    """
    if job not in PLAIN_JOBS:
        return None
    schema = schema_of(job)
    keys = {field.name: field for field in fields(schema)}
    values: dict[str, str | float] = {}
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if not separator or key in values or key not in keys:
            return None
        if keys[key].type == "float" and PLAIN_NUMBER.fullmatch(value):
            values[key] = float(value)
            continue
        if keys[key].type not in ("str", "str | None"):
            return None
        if not (PLAIN_TEXT if key in TEXT_KEYS else PLAIN_NAME).fullmatch(value) or value.lower() in NOT_NAMES:
            return None
        values[key] = value
    conf = schema(**values)
    if NEEDED in vars(conf).values():
        return None
    for key in PATH_KEYS:
        if key in values:
            check_place(str(values[key]), key)
    return conf
