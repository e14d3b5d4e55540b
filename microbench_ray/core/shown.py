"""Texts that come from data, such as names: one function shows them on a terminal, one quotes them in commands."""

from __future__ import annotations

import re
import shlex

MAX_SHOWN = 200
"""Characters of a name in a message."""


def escape_controls(text: str) -> str:
    """A text whose unprintable characters are escaped: controls, line breaks, changes of direction, surrogates."""
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def escape_lines(text: str) -> str:
    r"""The same for a text of several lines: `\n` and tabs are kept."""
    return re.sub(r"[^\n\t]+", lambda part: escape_controls(part[0]), text)


def show_name(name: object) -> str:
    """A name, text or path from a file for a message on a terminal: escaped, and cut to `MAX_SHOWN` characters."""
    text = str(name)
    return escape_controls(text[:MAX_SHOWN]) + ("…" if len(text) > MAX_SHOWN else "")


def storable(name: object) -> bool:
    """Whether a name is a text that can be stored: not empty, and valid Unicode."""
    if not isinstance(name, str) or not name:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shell_quote(text: object) -> str:
    r"""A text as one word of a POSIX shell's command, for pasting: the shell expands nothing in it, and it stays on one line.

    Unprintable characters are written as octal bytes in `$'…'`, which bash, zsh and ksh (and POSIX since 2024) read.
    """
    word = str(text)
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(_quoted_character(each) for each in word) + "'"


def key_value(key: str, value: str) -> str:
    """`key=value` for pasting into a shell, quoted for the shell and the command line's parser where the value needs it."""
    return f"{key}={value}" if re.fullmatch(r"[\w.-]+", value) else shell_quote(f'{key}="{value}"')


def _quoted_character(character: str) -> str:
    if character.isprintable() and character not in "'\\!":
        return character
    try:
        encoded = character.encode("utf-8", "surrogateescape")  # as in names of files that are not UTF-8
    except UnicodeEncodeError:
        encoded = character.encode("utf-8", "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in encoded)
