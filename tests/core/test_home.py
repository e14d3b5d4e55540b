"""A `~` in a path is the home folder, although shells leave it as it is in `key=~/x`."""

from __future__ import annotations

from pathlib import Path

import pytest

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.main import main
from microbench_ray.core.storage.urls import local_path
from microbench_ray.data import Benchmark, read_scores, synthetic
from tests.helpers.small_sweep import command, write_board


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "home"


def test_only_the_first_part_of_a_path_is_the_home_folder(home: Path) -> None:
    assert local_path("~/x") == home / "x"
    assert local_path(Path("~")) == home
    assert local_path("x/~/y") == Path("x/~/y")
    assert local_path("~nobody-has-this-name/x") == Path("~nobody-has-this-name/x")
    assert local_path("file:///~/x") == Path("/~/x")


def test_a_sweep_reads_and_writes_in_the_home_folder(home: Path) -> None:
    write_board(home / "board.parquet")
    (home / "conf" / "benchmark").mkdir(parents=True)
    (home / "conf" / "benchmark" / "mine.yaml").write_text("reader: scores\nname: mine\npath: ${data_dir}/board.parquet\n")
    assert main(command(Path("~/board.parquet"), Path("~/out"), runs=2)) == 0
    other = [each for each in command(Path("x"), Path("~/mine"), runs=2) if not each.startswith("benchmark")]
    assert main([*other, "benchmark=mine", "data_dir=~", "--config-dir=~/conf"]) == 0
    assert (home / "out" / "agreement.parquet").exists()
    assert (home / "mine" / "agreement.parquet").exists()
    assert list(Path().iterdir()) == []


def test_every_path_of_a_configuration_is_expanded_and_other_values_are_not(home: Path) -> None:
    overrides = ["benchmark=ingested", "benchmark.path=~/board", "out=~/audit", "lists={tiny:'~/tiny.txt',big:big.txt}"]
    composed = Composer("audit", overrides).text()
    for fact in (f"path: {home}/board", f"out: {home}/audit", f"tiny: {home}/tiny.txt", "big: big.txt"):
        assert fact in composed
    assert "~" not in composed


def test_paths_of_a_submitted_job_are_those_of_the_cluster(home: Path) -> None:
    overrides = ["benchmark=scores", "benchmark.path=~/board.parquet", "submit.working_dir=~/code"]
    composed = Composer("submit", overrides).text()
    assert "path: ~/board.parquet" in composed
    assert f"working_dir: {home}/code" in composed


def test_the_library_expands_paths_too(home: Path) -> None:
    board = synthetic("w", 4, 6, 1)
    board.save("~/board")
    assert (home / "board").is_dir()
    assert Benchmark.open("~/board").digest == board.digest
    write_board(home / "scores.parquet")
    assert read_scores("~/scores.parquet").name == "scores"
