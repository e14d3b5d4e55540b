"""Names from data that hold control characters, line breaks or a shell's signs reach no terminal, page or command raw."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from xml.etree import ElementTree

import pytest

from microbench_ray.cli.main import main
from microbench_ray.core import log
from microbench_ray.report.terminal import verdict_lines
from tests.helpers.lm_eval_logs import line, write
from tests.helpers.small_sweep import columns, write_board

CLEAR = "\x1b[2J"
FORGED = f"{CLEAR}\nfail: forged\u202e"


@pytest.fixture(autouse=True)
def terminal_log() -> None:
    """The handler of the command line writes to this test's standard error."""
    log.error_console.cache_clear()


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A table whose file, models, subtasks and items have hostile names."""
    table = columns(n_models=40, n_items=60)
    names = {f"m{k:02d}": f"m{k:02d}{FORGED}" for k in range(40)}
    about = {"item_id": [f"i{k}{FORGED}" for k in range(60)], "subtask": [f"s{k % 3}{FORGED}" for k in range(60)]}
    return write_board_of(tmp_path / f"b{CLEAR}.parquet", about | {new: table[old] for old, new in names.items()})


def write_board_of(path: Path, content: dict[str, object]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(content), path)
    return path


def assert_clean(capsys: pytest.CaptureFixture[str]) -> str:
    """All that was printed: no unprintable character, and no line that a name began."""
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert "Traceback" not in shown
    for each in shown.split("\n"):
        assert each.isprintable(), ascii(each)
        assert not each.lstrip().startswith("fail: forged")
    assert "\\x1b[2J" in shown
    return shown


def source(board: Path) -> list[str]:
    return ["benchmark=scores", f"benchmark.path={board}", f"benchmark.name='b{CLEAR}'"]


METHOD = f"{{method: random, label: 'r{CLEAR}'}}"


@pytest.mark.slow
def test_sweep_reduce_and_their_figures(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / f"o{CLEAR}"
    grid = ["grid.sizes=[5]", "grid.n_source=[10]", "grid.n_target=15", "grid.runs=3", "n_resamples=100", "engine=serial"]
    methods = f"methods=[{METHOD}]"
    assert main(["sweep", *source(board), methods, *grid, "plan_only=true", f"out={out}"]) == 0
    assert_clean(capsys)
    assert main(["sweep", *source(board), methods, *grid, f"out={out}", "figure_note=n\x1b[2J"]) == 0
    assert_clean(capsys)
    assert main(["reduce", f"out={out}", "n_resamples=100", "figures=false"]) == 0
    assert_clean(capsys)
    for svg in (out / "figures").glob("*.svg"):
        ElementTree.fromstring(svg.read_bytes())
    page = (out / "report.html").read_text(encoding="utf-8")
    assert CLEAR not in page
    assert "\u202e" not in page


def test_plan(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = f"models=['m00{FORGED}','m01{FORGED}']"
    assert main(["plan", *source(board), "differences=[.05]", "size=20", models]) == 0
    assert_clean(capsys)


def test_export_and_score(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / f"micro{CLEAR}"
    assert main(["export", *source(board), f"method={METHOD}", "size=10", f"out={out}"]) == 0
    assert_clean(capsys)
    readme = (out / "README.md").read_text()
    assert CLEAR not in readme
    assert "\u202e" not in readme
    assert main(["score", f"micro={out}", f"responses={board}", "source=scores"]) == 0
    assert "m00\\x1b[2J" in assert_clean(capsys)


def test_audit(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / f"audit{CLEAR}"
    list_file = tmp_path / "tiny.json"
    list_file.write_text(json.dumps([f"i{k}{FORGED}" for k in range(10)]))
    arguments = ["audit", *source(board), f"lists={{tiny: {list_file}}}", f"out={out}", "figures=false"]
    assert main([*arguments, "night=2026-01-01"]) in (0, 3)
    assert_clean(capsys)
    (page,) = out.rglob("report.html")
    assert CLEAR not in page.read_text(encoding="utf-8")
    assert "\u202e" not in page.read_text(encoding="utf-8")


def test_errors(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_board(tmp_path / f"x{CLEAR}.parquet", m00=["a"] * 120)
    assert main(["plan", "benchmark=scores", f"benchmark.path={tmp_path / f'x{CLEAR}.parquet'}", "differences=[.05]"]) == 1
    assert_clean(capsys)


def test_a_verdict_edited_by_hand() -> None:
    finding = {"severity": "warn", "text": f"x{FORGED}"}
    subject = {"label": f"t{FORGED}", "size": 9, "mdad": None, "ci_lo": None, "ci_hi": None, "wanted": 0.02, "items_needed": None}
    lines = list(verdict_lines({"status": "ok", "headline": FORGED, "findings": [finding], "subjects": [subject]}))
    assert len(lines) == 3
    assert all(each.isprintable() for each in lines)


TASK = "$(touch X)"


def test_a_task_cannot_run_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """The commands to paste, on the terminal and in the folder, quote the task and the folder."""
    logs, out = tmp_path / "logs", tmp_path / "micro `id`"
    for k in range(6):
        write(logs / f"m{k}", TASK, [line(doc, acc=float((doc * 7 + k) % 3 == 0)) for doc in range(20)])
    with caplog.at_level(logging.INFO):
        assert main(["ingest", "source=lm_eval", f"path={logs}", f"out={tmp_path / 'my board'}"]) == 0
    assert f"benchmark.path='{tmp_path / 'my board'}'" in caplog.text
    board = ["benchmark=ingested", f"benchmark.path={tmp_path / 'my board'}"]
    assert main(["export", *board, "method=random", "size=5", f"out={out}"]) == 0
    shown = capsys.readouterr().out
    assert f"--tasks '{TASK}' --samples '{out}/samples.json'" in shown
    assert f"microbench score micro='{out}'" in shown
    readme = (out / "README.md").read_text().splitlines()
    (command,) = [each for each in readme if "--tasks" in each]
    assert command.startswith(f"lm_eval run --tasks '{TASK}' --samples samples.json")
    assert readme[readme.index(command) - 1] == "```sh"
