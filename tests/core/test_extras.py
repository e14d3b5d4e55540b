"""Without the packages of an extra, what needs them says which extra to install, before any work; the library needs none."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement

from microbench_ray.cli.main import main
from microbench_ray.core import log
from microbench_ray.core.errors import ConfigError, EngineError
from microbench_ray.core.extras import EXTRAS, missing_modules, require_extra
from microbench_ray.report.figures import draw_figures
from microbench_ray.report.page import library
from microbench_ray.sweeps.engine.ray_start import import_ray
from tests.helpers.errors import refuses
from tests.helpers.refusals import Refused
from tests.helpers.small_sweep import command, read_tables

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = {
    "hydra": "hydra-core",
    "PIL": "pillow",
    "vl_convert": "vl-convert-python",
    "huggingface_hub": "huggingface-hub",
    "inspect_ai": "inspect-ai",
}
Without = Callable[[str], None]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Without]:
    """Hide the packages of an extra from imports, apart from those that the command line needs too."""

    def without(extra: str) -> None:
        for module in EXTRAS[extra]:
            if extra == "cli" or module not in EXTRAS["cli"]:
                monkeypatch.setitem(sys.modules, module, None)
        log.error_console.cache_clear()

    yield without
    log.error_console.cache_clear()


def names(requirements: list[str]) -> set[str]:
    return {Requirement(each).name for each in requirements}


def test_extras_bring_the_packages_that_messages_name_them_for() -> None:
    extras = PROJECT["optional-dependencies"]
    assert set(extras) == {*EXTRAS, "all"}
    (everything,) = map(Requirement, extras["all"])
    assert everything.extras == set(EXTRAS)
    for extra, modules in EXTRAS.items():
        assert names(extras[extra]) == {DISTRIBUTIONS.get(module, module) for module in modules}
        assert not names(extras[extra]) & names(PROJECT["dependencies"])


def test_the_development_group_brings_all_extras() -> None:
    """`uv run` in a checkout then needs nothing before it but uv."""
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    assert "microbench-ray[all]" in group


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_a_missing_extra_is_named(extra: str, without: Without) -> None:
    require_extra(extra, "This")  # all are installed here
    without(extra)
    assert missing_modules(extra) == [each for each in EXTRAS[extra] if extra == "cli" or each != "rich"]
    hint = f'pip install "microbench-ray[{extra}]"; or do without'
    with refuses(ConfigError, f"extra `{extra}`", where="key", got=EXTRAS[extra][0], hint=hint):
        require_extra(extra, "This", where="key", otherwise="do without")


@pytest.mark.parametrize("engine", ["local", "cluster"])
def test_an_engine_without_ray_is_refused_before_any_work(engine: str, board: Path, refused: Refused, without: Without) -> None:
    without("ray")
    more = ["engine.address=127.0.0.1:6379"] if engine == "cluster" else []
    refused(command(board, Path("out"), *more, engine=engine), f"engine={engine}", 'pip install "microbench-ray[ray]"')


def test_submit_without_ray_is_refused(refused: Refused, without: Without) -> None:
    without("ray")
    refused(["submit", "submit.address=http://127.0.0.1:8265", "out=/data/out"], 'pip install "microbench-ray[ray]"')


def test_auto_without_ray_computes_in_process(
    board: Path, reference: Path, tmp_path: Path, without: Without, capsys: pytest.CaptureFixture[str]
) -> None:
    without("ray")
    assert main(command(board, tmp_path / "out", engine="auto")) == 0
    assert "microbench-ray[ray]" in capsys.readouterr().err
    assert all(table.equals(read_tables(reference)[name]) for name, table in read_tables(tmp_path / "out").items())


def test_importing_ray_at_the_last_moment_says_so_too(without: Without) -> None:
    without("ray")
    with refuses(EngineError, "Ray", hint="microbench-ray[ray]"):
        import_ray()


@pytest.mark.parametrize("shown", ["figures", "report"])
def test_figures_and_pages_are_refused_before_any_work(shown: str, board: Path, refused: Refused, without: Without) -> None:
    without("report")
    others = [f"{key}=false" for key in ("figures", "report") if key != shown]
    arguments = [each for each in command(board, Path("out")) if not each.startswith(("figures", "report"))]
    refused([*arguments, *others], 'pip install "microbench-ray[report]"', "figures=false report=false")


def test_reduce_and_audits_are_refused_alike(
    board: Path, reference: Path, tmp_path: Path, refused: Refused, without: Without
) -> None:
    without("report")
    (tmp_path / "tiny.txt").write_text("i1\ni2\ni3\n")
    refused(["reduce", f"out={reference}"], 'pip install "microbench-ray[report]"')
    refused(
        ["audit", "benchmark=scores", f"benchmark.path={board}", "lists={tiny: tiny.txt}", "out=night"],
        'pip install "microbench-ray[report]"',
    )


def test_a_plan_and_tables_need_no_figures(board: Path, reference: Path, tmp_path: Path, without: Without) -> None:
    without("report")
    assert main(command(board, tmp_path / "out", "plan_only=true", "figures=true", "report=true")) == 0
    assert main(command(board, tmp_path / "out")) == 0
    assert all(table.equals(read_tables(reference)[name]) for name, table in read_tables(tmp_path / "out").items())


def test_figures_and_pages_drawn_from_python_say_so_too(reference: Path, without: Without, monkeypatch: pytest.MonkeyPatch) -> None:
    without("report")
    monkeypatch.setattr(library, "_PREPARED", [])
    library.bundle.cache_clear()
    with refuses(ConfigError, "page", hint="microbench-ray[report]"):
        library.bundle()
    tables = {name: pq.read_table(reference / f"{name}.parquet") for name in ("agreement", "mdad", "summary")}
    with refuses(ConfigError, "figures", hint="microbench-ray[report]"):
        draw_figures(tables, lambda name, content: None)


def test_the_command_without_its_extra_prints_help_and_names_it(without: Without, capsys: pytest.CaptureFixture[str]) -> None:
    without("cli")
    assert main(["--help"]) == 0
    capsys.readouterr()
    for job in ("sweep", "score"):
        assert main([job]) == 1
        assert 'pip install "microbench-ray[cli]"' in capsys.readouterr().err


PROGRAM = f"""
import sys
sys.modules.update(dict.fromkeys({sorted({module for modules in EXTRAS.values() for module in modules})!r}))
import numpy as np
import microbench_ray as mb
board = mb.synthetic()
assert mb.pair_counts([0.5, 0.75], [0.2, 0.4], n_items=4).n_agree[50] == 1
print(len(mb.items_needed(board, [0.05])))
result = mb.sweep(board, ["random", "auto"], sizes=[10], n_source=20, n_target=10, runs=2, progress=True)
print(result, len(result.summary))
micro = mb.export(board, 20, {{"method": "random"}}, "micro")
scored = mb.score("micro", np.ones((2, 20)), item_ids=micro.item_ids)
print(len(scored))
try:
    mb.sweep(board, "absent")
except mb.MicrobenchError as error:
    print(error.what)
"""


def test_the_library_runs_with_all_extras_hidden(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "cells/s" in done.stderr  # lines of progress, without rich
    assert done.stdout.splitlines()[-1].startswith("Unknown method")
