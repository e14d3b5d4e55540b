"""Revisions of a model: where logs record them, and the names of models that were loaded by one."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

DEFAULT = "main"
"""The revision of a repository that is loaded if none is named."""
UNKNOWN = "unknown"
"""How the `revision` of a log starts that cannot be known, followed by what is missing."""


def parse_arguments(arguments: Any) -> Mapping[str, Any]:
    """The arguments that a model was loaded with: an object, its text, or `pretrained=…,revision=…`. Empty for anything else."""
    if isinstance(arguments, str) and arguments.lstrip().startswith("{"):
        try:
            arguments = ast.literal_eval(arguments)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return {}
    if isinstance(arguments, str):
        return dict(each.strip().partition("=")[::2] for each in arguments.split(","))
    return arguments if isinstance(arguments, dict) else {}


def revision_argument(arguments: Mapping[str, Any]) -> str:
    """The revision named in the arguments of a model, followed by `/` and its subfolder if it has one; empty for the default."""
    revision, subfolder = (arguments.get(name) for name in ("revision", "subfolder"))
    text = str(revision) if isinstance(revision, str | int) and revision not in ("", DEFAULT) else ""
    return f"{text or DEFAULT}/{subfolder}" if isinstance(subfolder, str) and subfolder else text


def name_with_revision(model: str, revision: str) -> str:
    """The id of a model that was loaded by a revision: `org/name@revision`; the name alone for the default revision."""
    return f"{model}@{revision}" if revision and not model.endswith(f"@{revision}") else model
