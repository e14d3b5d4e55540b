"""Runs an audit: ingest, sweep, compare, write the verdict, and append the night to the history."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.audit.analysis import NightAnalysis, PreviousNights, analyse_night
from microbench_ray.audit.baseline import (
    FROZEN,
    References,
    accept,
    freeze,
    frozen_folder,
    open_frozen,
    read_references,
    remove_unused,
)
from microbench_ray.audit.changes import Snapshot, items_of, take_snapshot
from microbench_ray.audit.files import (
    FOLDERS,
    INPUTS,
    NIGHTS,
    PAGE,
    SENT,
    VERDICT,
    read_inputs,
    read_verdict,
    remove_temporary_files,
    to_json,
)
from microbench_ray.audit.findings import HistoryRow, assign_severities
from microbench_ray.audit.history import History, check_order, night_table
from microbench_ray.audit.job import AuditJob
from microbench_ray.audit.last_read import read_tonight, remember
from microbench_ray.audit.sensitivity import smallest_drops
from microbench_ray.audit.sweeps import SWEEPS, Sweeper
from microbench_ray.audit.verdict import BenchmarkShape, build_verdict
from microbench_ray.audit.webhook import send_verdict
from microbench_ray.core.errors import ConfigError, MicrobenchError, StoreError
from microbench_ray.core.plain import plain
from microbench_ray.core.schemas import SCHEMAS, conform
from microbench_ray.core.storage.store import Store
from microbench_ray.data import Benchmark
from microbench_ray.ingest.run import run_ingest
from microbench_ray.report.page import library, render

logger = logging.getLogger(__name__)


class AuditOutcome(NamedTuple):
    """The outcome of an audit.

    Attributes
    ----------
    verdict
        Content of verdict.json.
    folder
        The night's folder.
    already_done
        Whether the night was finished before, so that nothing was recomputed.
    failed
        Number of failed cells, and of models whose logs could not be read.
    webhook_error
        Why the verdict could not be sent to the webhook; None if it was sent, or there is no webhook.
    """

    verdict: dict[str, Any]
    folder: str
    already_done: bool
    failed: int
    webhook_error: MicrobenchError | None = None


def run_audit(job: AuditJob) -> AuditOutcome:
    """Audit a night. Rerunning a finished night changes nothing; an interrupted night resumes and writes the same files.

    Raises
    ------
    ConfigError
        The night is already in the history with other inputs, or its label does not sort after the existing nights.
    GridError
        The grid does not fit the pool.
    MicrobenchError
        The logs, the benchmark or the audit's folder cannot be read.
    """
    if job.webhook is not None:
        job.webhook.check()
    store = Store(job.out, folders=FOLDERS)
    with store.locked(job.wait_for_out):
        remove_temporary_files(store)
        history = History(store)
        nights = history.nights()
        in_history = job.night in nights
        if not in_history:
            check_order(job.night, nights)
        log_findings = read_logs(job)
        open_once = functools.cache(functools.partial(open_frozen, store))
        tonight = read_tonight(job, store, open_once)
        benchmark = tonight.benchmark
        references = read_references(store)
        if references is None or not nights:  # a first night that was interrupted is not a baseline
            make_sweeper(job, store).check(benchmark, job.methods)
            references = accept(store, benchmark, job.night, ("baseline", "pool"))
            logger.info(
                "First night: its %d models become the baseline and the pool; change them with microbench accept",
                benchmark.n_models,
            )
        items = items_of(benchmark) if tonight.items is None else tonight.items
        inputs = digest_inputs(job, benchmark, items, references, log_findings)
        verdict = read_finished_verdict(store, job.night, inputs) if in_history else None
        already_done = verdict is not None
        if verdict is None:
            verdict = audit_night(job, store, history, benchmark, items, references, log_findings, inputs, open_once)
            remember(store, job.night, tonight)
        remove_unused_benchmarks(store, history, benchmark, references)  # also where a finished night was killed before this
        outcome = AuditOutcome(
            verdict=verdict,
            folder=store.at(f"{NIGHTS}/{job.night}"),
            already_done=already_done,
            failed=len(log_findings) + verdict["made"]["failed_cells"],
        )
        try:
            if not (in_history and store.has(f"{NIGHTS}/{job.night}/{SENT}")):
                notify(job, store, outcome)
        except MicrobenchError as error:  # reported by the caller; the night itself is complete
            logger.debug("The verdict was not sent: %s", error)
            outcome = outcome._replace(webhook_error=error)
    return outcome


def read_logs(job: AuditJob) -> list[HistoryRow]:
    """Ingest the new logs; return a finding for each model whose logs could not be read."""
    if job.ingest is None:
        return []
    summary = run_ingest(job.ingest)
    for line in summary.lines():
        logger.info("%s", line)
    return [
        HistoryRow(
            kind="log_failed",
            text=f"The logs of '{model}' could not be read: " + "; ".join(filter(None, (error.what, error.where, error.got))),
            name=model,
        )
        for model, error in sorted(summary.failed.items())
    ]


def audit_night(
    job: AuditJob,
    store: Store,
    history: History,
    benchmark: Benchmark,
    items: pa.Table,
    references: References,
    log_findings: list[HistoryRow],
    inputs: dict[str, Any],
    open_once: Callable[[str], Benchmark],
) -> dict[str, Any]:
    """Compute a night, write its folder, and append it to the history last, so that a night in the history is complete.

    `open_once` opens a frozen benchmark by its digest.

    Returns
    -------
    dict
        The content of verdict.json.
    """
    if job.report:
        library.prepare()
    folder = f"{NIGHTS}/{job.night}"
    sweeper = make_sweeper(job, store)
    earlier_nights = [night for night in history.nights() if night < job.night]
    earlier_rows = history.read(earlier_nights)
    last, snapshot = read_last_night(store, earlier_nights, open_once, benchmark, items)
    previous = PreviousNights(
        baseline=open_once(references.baseline.digest),
        pool=open_once(references.pool.digest),
        last=last,
        history=earlier_rows,
        baseline_night=references.baseline.night,
    )
    sweeper.check(previous.pool, job.methods)
    analysis = analyse_night(job, benchmark, snapshot, previous, sweeper)
    rows = assign_severities([*log_findings, *analysis.rows], job.actions)
    table = night_table(job.night, rows)
    verdict = build_verdict(
        night=job.night,
        benchmark=BenchmarkShape(benchmark.name, benchmark.n_models, benchmark.n_items, benchmark.truth),
        rows=table,
        subjects=analysis.subjects,
        changes=analysis.changes,
        baseline=references.baseline,
        inputs=inputs,
        failed_cells=analysis.failed_cells,
        drops=smallest_drops(rows, job.drift, job.actions),
    )
    for name, content in {**analysis.tables, "snapshot_items": items}.items():
        store.write_table(f"{folder}/{name}", content, name)
    store.write(f"{folder}/{INPUTS}", to_json(inputs))
    store.write(f"{folder}/{VERDICT}", to_json(verdict))
    write_page(job, store, folder, verdict, analysis, pa.concat_tables([earlier_rows, table]))
    write_figures(job, store, verdict, analysis, earlier_nights)
    freeze(store, benchmark)  # the next night is compared with it
    history.append(job.night, rows)
    return verdict


def remove_unused_benchmarks(store: Store, history: History, benchmark: Benchmark, references: References) -> None:
    """Remove the stored benchmarks, and the sweeps on them, that no later night needs."""
    # A night before the last one may have been recomputed: keep what the last one needs.
    last_digest = read_inputs(store, history.nights()[-1])["benchmark"]
    used = {benchmark.digest, last_digest, references.pool.digest, references.baseline.digest}
    remove_unused(Path(store.at(SWEEPS)), used)
    remove_unused(Path(store.at(FROZEN)), used)


def make_sweeper(job: AuditJob, store: Store) -> Sweeper:
    """The sweeper of an audit, whose cells lie in its folder."""
    return Sweeper(
        folder=Path(store.at(SWEEPS)), grid=job.grid, open_keys=job.open_keys, rules=job.rules, seed=job.seed, engine=job.engine
    )


def read_finished_verdict(store: Store, night: str, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the verdict of a night in the history; None if its folder is missing or damaged, so it must be recomputed.

    Raises
    ------
    ConfigError
        The night was computed from other inputs.
    """
    try:
        recorded, verdict = read_inputs(store, night), read_verdict(store, night)
    except StoreError as error:
        logger.info("Recomputing night %s: %s", night, error.got)
        return None
    different = [key for key in inputs if recorded.get(key) != inputs[key]]
    if different:
        raise ConfigError(
            "This night is already in the history with other inputs.",
            where=f"night {night}",
            got=f"different {', '.join(different)}",
            hint="choose another label with night=LABEL that sorts after the existing ones, such as the date and the hour",
        )
    return verdict


