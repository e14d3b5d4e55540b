"""Figures, terminal tables, and the output of `show_results`."""

from __future__ import annotations

import dataclasses
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from microbench_ray.cli.main import main
from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage.store import Store
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method, build_method
from microbench_ray.report.axes import _labels
from microbench_ray.report.figures import draw_figures
from microbench_ray.report.results import show_results
from microbench_ray.report.terminal import mdad_tables, plan_text, verdict_lines
from microbench_ray.sweeps.driver import SweepJob, SweepOutcome, run_sweep
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules
from microbench_ray.sweeps.results import SweepStore
from tests.helpers.errors import refuses
from tests.helpers.rotation import rotating
from tests.helpers.small_sweep import columns


def board(name: str = "board") -> Benchmark:
    world = columns()
    ids, subtasks = world.pop("item_id"), world.pop("subtask")
    return Benchmark.from_arrays(name, np.stack(list(world.values())), ids, list(world), subtasks=subtasks)


def random(label: str = "random") -> Method:
    return build_method(label, {"name": "random"}, {"name": "mean"})


def fixed_list(label: str = "tiny") -> Method:
    return build_method(label, {"name": "fixed", "items": [f"i{k}" for k in range(30)]}, {"name": "weighted_mean"})


def sweep_job(
    out: Path,
    *methods: Method,
    name: str = "board",
    thresholds: tuple[float, ...] = (0.8,),
    note: str | None = None,
    **changes: Any,
) -> SweepJob:
    grid = Grid(sizes=(5, 10, 20), n_source=(10,), n_target=15, runs=5)
    return SweepJob(
        benchmarks=(board(name),),
        methods=methods or (random(),),
        grid=dataclasses.replace(grid, **changes),
        targets=Targets(),
        rules=Rules(n_resamples=100, thresholds=thresholds),
        engine=SerialEngine(),
        out=out,
        config={"figure_note": note},
    )


def swept(job: SweepJob) -> SweepOutcome:
    return run_sweep(job, job.plan())


def drawn_into(folder: Path, tables: Mapping[str, pa.Table], benchmarks: Sequence[str] = ()) -> list[Path]:
    return [folder / name for name in draw_figures(tables, Store(folder).write, benchmarks=benchmarks)]


def figures(outcome: SweepOutcome, folder: Path) -> list[Path]:
    return drawn_into(folder, outcome.tables, ["board"])


def printed(mdad: pa.Table, width: int = 200) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, markup=False, highlight=False)
    for title, table in mdad_tables(mdad):
        console.print(title)
        console.print(table)
    return stream.getvalue()


@pytest.fixture
def without_svg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the SVG files, which take as long as the PNG files."""
    monkeypatch.setattr("microbench_ray.report.figures._svg", lambda figure: b"SVG")


CASES: dict[str, dict[str, Any]] = {
    "three sizes": {},
    "one size": {"sizes": (10,)},
    "one run": {"runs": 1},
    "several numbers of sources": {"n_source": (10, 20)},
    "separate subtasks": {"subtasks": "separate"},
    "no unseen half": {"unseen": "none"},
    "fractions": {"sizes": (), "fractions": (0.1, 0.25)},
    "no MDAD reached": {"sizes": (1, 2), "thresholds": (1.0,)},
    "several thresholds": {"thresholds": (0.7, 0.9)},
}


Shown = list[Figure]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The drawn figures, as objects, which are not rendered."""
    drawn: Shown = []

    def keep(figure: Figure) -> bytes:
        drawn.append(figure)
        return b"PNG"

    monkeypatch.setattr("microbench_ray.report.figures._png", keep)
    monkeypatch.setattr("microbench_ray.report.figures._svg", lambda figure: b"SVG")
    return drawn


