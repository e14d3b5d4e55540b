"""Reads what the files of conf/ say about themselves: each key's default, and the comment above it, which is its documentation.

Nothing is composed here, and Hydra is not imported: help pages, completions and the list of methods are made from these texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.methods.presets import CONF

MISSING = "???"
"""The default of a key that needs a value."""


class Key(NamedTuple):
    """A key with its path in the file, such as `drift.level`. The default is None for a mapping whose keys follow."""

    path: str
    default: str | None
    about: str


class Part(NamedTuple):
    """An entry of a defaults list: a group and the file chosen from it (None for none), or a file that is included (no group)."""

    group: str | None
    choice: str | None
    about: str


class ConfFile(NamedTuple):
    """A file: the text at its top without an example, the example (its title and its lines), the defaults list, and the keys."""

    about: str
    example_title: str
    example: Sequence[str]
    parts: Sequence[Part]
    keys: Sequence[Key]


def read_conf(name: str, folders: Sequence[Path] = (CONF,)) -> ConfFile:
    """Read `NAME.yaml` or `GROUP/NAME.yaml` from the last of the folders that has it.

    Raises
    ------
    ConfigError
        No folder has the file, or it is not a YAML mapping.
    """
    path = next((folder / f"{name}.yaml" for folder in reversed(folders) if (folder / f"{name}.yaml").is_file()), None)
    if path is None:
        group, _, choice = name.rpartition("/")
        raise unknown(group or "file", group, choice, choices(group, folders))
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, OSError, ValueError) as error:
        got = " ".join(str(error).split())
        raise unreadable_file(path, got) from None
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError("A configuration file must be a mapping.", where=str(path), hint="key: value, one per line")
    lines = text.splitlines()
    about, title, example = _head(lines)
    parts = [part for key, value in root.value if key.value == "defaults" for part in _parts(value, lines)]
    return ConfFile(about, title, example, parts, _keys(root, text, lines, ""))


def unreadable_file(path: Path, got: str) -> ConfigError:
    """The error for a file of keys that is not YAML, or cannot be read."""
    return ConfigError("A configuration file cannot be read.", where=str(path), got=got, hint="write it as YAML: key: value")


def no_config_dir(folder: str) -> ConfigError:
    """The error for `--config-dir` with a folder that does not exist."""
    hint = "--config-dir DIR, a folder with benchmark/NAME.yaml, method/NAME.yaml or experiment/NAME.yaml"
    return ConfigError("There is no such folder.", where="--config-dir", got=folder, hint=hint)


def choices(group: str, folders: Sequence[Path] = (CONF,)) -> list[str]:
    """The names of the files of a group, sorted."""
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def _head(lines: Sequence[str]) -> tuple[str, str, list[str]]:
    """The description, the title of the example and its lines, from the comment that ends with the first other line."""
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line[1:].removeprefix(" "))
    comment = [line for line in comment if not line.startswith("@package")]
    start = next((place for place, line in enumerate(comment) if line.startswith("Example")), len(comment))
    about = " ".join(" ".join(comment[:start]).split())
    return about, "".join(comment[start : start + 1]), [line.strip() for line in comment[start + 1 :]]


def _comment_above(lines: Sequence[str], place: int) -> str:
    """The comment on the lines directly above a line; empty for the comment at the top of a file."""
    above: list[str] = []
    while place and lines[place - 1].lstrip().startswith("#"):
        place -= 1
        above.insert(0, lines[place].strip()[1:].strip())
    return " ".join(above) if place else ""


def _parts(node: yaml.Node, lines: Sequence[str]) -> list[Part]:
    parts = []
    for entry in node.value:
        about = _comment_above(lines, entry.start_mark.line)
        if isinstance(entry, yaml.MappingNode):
            (key, value), *_ = entry.value
            group = key.value.removeprefix("override").strip().removeprefix("/")
            parts.append(Part(group, None if value.value == "null" else value.value, about))
        elif entry.value != "_self_":
            parts.append(Part(None, entry.value, about))
    return parts


def _keys(node: yaml.MappingNode, text: str, lines: Sequence[str], prefix: str) -> list[Key]:
    keys = []
    for key, value in node.value:
        if key.value == "defaults" and not prefix:
            continue
        about = _comment_above(lines, key.start_mark.line)
        path = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            keys += [Key(path, None, about), *_keys(value, text, lines, f"{path}.")]
            continue
        if isinstance(value, yaml.SequenceNode) and not value.flow_style:
            default = f"[{', '.join(_source(entry, text) for entry in value.value)}]"
        else:
            default = _source(value, text)
        keys.append(Key(path, default, about))
    return keys


def _source(node: yaml.Node, text: str) -> str:
    return " ".join(text[node.start_mark.index : node.end_mark.index].split())


def chosen(group: str, choice: str, folders: Sequence[Path] = (CONF,)) -> tuple[str, list[Key]]:
    """The description of a file of a group, and its keys, with those of the files that it starts from."""
    conf = read_conf(f"{group}/{choice}", folders)
    keys: dict[str, Key] = {}
    for part in conf.parts:
        if part.group is None and part.choice is not None:
            keys |= {key.path: key for key in chosen(group, part.choice, folders)[1]}
    for key in conf.keys:
        keys[key.path] = key._replace(about=key.about or (keys[key.path].about if key.path in keys else ""))
    return conf.about, list(keys.values())
