"""Tables of configuration keys, with the defaults and comments of the YAML files in `conf/`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from microbench_ray.cli.conf_files import Key, choices, chosen, read_conf

GROUPS = ("benchmark", "grid", "targets", "engine")
SEE_ALSO = {"method": "reference/methods.md", "experiment": "validation/experiments.md"}
"""Groups whose choices have a page of their own."""
JOB_KEYS = ("sweep",)
"""Included files whose keys are those of another job."""


def job_section(job: str) -> str:
    """The section of one job: what it does, an example, its groups, and its own keys."""
    conf = read_conf(job)
    lines = [conf.about, ""]
    if conf.example:
        lines += ["```bash", *conf.example, "```", ""]
    keys: list[Key] = []
    for part in conf.parts:
        if part.group is not None and part.choice is not None:
            lines.append(f"- [`{part.group}`](#group-{part.group}): starts as `{part.group}={part.choice}`")
        elif part.choice in JOB_KEYS:
            lines.append(f"- all keys of [`{part.choice}`](#{part.choice})")
        elif part.group is None and part.choice is not None:
            keys += read_conf(part.choice).keys
    rows = [(f"`{key.path}`", about, _code(key.default)) for key, about in _described([*conf.keys, *keys])]
    return "\n".join([*lines, "", *_table(("key", "meaning", "default"), rows)])


def _described(keys: Sequence[Key]) -> Iterator[tuple[Key, str]]:
    """Keys with a value, each with its comment, or that of the mapping that it is in."""
    mappings = {key.path: key.about for key in keys if key.default is None}
    for key in keys:
        if key.default is not None:
            yield key, key.about or mappings.get(key.path.rpartition(".")[0], "")


def group_sections() -> str:
    """A section for each group: its choices, and the keys of all of them."""
    lines: list[str] = []
    for group in GROUPS:
        names = choices(group)
        lines += [f"### {group} {{ #group-{group} }}", ""]
        heads = [(f"`{group}={name}`", chosen(group, name)[0]) for name in names]
        lines += [
            *_table(("choice", "what it is"), heads),
            "",
            *_table(("key", "meaning", "default"), _group_rows(group, names)),
            "",
        ]
    for group, page in SEE_ALSO.items():
        names_of = ", ".join(f"`{name}`" for name in choices(group))
        lines += [f"### {group} {{ #group-{group} }}", "", f"{names_of}: see [{group}s](../{page}).", ""]
    return "\n".join(lines)


def _group_rows(group: str, names: Sequence[str]) -> list[tuple[str, str, str]]:
    found: dict[str, list[tuple[str, str | None, str]]] = {}
    for choice in names:
        for key, about in _described(chosen(group, choice)[1]):
            if key.path not in ("reader", "name") or (group == "benchmark" and key.path == "name"):
                found.setdefault(key.path, []).append((choice, key.default, about))
    rows = []
    for name, keys in found.items():
        default = _one_or_each([(choice, _code(value)) for choice, value, _ in keys])
        rows.append((f"`{group}.{name}`", _one_or_each([(choice, about) for choice, _, about in keys if about]), default))
    return rows


def _one_or_each(texts: list[tuple[str, str]]) -> str:
    """One text where all choices have the same; else each of them."""
    if len({text for _, text in texts}) <= 1:
        return texts[0][1] if texts else ""
    return "<br>".join(f"{choice}: {text}" for choice, text in texts)


def _escaped(cell: str) -> str:
    """A cell whose characters outside of code have no meaning in Markdown; line breaks stay."""
    parts = re.split(r"(`[^`]*`|\[`.*?\]\(.*?\)|<br>)", cell.replace("|", "\\|"))
    return "".join(part if k % 2 else re.sub(r"([*_\[])", r"\\\1", part).replace("<", "&lt;") for k, part in enumerate(parts))


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A table in Markdown."""
    cells = [[_escaped(cell) for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *cells)]
