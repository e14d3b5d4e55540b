"""Methods of installed packages: by name like built-in ones; broken, clashing and unknown names give one message."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.plugins import registered
from microbench_ray.methods import plugins, registry
from microbench_ray.sweeps import manifest
from microbench_ray.sweeps.shards import method_hash
from microbench_ray.testing import checks_of
from tests.helpers import strangers
from tests.helpers.errors import refuses
from tests.helpers.small_sweep import command, read_cells, read_tables

NAMES = "strangers_spread,strangers_shrunk,strangers_both"
Install = Callable[..., None]


def forget() -> None:
    """Forget which packages are installed."""
    registered.cache_clear()
    plugins.load.cache_clear()
    manifest._versions.cache_clear()


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of this process in which packages can be installed."""
    folder = tmp_path_factory.mktemp("site")
    monkeypatch.syspath_prepend(folder)
    forget()
    modules = set(sys.modules)
    yield folder
    for name in set(sys.modules) - modules:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    forget()


@pytest.fixture
def installed(site: Path) -> Path:
    """The same with the stranger's package in it."""
    strangers.install_strangers_package(site)
    return site


@pytest.fixture
def registers(site: Path) -> Install:
    """Install a package `other-methods` with these entry points and this module."""

    def registers(entry_points: Mapping[str, str], module: str = "", package: str = "other-methods") -> None:
        strangers.install(site, package, "0.3", entry_points, module)
        forget()

    return registers


def test_methods_of_packages_are_listed_and_completed(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "format=json"]) == 0
    listed = {each["method"]: each["what"] for each in json.loads(capsys.readouterr().out)}
    assert set(NAMES.split(",")) <= set(listed)
    assert "strangers-methods" in listed["strangers_spread"]
    assert main(["--completion", "bash"]) == 0
    assert "strangers_spread" in capsys.readouterr().out


def test_the_package_is_of_forty_lines() -> None:
    names = ("strangers_methods.py", "conformance.py", "pyproject.toml")
    lines = [line for name in names for line in (strangers.SOURCE / name).read_text().splitlines() if line.strip()]
    assert len(lines) <= 50


