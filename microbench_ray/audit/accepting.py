"""Runs `microbench accept`: makes a night the baseline, the pool or both, or sets the last night aside."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

from microbench_ray.audit.baseline import References, accept, frozen_folder, open_frozen, read_references
from microbench_ray.audit.files import FOLDERS, NIGHTS, read_inputs, read_verdict, remove_temporary_files
from microbench_ray.audit.history import HISTORY, History
from microbench_ray.audit.job import AcceptJob
from microbench_ray.core.errors import ConfigError, MicrobenchError, StoreError
from microbench_ray.core.storage.causes import one_line
from microbench_ray.core.storage.store import Store

logger = logging.getLogger(__name__)

SET_ASIDE = "set_aside"
HISTORY_FILE = "history.parquet"
"""The name of a night's rows of the history in its folder of `set_aside`."""


def run_accept(job: AcceptJob) -> References | None:
    """Make the benchmark of a night the baseline, the pool, or both; or set the last night aside.

    Returns
    -------
    References or None
        What is accepted now; None if nothing is.

    Raises
    ------
    ConfigError
        The history lacks the night, its verdict is `violated` and the job does not allow that, or its benchmark is not stored.
        For a night to set aside: it is not the last one, or it is the baseline or the pool.
    StoreError
        A file of the audit is damaged or cannot be written.
    """
    no_night = ConfigError(
        "There is no night to accept.",
        where=str(job.out),
        hint="run microbench audit first; the first night is accepted automatically",
    )
    if not job.out.exists():  # `Store.locked` would create it
        raise no_night
    store = Store(job.out, folders=FOLDERS)
    with store.locked(job.wait_for_out):
        remove_temporary_files(store)
        nights = History(store).nights()
        if job.drop is not None and (nights or is_set_aside(store, job.drop)):
            return set_night_aside(store, nights, job.drop)
        if not nights:
            raise no_night
        return accept_night(store, nights, job)


def accept_night(store: Store, nights: Sequence[str], job: AcceptJob) -> References:
    """Accept the job's night, or else the last one; errors as for `run_accept`."""
    night = nights[-1] if job.night is None else job.night
    if night not in nights:
        raise ConfigError("The history has no such night.", where="night", got=night, hint=f"valid: {_last_few(nights)}")
    if not job.violated:
        check_not_violated(store, night)
    digest = read_inputs(store, night)["benchmark"]
    if not frozen_folder(store, digest).exists():
        stored = [each for each in nights if _is_stored(store, each)]
        raise ConfigError(
            "The benchmark of this night is no longer stored, so it cannot be accepted.",
            where=f"night {night}",
            got=f"no folder {frozen_folder(store, digest)}",
            hint=f"nights whose benchmark is stored: {_last_few(stored) or 'none'}",
        )
    benchmark = open_frozen(store, digest)
    references = accept(store, benchmark, night, job.what)
    logger.info("Accepted the %d models of night %s as %s (digest %s)", benchmark.n_models, night, " and ".join(job.what), digest)
    return references


def check_not_violated(store: Store, night: str) -> None:
    """Raise ConfigError if the verdict of a night is `violated`: its faults would become what later nights are compared with."""
    verdict = read_verdict(store, night)
    if verdict["status"] == "violated":
        raise ConfigError(
            "The verdict of this night is VIOLATED: accepted, it would hide the same problems on later nights.",
            where=f"night {night}",
            got=verdict["headline"],
            hint="fix the cause, or accept the night as it is with violated=true",
        )


def set_night_aside(store: Store, nights: Sequence[str], night: str) -> References | None:
    """Move the last night out of the history, into the folder `set_aside`; errors as for `run_accept`.

    If a killed command has set it aside already, what that has not moved is moved.
    """
    references = read_references(store)
    folders = _folders_aside(store, night)
    if night in nights or not is_set_aside(store, night):
        check_can_be_set_aside(nights, references, night)
        if not folders or (folders[-1] / HISTORY_FILE).exists():  # else a killed command has made the folder only
            folders.append(Path(store.at(SET_ASIDE)) / (f"{night}.{len(folders)}" if folders else night))
    target = folders[-1]
    try:
        target.mkdir(parents=True, exist_ok=True)
        # The history first: a night that is not in it does not count, whatever else is left of it.
        if night in nights:
            Path(store.at(f"{HISTORY}/{night}.parquet")).rename(target / HISTORY_FILE)
        folder = Path(store.at(f"{NIGHTS}/{night}"))
        if folder.exists() and not (target / "night").exists():
            folder.rename(target / "night")
    except OSError as error:
        raise StoreError(
            "The night cannot be moved.", where=str(target), got=one_line(error), hint="check the permissions of the folder"
        ) from None
    logger.info("Night %s was moved to %s and is no longer in the history", night, target)
    return references if set(nights) - {night} else None


def check_can_be_set_aside(nights: Sequence[str], references: References | None, night: str) -> None:
    """Raise ConfigError unless a night is the last one, and neither the baseline nor the pool of others."""
    if night != nights[-1]:
        raise ConfigError(
            "Only the last night of the history can be set aside, because later nights were compared with the others.",
            where="drop",
            got=night,
            hint=f"drop={nights[-1]}",
        )
    is_used = references is not None and night in (references.baseline.night, references.pool.night)
    if is_used and len(nights) > 1:
        raise ConfigError(
            "This night is the baseline or the pool, so it cannot be set aside.",
            where="drop",
            got=night,
            hint=f"first accept another one: microbench accept night=NIGHT, such as {nights[-2]}",
        )


def is_set_aside(store: Store, night: str) -> bool:
    """Whether a night of this label was set aside, at least out of the history."""
    return any((folder / HISTORY_FILE).exists() for folder in _folders_aside(store, night))


def _folders_aside(store: Store, night: str) -> list[Path]:
    """The existing folders of a label's nights that were set aside: NIGHT, NIGHT.1, …"""
    folder = Path(store.at(SET_ASIDE))
    names = (f"{night}.{number}" if number else night for number in itertools.count())
    return list(itertools.takewhile(Path.exists, (folder / name for name in names)))


def _is_stored(store: Store, night: str) -> bool:
    try:
        return frozen_folder(store, read_inputs(store, night)["benchmark"]).exists()
    except MicrobenchError as error:
        logger.debug("Night %s cannot be read: %s", night, error)
        return False


def _last_few(nights: Sequence[str]) -> str:
    """The last few nights, for messages."""
    return ("…, " if len(nights) > 5 else "") + ", ".join(nights[-5:])
