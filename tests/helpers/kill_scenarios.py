"""The commands that tests kill, on small boards: see `tests.helpers.kills`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tests.helpers.kills import Scenario
from tests.helpers.processes import run_command
from tests.helpers.small_sweep import columns

FIRST, SECOND = "2026-01-01", "2026-01-02"
WHEN = ("report.html", "manifest.json")
"""Files that say what was computed when."""


def board(folder: Path, name: str, n_models: int, n_items: int = 60) -> None:
    """Write a score table; those of more models begin with the models of fewer."""
    table = columns(60, n_items)
    kept = list(table)[: 2 + n_models]
    pq.write_table(pa.table({name: table[name] for name in kept}), folder / name)
    (folder / "tiny.txt").write_text("".join(f"i{k}\n" for k in range(0, n_items, 5)))


def run(folder: Path, *arguments: str) -> None:
    done = run_command(arguments, cwd=folder)
    assert done.returncode in (0, 3), done.stderr


def ingest_arguments(table: str) -> tuple[str, ...]:
    return ("ingest", "source=scores", f"path={table}", "out=ingested")


def prepare_ingest(folder: Path) -> None:
    """A folder of four models, to which the first board of the ingest adds two, with other scores for one of the four."""
    board(folder, "new.parquet", 6)
    old = pq.read_table(folder / "new.parquet")
    pq.write_table(old.select(old.column_names[:6]), folder / "old.parquet")
    run(folder, *ingest_arguments("old.parquet"))


def sweep_arguments(*more: str) -> tuple[str, ...]:
    return (
        "sweep",
        "benchmark=scores",
        "benchmark.path=board.parquet",
        "methods=[random,{method: fixed, selector: {path: tiny.txt}}]",
        "grid.sizes=[5,10]",
        "grid.n_source=[10]",
        "grid.n_target=15",
        "grid.runs=20",
        "keep_estimates=true",
        "n_resamples=100",
        "figures=false",
        "report=false",
        "engine=serial",
        "out=out",
        *more,
    )


def prepare_sweep(folder: Path) -> None:
    board(folder, "board.parquet", 40)


def prepare_reduce(folder: Path) -> None:
    """A sweep with `paired.parquet`, which the reduction removes, and other thresholds."""
    prepare_sweep(folder)
    run(folder, *sweep_arguments("methods=[random,stratified_confidence]", "baseline=random"))


def audit_arguments(night: str, table: str, *more: str) -> tuple[str, ...]:
    return (
        "audit",
        "benchmark=scores",
        f"benchmark.path={table}",
        "benchmark.name=board",
        "lists={tiny: tiny.txt}",
        "methods=[random]",
        "grid.sizes=[10]",
        "grid.n_source=[20]",
        "grid.n_target=15",
        "grid.runs=3",
        "extrapolation.best=null",
        "figures=false",
        "report=false",
        f"night={night}",
        "n_resamples=100",
        "drift.n_resamples=200",
        "engine=serial",
        "out=audit",
        *more,
    )


def prepare_first_night(folder: Path) -> None:
    board(folder, "first.parquet", 52)
    board(folder, "second.parquet", 55)
    board(folder, "third.parquet", 57)


def prepare_second_night(folder: Path) -> None:
    prepare_first_night(folder)
    run(folder, *audit_arguments(FIRST, "first.parquet"))


def prepare_third_night(folder: Path) -> None:
    """Two nights, so that the third removes the benchmark and the sweep of the second."""
    prepare_second_night(folder)
    run(folder, *audit_arguments(SECOND, "second.parquet"))


def export_arguments(*more: str) -> tuple[str, ...]:
    return (
        "export",
        "benchmark=scores",
        "benchmark.path=board.parquet",
        "methods=[random]",
        "size=10",
        "folds=5",
        "out=micro",
        *more,
    )


def prepare_export(folder: Path) -> None:
    """An export of another size, to be replaced."""
    prepare_sweep(folder)
    run(folder, *export_arguments("size=8"))


def prepare_score(folder: Path) -> None:
    prepare_export(folder)
    table = pq.read_table(folder / "board.parquet")
    pa.csv.write_csv(table.select(["item_id", "m03"]).rename_columns(["item_id", "new"]), folder / "responses.csv")


NEXT_NIGHT = audit_arguments("2026-01-03", "third.parquet")
REDUCE = ("reduce", "out=out", "thresholds=[.7]", "n_resamples=100")
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("ingest", prepare_ingest, ingest_arguments("new.parquet")),
        Scenario("audit, first night", prepare_first_night, audit_arguments(FIRST, "first.parquet"), ("manifest.json",)),
        Scenario("audit, third night", prepare_third_night, NEXT_NIGHT, ("manifest.json",)),
        Scenario("accept", prepare_third_night, ("accept", "out=audit", "violated=true")),
        Scenario("accept drop", prepare_third_night, ("accept", "out=audit", f"drop={SECOND}")),
        Scenario("export", prepare_export, export_arguments("overwrite=true")),
        Scenario(
            "score", prepare_score, ("score", "micro=micro", "responses=responses.csv", "source=scores", "out=scores/new.txt")
        ),
        Scenario("sweep", prepare_sweep, sweep_arguments(), WHEN),
        Scenario("reduce", prepare_reduce, (*REDUCE, "report=false", "figures=false"), WHEN),
    )
}
PAGES = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "audit, with page and figures", prepare_third_night, (*NEXT_NIGHT, "report=true", "figures=true"), ("manifest.json",)
        ),
        Scenario("reduce, with page and figures", prepare_reduce, REDUCE, WHEN),
    )
}
"""Slower ones, whose pages and figures take seconds."""
