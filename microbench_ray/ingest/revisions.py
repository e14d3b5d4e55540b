"""Revisions of a model: where logs record them, and the names of models that were loaded by one."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few

DEFAULT = "main"
"""The revision of a repository that is loaded if none is named."""


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


def check_one_revision(model: str, revisions: Iterable[tuple[str, str]]) -> None:
    """Check that the logs of a model are of one revision; logs that do not record it are accepted.

    Parameters
    ----------
    model
        The model's id.
    revisions
        Revision and name of each log.

    Raises
    ------
    DataError
        Two logs record different revisions.
    """
    logs = {revision: log for revision, log in revisions if revision}
    if len(logs) > 1:
        (first, first_log), (second, second_log), *_ = sorted(logs.items())
        more = f"; revisions: {first_few(sorted(logs))}" if len(logs) > 2 else ""
        raise DataError(
            "The logs of one model are of different revisions.",
            where=f"model {model!r}",
            got=f"{first!r} in {first_log}, {second!r} in {second_log}{more}",
            hint="move the logs of each revision to a folder of their own, and ingest each with another out=DIR; if a "
            "results file is missing, copy it to its place beside the logs",
        )
