"""Tables of configuration keys, with defaults and comments from the YAML files in `conf/`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from microbench_ray.cli.keys import MAPPING_KEYS

CONF = Path(__file__).parents[2] / "conf"
OWN_KEYS = {key.split(".")[-1] for key in MAPPING_KEYS}
"""Mappings with keys that users choose."""
GROUPS = ("benchmark", "grid", "targets", "engine")
SEE_ALSO = {"method": "reference/methods.md", "experiment": "validation/experiments.md"}
"""Groups whose choices have a page of their own."""


class Key(NamedTuple):
    """A configuration key: its dotted name, its default as YAML, and its comment."""

    name: str
    default: str
    about: str


def split_head(text: str) -> tuple[str, str]:
    """The comment at the top of a file, which an empty line ends, as one text; and the rest of the file."""
    lines = text.splitlines()
    head = list(takewhile(lambda line: line.startswith("#"), lines))
    about = re.sub(r"^microbench \w+: ", "", " ".join(line.removeprefix("#").strip() for line in head))
    return about[:1].upper() + about[1:], "\n".join(lines[len(head) :])


def comments_of(text: str) -> dict[str, str]:
    """The comment directly above each key of a YAML file, by the key's dotted name."""
    comments: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    pending: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            pending.append(stripped.removeprefix("#").strip())
        elif key := re.match(r"( *)(\w+):", line):
            depth = len(key[1])
            parents = [parent for parent in parents if parent[0] < depth] + [(depth, key[2])]
            comments[".".join(name for _, name in parents)] = " ".join(pending)
            pending = []
        else:
            pending = []
    return comments


def keys_of(path: Path) -> list[Key]:
    """The keys of one YAML file in their order, without the defaults list."""
    text = path.read_text(encoding="utf-8")
    comments = comments_of(split_head(text)[1])

    def flat(content: dict[str, Any], prefix: str = "", inherited: str = "") -> Iterator[Key]:
        for name, value in content.items():
            dotted = f"{prefix}{name}"
            about = comments.get(dotted, "")
            if isinstance(value, dict) and value and name not in OWN_KEYS:
                yield from flat(value, f"{dotted}.", about or inherited)
            else:
                yield Key(dotted, _yaml(value), about or inherited)

    content = {name: value for name, value in yaml.safe_load(text).items() if name != "defaults"}
    return list(flat(content))


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).removesuffix("...\n").strip()


def defaults_of(path: Path) -> list[tuple[str, str]]:
    """The groups of a job's defaults list, each with the choice it starts with; `sweep` stands for the keys of that job."""
    found = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")).get("defaults", []):
        for group, choice in entry.items() if isinstance(entry, dict) else [(entry, "")]:
            name = group.removeprefix("override ").removeprefix("/")
            if name not in ("_self_",) and choice is not None:
                found.append((name, choice))
    return found


def job_section(job: str) -> str:
    """The section of one job: what it does, its groups, and its own keys."""
    path = CONF / f"{job}.yaml"
    lines = [split_head(path.read_text(encoding="utf-8"))[0], ""]
    for name, choice in defaults_of(path):
        if choice:
            lines.append(f"- [`{name}`](#group-{name}): starts as `{name}={choice}`")
        else:
            lines.append(f"- all keys of [`{name}`](#{name})")
    rows = [(f"`{key.name}`", _code(key.default), key.about or _about(key.name)) for key in keys_of(path)]
    return "\n".join([*lines, "", *_table(("key", "default", "meaning"), rows)])


def group_sections() -> str:
    """A section for each group: its choices, and the keys of all of them."""
    lines: list[str] = []
    for group in GROUPS:
        paths = sorted((CONF / group).glob("*.yaml"))
        lines += [f"### {group} {{ #group-{group} }}", ""]
        heads = [(f"`{group}={path.stem}`", split_head(path.read_text(encoding="utf-8"))[0]) for path in paths]
        lines += [
            *_table(("choice", "what it is"), heads),
            "",
            *_table(("key", "default", "meaning"), _group_rows(group, paths)),
            "",
        ]
    for group, page in SEE_ALSO.items():
        names = ", ".join(f"`{path.stem}`" for path in sorted((CONF / group).glob("*.yaml")))
        lines += [f"### {group} {{ #group-{group} }}", "", f"{names}: see [{group}s](../{page}).", ""]
    return "\n".join(lines)


def _group_rows(group: str, paths: list[Path]) -> list[tuple[str, str, str]]:
    found: dict[str, list[tuple[str, Key]]] = {}
    for path in paths:
        for key in keys_of(path):
            if key.name not in ("reader", "name") or (group == "benchmark" and key.name == "name"):
                found.setdefault(key.name, []).append((path.stem, key))
    rows = []
    for name, keys in found.items():
        default = _one_or_each([(choice, _code(key.default)) for choice, key in keys])
        rows.append((f"`{group}.{name}`", default, _one_or_each([(choice, key.about) for choice, key in keys if key.about])))
    return rows


def _about(name: str) -> str:
    """The comment of the same key of another job."""
    return next((key.about for path in sorted(CONF.glob("*.yaml")) for key in keys_of(path) if key.name == name and key.about), "")


def _one_or_each(texts: list[tuple[str, str]]) -> str:
    """One text where all choices have the same; else each of them."""
    if len({text for _, text in texts}) <= 1:
        return texts[0][1] if texts else ""
    return "<br>".join(f"{choice}: {text}" for choice, text in texts)


def _escaped(cell: str) -> str:
    """A cell whose characters outside of code have no meaning in Markdown; line breaks stay."""
    parts = re.split(r"(`[^`]*`|\[`.*?\]\(.*?\)|<br>)", cell.replace("|", "\\|"))
    return "".join(part if k % 2 else re.sub(r"([*_\[])", r"\\\1", part).replace("<", "&lt;") for k, part in enumerate(parts))


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A table in Markdown."""
    cells = [[_escaped(cell) for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *cells)]
