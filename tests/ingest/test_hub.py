"""Downloads from the Hub: the real client against a local server that breaks connections, refuses requests and stalls."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.hub import fetch, is_hub
from microbench_ray.ingest.open_llm import OpenLlmReader
from tests.helpers.errors import refuses
from tests.helpers.hub_server import Hub, serving
from tests.helpers.lm_eval_logs import line, read, write, write_results

ORG = "open-llm-leaderboard"
FIRST, LAST = "2024-07-16T16-44-01.100001", "2024-11-30T01-02-03.5"
ADDRESS = f"hf://datasets/{ORG}/org__m1-details"
FETCH = """
import sys
from pathlib import Path
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.hub import fetch
fetch(sys.argv[1], Path(sys.argv[2]), Options())
"""


def repository(folder: Path, model: str) -> dict[str, bytes]:
    """The files of one model's repository, with two runs of one task."""
    place = folder / model.replace("/", "__")
    for task, day in (("bbh_navigate", LAST), ("ifeval", FIRST), ("ifeval", LAST)):
        metric = "acc_norm" if task.startswith("bbh") else "prompt_level_strict_acc"
        rows = [line(k, acc=None, metrics=[metric], **{metric: k % 2}) for k in range(400)]
        write(place, f"leaderboard_{task}", rows, day)
    write_results(place, model, FIRST)
    write_results(place, model, LAST)
    (folder / "README.md").write_text("not fetched")
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    repositories = {
        f"{ORG}/{name}-details": repository(tmp_path / name, name.replace("__", "/")) for name in ("org__m1", "org__m2")
    }
    with serving(Hub(repositories | {f"{ORG}/results": {}, "other/x-details": {}})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        yield hub


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)


def test_one_repository(hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="microbench_ray")
    folder = fetch(ADDRESS, tmp_path / "into", Options())
    assert file_names(folder) == [
        f"results_{LAST}.json",
        f"samples_leaderboard_bbh_navigate_{LAST}.jsonl",
        f"samples_leaderboard_ifeval_{LAST}.jsonl",
    ]
    assert [(log.model, log.part, len(samples)) for log, samples in read(OpenLlmReader(), folder)[0]] == [
        ("org/m1", "leaderboard_bbh_navigate", 400),
        ("org/m1", "leaderboard_ifeval", 400),
    ]
    [first] = caplog.messages
    assert first.startswith(f"{ORG}/org__m1-details: 3 files, 0.")
    assert hub.tokens == {None}
    before = len(hub.requests)
    assert fetch(f"{ADDRESS}@main", tmp_path / "into", Options()) == folder
    assert len(hub.requests) == before == 3
    assert ": 3 files, 0.0 MB" in caplog.messages[1]


def test_selected_models_of_an_organisation_and_selected_tasks(hub: Hub, tmp_path: Path) -> None:
    folder = fetch(f"hf://datasets/{ORG}", tmp_path / "into", Options(models=("org/*",), tasks=("*ifeval",)))
    logs = read(OpenLlmReader(), folder)[0]
    assert [(log.model, log.part) for log, _ in logs] == [("org/m1", "leaderboard_ifeval"), ("org/m2", "leaderboard_ifeval")]
    assert len(hub.requests) == 4
    into = tmp_path / "into"
    with refuses(DataError, "organisation", where=f"hf://datasets/{ORG}", hint="models="):
        fetch(f"hf://datasets/{ORG}", into, Options())
    with refuses(DataError, "model", where=f"hf://datasets/{ORG}", got="models 'org/m1', 'org/m2'", hint="models="):
        fetch(f"hf://datasets/{ORG}", into, Options(models=("x",)))
    with refuses(DataError, "model", where="hf://datasets/nobody", got="-details"):
        fetch("hf://datasets/nobody", into, Options(models=("x",)))
    with refuses(DataError, "task", where=ADDRESS, hint="tasks="):
        fetch(ADDRESS, into, Options(tasks=("x",)))
    assert len(hub.requests) == 4