@pytest.mark.slow
@pytest.mark.usefixtures("without_svg")
@pytest.mark.parametrize("case", rotating(CASES, 3))
def test_every_figure_is_rendered(case: str, tmp_path: Path) -> None:
    for path in figures(swept(sweep_job(tmp_path, **CASES[case])), tmp_path / "figures"):
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert path.stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_figure_is_drawn_for_every_panel(case: str, tmp_path: Path, shown: Shown) -> None:
    outcome = swept(sweep_job(tmp_path, **CASES[case]))
    mdad = outcome.tables["mdad"]
    if case == "no MDAD reached":
        assert mdad["mdad_monotone"].null_count > 0
    drawn = figures(outcome, tmp_path / "figures")
    compared = {"several numbers of sources": "n-source", "separate subtasks": "subtasks", "several thresholds": "thresholds"}.get(
        case
    )
    panels = {"several numbers of sources": 2, "separate subtasks": 3}.get(case, 1)
    assert len(drawn) == panels + (compared is not None)
    assert compared is None or compared in drawn[0].stem.replace("_", "-")
    assert len(set(drawn)) == len(drawn) == len(shown)
    assert all(path.is_file() for path in drawn)
    assert printed(mdad)


def titled(figure: Figure, words: str) -> Axes:
    (axes,) = [axes for axes in figure.axes if words in axes.get_title()]
    return axes


def drawn_values(axes: Axes, label: int | str = 0) -> list[float]:
    (line,) = [line for place, line in enumerate(axes.lines) if label in (place, line.get_label())]
    return [round(value, 6) for value in np.asarray(line.get_ydata(), dtype=float).tolist()]


def test_a_panel_shows_mdads_in_points_and_the_share_of_unreliable_pairs_in_percent(tmp_path: Path, shown: Shown) -> None:
    outcome = swept(sweep_job(tmp_path, sizes=(10, 20, 40)))
    figures(outcome, tmp_path)
    (figure,) = shown
    mdad, summary = (outcome.tables[name].to_pandas().query("split == 'seen'") for name in ("mdad", "summary"))
    found = titled(figure, "MDAD at agreement 0.8, seen half")
    assert found.get_ylabel() == "MDAD (points)"
    assert drawn_values(found, "random") == [round(100 * value, 6) for value in mdad["mdad_monotone"]]
    left = titled(figure, "Unreliable pairs, seen half")
    assert left.get_ylabel() == "closer than the MDAD (%)"
    assert drawn_values(left) == [round(100 * (1 - share), 6) for share in summary["share_reliable"]]


def test_numbers_of_source_models_are_compared_at_every_size(tmp_path: Path, shown: Shown) -> None:
    outcome = swept(sweep_job(tmp_path, sizes=(10, 40), n_source=(5, 10, 20)))
    figures(outcome, tmp_path)
    axes = titled(shown[0], "40 items, seen half")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["5", "10", "20"]
    assert axes.get_xlabel() == "source models"
    rows = outcome.tables["mdad"].to_pandas().query("split == 'seen' and size == 40")
    assert drawn_values(axes, "random") == [round(100 * value, 6) for value in rows.sort_values("n_source")["mdad_monotone"]]


def test_thresholds_are_compared_and_panels_show_the_first(tmp_path: Path, shown: Shown) -> None:
    figures(swept(sweep_job(tmp_path, thresholds=(0.9, 0.7))), tmp_path)
    by_threshold, panel = shown
    assert [axes.get_title() for axes in by_threshold.axes][:2] == ["agreement 0.7, seen half", "agreement 0.9, seen half"]
    titled(panel, "MDAD at agreement 0.9, seen half")


def test_separate_subtasks_are_compared_side_by_side(tmp_path: Path, shown: Shown) -> None:
    figures(swept(sweep_job(tmp_path, subtasks="separate")), tmp_path)
    axes = shown[0].axes
    assert [each.get_title() for each in axes] == ["5 items", "10 items", "20 items"]
    assert sorted(label.get_text() for label in axes[0].get_yticklabels()) == ["s0", "s1", "s2"]


