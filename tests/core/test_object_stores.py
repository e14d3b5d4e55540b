"""Output folders and benchmarks in an object store: same tables, atomic writes, resumption, and one message for an error."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.storage import lock, urls
from microbench_ray.core.storage.folders import RemoteFolder
from microbench_ray.core.storage.lock import Times
from microbench_ray.data import read_release, read_scores
from tests.helpers.errors import refuses
from tests.helpers.object_store import ObjectStore, serving
from tests.helpers.rotation import rotating
from tests.helpers.small_sweep import assert_same_tables, command, write_board

RUNS = 4


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "TIMES", Times(renew=0.5, stale=2, settle=0.05, poll=0.05))


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_board(tmp_path_factory.mktemp("boards") / "board.parquet")
    table = pq.read_table(path)
    confidence = [np.linspace(0, 1, len(table)) if name.startswith("m") else table[name] for name in table.column_names]
    pq.write_table(table.from_arrays(confidence, table.column_names), path.with_name("board.confidence.parquet"))
    models = "".join(f"m{k:02d},{k}\n" for k in range(40))
    path.with_name("board.models.csv").write_text(f"model_id,params\n{models}")
    return path


@pytest.fixture(scope="module")
def reference(board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "out"
    assert main(command(board, out, runs=RUNS)) == 0
    return out


def sweep_command(board: object, out: str, *more: str) -> list[str]:
    return [*command(Path("x"), Path("y"), *more, runs=RUNS), f"benchmark.path={board}", f"out={out}"]


def download(store: ObjectStore, path: str, folder: Path) -> Path:
    for name in store.names(path):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(store.read(f"{path}/{name}"))
    return folder


def upload(store: ObjectStore, folder: Path, path: str) -> str:
    for file in folder.iterdir():
        store.write(f"{path}/{file.name}", file.read_bytes())
    return f"s3://{path}"


@pytest.mark.slow
def test_a_sweep_in_an_object_store_has_figures_and_resumes(
    s3: ObjectStore, board: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{s3.bucket()}/deep/er"
    out = f"s3://{path}"
    assert main(sweep_command(board, out, "figures=true")) == 0
    results = capsys.readouterr().out
    assert f"{out}/agreement.parquet" in results
    assert f"{out}/figures/" in results
    names = s3.names(path)
    assert {name.split("/")[0] for name in names} == {
        "agreement.parquet", "cells", "failures.parquet", "figures", "manifest.json", "mdad.parquet", "standings.parquet",
        "summary.parquet"
    }  # fmt: skip
    assert s3.read(f"{path}/{next(name for name in names if name.startswith('figures'))}")[:4] == b"\x89PNG"
    assert_same_tables(download(s3, path, tmp_path / "1"), reference)
    # Only the cells of missing, truncated and empty files are computed again.
    first, second, third, *_ = [f"{path}/{name}" for name in names if name.startswith("cells")]
    s3.client.delete_file(first)
    s3.write(second, s3.read(second)[:-40])
    s3.write(third, b"")
    assert main(sweep_command(board, out)) == 0
    messages = capsys.readouterr().err
    assert "12 of 48 cells" in messages
    for name in (second, third):
        (line,) = [line for line in messages.splitlines() if f"s3://{name}" in line]
        assert f"set_aside/cells-{name.rpartition('/')[2]}" in line
    assert len([name for name in s3.names(path) if name.startswith("set_aside")]) == 2
    assert_same_tables(download(s3, path, tmp_path / "2"), reference)
    assert main(["reduce", f"out={out}", "thresholds=[.7]", "figures=false"]) == 0
    assert pq.read_table(io.BytesIO(s3.read(f"{path}/mdad.parquet")))["threshold"].to_pylist() == [0.7] * 24
    assert json.loads(s3.read(f"{path}/manifest.json"))["config"]["out"] == out


@pytest.fixture
def memory_files() -> Iterator[Any]:
    """The file system `memory` of fsspec, emptied afterwards."""
    import fsspec

    files = fsspec.filesystem("memory")
    yield files
    for path in ("/boards", "/out"):
        if files.exists(path):
            files.rm(path, recursive=True)


def test_a_sweep_works_in_a_file_system_of_fsspec(board: Path, reference: Path, tmp_path: Path, memory_files: Any) -> None:
    for kind in ("parquet", "confidence.parquet", "models.csv"):
        memory_files.pipe_file(f"/boards/board.{kind}", board.with_name(f"board.{kind}").read_bytes())
    assert main(sweep_command("memory://boards/board.parquet", "memory://out/x")) == 0
    for name in memory_files.find("/out/x"):
        place = tmp_path / name.removeprefix("/out/x/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(memory_files.cat_file(name))
    assert_same_tables(tmp_path, reference)


def test_a_sweep_whose_endpoint_is_given_in_the_url_has_the_tables_of_a_local_one(
    s3: ObjectStore,
    board: Path,
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    path = s3.bucket()
    assert main(sweep_command(board, f"s3://{path}/x?endpoint_override=127.0.0.1:{s3.port}&scheme=http")) == 0
    assert f"s3://{path}/x/agreement.parquet" in capsys.readouterr().out
    assert_same_tables(download(s3, f"{path}/x", tmp_path), reference)


def test_benchmarks_are_read_with_their_companions(s3: ObjectStore, board: Path) -> None:
    local = read_scores(board)
    assert local.confidence is not None
    url = upload(s3, board.parent, f"{s3.bucket()}/a/b")
    remote = read_scores(f"{url}/board.parquet")
    assert (remote.name, remote.digest) == ("board", local.digest)
    assert remote.metadata.equals(local.metadata)
    bare = read_scores(f"{url}/board.parquet", confidence=None, metadata=None)
    assert bare.confidence is None
    assert bare.digest == read_scores(board, confidence=None, metadata=None).digest
    mixed = read_scores(board, confidence=f"{url}/board.confidence.parquet", metadata=f"{url}/board.models.csv")
    assert mixed.digest == local.digest


def test_a_saved_benchmark_and_a_release_are_read(s3: ObjectStore, board: Path, tmp_path: Path) -> None:
    local = read_scores(board)
    local.save(tmp_path / "saved")
    bucket = s3.bucket()
    assert read_scores(upload(s3, tmp_path / "saved", f"{bucket}/saved")).digest == local.digest
    folder = tmp_path / "release"
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / "x_models-by-confidence_combined.npy", rng.random((4, 6, 3)))
    np.save(folder / "x_models-by-correctness_combined.npy", rng.integers(0, 2, (4, 6)))
    np.save(folder / "x_labels_combined.npy", rng.integers(0, 3, 6))
    (folder / "x_subtask-idx-ranges.json").write_text("[[0, 4], [4, 6]]")
    expected = read_release(folder).digest
    url = upload(s3, folder, f"{bucket}/release")
    bucket_url = upload(s3, folder, s3.bucket())
    for location in (url, f"{url}/x", bucket_url, f"{bucket_url}/x"):
        remote = read_release(location)
        assert (remote.name, remote.digest) == ("x", expected)
    s3.write(f"{bucket}/release/x_labels_combined.npy", b"\x93NUMPY")
    with refuses(DataError, "truncated", where=f"{url}/x_labels_combined.npy"):
        read_release(url)


def test_a_configured_benchmark_is_read_from_data_dir(s3: ObjectStore, board: Path) -> None:
    bucket = s3.bucket()
    s3.write(f"{bucket}/boards/bbh.parquet", board.read_bytes())
    arguments = [each for each in sweep_command("x", f"s3://{bucket}/out") if not each.startswith("benchmark")]
    assert main([*arguments, "benchmark=bbh", f"data_dir=s3://{bucket}/boards"]) == 0


def test_errors_in_a_remote_benchmark_name_its_url(s3: ObjectStore, board: Path) -> None:
    bucket = s3.bucket()
    cases = {
        "short.parquet": (board.read_bytes()[:-9], "truncated"),
        "empty.csv": (b"", "empty"),
        "text.csv": (b"item_id,a\nq,x\n", "text"),
    }
    for name, (content, word) in cases.items():
        s3.write(f"{bucket}/{name}", content)
        with refuses(DataError, word, where=f"s3://{bucket}/{name}") as caught:
            read_scores(f"s3://{bucket}/{name}")
        assert "/tmp" not in str(caught.value)
    with refuses(DataError, "exist", where=f"s3://{bucket}/nope.parquet", got="no such file"):
        read_scores(f"s3://{bucket}/nope.parquet")


def rejection(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a command that fails within 30 seconds."""
    started = time.monotonic()
    assert main(arguments) == 1
    assert time.monotonic() - started < 30
    message = capsys.readouterr().err
    lines = message.splitlines()[-4:]
    assert lines[0][0] != " "
    assert [line[:9] for line in lines[1:]] == ["  where: ", "  got:   ", "  hint:  "], message
    return "\n".join(lines)