def test_a_broken_connection_resumes_at_the_byte_where_it_broke(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # an incomplete chunk is requested again
    broken = f"org__m1/samples_leaderboard_ifeval_{LAST}.jsonl"
    hub.breaks[broken] = 70_000
    folder = fetch(ADDRESS, tmp_path / "into", Options())
    assert [byte_range for path, byte_range in hub.requests if path == broken] == [None, "bytes=70000-"]
    assert (folder / broken).read_bytes() == hub.repositories[f"{ORG}/org__m1-details"][broken]


@pytest.mark.slow
def test_a_killed_process_is_resumed(hub: Hub, tmp_path: Path) -> None:
    stalled = f"org__m1/samples_leaderboard_ifeval_{LAST}.jsonl"
    hub.stalls[stalled] = 70_000
    process = subprocess.Popen([sys.executable, "-c", FETCH, ADDRESS, tmp_path / "into"], stdout=subprocess.DEVNULL)
    try:
        while not hub.stalled.wait(0.05):
            assert process.poll() is None
        others = [path for path in hub.repositories[f"{ORG}/org__m1-details"] if LAST in path and path != stalled]
        folder = tmp_path / "into" / ORG / "org__m1-details"
        metadata = folder / ".cache" / "huggingface" / "download"
        while not all((metadata / f"{path}.metadata").is_file() for path in others):  # written last
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not (folder / stalled).exists()
    assert fetch(ADDRESS, tmp_path / "into", Options()) == folder
    requested = [path for path, _ in hub.requests]
    assert {path: requested.count(path) for path in [*others, stalled]} == {**dict.fromkeys(others, 1), stalled: 2}
    assert (folder / stalled).read_bytes() == hub.repositories[f"{ORG}/org__m1-details"][stalled]


@pytest.mark.parametrize(
    ("refusal", "word"),
    [
        ((403, "GatedRepo"), "gated"),
        ((401, "RepoNotFound"), "private"),
        ((404, "RepoNotFound"), "private"),
        ((403, ""), "requires a token"),
        ((429, ""), "rate limit"),
        ((500, ""), "unreachable"),
    ],
)
def test_a_refusal_is_one_error(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: tuple[int, str], word: str
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    hub.refusals = {f"{ORG}/org__m1-details": refusal}
    with refuses(DataError, word, where=ADDRESS):
        fetch(ADDRESS, tmp_path / "into", Options())
    assert not (tmp_path / "into").exists()


def test_an_unknown_revision_and_an_unreachable_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refuses(DataError, "revision", where=f"{ADDRESS}@v9"):
        fetch(f"{ADDRESS}@v9", tmp_path / "into", Options())
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with refuses(DataError, "unreachable", where=ADDRESS):
        fetch(ADDRESS, tmp_path / "into", Options())


def test_the_token_comes_from_the_environment_and_is_never_shown(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_right"
    with refuses(DataError, "requires a token", where=ADDRESS, hint="HF_TOKEN"):
        fetch(ADDRESS, tmp_path / "into", Options())
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with refuses(DataError, "token", where=ADDRESS, hint="HF_TOKEN") as caught:
        fetch(ADDRESS, tmp_path / "into", Options())
    assert "hf_wrong" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_ri\nght")
    with refuses(DataError, "not a valid token", where="HF_TOKEN") as caught:
        fetch(ADDRESS, tmp_path / "into", Options())
    assert "hf_ri" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_right\n")
    assert file_names(fetch(ADDRESS, tmp_path / "into", Options()))
    assert hub.tokens == {None, "Bearer hf_wrong", "Bearer hf_right"}


@pytest.mark.parametrize(
    "name", ["datasets/a/b/c", "datasets/", "a/b", "datasets/../x", "datasets/a/..", "datasets/a/b c", "datasets/a/b@../x"]
)
def test_invalid_addresses(tmp_path: Path, name: str) -> None:
    assert is_hub(f"hf://{name}")
    with refuses(DataError, "address", where=f"hf://{name}", hint="hf://datasets/"):
        fetch(f"hf://{name}", tmp_path, Options())


def test_without_huggingface_hub_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with refuses(DataError, "huggingface_hub", hint='pip install "microbench-ray[hub]"'):
        fetch(ADDRESS, tmp_path, Options())


def test_a_repository_writes_nothing_outside_its_folder(hub: Hub, tmp_path: Path) -> None:
    evil = {f"../../evil/samples_leaderboard_x_{LAST}.jsonl": b"x", f"/evil/samples_leaderboard_y_{LAST}.jsonl": b"x"}
    hub.repositories = {f"{ORG}/org__m1-details": evil}
    with refuses(DataError, "no samples", where=ADDRESS):
        fetch(ADDRESS, tmp_path / "into", Options())
    assert hub.requests == []
    assert not list(tmp_path.rglob("evil"))