def digest_inputs(
    job: AuditJob, benchmark: Benchmark, items: pa.Table, references: References, log_findings: Sequence[HistoryRow]
) -> dict[str, Any]:
    """Digests of everything, except the earlier nights, that a night's rows depend on."""
    configuration = {
        "grid": job.grid,
        "rules": job.rules,
        "seed": job.seed,
        "target_difference": job.target_difference,
        "top_k": job.top_k,
        "max_mdad": job.max_mdad,
        "extrapolation": job.extrapolation,
        "drift": job.drift,
        "actions": job.actions,
        "max_missing_share": job.max_missing_share,
    }
    return {
        "benchmark": benchmark.digest,
        "items": _digest(items.to_pydict()),
        "baseline": references.baseline.digest,
        "pool": references.pool.digest,
        "audited": _digest([method.identity() for method in job.lists_and_methods]),
        "configuration": _digest(configuration),
        "logs_failed": _digest([row.text for row in log_findings]),
    }


def read_last_night(
    store: Store, nights: Sequence[str], open_once: Callable[[str], Benchmark], tonight: Benchmark, items: pa.Table
) -> tuple[tuple[Benchmark, Snapshot] | None, Snapshot]:
    """The benchmark and the snapshot of the last of some nights, None if there is none; and tonight's snapshot.

    Where both nights have the same responses, neither snapshot lists the models, which takes the digest of each.
    If the last night's benchmark is not stored, as only that of the last night is kept and a later one was set aside, the latest
    night with a stored one takes its place.
    """
    no_models = SCHEMAS["snapshot_models"].empty_table()
    if not nights:
        return None, Snapshot(models=no_models, items=items)
    night, digest = nights[-1], read_inputs(store, nights[-1])["benchmark"]
    for earlier in reversed(nights[:-1]):
        if frozen_folder(store, digest).exists():
            break
        night, digest = earlier, read_inputs(store, earlier)["benchmark"]
    if night != nights[-1]:
        logger.warning("The benchmark of night %s is not stored: tonight's changes are those since night %s", nights[-1], night)
    benchmark, last_items = open_once(digest), store.read_table(f"{NIGHTS}/{night}/snapshot_items", "snapshot_items")
    if digest == tonight.digest:
        return (benchmark, Snapshot(models=no_models, items=last_items)), Snapshot(models=no_models, items=items)
    return (benchmark, take_snapshot(benchmark, last_items)), take_snapshot(tonight, items)


