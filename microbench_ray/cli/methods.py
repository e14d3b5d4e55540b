"""`microbench methods`: the methods of conf/method/ and of installed packages, each with what it does and its source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from microbench_ray.cli.conf_files import choices, read_conf
from microbench_ray.core.shown import escape_controls
from microbench_ray.core.table_formats import Format, csv_text, markdown_table
from microbench_ray.methods.plugins import plugins
from microbench_ray.methods.presets import CONF

SOURCE = "Source: "
"""Begins the source in the comment at the top of a method's file."""


class MethodsJob(NamedTuple):
    """How to list the methods, and the folders like conf/ that they are in."""

    format: Format
    folders: Sequence[Path] = (CONF,)


class Listed(NamedTuple):
    """A method of the list: its name, one sentence, and its source; empty where its file does not say."""

    method: str
    what: str
    source: str


def listed_methods(folders: Sequence[Path] = (CONF,)) -> list[Listed]:
    """All methods by name, those of installed packages too; ConfigError for a file that is not a mapping."""
    listed = []
    for name in choices("method", folders):
        what, _, source = read_conf(f"method/{name}", folders).about.partition(SOURCE)
        listed.append(Listed(name, what.strip(), source.strip()))
    files = {method.method for method in listed}
    of_packages = {name: f"Of {', '.join(map(str, found))}" for name, found in plugins().items() if name not in files}
    return sorted([*listed, *(Listed(name, what, "") for name, what in of_packages.items())])


def methods_text(job: MethodsJob, width: int | None = None) -> str:
    """The list in the job's format, with a newline at its end; `width` is that of the terminal, None where there is none."""
    methods = listed_methods(job.folders)
    rows = [method._asdict() for method in methods]
    if job.format == "json":
        return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    if job.format == "csv":
        return csv_text(rows)
    if job.format == "markdown":
        return markdown_table(Listed._fields, methods, left=range(len(Listed._fields)))
    name_width = max(len(method.method) for method in methods)
    lines = []
    for method in methods:
        what, source = map(escape_controls, (method.what.rstrip("."), method.source))
        line = f"{escape_controls(method.method):<{name_width}}  {what}{f' ({source})' if source else ''}"
        lines.append(line if width is None or len(line) <= width else f"{line[: width - 1]}…")
    return "\n".join(lines) + "\n"
