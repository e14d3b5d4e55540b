"""The files of a night in an audit's folder, checked when they are read: they may be damaged, or edited by hand."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microbench_ray.audit.baseline import DIGEST, FROZEN
from microbench_ray.audit.findings import SEVERITIES
from microbench_ray.audit.history import HISTORY
from microbench_ray.audit.sweeps import SWEEPS
from microbench_ray.audit.verdict import STATUS
from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage.folders import TEMPORARY
from microbench_ray.core.storage.replace import recover_all
from microbench_ray.core.storage.store import Store

logger = logging.getLogger(__name__)

NIGHTS = "nights"
INPUTS, VERDICT, PAGE = "inputs.json", "verdict.json", "report.html"
LAST_READ = "last_read.json"
"""What the benchmark of the last complete night was read from."""
SENT = "told"
"""File of a night whose verdict was sent to the webhook."""
FOLDERS = (HISTORY, NIGHTS, FROZEN, SWEEPS)

_NUMBER = (int, float, type(None))
_SUBJECT: Mapping[str, Any] = {
    "label": str,
    "size": int,
    "mdad": _NUMBER,
    "ci_lo": _NUMBER,
    "ci_hi": _NUMBER,
    "items_needed": (int, type(None)),
    "wanted": (int, float),
}


def read_inputs(store: Store, night: str) -> dict[str, str]:
    """Read the digests of a night's inputs by name, among them `benchmark`; StoreError if the file is missing or damaged."""
    name = f"{NIGHTS}/{night}/{INPUTS}"
    content = read_object(store, name)
    for key, value in content.items():
        if not isinstance(value, str) or not DIGEST.fullmatch(value):
            raise _damaged(store, name, f"{key} is not a digest")
    if "benchmark" not in content:
        raise _damaged(store, name, "no key benchmark")
    return content


def read_verdict(store: Store, night: str) -> dict[str, Any]:
    """Read a night's verdict; StoreError if the file is missing or damaged, or lacks what the terminal shows."""
    name = f"{NIGHTS}/{night}/{VERDICT}"
    content = read_object(store, name)
    if content.get("status") not in list(STATUS.values()):
        raise _damaged(store, name, "status is not one of ok, attention, violated")
    if content.get("night") != night:
        raise _damaged(store, name, f"night is not {night}")
    try:
        _check(content, "", {"headline": str, "findings": list, "subjects": list, "changes": dict, "baseline": dict, "made": dict})
        _check(content["made"], "made.", {"failed_cells": int})
        for k, finding in enumerate(content["findings"]):
            _check(finding, f"findings[{k}].", {"kind": str, "severity": str, "text": str})
            if finding["severity"] not in SEVERITIES[:-1]:
                raise ValueError(f"findings[{k}].severity is not one of {', '.join(SEVERITIES[:-1])}")
        for k, subject in enumerate(content["subjects"]):
            _check(subject, f"subjects[{k}].", _SUBJECT)
    except ValueError as error:
        raise _damaged(store, name, str(error)) from None
    return content


def _check(content: Any, place: str, types: Mapping[str, Any]) -> None:
    """Raise ValueError for a missing key or a value of another type."""
    if not isinstance(content, dict):
        raise ValueError(f"{place.rstrip('.')} is not an object")
    for key, kind in types.items():
        if key not in content:
            raise ValueError(f"no key {place}{key}")
        if not isinstance(content[key], kind) or isinstance(content[key], bool):
            raise ValueError(f"{place}{key} has a value of the wrong type")


def read_object(store: Store, name: str) -> dict[str, Any]:
    """Read a JSON object; StoreError if the file is missing or damaged."""
    try:
        content = json.loads(store.folder.read(name))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(store, name, f"{type(error).__name__}: {error}") from None
    if not isinstance(content, dict):
        raise _damaged(store, name, "not a JSON object")
    return content


def _damaged(store: Store, name: str, got: str) -> StoreError:
    return StoreError("A file of the audit cannot be read.", where=store.at(name), got=got, hint="restore it from a copy")


def to_json(content: Mapping[str, Any]) -> bytes:
    """Indented JSON."""
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def remove_temporary_files(store: Store) -> None:
    """Delete what killed audits left in the folders of nights and of benchmarks; the audit's own folders are swept by the lock."""
    for path in Path(store.at(NIGHTS)).rglob(".*"):
        if TEMPORARY.fullmatch(path.name) and path.is_file():
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.debug("Cannot delete %s: %s", path, error)
    for name in (FROZEN, SWEEPS):
        try:
            recover_all(Path(store.at(name)))
        except OSError as error:
            logger.debug("Cannot delete temporary folders in %s: %s", store.at(name), error)