@pytest.mark.slow
@pytest.mark.parametrize("fractions", [(), (0.1, 0.25)])
def test_benchmarks_are_compared_and_a_slash_in_a_name_is_not_a_subtask(
    fractions: tuple[float, ...], tmp_path: Path, shown: Shown
) -> None:
    sizes = () if fractions else (5, 10)
    sweep = dataclasses.replace(
        sweep_job(tmp_path, sizes=sizes, fractions=fractions), benchmarks=(board("org/x"), board("org/y"), board("org"))
    )
    drawn_into(tmp_path, swept(sweep).tables, ["org/x", "org/y", "org"])
    assert len(shown) == 4
    assert [axes.get_title() for axes in shown[0].axes[:3]] == [f"{name}, seen half" for name in ("org", "org/x", "org/y")]
    assert shown[0].axes[0].get_xlabel() == ("items selected (%)" if fractions else "items selected")


def test_a_note_is_shown_under_every_figure_and_in_the_terminal(tmp_path: Path, shown: Shown) -> None:
    note = "All of this is drawn, costs $5 and is 100 % invented."
    outcome = swept(sweep_job(tmp_path, n_source=(5, 10), note=note))
    stream = io.StringIO()
    show_results(Console(file=stream, width=200), outcome.tables, tmp_path, figures=True)
    assert f"Note: {note}" in stream.getvalue()
    assert len(shown) == 3
    for figure in shown:
        assert note in figure.get_supxlabel()


def test_labels_of_close_values_do_not_overlap() -> None:
    assert _labels([10, 30, 50, 100, 150, 200, 300]) == ["10", "30", "50", "100", "150", "", "300"]
    assert _labels([10, 25, 50, 100, 250, 500, 1000]) == ["10", "25", "50", "100", "250", "500", "1,000"]
    assert _labels([7]) == ["7"]


@pytest.mark.usefixtures("without_svg")
def test_a_fixed_list_alone_is_drawn_and_shown(tmp_path: Path) -> None:
    outcome = swept(sweep_job(tmp_path, fixed_list()))
    (drawn,) = figures(outcome, tmp_path / "figures")
    assert drawn.stat().st_size > 10_000
    shown = printed(outcome.tables["mdad"])
    assert "all items" in shown
    assert "tiny" in shown


@pytest.mark.slow
@pytest.mark.usefixtures("shown")
def test_a_fixed_list_beside_other_methods_has_its_own_figure(tmp_path: Path) -> None:
    assert len(figures(swept(sweep_job(tmp_path, random(), fixed_list())), tmp_path / "figures")) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("without_svg")
def test_null_columns_are_drawn_and_printed(tmp_path: Path) -> None:
    outcome = swept(sweep_job(tmp_path))
    tables = {}
    for name, kept in (("mdad", {"threshold", "n_runs", "reached_share"}), ("agreement", {"diff_lo", "diff_hi"})):
        table = outcome.tables[name]
        for place, field in enumerate(table.schema):
            if pa.types.is_floating(field.type) and field.name not in kept:
                table = table.set_column(place, field, pa.nulls(len(table), field.type))
        tables[name] = table
    (drawn,) = drawn_into(tmp_path / "figures", {**outcome.tables, **tables})
    assert drawn.stat().st_size > 10_000
    assert "not" in printed(tables["mdad"])


LABELS = ["[red]", "[/red]", "<b>bold</b>", "$x^2$", "$", "_hidden", "a_b", "100 %", "{x}", "\\alpha", "ä – ∞", "x" * 80]


@pytest.mark.slow
@pytest.mark.usefixtures("without_svg")
def test_names_are_printed_unchanged(tmp_path: Path) -> None:
    outcome = swept(sweep_job(tmp_path, *(random(label) for label in LABELS), name="[bold]b$o$ard"))
    shown = printed(outcome.tables["mdad"], width=300)
    for label in LABELS:
        assert label in shown
    assert "[bold]b$o$ard" in shown
    (drawn,) = figures(outcome, tmp_path / "figures")
    assert drawn.stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "..", "a/b\\c"])
def test_a_figure_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    outcome = swept(sweep_job(tmp_path / "out", name=name))
    (drawn,) = figures(outcome, tmp_path / "out" / "figures")
    assert drawn.resolve().parent == (tmp_path / "out" / "figures").resolve()
    assert drawn.is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
