"""Fixtures for all tests: real data, a small leaderboard and its sweep, Ray, a Ray cluster, an object store, and the engine."""

from __future__ import annotations

import gc
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

from microbench_ray.cli.main import GC_THRESHOLDS, main
from microbench_ray.sweeps.engine.base import Engine
from microbench_ray.sweeps.engine.ray_engine import LocalRayEngine
from microbench_ray.sweeps.engine.ray_start import OWN_ENVIRONMENT, import_ray, start_ray
from microbench_ray.sweeps.engine.serial import SerialEngine
from tests.helpers import counts, rotation
from tests.helpers.by_file import ByFile
from tests.helpers.cluster import LoopbackCluster, processes_of, wait_for
from tests.helpers.object_store import ObjectStore, serving
from tests.helpers.ray_head import Head, head
from tests.helpers.real_data import test_data
from tests.helpers.refusals import Refused, assert_one_message, everything
from tests.helpers.small_sweep import command, write_board

__all__ = ["test_data"]  # a fixture, found by its name

for name, examples in {"quick": 40, "ci": 50, "nightly": 10_000}.items():
    settings.register_profile(name, max_examples=examples, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

rotation.set_day()

# One thread in this process and in those that it starts: two processes of tests with two threads each wait for one another.
threadpool_limits(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small score table."""
    return write_board(tmp_path_factory.mktemp("boards") / "board.parquet")


@pytest.fixture(scope="session")
def reference(board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of an undisturbed serial sweep of `board`."""
    out = tmp_path_factory.mktemp("reference") / "out"
    assert main(command(board, out)) == 0
    return out


@pytest.fixture(scope="session")
def ray() -> Iterator[Any]:
    """The module `ray` with token authentication; RAY_AUTH_TOKEN is set for this session and the processes that it starts."""
    before = os.environ.get("RAY_AUTH_TOKEN")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    yield import_ray(OWN_ENVIRONMENT)
    if before is None:
        del os.environ["RAY_AUTH_TOKEN"]


@pytest.fixture(scope="session")
def ray_session(ray: Any) -> Iterator[Any]:
    """Ray on this machine with two workers, shared by all tests."""
    start_ray(ray, workers=2, input_bytes=0)
    yield ray
    processes = processes_of(ray._private.worker._global_node)
    ray.shutdown()
    wait_for(processes)


@pytest.fixture(scope="session")
def loopback_cluster(ray: Any) -> Iterator[LoopbackCluster]:
    """A Ray cluster of a head and two nodes on loopback, shared by all tests; a test that kills a node adds another one."""
    cluster = LoopbackCluster(nodes=2)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def ray_head() -> Iterator[Head]:
    """A Ray head with a job server and token authentication, shared by all tests of submitted jobs."""
    with head(num_cpus=1, RUN="first") as started:  # one CPU: every job starts workers, which takes seconds
        yield started


@pytest.fixture
def by_value(ray_session: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """Pickle the test's module by value for Ray's workers, which cannot import it."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(request.module)
    yield
    cloudpickle.unregister_pickle_by_value(request.module)


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be rejected with one message and no side effects; returns the message."""
    monkeypatch.chdir(tmp_path)

    def refused(arguments: list[str], *words: str) -> str:
        files_before, ray_imported_before = everything(tmp_path), "ray" in sys.modules
        code = main(arguments)
        output = capsys.readouterr()
        assert_one_message(code, output.err, words)
        assert output.out == ""
        assert everything(tmp_path) == files_before
        assert ("ray" in sys.modules) == ray_imported_before
        return output.err

    return refused


@pytest.fixture(scope="session")
def s3_server() -> Iterator[ObjectStore]:
    """An S3 server on loopback, shared by all tests."""
    with serving() as store:
        yield store


@pytest.fixture
def s3(s3_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The S3 server, with the environment set up for its clients."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


def engine_name() -> str:
    """The engine that MICROBENCH_ENGINE names: serial (default) or local."""
    name = os.environ.get("MICROBENCH_ENGINE", "serial")
    assert name in ("serial", "local"), "MICROBENCH_ENGINE is serial or local"
    return name


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine that MICROBENCH_ENGINE names."""
    if engine_name() == "serial":
        return SerialEngine()
    request.getfixturevalue("ray_session")
    return LocalRayEngine(workers=2)


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> counts.Counted:
    """Print counts of what the test did at the end of the run, whatever is captured."""

    def counted(**numbers: int) -> None:
        record_property(counts.PROPERTY, counts.line(numbers))

    return counted


def pytest_report_header() -> str:
    """Print what the day's share of long lists of cases depends on."""
    return f"{rotation.VARIABLE}={rotation.set_day()}"


def pytest_collection_finish() -> None:
    """Collect garbage as seldom as the console script, without modules and tests: a fifth of the time of composing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, ()) if each.when == "call"]
    if lines := counts.lines((report.nodeid, report.user_properties) for report in reports):
        terminalreporter.section("counts")
        for each in lines:
            terminalreporter.write_line(each)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Run the tests of a file in one process."""
    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests on the configured engine with `engine`, and all tests that use Ray to run in one worker of pytest-xdist."""
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)
            if engine_name() == "local":
                item.add_marker(pytest.mark.ray)
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))
