"""The arguments of the command line that are no `key=value`: each function removes its own from the list and returns them."""

from __future__ import annotations

import re
from pathlib import Path

from microbench_ray.core.errors import ConfigError

SHORT_LEVELS = {"-v": "debug", "-q": "warning"}


def take_log_level(arguments: list[str]) -> str:
    """Remove `-v`, `-q` and `log_level=LEVEL` from the arguments and return the level. The last one counts."""
    level, others = "info", []
    for argument in arguments:
        if argument in SHORT_LEVELS:
            level = SHORT_LEVELS[argument]
        elif argument.startswith("log_level="):
            level = argument.split("=", 1)[1]
        else:
            others.append(argument)
    arguments[:] = others
    return level


def take_runs(arguments: list[str]) -> list[str]:
    """Remove the arguments without a key, which name runs, and return them: `BASE NEW` or a path that exists."""
    runs = [each for each in arguments if not re.match(r"[+~\w.]+=", each) or Path(each).exists()]
    arguments[:] = [each for each in arguments if each not in runs]
    return runs


def take_flag(arguments: list[str], name: str, word: str) -> bool:
    """Remove `name`, or `name word`, from the arguments; whether it was among them."""
    if name not in arguments:
        return False
    place = arguments.index(name)
    del arguments[place]
    if arguments[place : place + 1] == [word]:
        del arguments[place]
    return True


def take_option(arguments: list[str], name: str) -> str | None:
    """Remove `name VALUE` or `name=VALUE` from the arguments and return the value; None where it is missing."""
    for place, argument in enumerate(arguments):
        if argument == name:
            if place + 1 == len(arguments):
                raise ConfigError("The option needs a value.", where=name, hint=f"{name} VALUE")
            del arguments[place]
            return arguments.pop(place)
        if argument.startswith(name + "="):
            return arguments.pop(place).split("=", 1)[1]
    return None