@pytest.mark.usefixtures("shown")
def test_a_figure_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    outcome = swept(sweep_job(tmp_path))
    (tmp_path / "figures").write_text("in the way")
    figure = tmp_path / "figures" / "board_random_15_half_10.png"
    with refuses(StoreError, "figure", where=str(figure), hint="figures=false"):
        show_results(Console(file=io.StringIO()), outcome.tables, tmp_path, figures=True)


@pytest.mark.slow
def test_every_figure_has_an_svg_with_equal_bytes_for_equal_tables(tmp_path: Path) -> None:
    label = "<script>alert(1)</script>"
    outcome = swept(sweep_job(tmp_path, random(label)))
    (drawn,), (again,) = (drawn_into(tmp_path / name, outcome.tables) for name in ("one", "other"))
    svg = drawn.with_suffix(".svg").read_bytes()
    assert svg == again.with_suffix(".svg").read_bytes()
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert label.encode() not in svg
    assert b"<dc:date>" not in svg


def test_the_page_is_written_beside_the_tables(tmp_path: Path) -> None:
    outcome = swept(sweep_job(tmp_path, random("mine <b>")))
    stream = io.StringIO()
    show_results(Console(file=stream, width=300, markup=False), outcome.tables, tmp_path, figures=False, report=True)
    assert f"Page: {tmp_path / 'report.html'}" in stream.getvalue()
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<span>mine &lt;b&gt;</span>" in page
    assert outcome.tables["mdad"]["benchmark"][0].as_py() in page
    manifest = SweepStore(tmp_path).manifest()
    assert manifest
    assert manifest["benchmarks"]["board"]["digest"] in page


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    outcome = swept(sweep_job(tmp_path))
    (tmp_path / "report.html").mkdir()
    with refuses(StoreError, "page", where=str(tmp_path / "report.html"), hint="report=false"):
        show_results(Console(file=io.StringIO()), outcome.tables, tmp_path, figures=False, report=True)


def test_reduce_writes_the_page_unless_report_is_false(reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(reference, out)
    assert not (out / "report.html").exists()
    assert main(["reduce", f"out={out}", "n_resamples=100", "thresholds=[.7]", "figures=false"]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "70 %" in page
    (out / "report.html").unlink()
    assert main(["reduce", f"out={out}", "n_resamples=100", "figures=false", "report=false"]) == 0
    assert not (out / "report.html").exists()


def test_the_terminal_table_has_the_numbers_of_the_mdad_table(tmp_path: Path) -> None:
    mdad = swept(sweep_job(tmp_path, random(), random("other"))).tables["mdad"]
    shown = printed(mdad)
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


def test_only_twelve_tables_are_printed_with_the_path_of_the_others(tmp_path: Path) -> None:
    outcome = swept(sweep_job(tmp_path, n_source=tuple(range(5, 12)), sizes=(5,), runs=2))
    stream = io.StringIO()
    show_results(Console(file=stream, width=120, markup=False, soft_wrap=True), outcome.tables, tmp_path, figures=False)
    assert stream.getvalue().count("MDAD at agreement") == 12
    (line,) = [line for line in stream.getvalue().splitlines() if "mdad.parquet" in line and "more" in line]
    assert "2 more" in line
    assert str(tmp_path / "mdad.parquet") in line


def test_a_plan_shows_cells_shards_bytes_and_engine(tmp_path: Path) -> None:
    text = plan_text(sweep_job(tmp_path).plan(), "serial", tmp_path)
    assert text.startswith("15 cells in 1 shard, about 0.0 CPU seconds; ")
    assert "MB of scores" in text
    assert text.endswith(f"serial; out={tmp_path}")


def test_an_mdad_that_is_never_reached_has_no_interval_in_the_terminal() -> None:
    subject = {"label": "tiny", "size": 9, "mdad": None, "ci_lo": None, "ci_hi": None, "wanted": 0.02, "items_needed": None}
    half = subject | {"ci_lo": 0.035}
    verdict = {"status": "ok", "headline": "Fine", "findings": [], "subjects": [subject, half]}
    assert list(verdict_lines(verdict))[1:] == [
        "  tiny, 9 items: MDAD never reached",
        "  tiny, 9 items: MDAD never reached (3.5–∞)",
    ]
