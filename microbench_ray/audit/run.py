"""A night's audit from end to end: read what is new, sweep what is new, compare, say a verdict, and append to the history."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.audit.analysis import NightAnalysis, PreviousNights, analyse_night
from microbench_ray.audit.baseline import FROZEN, Accepted, Accepts, accept, accepted, forget, freeze, frozen
from microbench_ray.audit.changes import Snapshot, snapshot
from microbench_ray.audit.findings import Row, finding, judged
from microbench_ray.audit.history import HISTORY, History, check_order, night_table
from microbench_ray.audit.job import AcceptJob, AuditJob
from microbench_ray.audit.sweeps import SWEEPS, Sweeper
from microbench_ray.audit.verdict import verdict
from microbench_ray.audit.webhook import tell
from microbench_ray.core.errors import ConfigError, MicrobenchError, StoreError
from microbench_ray.core.storage.store import Store
from microbench_ray.data import Benchmark
from microbench_ray.ingest.run import run_ingest
from microbench_ray.report.page import library, render

logger = logging.getLogger(__name__)

NIGHTS = "nights"
INPUTS, VERDICT, PAGE = "inputs.json", "verdict.json", "report.html"
FOLDERS = (HISTORY, NIGHTS, FROZEN, SWEEPS)


class AuditOutcome(NamedTuple):
    """What an audit did.

    Attributes
    ----------
    verdict
        As in verdict.json.
    place
        The night's folder.
    again
        Whether the night was in the history already.
    failed
        Cells and models' logs that failed.
    untold
        Why the webhook could not be told; None where it was, or there is none.
    """

    verdict: dict[str, Any]
    place: str
    again: bool
    failed: int
    untold: MicrobenchError | None = None


def run_audit(audit: AuditJob) -> AuditOutcome:
    """Audit a night. Killed at any point and started again, it gives the same history.

    Raises
    ------
    MicrobenchError
        The logs, the benchmark or the audit's folder cannot be read; the night is in the history with other inputs; or it would not
        be the last.
    """
    store = Store(audit.out, folders=FOLDERS)
    with store.held(audit.wait_for_out):
        history = History(store)
        before = history.nights()
        if audit.night not in before:
            check_order(audit.night, before)
        told = read_logs(audit)
        benchmark = audit.read()
        accepts = accepted(store)
        if accepts is None or not before:  # a first night that never ended is none
            sweeper_of(audit, store).check(benchmark, audit.methods)
            accepts = accept(store, benchmark, audit.night, ("baseline", "pool"))
            logger.info(
                "First night: its %d models become the baseline and the pool; change them with microbench accept",
                benchmark.n_models,
            )
        taken = snapshot(benchmark, None if audit.items is None else audit.items())
        inputs = inputs_of(audit, benchmark, taken, accepts, told)
        done = already(store, audit, inputs) if audit.night in before else None
        if done is None:
            done = audit_night(audit, store, history, benchmark, taken, accepts, told, inputs)
        again = audit.night in before
        outcome = AuditOutcome(done, store.at(f"{NIGHTS}/{audit.night}"), again, len(told) + done["made"]["failed_cells"])
        try:
            notify(audit, store, outcome)
        except MicrobenchError as error:  # the verdict stands
            outcome = outcome._replace(untold=error)
    return outcome


def run_accept(job: AcceptJob) -> Accepts:
    """Make the last night's benchmark the baseline, the pool, or both.

    Raises
    ------
    ConfigError
        There is no night yet.
    """
    no_night = ConfigError(
        "There is no night to accept.",
        where=str(job.out),
        hint="run microbench audit first; the first night is accepted automatically",
    )
    if not job.out.exists():  # and it is not created here
        raise no_night
    store = Store(job.out, folders=FOLDERS)
    with store.held(job.wait_for_out):
        nights = History(store).nights()
        if not nights:
            raise no_night
        digest = read_json(store, f"{NIGHTS}/{nights[-1]}/{INPUTS}")["benchmark"]
        benchmark = frozen(store, Accepted(nights[-1], digest))
        accepts = accept(store, benchmark, nights[-1], job.what)
    logger.info(
        "Accepted the %d models of night %s as %s (digest %s)", benchmark.n_models, nights[-1], " and ".join(job.what), digest
    )
    return accepts


def read_logs(audit: AuditJob) -> list[Row]:
    """Read what is new; the findings about models whose logs could not be taken in."""
    if audit.ingest is None:
        return []
    summary = run_ingest(audit.ingest)
    for sentence in summary.sentences():
        logger.info("%s", sentence)
    return [
        finding(
            "log_failed",
            f"The logs of '{model}' could not be read: " + "; ".join(filter(None, (error.what, error.where, error.got))),
            name=model,
        )
        for model, error in sorted(summary.failed.items())
    ]


def audit_night(
    audit: AuditJob,
    store: Store,
    history: History,
    benchmark: Benchmark,
    taken: Snapshot,
    accepts: Accepts,
    told: list[Row],
    inputs: dict[str, Any],
) -> dict[str, Any]:
    """Compute a night, write its folder, and append it to the history last: a night that is there is whole."""
    if audit.report:
        library.prepare()
    place = f"{NIGHTS}/{audit.night}"
    sweeper = sweeper_of(audit, store)
    before = history.read([night for night in history.nights() if night < audit.night])
    baseline, pool = (frozen(store, which) for which in (accepts.baseline, accepts.pool))
    earlier = PreviousNights(baseline, pool, last_night(store, before), before, accepts.baseline.night)
    sweeper.check(pool, audit.methods)
    seen = analyse_night(audit, benchmark, taken, earlier, sweeper)
    rows = judged([*told, *seen.rows], audit.actions)
    table = night_table(audit.night, rows)
    size = (benchmark.name, benchmark.n_models, benchmark.n_items)
    said = verdict(audit.night, size, table, seen.subjects, seen.changes, accepts.baseline, inputs, seen.failed)
    for name, content in {**seen.tables, "snapshot_items": taken.items}.items():
        store.write_table(f"{place}/{name}", content, name)
    store.write(f"{place}/{INPUTS}", text_of(inputs))
    store.write(f"{place}/{VERDICT}", text_of(said))
    draw(audit, store, place, said, seen, pa.concat_tables([before, table]))
    freeze(store, benchmark)  # the next night is compared with it
    history.append(audit.night, rows)
    last = read_json(store, f"{NIGHTS}/{history.nights()[-1]}/{INPUTS}")["benchmark"]  # this one, but for a night made again
    kept = {benchmark.digest, last, accepts.pool.digest, accepts.baseline.digest}
    forget(Path(store.at(SWEEPS)), kept)
    forget(Path(store.at(FROZEN)), kept)
    return said


def sweeper_of(audit: AuditJob, store: Store) -> Sweeper:
    """What sweeps in an audit's folder."""
    return Sweeper(Path(store.at(SWEEPS)), audit.grid, audit.rules, audit.seed, audit.engine)


