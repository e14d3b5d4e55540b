"""Old names of configuration keys: accepted for one release, with a warning that names the new key."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from microbench_ray.core.deprecation import RENAMED_KEYS, report_deprecated
from microbench_ray.core.errors import ConfigError

logger = logging.getLogger(__name__)


class RenamedKeys:
    """Replaces the old keys of one job on its command line and in composed files.

    Parameters
    ----------
    job
        The job whose `RENAMED_KEYS` apply.
    defaults
        Makes an object with the defaults of the new keys; called only where a file has an old key.
    """

    def __init__(self, job: str, defaults: Callable[[], Any]) -> None:
        self.new_keys, self.defaults = RENAMED_KEYS.get(job, {}), defaults
        self.in_command: set[str] = set()
        self.warned: set[str] = set()

    def in_arguments(self, arguments: Sequence[str]) -> list[str]:
        """`key=value` arguments under the new keys. An old key needs no `+`, and loses it.

        Raises
        ------
        ConfigError
            The same key is given under its old and its new name.
        """
        replaced: list[str] = []
        names: dict[str, str] = {}
        for argument in arguments:
            key = re.split(r"[.=]", argument.lstrip("+"), maxsplit=1)[0]
            new = self.new_keys.get(key, key)
            if names.setdefault(new, key) != key:
                raise self._both(new)
            if new != key:
                self._warn(key)
            replaced.append(argument if new == key else new + argument.lstrip("+").removeprefix(key))
        self.in_command = set(names)
        return replaced

    def in_files(self, composed: DictConfig) -> DictConfig:
        """The composed configuration with the values of old keys, which come from the user's files, under the new ones.

        As for any key, the command line overrides files.

        Raises
        ------
        ConfigError
            The files give a key under its old and its new name.
        """
        for old, new in self.new_keys.items():
            if old not in composed:
                continue
            given, default = composed[new], getattr(self.defaults(), new)
            if new not in self.in_command and given != default:
                raise self._both(new)
            OmegaConf.set_struct(composed, False)
            value = composed.pop(old)
            self._warn(old)
            if new not in self.in_command:
                composed[new] = value
            elif isinstance(value, DictConfig):
                composed[new] = OmegaConf.merge(value, given)
        return composed

    def _warn(self, old: str) -> None:
        if old not in self.warned:
            report_deprecated(f"The key {old}", self.new_keys[old], logger=logger)
        self.warned.add(old)

    def _both(self, new: str) -> ConfigError:
        old = next(key for key, value in self.new_keys.items() if value == new)
        return ConfigError(
            "A key is given under its old and its new name.", where=new, got=f"{old} and {new}", hint=f"use {new} alone"
        )
