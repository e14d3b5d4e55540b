"""Logs from the hub: its real client against a server on loopback that breaks off, refuses and falls silent."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.hub import fetch, is_hub
from microbench_ray.ingest.open_llm import OpenLlmReader
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
    """The files of one model's repository, an earlier run of one task among them."""
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
def hub(tmp_path, monkeypatch):
    repositories = {
        f"{ORG}/{name}-details": repository(tmp_path / name, name.replace("__", "/")) for name in ("org__m1", "org__m2")
    }
    with serving(Hub(repositories | {f"{ORG}/results": {}, "other/x-details": {}})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        yield hub


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)


def error(hub: Hub, tmp_path: Path, address: str = ADDRESS, **options) -> DataError:
    with pytest.raises(DataError) as caught:
        fetch(address, tmp_path / "into", Options(**options))
    return caught.value


def test_one_repository(hub, tmp_path, caplog):
    caplog.set_level("INFO", logger="microbench_ray")
    folder = fetch(ADDRESS, tmp_path / "into", Options())
    assert names(folder) == [
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
    before = len(hub.asked)
    assert fetch(f"{ADDRESS}@main", tmp_path / "into", Options()) == folder
    assert len(hub.asked) == before == 3
    assert ": 3 files, 0.0 MB" in caplog.messages[1]


def test_wanted_models_of_an_organisation_and_wanted_tasks(hub, tmp_path):
    folder = fetch(f"hf://datasets/{ORG}", tmp_path / "into", Options(models=("org/*",), tasks=("*ifeval",)))
    logs = read(OpenLlmReader(), folder)[0]
    assert [(log.model, log.part) for log, _ in logs] == [("org/m1", "leaderboard_ifeval"), ("org/m2", "leaderboard_ifeval")]
    assert len(hub.asked) == 4
    assert "name models" in str(error(hub, tmp_path, f"hf://datasets/{ORG}"))
    assert "models 'org/m1', 'org/m2'" in str(error(hub, tmp_path, f"hf://datasets/{ORG}", models=("x",)))
    assert "ends in -details" in str(error(hub, tmp_path, "hf://datasets/nobody", models=("x",)))
    assert "wanted task" in str(error(hub, tmp_path, tasks=("x",)))


def test_a_connection_that_breaks_goes_on_where_it_ended(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # what comes in smaller pieces is asked for again
    broken = f"org__m1/samples_leaderboard_ifeval_{LAST}.jsonl"
    hub.breaks[broken] = 70_000
    folder = fetch(ADDRESS, tmp_path / "into", Options())
    assert [wanted for path, wanted in hub.asked if path == broken] == [None, "bytes=70000-"]
    assert (folder / broken).read_bytes() == hub.repositories[f"{ORG}/org__m1-details"][broken]


def test_a_process_that_is_killed_is_gone_on_with(hub, tmp_path):
    stalled = f"org__m1/samples_leaderboard_ifeval_{LAST}.jsonl"
    hub.stalls[stalled] = 70_000
    process = subprocess.Popen([sys.executable, "-c", FETCH, ADDRESS, tmp_path / "into"], stdout=subprocess.DEVNULL)
    try:
        assert hub.stalled.wait(60)
        others = [path for path in hub.repositories[f"{ORG}/org__m1-details"] if LAST in path and path != stalled]
        folder = tmp_path / "into" / ORG / "org__m1-details"
        notes = folder / ".cache" / "huggingface" / "download"
        while not all((notes / f"{path}.metadata").is_file() for path in others):  # written last
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not (folder / stalled).exists()
    assert fetch(ADDRESS, tmp_path / "into", Options()) == folder
    asked = [path for path, _ in hub.asked]
    assert {path: asked.count(path) for path in [*others, stalled]} == {**dict.fromkeys(others, 1), stalled: 2}
    assert (folder / stalled).read_bytes() == hub.repositories[f"{ORG}/org__m1-details"][stalled]


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((403, "GatedRepo"), "repository is gated"),
        ((401, "RepoNotFound"), "no such repository, or it is private"),
        ((404, "RepoNotFound"), "no such repository, or it is private"),
        ((403, ""), "who shows a token"),
        ((429, ""), "asked too often"),
        ((500, ""), "cannot be reached, or broke off"),
    ],
)
def test_a_refusal_is_one_error(hub, tmp_path, monkeypatch, refusal, message):
    import huggingface_hub.utils._http as http

    monkeypatch.setattr(http.time, "sleep", lambda seconds: None)
    hub.refusals = {f"{ORG}/org__m1-details": refusal}
    found = error(hub, tmp_path)
    assert message in found.what
    assert found.where == ADDRESS
    assert not (tmp_path / "into").exists()


def test_there_may_be_no_such_revision_and_no_hub(hub, tmp_path, monkeypatch):
    assert "no such revision" in str(error(hub, tmp_path, f"{ADDRESS}@v9"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in str(error(hub, tmp_path))


def test_the_token_comes_from_the_environment_and_is_never_shown(hub, tmp_path, monkeypatch):
    hub.token = "hf_right"
    assert "who shows a token" in str(error(hub, tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    found = error(hub, tmp_path)
    assert (found.what, "hf_wrong" in str(found)) == ("The hub refuses this token.", False)
    monkeypatch.setenv("HF_TOKEN", "hf_ri\nght")
    found = error(hub, tmp_path)
    assert (found.where, "hf_ri" in str(found)) == ("HF_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", "hf_right\n")
    assert names(fetch(ADDRESS, tmp_path / "into", Options()))
    assert hub.tokens == {None, "Bearer hf_wrong", "Bearer hf_right"}


@pytest.mark.parametrize(
    "name", ["datasets/a/b/c", "datasets/", "a/b", "datasets/../x", "datasets/a/..", "datasets/a/b c", "datasets/a/b@../x"]
)
def test_addresses_that_are_none(tmp_path, name):
    assert is_hub(f"hf://{name}")
    with pytest.raises(DataError, match="no address"):
        fetch(f"hf://{name}", tmp_path, Options())


def test_without_the_package_one_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DataError, match=r"pip install 'microbench-ray\[hub\]'"):
        fetch(ADDRESS, tmp_path, Options())


def test_a_repository_writes_nothing_outside_its_folder(hub, tmp_path):
    evil = {f"../../evil/samples_leaderboard_x_{LAST}.jsonl": b"x", f"/evil/samples_leaderboard_y_{LAST}.jsonl": b"x"}
    hub.repositories = {f"{ORG}/org__m1-details": evil}
    assert "no samples of a wanted task" in str(error(hub, tmp_path))
    assert hub.asked == []