def already(store: Store, audit: AuditJob, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The verdict of a night that is in the history; None where its folder is gone, and it must be worked out again.

    Raises
    ------
    ConfigError
        Its inputs were others.
    """
    place = f"{NIGHTS}/{audit.night}"
    try:
        before = read_json(store, f"{place}/{INPUTS}")
        said = read_json(store, f"{place}/{VERDICT}")
    except StoreError:
        return None
    differs = [key for key in inputs if before.get(key) != inputs[key]]
    if differs:
        raise ConfigError(
            "This night is in the history already, with other inputs.",
            where=f"night {audit.night}",
            got=f"another {', '.join(differs)} than then",
            hint="night=LABEL with a label of its own, which sorts after the others, such as the day and the hour",
        )
    return said


def inputs_of(audit: AuditJob, benchmark: Benchmark, taken: Snapshot, accepts: Accepts, told: Sequence[Row]) -> dict[str, Any]:
    """Digests of all that a night's rows depend on beside the earlier nights."""
    kept = ("grid", "rules", "seed", "wanted", "top_k", "limits", "unlike", "drift", "actions", "max_missing_share")
    asked = {key: repr(getattr(audit, key)) for key in kept}
    return {
        "benchmark": benchmark.digest,
        "items": table_digest(taken.items),
        "baseline": accepts.baseline.digest,
        "pool": accepts.pool.digest,
        "audited": _hash([method.identity() for method in audit.methods_of_all]),
        "configuration": _hash(asked),
        "logs_failed": _hash([row["text"] for row in told]),
    }


def last_night(store: Store, before: pa.Table) -> tuple[Benchmark, Snapshot] | None:
    """The benchmark of the last night, and what its logs told of items; None on the first night."""
    if not len(before):
        return None
    place = f"{NIGHTS}/{before['night'][-1].as_py()}"
    benchmark = frozen(store, Accepted(place, read_json(store, f"{place}/{INPUTS}")["benchmark"]))
    return benchmark, snapshot(benchmark, store.read_table(f"{place}/snapshot_items", "snapshot_items"))


def draw(audit: AuditJob, store: Store, place: str, said: Mapping[str, Any], seen: NightAnalysis, history: pa.Table) -> None:
    """The page and the static figures of a night."""
    made = dict(said["made"])
    manifest = {"config": dict(audit.config), "seed": audit.seed, "benchmarks": {said["benchmark"]: made["benchmark"]}} | made
    if audit.report:
        page = render(manifest, seen.tables, verdict=said, history=history, leaderboard=seen.tables["leaderboard"])
        store.write(f"{place}/{PAGE}", page.encode())
    if audit.figures and "mdad" in seen.tables:  # where no item of any list is there, nothing was swept
        from microbench_ray.report.figures import draw_figures

        draw_figures(
            seen.tables, lambda name, content: store.write(f"{place}/figures/{name}", content), benchmarks=(said["benchmark"],)
        )


def notify(audit: AuditJob, store: Store, outcome: AuditOutcome) -> None:
    """Tell the webhook, once a night: a night that was told of is marked so."""
    mark = f"{NIGHTS}/{audit.night}/told"
    if audit.webhook is None or (outcome.again and store.has(mark)):
        return
    tell(audit.webhook, outcome.verdict, f"{outcome.place}/{PAGE}")
    store.write(mark, b"")
    logger.info("Verdict sent to the webhook")


def read_json(store: Store, name: str) -> dict[str, Any]:
    """A small file of ours; StoreError where it is missing or damaged."""
    try:
        content: dict[str, Any] = json.loads(store.folder.read(name))
    except (OSError, ValueError) as error:
        raise StoreError("A file of the audit cannot be read.", where=store.at(name), got=str(error)) from None
    return content


def table_digest(table: pa.Table) -> str:
    """Digest of a table's rows."""
    return _hash(table.to_pydict())


def text_of(content: Mapping[str, Any]) -> bytes:
    """JSON for people."""
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _hash(content: Any) -> str:
    return blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()