@pytest.mark.slow
def test_it_passes_the_suite_by_one_parametrised_line(tmp_path: Path) -> None:
    strangers.install_strangers_package(tmp_path)
    test = tmp_path / "test_methods.py"
    test.write_text((strangers.SOURCE / "conformance.py").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
        cwd=tmp_path,
        env=strangers.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    n_checks = sum(len(checks_of(part)) for part in (mb.method("random").selector, mb.method("random").estimator))
    assert f"{n_checks} passed" in done.stdout


def test_its_methods_are_swept_by_name(board: Path, tmp_path: Path, installed: Path) -> None:
    out = tmp_path / "out"
    assert main(command(board, out, f"methods=[random,{NAMES}]", runs=3)) == 0
    cells = read_cells(out).to_pandas()
    assert set(cells.method) == {"random", *NAMES.split(",")}
    # An estimator alone is used with random items, a selector alone with the mean.
    errors = cells.groupby("method").mean_abs_error.mean()
    assert errors.nunique() == 4
    assert json.loads((out / "manifest.json").read_text())["versions"]["strangers-methods"] == "1.2"
    again = tmp_path / "again"
    assert main(command(board, again, f"methods=[random,{NAMES}]", runs=3)) == 0
    assert all(table.equals(read_tables(again)[name]) for name, table in read_tables(out).items())


def test_its_parameters_can_be_changed(board: Path, tmp_path: Path, installed: Path) -> None:
    """No prior items, and random items: the numbers of `random`, but for the method's own stream of items."""
    entry = "{label: mine, selector: {name: strangers_spread}, estimator: {name: strangers_shrunk, items: 3, prior: 0.9}}"
    assert main(command(board, tmp_path / "out", f"methods=[{entry}]", runs=2)) == 0
    method = mb.method("strangers_both", estimator={"items": 3.0, "prior": 0.9})
    assert method.estimator.estimate(np.ones((1, 5)), mb.Selection(np.arange(5)), None, None) == [(5 + 2.7) / 8]  # type: ignore[arg-type]


def test_the_library_lists_and_sweeps_them(installed: Path) -> None:
    assert set(NAMES.split(",")) < set(mb.method_names())
    result = mb.sweep(mb.synthetic(), "strangers_both", sizes=[10], n_source=20, n_target=10, runs=2)
    assert result.summary.mean_abs_error.between(0, 0.3).all()


def test_an_installed_class_and_the_same_class_in_a_notebook_are_one_method(installed: Path) -> None:
    """Results are identified by the class, not by the name of an entry point, which two packages may share."""
    by_name = mb.method("strangers_spread")
    assert by_name.identity()["selector"]["name"] == "strangers_methods.Spread"
    by_class = mb.method(label="strangers_spread", selector=type(by_name.selector)())  # type: ignore[arg-type]
    assert method_hash(by_name) == method_hash(by_class)


def test_nothing_is_imported_unless_it_is_asked_for(board: Path, tmp_path: Path, installed: Path) -> None:
    assert main(command(board, tmp_path / "out", runs=1)) == 0
    assert "strangers_methods" not in sys.modules


def test_a_broken_package_matters_only_to_its_own_names(board: Path, tmp_path: Path, registers: Install) -> None:
    registers({"broken": "other_methods:Missing", "absent": "other_methods:Missing"}, "import a_package_that_is_missing")
    assert main(command(board, tmp_path / "out", runs=1)) == 0
    with refuses(ConfigError, "imported", where="broken", got="other-methods 0.3 (other_methods:Missing): ModuleNotFoundError"):
        mb.method("broken")


def test_the_command_reports_a_broken_package_in_one_message_and_a_line(
    board: Path, tmp_path: Path, registers: Install, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    registers({"broken": "other_methods:Missing"}, "raise RuntimeError('out of order\\nTraceback')")
    with caplog.at_level(logging.WARNING, "microbench_ray"):
        assert main(command(board, tmp_path / "out", "methods=[broken]")) == 1
    message = capsys.readouterr().err
    assert "other-methods 0.3" in message
    assert "RuntimeError: out of order" in message
    assert "Traceback" not in message
    assert [record.message for record in caplog.records if "other-methods" in record.message]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("value", "word", "got"),
    [
        ("other_methods:absent", "imported", "AttributeError"),
        ("other_methods:number", "class", "int"),
        ("other_methods:Neither", "selector", "neither"),
        ("other_methods:Fails", "imported", "RuntimeError"),
        ("other_methods:Bare", "attributes", "Bare without fit"),
        ("other_methods:LISTED", "selector and an estimator", "1"),
        ("other_methods:MORE", "key", "select"),
    ],
)
def test_what_is_no_method_is_refused(registers: Install, value: str, word: str, got: str) -> None:
    module = """
number = 3
class Neither: pass
class Bare:
    def select(self): pass
LISTED = {"selector": 1}
MORE = {"select": {"name": "random"}}
def __getattr__(name):
    raise RuntimeError("no") if name == "Fails" else AttributeError(name)
"""
    registers({"mine": value}, module)
    with refuses(ConfigError, word, got=got):
        mb.method("mine")


def test_wrong_parameters_are_refused_with_the_right_ones(installed: Path) -> None:
    with refuses(ConfigError, "parameter", where="estimator", got="item", hint="items, prior"):
        mb.method("strangers_shrunk", estimator={"item": 3})
    with refuses(ConfigError, "does not stand for", where="selector", got="strangers_shrunk"):
        mb.method("random", selector={"name": "strangers_shrunk"})


@pytest.mark.parametrize("name", ["random", "mean", "greedy", "tinybenchmarks_gp_irt"])
def test_the_name_of_a_built_in_method_is_refused_saying_both(registers: Install, name: str) -> None:
    registers({name: "other_methods:Mine"})
    parts = {"estimator": {"name": name}} if name in registry.ESTIMATORS else {}
    with refuses(ConfigError, "built-in", where=name, got=f"{name} of microbench-ray, and of other-methods 0.3"):
        mb.method("random" if parts else name, **parts)  # type: ignore[arg-type]


def test_a_name_of_two_packages_is_refused_saying_both(installed: Path, registers: Install) -> None:
    registers({"strangers_spread": "other_methods:Mine"})
    with refuses(ConfigError, "several packages", got="other-methods 0.3 (other_methods:Mine), strangers-methods 1.2"):
        mb.method("strangers_spread")


def test_an_unknown_name_is_refused_with_theirs_among_the_valid_ones(installed: Path) -> None:
    with refuses(ConfigError, "method", got="strangers_sprad", hint="did you mean strangers_spread?"):
        mb.method("strangers_sprad")
    with refuses(ConfigError, "name", got="spread", hint="strangers_spread"):
        mb.method(label="mine", selector={"name": "spread"})


def test_a_file_of_the_user_may_have_the_name_of_a_plugin(board: Path, tmp_path: Path, installed: Path) -> None:
    """A file that gives parameters to a class is named like it, as the built-in ones are."""
    (tmp_path / "conf" / "method").mkdir(parents=True)
    parts = "selector: {name: random}\nestimator: {name: strangers_shrunk, items: 1000, prior: 1}\n"
    (tmp_path / "conf" / "method" / "strangers_shrunk.yaml").write_text(parts)
    more = ["methods=[strangers_shrunk]", "--config-dir", str(tmp_path / "conf")]
    assert main(command(board, tmp_path / "out", *more, runs=1)) == 0
    assert read_cells(tmp_path / "out").to_pandas().mean_abs_error.min() > 0.3  # all estimates are close to 1


@pytest.mark.slow
@pytest.mark.ray
def test_workers_of_ray_import_them(board: Path, tmp_path: Path) -> None:
    """In a process of its own, with the package installed where the workers look for it too: the same tables as in one process."""
    strangers.install_strangers_package(tmp_path / "site")
    for engine in ("serial", "local"):
        arguments = command(board, tmp_path / engine, f"methods=[{NAMES}]", engine=engine, runs=2)
        program = f"import sys; from microbench_ray.cli.main import main; sys.exit(main({arguments!r}))"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=strangers.environment(tmp_path / "site"),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
    local = read_tables(tmp_path / "local")
    assert all(table.equals(local[name]) for name, table in read_tables(tmp_path / "serial").items())