def test_a_missing_bucket_is_named(s3: ObjectStore, board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = rejection(sweep_command(board, "s3://no-such-bucket/x"), capsys)
    assert "bucket does not exist" in message
    assert "s3://no-such-bucket/x" in message
    message = rejection(sweep_command("s3://no-such-bucket/x.parquet", "s3://no-such-bucket/x"), capsys)
    assert "s3://no-such-bucket/x.parquet" in message
    assert "no such file" in message


@pytest.mark.parametrize(
    "arguments",
    [
        ["reduce", "out=s3://bucket/x"],
        pytest.param(sweep_command("s3://bucket/x.parquet", "s3://bucket/x"), marks=pytest.mark.slow),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_unreachable_object_store_is_reported(
    arguments: list[str], s3: ObjectStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    message = rejection(arguments, capsys)
    assert "cannot be reached" in message
    assert "s3://bucket" in message


@pytest.mark.slow
def test_a_silent_object_store_is_reported(
    s3: ObjectStore, board: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(urls, "REQUEST_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "cannot be reached" in rejection(sweep_command(board, "s3://bucket/x"), capsys)


@pytest.mark.slow
def test_rejected_credentials_are_reported(
    board: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(INITIAL_NO_AUTH_ACTION_COUNT="2") as server:
        bucket = server.bucket()
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        for arguments in (sweep_command(board, f"s3://{bucket}/x"), sweep_command(f"s3://{bucket}/x.parquet", "out")):
            message = rejection(arguments, capsys)
            assert "credentials" in message.splitlines()[0]
            assert "secret" not in message.replace("AWS_SECRET", "")


INVALID_URLS = {
    "s3://key:secret@bucket/x": "credentials",
    "s3://key@bucket/x": "credentials",
    "sftp://user:secret@host/x": "credentials",
    "abfss://box:secret@account.dfs.core.windows.net/x": "credentials",
    "s3://bucket/x?access_key=secret": "access_key in the query",
    "s3://bucket/x?secret_key=secret": "secret_key in the query",
    "https://host/x?X-Amz-Signature=secret": "X-Amz-Signature in the query",
    "abfss://box@account.dfs.core.windows.net/x?sas_token=secret": "sas_token in the query",
    "s3:///x": "no bucket",
    "s3://bucket/x/../y": "`..`",
    "s3://[bucket/x": "not a valid URL",
}


@pytest.mark.slow
@pytest.mark.parametrize("url", rotating(INVALID_URLS, 3))
def test_an_invalid_url_is_rejected_before_any_work_and_its_secrets_are_not_printed(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweeps = sweep_command(tmp_path / "nope.parquet", url), sweep_command(url, str(tmp_path / "out"))
    for arguments in (*sweeps, ["reduce", f"out={url}"]):
        assert main(arguments) == 1
        output = capsys.readouterr()
        assert INVALID_URLS[url] in output.err
        assert "secret" not in (output.out + output.err).replace("secret_key in", "").replace("AWS_SECRET", "")
    with refuses(ConfigError, INVALID_URLS[url]):
        RemoteFolder(url)


def test_an_unsupported_scheme_is_named(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nope://." in rejection(sweep_command(board, "nope://x/y"), capsys)
    assert "nope://." in rejection(sweep_command("nope://x/y.parquet", str(tmp_path)), capsys)
    message = rejection(sweep_command(board, "sftp://host/y"), capsys)
    assert "sftp://." in message
    assert "paramiko" in message


DIE_DURING_AN_UPLOAD = """
import os, signal, sys
from microbench_ray.core.storage.folders import RemoteFolder

folder = RemoteFolder(sys.argv[1])
folder.write("old", b"1")
filesystem, path = folder._open("new")
stream = filesystem.open_output_stream(path)
stream.write(bytes(30_000_000))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_interrupted_upload_leaves_no_object(s3: ObjectStore) -> None:
    bucket = s3.bucket()
    done = subprocess.run([sys.executable, "-c", DIE_DURING_AN_UPLOAD, f"s3://{bucket}/x"], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert s3.names(bucket) == ["x/old"]


def test_a_local_sweep_does_not_import_the_packages_for_object_stores(tmp_path: Path) -> None:
    program = (
        "import sys; from microbench_ray.cli.main import main; code = main(sys.argv[1:]); "
        "print(sorted({'fsspec', 'pyarrow.dataset', 'pandas'} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    arguments = sweep_command(tmp_path / "nope.parquet", str(tmp_path / "out"))
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_file_url_is_a_local_path(board: Path, reference: Path, tmp_path: Path) -> None:
    assert main(sweep_command(board, (tmp_path / "out").as_uri())) == 0
    assert_same_tables(tmp_path / "out", reference)
