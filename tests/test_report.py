"""What a person looks at: figures and the table in the terminal."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from small_sweep import columns

from microbench_ray.cli import show_results
from microbench_ray.data import Benchmark
from microbench_ray.driver import Outcome, Sweep, run_sweep
from microbench_ray.engine.serial import SerialEngine
from microbench_ray.errors import StoreError
from microbench_ray.methods import Method, build_method
from microbench_ray.plan import Grid, Targets
from microbench_ray.reduce import Rules
from microbench_ray.report import draw_figures, mdad_tables, plan_text


def board(name: str = "board") -> Benchmark:
    world = columns()
    ids, subtasks = world.pop("item_id"), world.pop("subtask")
    return Benchmark.from_arrays(name, np.stack(list(world.values())), ids, list(world), subtasks=subtasks)


def random(label: str = "random") -> Method:
    return build_method(label, {"name": "random"}, {"name": "mean"})


def a_list(label: str = "tiny") -> Method:
    return build_method(label, {"name": "fixed", "items": [f"i{k}" for k in range(30)]}, {"name": "weighted_mean"})


def a_sweep(out: Path, *methods: Method, name: str = "board", **changes: object) -> Sweep:
    grid = Grid(sizes=(5, 10, 20), n_source=(10,), n_target=15, runs=5)
    grid = dataclasses.replace(grid, **{key: value for key, value in changes.items() if key != "thresholds"})
    rules = Rules(n_resamples=100, thresholds=changes.get("thresholds", (0.8,)))
    return Sweep((board(name),), methods or (random(),), grid, Targets(), rules, SerialEngine(), out)


def swept(sweep: Sweep) -> Outcome:
    return run_sweep(sweep, sweep.plan(), lambda text: None)


def figures(outcome: Outcome, folder: Path) -> list[Path]:
    return draw_figures(outcome.tables["agreement"], outcome.tables["mdad"], folder)


def said(mdad: pa.Table, width: int = 200) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, markup=False, highlight=False)
    for title, table in mdad_tables(mdad):
        console.print(title)
        console.print(table)
    return stream.getvalue()


CASES = {
    "three sizes": {},
    "one size": {"sizes": (10,)},
    "one run": {"runs": 1},
    "several numbers of sources": {"n_source": (10, 20)},
    "subtasks apart": {"subtasks": "apart"},
    "no unseen half": {"unseen": "none"},
    "fractions": {"sizes": (), "fractions": (0.1, 0.25)},
    "no MDAD reached": {"sizes": (1, 2), "thresholds": (1.0,)},
    "several thresholds": {"thresholds": (0.7, 0.9)},
}


@pytest.mark.parametrize("case", CASES)
def test_a_figure_is_drawn_for_every_panel(case: str, tmp_path: Path) -> None:
    outcome = swept(a_sweep(tmp_path, **CASES[case]))
    mdad = outcome.tables["mdad"]
    if case == "no MDAD reached":
        assert mdad["mdad_monotone"].null_count > 0
    drawn = figures(outcome, tmp_path / "figures")
    assert len(drawn) == {"several numbers of sources": 2, "subtasks apart": 3}.get(case, 1)
    assert len(set(drawn)) == len(drawn)
    for path in drawn:
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert path.stat().st_size > 20_000
    assert said(mdad)


def test_a_fixed_list_alone_is_drawn_and_shown(tmp_path: Path) -> None:
    outcome = swept(a_sweep(tmp_path, a_list()))
    (drawn,) = figures(outcome, tmp_path / "figures")
    assert drawn.stat().st_size > 20_000
    shown = said(outcome.tables["mdad"])
    assert "all items" in shown
    assert "tiny" in shown


def test_a_fixed_list_beside_other_methods_is_drawn_apart(tmp_path: Path) -> None:
    assert len(figures(swept(a_sweep(tmp_path, random(), a_list())), tmp_path / "figures")) == 2


def test_nulls_all_over_are_drawn_and_shown(tmp_path: Path) -> None:
    outcome = swept(a_sweep(tmp_path))
    tables = {}
    for name, kept in (("mdad", {"threshold", "n_runs", "reached_share"}), ("agreement", {"diff_lo", "diff_hi"})):
        table = outcome.tables[name]
        for place, field in enumerate(table.schema):
            if pa.types.is_floating(field.type) and field.name not in kept:
                table = table.set_column(place, field, pa.nulls(len(table), field.type))
        tables[name] = table
    (drawn,) = draw_figures(tables["agreement"], tables["mdad"], tmp_path / "figures")
    assert drawn.stat().st_size > 10_000
    assert "not" in said(tables["mdad"])


LABELS = ["[red]", "[/red]", "<b>bold</b>", "$x^2$", "$", "_hidden", "a_b", "100 %", "{x}", "\\alpha", "ä – ∞", "x" * 80]


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    outcome = swept(a_sweep(tmp_path, *(random(label) for label in LABELS), name="[bold]b$o$ard"))
    shown = said(outcome.tables["mdad"], width=300)
    for label in LABELS:
        assert label in shown
    assert "[bold]b$o$ard" in shown
    (drawn,) = figures(outcome, tmp_path / "figures")
    assert drawn.stat().st_size > 20_000


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "..", "a/b\\c"])
def test_a_figure_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    outcome = swept(a_sweep(tmp_path / "out", name=name))
    (drawn,) = figures(outcome, tmp_path / "out" / "figures")
    assert drawn.resolve().parent == (tmp_path / "out" / "figures").resolve()
    assert drawn.is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_figure_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    outcome = swept(a_sweep(tmp_path))
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(StoreError, match="A figure cannot be written") as caught:
        show_results(Console(file=io.StringIO()), outcome.tables, tmp_path, figures=True)
    assert caught.value.where == str(tmp_path / "figures")
    assert "figures=false" in str(caught.value)


def test_the_table_in_the_terminal_holds_the_numbers_of_the_mdad_table(tmp_path: Path) -> None:
    mdad = swept(a_sweep(tmp_path, random(), random("other"))).tables["mdad"]
    shown = said(mdad)
    words = set(shown.replace("–", " ").split())
    for row in mdad.to_pylist():
        assert row["method"] in words
        assert str(row["size"]) in words
        for name in ("mdad_monotone", "mdad_monotone_ci_lo"):
            assert row[name] is None or f"{100 * row[name]:.1f}" in words
        high = row["mdad_monotone_ci_hi"]
        assert ("∞" if high is None else f"{100 * high:.1f}") in words or row["mdad_monotone"] is None
    assert "seen half" in shown
    assert "unseen half" in shown
    assert "15 target models (random), 10 source models" in shown


def test_many_tables_are_cut_short_with_a_pointer(tmp_path: Path) -> None:
    outcome = swept(a_sweep(tmp_path, n_source=tuple(range(5, 12)), sizes=(5,), runs=2))
    stream = io.StringIO()
    show_results(Console(file=stream, width=120, markup=False), outcome.tables, tmp_path, figures=False)
    assert stream.getvalue().count("MDAD at agreement") == 12
    assert f"2 more such tables: {tmp_path / 'mdad.parquet'}" in stream.getvalue().replace("\n", "")


def test_a_plan_says_cells_shards_bytes_and_engine(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    text = plan_text(sweep.plan(), "serial", tmp_path)
    assert text.startswith("15 cells in 1 shards, about 0.0 CPU seconds; ")
    assert "MB of scores" in text
    assert text.endswith(f"serial; out={tmp_path}")
