"""A night's audit from end to end: read what is new, sweep what is new, compare, say a verdict, and append to the history."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.audit.baseline import Accepts, What, accept, accepted, frozen
from microbench_ray.audit.changes import Snapshot, take_snapshot
from microbench_ray.audit.findings import DEFAULT_ACTIONS, Row, finding, judged
from microbench_ray.audit.history import History, check_order, night_table
from microbench_ray.audit.policy import Policy
from microbench_ray.audit.verdict import verdict
from microbench_ray.data import Benchmark
from microbench_ray.engine.base import Engine
from microbench_ray.errors import ConfigError, MicrobenchError, StoreError
from microbench_ray.grid import Grid
from microbench_ray.ingest.run import Ingest, ingest
from microbench_ray.methods import Method
from microbench_ray.night_look import Look, look
from microbench_ray.night_sweeps import SWEEPS, Sweeper
from microbench_ray.notify import Webhook, tell
from microbench_ray.reduce import Rules
from microbench_ray.store import Store

Say = Callable[[str], None]
NIGHTS = "nights"
INPUTS, VERDICT, PAGE = "inputs.json", "verdict.json", "report.html"
FOLDERS = ("history", NIGHTS, "frozen", SWEEPS)


@dataclass(frozen=True)
class Unlike:
    """Which targets are unlike the sources: the best share of the models, those released since a day, those of some families."""

    best: float | None = 0.2
    newer: str | None = None
    families: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audit:
    """All that a night's audit is made of.

    Attributes
    ----------
    read
        Reads tonight's benchmark.
    items
        Reads the items that tonight's logs know, in all their versions; None where the benchmark is all there is.
    ingest
        What to read first; None for nothing.
    lists, methods
        Published micro-benchmarks (`fixed`), audited on all models; and methods, swept over `grid` on the pool.
    grid, rules, engine, seed
        As for a sweep; `engine` makes one if it is needed.
    out
        The audit's folder.
    night
        Label of the night.
    wanted
        The difference to be told apart, a fraction.
    top_k
        Of the probability of being among the best.
    limits
        The largest MDAD that is allowed, by label.
    unlike
        Targets on which the MDAD is told apart.
    drift
        What counts as drift.
    actions
        What findings do, by kind.
    max_missing_share
        Share of missing responses that is no finding yet.
    webhook
        Whom to tell.
    report, figures
        Whether to make the page, and the static figures.
    wait_for_out
        Seconds to wait for another audit at work there.
    config
        What the user asked for, as plain values.
    """

    read: Callable[[], Benchmark]
    out: Path
    night: str
    lists: tuple[Method, ...] = ()
    methods: tuple[Method, ...] = ()
    grid: Grid = field(default_factory=Grid)
    rules: Rules = field(default_factory=Rules)
    engine: Callable[[], Engine] | None = None
    items: Callable[[], pa.Table] | None = None
    ingest: Ingest | None = None
    seed: int = 0
    wanted: float = 0.02
    top_k: int = 10
    limits: Mapping[str, float] = field(default_factory=dict)
    unlike: Unlike = field(default_factory=Unlike)
    drift: Policy = field(default_factory=Policy)
    actions: Mapping[str, str] = field(default_factory=lambda: DEFAULT_ACTIONS)
    max_missing_share: float = 0.05
    webhook: Webhook | None = None
    report: bool = True
    figures: bool = True
    wait_for_out: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def methods_of_all(self) -> tuple[Method, ...]:
        """Lists and methods."""
        return (*self.lists, *self.methods)


class Outcome(NamedTuple):
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


def run_audit(audit: Audit, say: Say) -> Outcome:
    """Audit a night. Killed at any point and started again, it gives the same history.

    Raises
    ------
    MicrobenchError
        The logs, the benchmark or the audit's folder cannot be read; the night is in the history with other inputs; or it would not
        be the last.
    """
    store = Store(audit.out, folders=FOLDERS)
    with store.held(audit.wait_for_out, say):
        history = History(store)
        before = history.nights()
        if audit.night not in before:
            check_order(audit.night, before)
        told = read_logs(audit, say)
        benchmark = audit.read()
        accepts = accepted(store)
        if accepts is None:
            accepts = accept(store, benchmark, audit.night, ("baseline", "pool"))
            say(f"The first night: its {benchmark.n_models} models are the baseline and the pool; microbench accept moves them")
        snapshot = take_snapshot(benchmark, None if audit.items is None else audit.items())
        inputs = inputs_of(audit, benchmark, snapshot, accepts, told)
        done = already(store, audit, inputs) if audit.night in before else None
        if done is None:
            done = audit_night(audit, store, history, benchmark, snapshot, accepts, told, inputs, say)
        again = audit.night in before
        outcome = Outcome(done, store.at(f"{NIGHTS}/{audit.night}"), again, len(told) + done["made"]["failed_cells"])
        try:
            notify(audit, store, outcome, say)
        except MicrobenchError as error:  # the verdict stands
            outcome = outcome._replace(untold=error)
    return outcome


def run_accept(audit: Audit, what: Sequence[What], say: Say) -> Accepts:
    """Make the last night's benchmark the baseline, the pool, or both.

    Raises
    ------
    ConfigError
        The benchmark is not as it was on the last night, so that nobody has seen a verdict about it.
    """
    store = Store(audit.out, folders=FOLDERS)
    with store.held(audit.wait_for_out, say):
        nights = History(store).nights()
        if not nights:
            raise ConfigError(
                "There is no night to accept.",
                where=store.at(),
                mend="microbench audit first; the first night is accepted by itself",
            )
        benchmark = audit.read()
        seen = read_json(store, f"{NIGHTS}/{nights[-1]}/{INPUTS}")["benchmark"]
        if seen != benchmark.digest:
            raise ConfigError(
                "The benchmark is not what it was on the last night.",
                where=f"night {nights[-1]}",
                got=f"digest {benchmark.digest}, {seen} then",
                mend="microbench audit first: what is accepted should have been looked at",
            )
        made = accept(store, benchmark, nights[-1], what)
    say(f"Accepted as {' and '.join(what)}: {benchmark.n_models} models of night {nights[-1]}, digest {benchmark.digest}")
    return made


def read_logs(audit: Audit, say: Say) -> list[Row]:
    """Read what is new; the findings about models whose logs could not be taken in."""
    if audit.ingest is None:
        return []
    summary = ingest(audit.ingest, say)
    for sentence in summary.sentences():
        say(sentence)
    return [
        finding(
            "log_failed",
            f"The logs of '{model}' could not be read: " + "; ".join(filter(None, (error.what, error.where, error.got))),
            name=model,
        )
        for model, error in sorted(summary.failed.items())
    ]


def audit_night(
    audit: Audit,
    store: Store,
    history: History,
    benchmark: Benchmark,
    snapshot: Snapshot,
    accepts: Accepts,
    told: list[Row],
    inputs: dict[str, Any],
    say: Say,
) -> dict[str, Any]:
    """Compute a night, write its folder, and append it to the history last: a night that is there is whole."""
    place = f"{NIGHTS}/{audit.night}"
    sweeper = Sweeper(Path(store.at(SWEEPS)), audit.grid, audit.rules, audit.seed, engine_of(audit), say)
    before = [night for night in history.nights() if night < audit.night]
    seen: Look = look(
        audit,
        benchmark,
        frozen(store, accepts.baseline),
        frozen(store, accepts.pool),
        snapshot,
        last_snapshot(store, before),
        history.read(before),
        sweeper,
    )
    rows = judged([*told, *seen.rows], audit.actions)
    said = verdict(audit.night, benchmark, rows, seen.subjects, seen.changes, accepts.baseline, inputs, seen.failed)
    for name, table in (("models", snapshot.models), ("items", snapshot.items)):
        store.write_table(f"{place}/{name}", table, f"snapshot_{name}")
    for name, table in {**seen.tables, "leaderboard": seen.leaderboard}.items():
        store.write_table(f"{place}/{name}", table, name)
    store.write(f"{place}/{INPUTS}", text_of(inputs))
    store.write(f"{place}/{VERDICT}", text_of(said))
    draw(audit, store, place, said, seen, pa.concat_tables([history.read(before), night_table(audit.night, rows)]))
    history.append(audit.night, rows)
    sweeper.forget((benchmark.digest, accepts.pool.digest))
    return said


def already(store: Store, audit: Audit, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
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
            mend="night=LABEL with a label of its own, which sorts after the others, such as the day and the hour",
        )
    return said


def inputs_of(audit: Audit, benchmark: Benchmark, snapshot: Snapshot, accepts: Accepts, told: Sequence[Row]) -> dict[str, Any]:
    """Digests of all that a night's rows depend on beside the earlier nights."""
    kept = ("grid", "rules", "seed", "wanted", "top_k", "limits", "unlike", "drift", "actions", "max_missing_share")
    asked = {key: repr(getattr(audit, key)) for key in kept}
    return {
        "benchmark": benchmark.digest,
        "items": snapshot.digest,
        "baseline": accepts.baseline.digest,
        "pool": accepts.pool.digest,
        "audited": _hash([method.identity() for method in audit.methods_of_all]),
        "configuration": _hash(asked),
        "logs_failed": _hash([row["text"] for row in told]),
    }


