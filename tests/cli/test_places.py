"""Paths, URLs and addresses that nothing can be at, and grids that no memory holds, are refused before any work."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.core.storage.urls import check_address, check_place
from microbench_ray.data import read_scores
from tests.helpers.errors import refuses
from tests.helpers.refusals import Refused, swept

LONG = "x" * 300
COMMANDS = {
    "benchmark.path": "plan benchmark=scores",
    "benchmark.confidence": "sweep benchmark=scores benchmark.path=b.csv",
    "data_dir": "sweep",
    "out": "sweep",
    "results": "plan",
    "micro": "score responses=x",
    "responses": "score micro=x",
    "path": "ingest source=scores out=x",
    "ingest.path": "audit benchmark.path=x out=x ingest.source=scores",
    "submit.working_dir": "submit out=/x",
    "--config-dir": "sweep",
}
PLACES = {
    LONG: "255 bytes",
    "/".join(["y" * 200] * 30): "4,095 bytes",
    "a\0b": "NUL",
    "http://[::1": "URL",
    "s3://[::1/x": "URL",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", ["benchmark.path", "out", "responses", "path", "--config-dir"])
def test_a_malformed_place_is_refused(key: str, place: str, refused: Refused) -> None:
    message = refused([*COMMANDS[key].split(), f"{key}={place}"], PLACES[place], f"where: {key}")
    assert len(message) < 400


@pytest.mark.parametrize("key", COMMANDS)
def test_every_place_is_checked(key: str, refused: Refused) -> None:
    more = ["ingest={source: scores, path: " + LONG + "}"] if key == "ingest.path" else [f"{key}={LONG}"]
    command = [each for each in COMMANDS[key].split() if not each.startswith("ingest.")]
    refused([*command, *more], "255 bytes", f"where: {key}" if key != "data_dir" else "255 bytes")


def test_lists_and_methods_are_checked(tmp_path: Path, refused: Refused) -> None:
    refused(["audit", "benchmark.path=x", "out=x", f"lists={{tiny: {LONG}}}"], "255 bytes", "lists.tiny")
    method = f"methods=[{{method: fixed, selector: {{path: {LONG}}}}}]"
    refused(swept(tmp_path / "b.parquet", tmp_path / "out", method), "255 bytes", "selector.path")


@pytest.mark.parametrize("address", ["http://[::1", "http://h:port", "http://h:99999", "http://", "http://a b"])
def test_a_malformed_address_is_refused(address: str, refused: Refused) -> None:
    refused(["submit", "out=/x", f"submit.address={address}"], "address of a server", "where: submit.address")
    check_address("http://localhost:8265", "x")
    check_address("127.0.0.1:6379", "x")


def test_no_password_is_shown(refused: Refused) -> None:
    assert "secret" not in refused(["submit", "out=/x", "submit.address=http://u:secret@h:port"], "address")


def test_the_library_refuses_them_too() -> None:
    for place, word in ((LONG, "255 bytes"), ("a\0b", "NUL"), ("http://[::1", "URL")):
        for read in (read_scores, open_folder, check_place):
            with refuses(ConfigError, word):
                read(place)
    check_place("/ordinary/path with spaces/x.csv")
    check_place("é" * 127)
    with refuses(ConfigError, "255 bytes"):
        check_place("é" * 128)


HUGE = {
    "grid.runs=1000000000000": "at most 1,000,000",
    "grid.runs=1000000": "cells",
    "n_resamples=1000000000000": "at most 100,000",
    "benchmark=synthetic benchmark.n_models=1000000000000": "at most 500,000,000",
}


@pytest.mark.parametrize("keys", HUGE)
def test_a_huge_grid_is_refused_from_its_numbers(keys: str, board: Path, tmp_path: Path, refused: Refused) -> None:
    start = time.process_time()
    refused(swept(board, tmp_path / "out", *keys.split(), "plan_only=true"), HUGE[keys])
    assert time.process_time() - start < 5
