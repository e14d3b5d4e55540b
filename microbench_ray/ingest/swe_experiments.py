"""Submissions to SWE-bench's leaderboard, as in the repository of its experiments: `<split>/<submission>/results/results.json`.

A file lists the instances that were resolved, and those without a patch or without logs. All other instances are known only from
the other submissions of the split, or from a list that is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.errors import DataError, DataWarning
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import ModelLog, Options, Tally
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.values import WRITE_AGAIN_OR_CHECK, value_at

FOLDER, FILE, BY_REPOSITORY, BY_TIME = "results", "results.json", "resolved_by_repo.json", "resolved_by_time.json"
RESOLVED = "resolved"
ENOUGH = 0.9
"""Share of a split's instances that its submissions must name."""
NOT_LISTED = "instances that a submission does not list as resolved: not resolved, as on the leaderboard"
GIVE_LIST = "give the ids of all instances with items=FILE, one per line"


class Split(NamedTuple):
    """A split of SWE-bench.

    Attributes
    ----------
    instances
        The ids that its submissions name.
    total
        How many it has, by most of the tables by repository; None without such tables.
    resolved
        How many instances each submission resolves.
    """

    instances: tuple[str, ...]
    total: int | None
    resolved: Mapping[str, int]


def is_submission(file: Path, document: Any) -> bool:
    """Whether a file holds the results of a submission."""
    placed = file.name == FILE and file.absolute().parent.name == FOLDER
    return placed and isinstance(document, dict) and _are_ids(document.get(RESOLVED)) and "resolved_ids" not in document


def is_count(file: Path) -> bool:
    """Whether a file beside the results counts instances."""
    return file.name in (BY_REPOSITORY, BY_TIME) and file.absolute().parent.name == FOLDER


def log_of(file: Path) -> ModelLog:
    """The log of a submission, which its folder names."""
    place = file.absolute()
    return ModelLog(model=place.parents[1].name, files=(file,), part=place.parents[2].name)


def with_instances(logs: Sequence[ModelLog], options: Options, tally: Tally) -> list[ModelLog]:
    """The logs of submissions, whose parts say how many instances are known, and a warning if those are not all.

    Raises
    ------
    DataError
        Hardly any instance is known.
    """
    named = []
    checked: set[Path] = set()
    for log in logs:
        folder = log.files[0].absolute().parents[2]
        split = split_of(folder, options.max_line_bytes)
        if folder not in checked and not options.items:
            _check(split, folder, tally)
        checked.add(folder)
        part = f"{log.part} ({len(options.items or split.instances)} instances)"
        named.append(replace(log, part=part, tasks=(log.part,)))
    return named


def scores_in(file: Path, options: Options) -> Iterator[tuple[str, float]]:
    """Yield every instance with its score, 1 if it is resolved and 0 otherwise.

    Raises
    ------
    DataError
        An instance is resolved that is not in the list that is given.
    """
    place = file.absolute()
    instances = options.items or split_of(place.parents[2], options.max_line_bytes).instances
    resolved = set(_lists(file, options.max_line_bytes)[RESOLVED])
    check_given(resolved, options, file)
    for name in instances:
        yield name, float(name in resolved)


def check_given(resolved: Iterable[str], options: Options, file: Path) -> None:
    """Raise DataError if instances are resolved that a given list lacks."""
    strange = sorted(set(resolved).difference(options.items)) if options.items else []
    if strange:
        got = f"{len(strange)} resolved instances that it lacks: {first_few(strange, 2)}"
        raise DataError("The given items are of another split.", where=str(file), got=got, hint="give a list of all instances")


def split_of(folder: Path, max_bytes: int) -> Split:
    """The split whose submissions a folder holds."""
    files = sorted(folder.glob(f"*/{FOLDER}/{FILE}"))
    stamps = tuple((file, status.st_size, status.st_mtime_ns) for file in files for status in (file.stat(),))
    return _split(stamps, max_bytes)


@lru_cache(maxsize=4)
def _split(stamps: tuple[tuple[Path, int, int], ...], max_bytes: int) -> Split:
    instances: dict[str, None] = {}
    totals: Counter[int] = Counter()
    resolved: dict[str, int] = {}
    for file, _, _ in stamps:
        try:
            lists = _lists(file, max_bytes)
        except DataError:
            continue  # reported where it is read
        for names in lists.values():
            instances |= dict.fromkeys(names)
        resolved[file.parents[1].name] = len(lists[RESOLVED])
        total = _total(file.with_name(BY_REPOSITORY), max_bytes)
        if total:
            totals[total] += 1
    fitting = {total: count for total, count in totals.items() if total >= len(instances)}
    total = max(fitting, key=lambda each: (fitting[each], -each)) if fitting else None
    return Split(tuple(sorted(instances)), total, resolved)


def _lists(file: Path, max_bytes: int) -> dict[str, list[str]]:
    """The lists of instances in a file, by category."""
    document = value_at(json_file(file, max_bytes), dict, str(file))
    if not _are_ids(document.get(RESOLVED)):
        got = f"fields {first_few(document)}"
        raise DataError("The file does not list resolved instances.", where=str(file), got=got, hint=WRITE_AGAIN_OR_CHECK)
    return {name: names for name, names in document.items() if _are_ids(names)}


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)


def _total(file: Path, max_bytes: int) -> int | None:
    """How many instances a split has, by a table by repository."""
    if not file.is_file():
        return None
    try:
        counts = [each["total"] for each in json_file(file, max_bytes).values()]
        return sum(counts) if all(type(count) is int for count in counts) else None
    except (DataError, AttributeError, KeyError, TypeError):
        return None


def _check(split: Split, folder: Path, tally: Tally) -> None:
    """Warn, or refuse to read on, if the submissions do not name all instances of their split."""
    known, total = len(split.instances), split.total
    if total is None and len(split.resolved) > 1:
        tally.suspect(
            DataWarning(
                "It is not known how many instances the split has; with some that no submission names, accuracies are too high.",
                where=str(folder),
                got=f"{known} instances in {len(split.resolved)} submissions",
                hint=GIVE_LIST,
            )
        )
    elif total is None or known < ENOUGH * total:
        raise DataError(
            "The submissions name too few of the instances that were not resolved.",
            where=str(folder),
            got=f"{known} instances in {len(split.resolved)} submissions" + (f", of {total}" if total else ""),
            hint=f"copy the other submissions of the split beside them, or {GIVE_LIST}",
        )
    elif known < total:
        best = max(split.resolved, key=lambda name: (split.resolved[name], name))
        tally.suspect(
            DataWarning(
                "Instances that no submission names are left out: accuracies are higher than on the leaderboard.",
                where=str(folder),
                got=f"{known} of {total} instances; {best!r} {split.resolved[best] / known:.4f} here, "
                f"{split.resolved[best] / total:.4f} there",
                hint=GIVE_LIST,
            )
        )
