"""What all tests share: the folder of real data, and the engine that sweeps run on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from microbench_ray.cli.main import main
from microbench_ray.sweeps.engine.ray_engine import LocalRayEngine, import_ray
from microbench_ray.sweeps.engine.serial import SerialEngine
from tests.helpers.object_store import ObjectStore, serving
from tests.helpers.refusals import Refused, assert_one_message, everything
from tests.helpers.small_sweep import command, write_board


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data, from MICROBENCH_TEST_DATA."""
    folder = os.environ.get("MICROBENCH_TEST_DATA")
    if not folder:
        pytest.skip("MICROBENCH_TEST_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small score table."""
    return write_board(tmp_path_factory.mktemp("boards") / "board.parquet")


@pytest.fixture(scope="session")
def reference(board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a serial sweep of it that nothing befell."""
    out = tmp_path_factory.mktemp("reference") / "out"
    assert main(command(board, out)) == 0
    return out


@pytest.fixture(scope="session")
def ray_session():
    """Ray on this machine with two workers, once for all tests."""
    ray = import_ray()
    ray.init(address="local", num_cpus=2, object_store_memory=2**28, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture
def by_value(ray_session, request: pytest.FixtureRequest) -> Iterator[None]:
    """Ray's workers get what is defined in the test's file, which they cannot import."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(request.module)
    yield
    cloudpickle.unregister_pickle_by_value(request.module)


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be refused; returns its message."""
    monkeypatch.chdir(tmp_path)

    def refused(arguments: list[str], *words: str) -> str:
        before, ray_before = everything(tmp_path), "ray" in sys.modules
        code = main(arguments)
        output = capsys.readouterr()
        assert_one_message(code, output.err, words)
        assert output.out == ""
        assert everything(tmp_path) == before
        assert ("ray" in sys.modules) == ray_before
        return output.err

    return refused


@pytest.fixture(scope="session")
def s3_server() -> Iterator[ObjectStore]:
    """An S3 server on loopback, once for all tests."""
    with serving() as store:
        yield store


@pytest.fixture
def s3(s3_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The server, with the environment set up for it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def engine(request: pytest.FixtureRequest):
    """The engine that MICROBENCH_ENGINE names: serial (default) or local."""
    name = os.environ.get("MICROBENCH_ENGINE", "serial")
    if name == "serial":
        return SerialEngine()
    assert name == "local", "MICROBENCH_ENGINE is serial or local"
    request.getfixturevalue("ray_session")
    return LocalRayEngine(workers=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on the configured engine, so that `-m engine` runs it on another."""
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)
