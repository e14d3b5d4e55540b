"""Tonight's benchmark: that of the last night, where no file that it is read from changed since."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.audit.files import LAST_READ, NIGHTS, read_object, to_json
from microbench_ray.audit.job import AuditJob
from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage.store import Store
from microbench_ray.data import Benchmark

logger = logging.getLogger(__name__)


class Tonight(NamedTuple):
    """What is audited."""

    benchmark: Benchmark
    items: pa.Table | None
    """The items in the logs, as `AuditJob.items` reads them."""
    stamp: str | None
    """Of the files that both were read from; None if unknown."""


def read_tonight(job: AuditJob, store: Store, open_frozen: Callable[[str], Benchmark]) -> Tonight:
    """Read tonight's benchmark, or take the frozen one of the last night where the files have the same stamp.

    Parameters
    ----------
    job, store
        The audit and its folder.
    open_frozen
        Opens a frozen benchmark by its digest, and checks it.
    """
    stamp = None if job.stamp is None else job.stamp()  # before the files are read: a later change gives another stamp
    if stamp is not None:
        try:
            last = read_object(store, LAST_READ)
            if last["stamp"] == stamp:
                return _last_one(job, store, open_frozen, last)
        except (StoreError, KeyError, TypeError) as error:
            logger.debug("The benchmark is read from its files: %s", error)
    return Tonight(benchmark=job.read(), items=None if job.items is None else job.items(), stamp=stamp)


def _last_one(job: AuditJob, store: Store, open_frozen: Callable[[str], Benchmark], last: dict[str, Any]) -> Tonight:
    frozen = open_frozen(last["digest"])
    name, notes = str(last["name"]), tuple(map(str, last["notes"]))
    same = (frozen.name, frozen.notes) == (name, notes)
    benchmark = frozen if same else replace(frozen, name=name, notes=notes)
    items = None if job.items is None else store.read_table(f"{NIGHTS}/{last['night']}/snapshot_items", "snapshot_items")
    return Tonight(benchmark=benchmark, items=items, stamp=last["stamp"])


def remember(store: Store, night: str, tonight: Tonight) -> None:
    """Record what the benchmark of a complete night was read from."""
    if tonight.stamp is not None:
        benchmark = tonight.benchmark
        content = {"stamp": tonight.stamp, "night": night, "digest": benchmark.digest}
        store.write(LAST_READ, to_json({**content, "name": benchmark.name, "notes": list(benchmark.notes)}))