def write_page(
    job: AuditJob, store: Store, folder: str, verdict: Mapping[str, Any], analysis: NightAnalysis, history: pa.Table
) -> None:
    """Write the page of a night, if the job asks for it."""
    benchmark, made = verdict["benchmark"], verdict["made"]
    manifest = {"config": dict(job.config), "seed": job.seed, "benchmarks": {benchmark: made["benchmark"]}} | made
    if job.report:
        page = render(manifest, analysis.tables, verdict=verdict, history=history, leaderboard=analysis.tables["leaderboard"])
        store.write(f"{folder}/{PAGE}", page.encode())


def write_figures(
    job: AuditJob, store: Store, verdict: Mapping[str, Any], analysis: NightAnalysis, earlier_nights: Sequence[str]
) -> None:
    """Draw the static figures of a night, or copy those of the last night if it had the same tables."""
    if not job.figures or "mdad" not in analysis.tables:  # without an item of any list, nothing was swept
        return
    folder = f"{NIGHTS}/{job.night}/figures"
    files = figures_of_same_tables(store, earlier_nights[-1], verdict, analysis) if earlier_nights else {}
    for name, content in files.items():
        store.write(f"{folder}/{name}", content)
    if not files:
        from microbench_ray.report.figures import draw_figures

        benchmarks = (verdict["benchmark"],)
        draw_figures(analysis.tables, lambda name, content: store.write(f"{folder}/{name}", content), benchmarks=benchmarks)


def figures_of_same_tables(store: Store, night: str, verdict: Mapping[str, Any], analysis: NightAnalysis) -> dict[str, bytes]:
    """The figures of a night by name, if it has the tables that they are drawn from, by the same versions; else none."""
    folder = f"{NIGHTS}/{night}"
    try:
        earlier = read_verdict(store, night)
        if earlier["benchmark"] != verdict["benchmark"] or earlier["made"]["versions"] != verdict["made"]["versions"]:
            return {}
        for name in ("agreement", "mdad", "summary"):
            if not store.read_table(f"{folder}/{name}", name).equals(conform(analysis.tables[name], name)):
                return {}
        return {name: store.folder.read(f"{folder}/figures/{name}") for name in store.files(f"{folder}/figures")}
    except (OSError, StoreError, KeyError) as error:
        logger.debug("The figures of night %s are not used again: %s", night, error)
        return {}


def notify(job: AuditJob, store: Store, outcome: AuditOutcome) -> None:
    """Send the verdict to the webhook, if there is one, and mark the night as sent."""
    if job.webhook is None:
        return
    send_verdict(job.webhook, outcome.verdict, f"{outcome.folder}/{PAGE}")
    store.write(f"{NIGHTS}/{job.night}/{SENT}", b"")
    logger.info("Sent the verdict to the webhook")


def _digest(content: Any) -> str:
    """The digest of values as plain JSON; ConfigError for a value without a plain form."""
    return blake2b(json.dumps(plain(content, "inputs"), sort_keys=True).encode(), digest_size=16).hexdigest()