def last_snapshot(store: Store, before: Sequence[str]) -> Snapshot | None:
    """What the last night looked like; None where there was none, or its folder has been removed."""
    if not before:
        return None
    place = f"{NIGHTS}/{before[-1]}"
    if not store.has(f"{place}/models.parquet"):
        return None
    return Snapshot(*(store.read_table(f"{place}/{name}", f"snapshot_{name}") for name in ("models", "items")))


def engine_of(audit: Audit) -> Callable[[], Engine]:
    """What makes the engine, if one is needed."""
    if audit.engine is not None:
        return audit.engine
    from microbench_ray.engine.serial import SerialEngine

    return SerialEngine


def draw(audit: Audit, store: Store, place: str, said: Mapping[str, Any], seen: Look, history: pa.Table) -> None:
    """The page and the static figures of a night."""
    manifest = {"config": dict(audit.config), "seed": audit.seed} | dict(said["made"])
    if audit.report:
        from microbench_ray.page import render

        page = render(manifest, seen.tables, verdict=said, history=history, leaderboard=seen.leaderboard)
        store.write(f"{place}/{PAGE}", page.encode())
    if audit.figures and seen.tables:
        from microbench_ray.figures import draw_figures

        draw_figures(
            seen.tables, lambda name, content: store.write(f"{place}/figures/{name}", content), benchmarks=(said["benchmark"],)
        )


def notify(audit: Audit, store: Store, outcome: Outcome, say: Say) -> None:
    """Tell the webhook, once a night: a night that was told of is marked so."""
    mark = f"{NIGHTS}/{audit.night}/told"
    if audit.webhook is None or (outcome.again and store.has(mark)):
        return
    tell(audit.webhook, outcome.verdict, f"{outcome.place}/{PAGE}")
    store.write(mark, b"")
    say("The webhook was told.")


def read_json(store: Store, name: str) -> dict[str, Any]:
    """A small file of ours; StoreError where it is missing or damaged."""
    try:
        content: dict[str, Any] = json.loads(store.folder.read(name))
    except (OSError, ValueError) as error:
        raise StoreError("A file of the audit cannot be read.", where=store.at(name), got=str(error)) from None
    return content


def text_of(content: Mapping[str, Any]) -> bytes:
    """JSON for people."""
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _hash(content: Any) -> str:
    return blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()
