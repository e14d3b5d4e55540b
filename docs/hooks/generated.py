"""The parts of pages that are generated from the package: columns of tables, and the API."""

from __future__ import annotations

import inspect
import re
from pkgutil import resolve_name

import pyarrow as pa

from docs.hooks.keys import group_sections, job_section
from microbench_ray.core.schemas import SCHEMAS

MARKER = re.compile(r"^<!-- (?P<kind>keys|groups|table|api)(?:: (?P<what>[^>]+?))? -->$", re.MULTILINE)
MEMBERS: dict[str, list[str]] = {"MicrobenchError": [], "DataWarning": []}
"""Members to show of classes whose others are not for users."""


def with_generated(markdown: str) -> str:
    """The text of a page with its markers (`<!-- table: mdad -->`) replaced."""

    def part(marker: re.Match[str]) -> str:
        kind, what = marker["kind"], marker["what"] or ""
        if kind == "keys":
            text = job_section(what)
        elif kind == "groups":
            text = group_sections()
        elif kind == "table":
            text = table_section(what)
        else:
            text = "\n\n".join(map(api_block, what.split()))
        return f"\n{text}\n"

    return MARKER.sub(part, markdown)


def table_section(name: str) -> str:
    """The columns of one table."""
    rows = [
        f"| {_nullable(field)} | {_type(field.type)} | {field.metadata[b'about'].decode().replace('|', chr(92) + '|')} |"
        for field in SCHEMAS[name]
    ]
    return "\n".join([f"### {name}", "", "| column | type | meaning |", "|---|---|---|", *rows])


def _nullable(field: pa.Field) -> str:
    return f"**`{field.name}`**" if field.nullable else f"`{field.name}`"


def _type(kind: pa.DataType) -> str:
    return f"list of {kind.value_type}" if pa.types.is_list(kind) else str(kind)


def api_block(name: str) -> str:
    """The directive that shows the docstring of a public name of `microbench_ray`, or of a dotted one below it."""
    found = resolve_name(f"microbench_ray.{name}" if "." in name else f"microbench_ray:{name}")
    home = inspect.unwrap(found)
    heading = name if "." in name else f"mb.{name}"
    lines = [f"::: {home.__module__}.{home.__qualname__}", "    options:", f"      heading: {heading.removeprefix('methods.')}"]
    if name in MEMBERS:
        lines.append(f"      members: {MEMBERS[name]}")
    return "\n".join(lines)


def api_names(markdown: str) -> list[str]:
    """The names whose docstrings a page shows."""
    return [name for marker in MARKER.finditer(markdown) if marker["kind"] == "api" for name in marker["what"].split()]
