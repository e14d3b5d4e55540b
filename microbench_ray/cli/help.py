"""`microbench JOB --help`: the page of a job, made from the files of conf/."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from microbench_ray.cli.conf_files import MISSING, ConfFile, Key, choices, chosen, no_config_dir, read_conf
from microbench_ray.core.storage.urls import local_path
from microbench_ray.methods.presets import CONF

WIDEST_KEY = 34
"""Columns of a key with its default; the text about a wider one starts on the next line."""
TWO_COLUMNS = 80
"""Columns from which on a text stands beside its key."""
WIDTHS = (60, 132)
"""Fewest and most columns of a page."""
NAMES = {"compare": " BASE NEW"}
"""What a job takes without a key."""


class Group(NamedTuple):
    """A choice among the files of a folder of conf/: its name, the file chosen, and what the job says about it."""

    name: str
    choice: str | None
    about: str


class JobKeys(NamedTuple):
    """The configuration of a job: its file, its own keys and those of included files, and its groups."""

    conf: ConfFile
    keys: Sequence[Key]
    groups: Sequence[Group]


def job_keys(job: str, arguments: Sequence[str] = (), folders: Sequence[Path] = (CONF,)) -> JobKeys:
    """The keys of a job. `GROUP=NAME` among the arguments chooses a file."""
    conf = read_conf(job, folders)
    keys, groups = list(conf.keys), dict[str, Group]()
    for part in conf.parts:
        if part.group is None and part.choice is not None:
            included = job_keys(part.choice, (), folders)
            keys += included.keys
            groups |= {group.name: group for group in included.groups}
        elif part.group is not None:
            about = part.about or (groups[part.group].about if part.group in groups else "")
            groups[part.group] = Group(part.group, part.choice, about)
    for argument in arguments:
        name, _, choice = argument.partition("=")
        if name in groups and choice and choice != "null" and not choice.startswith("["):
            groups[name] = groups[name]._replace(choice=choice)
    return JobKeys(conf, keys, list(groups.values()))


def page(job: str, arguments: Sequence[str] = (), config_dir: str | None = None, width: int | None = None) -> str:
    """The help page of a job.

    Parameters
    ----------
    job
        One of `cli.keys.JOBS`.
    arguments
        The other arguments of the command: `GROUP=NAME` shows the keys of another choice.
    config_dir
        The user's folder, whose files can be chosen as well.
    width
        Columns; None for those of the terminal.

    Raises
    ------
    ConfigError
        An unknown choice, or a folder that does not exist.
    """
    folders = [CONF]
    if config_dir is not None:
        if not local_path(config_dir).is_dir():
            raise no_config_dir(config_dir)
        folders.append(local_path(config_dir))
    columns = min(max(width or shutil.get_terminal_size((100, 24)).columns, WIDTHS[0]), WIDTHS[1])
    return "\n".join(_lines(job, job_keys(job, arguments, folders), folders, columns)) + "\n"


def _lines(job: str, content: JobKeys, folders: Sequence[Path], width: int) -> Iterator[str]:
    conf = content.conf
    needed = "".join(f" {key.path}=…" for key in content.keys if key.default == MISSING)
    yield from wrapped(conf.about, width)
    names = NAMES.get(job, "")
    yield from ("", *wrapped(f"Usage: microbench {job}{names}{needed} [key=value …] [options]", width), "")
    yield from wrapped(conf.example_title, width)
    yield from (f"  {line}" for line in conf.example)
    yield from ("", "Keys and their defaults")
    yield from _key_lines(content.keys, "", width)
    for group in content.groups:
        yield ""
        yield from _described(f"{group.name}={group.choice or 'null'}", group.about, 0, width)
        yield from _choice_lines(group, folders, width)
        if group.choice is not None:
            yield from _key_lines(chosen(group.name, group.choice, folders)[1], f"{group.name}.", width)
    yield from ("", "Options, such as --cfg: microbench --help")
    if any(group.name == "benchmark" for group in content.groups):
        yield from wrapped(f"The keys of another choice: microbench {job} benchmark=scores --help", width)


def _choice_lines(group: Group, folders: Sequence[Path], width: int) -> Iterator[str]:
    """The files of a group, with the first sentence of each."""
    names = choices(group.name, folders)
    longest = max(map(len, names), default=0)
    for name in names:
        first = read_conf(f"{group.name}/{name}", folders).about.partition(". ")[0].rstrip(".")
        yield f"    {name:<{longest}}  {textwrap.shorten(first, width - longest - 6, placeholder=' …')}"


def _key_lines(keys: Sequence[Key], prefix: str, width: int) -> Iterator[str]:
    """The keys; those of a mapping that have no text are listed behind the mapping."""
    for key in keys:
        name, about = f"{prefix}{key.path}", key.about
        if key.default is None:
            bare = [f"{each.path.removeprefix(key.path + '.')}={each.default}" for each in keys if _is_bare(each, key)]
            yield from _described(f"{name}.…", f"{about} {', '.join(bare)}", 2, width)
        elif key.default == MISSING:
            yield from _described(f"{name}=…", f"Needed. {about}", 2, width)
        elif about and not about.startswith("Chosen by "):
            yield from _described(f"{name}={textwrap.shorten(key.default, WIDEST_KEY, placeholder=' …]')}", about, 2, width)


def _is_bare(key: Key, mapping: Key) -> bool:
    return key.path.startswith(f"{mapping.path}.") and not key.about


def _described(name: str, about: str, indent: int, width: int) -> Iterator[str]:
    """A key and the text about it in a second column, or below it on a narrow terminal."""
    narrow = width < TWO_COLUMNS
    column = indent + 4 if narrow else indent + WIDEST_KEY + 1
    lines = wrapped(about, width - column) or [""]
    start = " " * indent + name
    if narrow or len(start) >= column:
        yield start
    else:
        yield f"{start:<{column}}{lines.pop(0)}".rstrip()
    yield from (" " * column + line for line in lines)


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text; names and paths are not broken."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
