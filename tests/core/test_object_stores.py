"""`out` and benchmarks in an object store: the same tables, the same atomicity and resume, and one clear message where it fails."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.storage import lock as lease
from microbench_ray.core.storage import urls
from microbench_ray.core.storage.folders import RemoteFolder
from microbench_ray.core.storage.lock import Times
from microbench_ray.data import read_release, read_scores
from tests.helpers.object_store import ObjectStore, serving
from tests.helpers.small_sweep import assert_same_tables, command, write_board

RUNS = 4


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "TIMES", Times(renew=0.5, stale=2, settle=0.05, poll=0.05))


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_board(tmp_path_factory.mktemp("boards") / "board.parquet")
    table = pq.read_table(path)
    sure = [np.linspace(0, 1, len(table)) if name.startswith("m") else table[name] for name in table.column_names]
    pq.write_table(table.from_arrays(sure, table.column_names), path.with_name("board.confidence.parquet"))
    models = "".join(f"m{k:02d},{k}\n" for k in range(40))
    path.with_name("board.models.csv").write_text(f"model_id,params\n{models}")
    return path


@pytest.fixture(scope="module")
def reference(board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "out"
    assert main(command(board, out, runs=RUNS)) == 0
    return out


def swept(board: object, out: str, *more: str) -> list[str]:
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


def test_a_sweep_in_an_object_store_gives_the_tables_of_one_on_a_disk_and_goes_on_there(
    s3: ObjectStore, board: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{s3.bucket()}/deep/er"
    out = f"s3://{path}"
    assert main(swept(board, out, "figures=true")) == 0
    said = capsys.readouterr().out
    assert f"Tables: {out}/agreement.parquet" in said
    assert f"Figure: {out}/figures/" in said
    names = s3.names(path)
    assert {name.split("/")[0] for name in names} == {
        "agreement.parquet", "cells", "failures.parquet", "figures", "manifest.json", "mdad.parquet", "summary.parquet"
    }  # fmt: skip
    assert s3.read(f"{path}/{next(name for name in names if name.startswith('figures'))}")[:4] == b"\x89PNG"
    assert_same_tables(download(s3, path, tmp_path / "1"), reference)
    # Lost, cut short, and foreign: computed again, the rest is not.
    first, second, third, *_ = [f"{path}/{name}" for name in names if name.startswith("cells")]
    s3.client.delete_file(first)
    s3.write(second, s3.read(second)[:-40])
    s3.write(third, b"")
    assert main(swept(board, out)) == 0
    said = capsys.readouterr().out
    assert "12 of 48 cells are done already" in said
    assert f"s3://{second} is set aside as set_aside/cells-{second.rpartition('/')[2]}: " in said
    assert f"s3://{third} is set aside" in said
    assert len([name for name in s3.names(path) if name.startswith("set_aside")]) == 2
    assert_same_tables(download(s3, path, tmp_path / "2"), reference)
    assert main(["reduce", f"out={out}", "thresholds=[.7]", "figures=false"]) == 0
    assert pq.read_table(io.BytesIO(s3.read(f"{path}/mdad.parquet")))["threshold"].to_pylist() == [0.7] * 24
    assert json.loads(s3.read(f"{path}/manifest.json"))["config"]["out"] == out


def test_any_file_system_that_fsspec_opens_will_do(board: Path, reference: Path, tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    with fsspec.open("memory://boards/board.parquet", "wb") as sink:
        sink.write(board.read_bytes())
    for kind in ("confidence.parquet", "models.csv"):
        memory.pipe_file(f"/boards/board.{kind}", board.with_name(f"board.{kind}").read_bytes())
    assert main(swept("memory://boards/board.parquet", "memory://out/x")) == 0
    for name in memory.find("/out/x"):
        place = tmp_path / name.removeprefix("/out/x/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(memory.cat_file(name))
    assert_same_tables(tmp_path, reference)


def test_the_endpoint_may_stand_in_the_url(s3: ObjectStore, board: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    path = s3.bucket()
    assert main(swept(board, f"s3://{path}/x?endpoint_override=127.0.0.1:{s3.port}&scheme=http")) == 0
    assert f"Tables: s3://{path}/x/agreement.parquet" in capsys.readouterr().out
    assert "x/mdad.parquet" in s3.names(path)


def test_benchmarks_are_read_with_their_companions(s3: ObjectStore, board: Path) -> None:
    here = read_scores(board)
    assert here.confidence is not None
    url = upload(s3, board.parent, f"{s3.bucket()}/a/b")
    there = read_scores(f"{url}/board.parquet")
    assert (there.name, there.digest) == ("board", here.digest)
    assert there.metadata.equals(here.metadata)
    bare = read_scores(f"{url}/board.parquet", confidence=None, metadata=None)
    assert bare.confidence is None
    assert bare.digest == read_scores(board, confidence=None, metadata=None).digest
    mixed = read_scores(board, confidence=f"{url}/board.confidence.parquet", metadata=f"{url}/board.models.csv")
    assert mixed.digest == here.digest


def test_a_benchmark_that_was_saved_and_a_release_are_read(s3: ObjectStore, board: Path, tmp_path: Path) -> None:
    here = read_scores(board)
    here.save(tmp_path / "saved")
    bucket = s3.bucket()
    assert read_scores(upload(s3, tmp_path / "saved", f"{bucket}/saved")).digest == here.digest
    folder = tmp_path / "release"
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / "x_models-by-confidence_combined.npy", rng.random((4, 6, 3)))
    np.save(folder / "x_models-by-correctness_combined.npy", rng.integers(0, 2, (4, 6)))
    np.save(folder / "x_labels_combined.npy", rng.integers(0, 3, 6))
    (folder / "x_subtask-idx-ranges.json").write_text("[[0, 4], [4, 6]]")
    expected = read_release(folder).digest
    url = upload(s3, folder, f"{bucket}/release")
    whole = upload(s3, folder, s3.bucket())
    for place in (url, f"{url}/x", whole, f"{whole}/x"):
        found = read_release(place)
        assert (found.name, found.digest) == ("x", expected)
    s3.write(f"{bucket}/release/x_labels_combined.npy", b"\x93NUMPY")
    with pytest.raises(DataError, match="cut short") as caught:
        read_release(url)
    assert caught.value.where == f"{url}/x_labels_combined.npy"


def test_a_configured_benchmark_is_looked_for_below_data_dir(s3: ObjectStore, board: Path) -> None:
    bucket = s3.bucket()
    s3.write(f"{bucket}/boards/bbh.parquet", board.read_bytes())
    words = [each for each in swept("x", f"s3://{bucket}/out") if not each.startswith("benchmark")]
    assert main([*words, "benchmark=bbh", f"data_dir=s3://{bucket}/boards"]) == 0


def test_errors_in_a_remote_benchmark_name_its_url(s3: ObjectStore, board: Path) -> None:
    bucket = s3.bucket()
    for name, content in (("short.parquet", board.read_bytes()[:-9]), ("empty.csv", b""), ("text.csv", b"item_id,a\nq,x\n")):
        s3.write(f"{bucket}/{name}", content)
        with pytest.raises(DataError) as caught:
            read_scores(f"s3://{bucket}/{name}")
        assert str(caught.value.where).startswith(f"s3://{bucket}/{name}")
        assert "/tmp" not in str(caught.value)
    with pytest.raises(DataError, match="no such file") as caught:
        read_scores(f"s3://{bucket}/nope.parquet")
    assert caught.value.where == f"s3://{bucket}/nope.parquet"


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    started = time.monotonic()
    assert main(arguments) == 1
    assert time.monotonic() - started < 30
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert len(said.splitlines()) == 4, said
    return said


def test_what_is_wrong_with_an_object_store_is_one_message(
    s3: ObjectStore, board: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(swept(board, "s3://no-such-bucket/x"), capsys)
    assert "There is no such bucket." in said
    assert "s3://no-such-bucket/x" in said
    assert "no such file" in refused(swept("s3://no-such-bucket/x.parquet", "s3://no-such-bucket/x"), capsys)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "The object store cannot be reached." in refused(swept(board, "s3://bucket/x"), capsys)
    assert "The object store cannot be reached." in refused(swept("s3://bucket/x.parquet", "s3://bucket/x"), capsys)
    assert "The object store cannot be reached." in refused(["reduce", "out=s3://bucket/x"], capsys)


def test_a_server_that_is_silent_is_given_up(
    s3: ObjectStore, board: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(urls, "REQUEST_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "The object store cannot be reached." in refused(swept(board, "s3://bucket/x"), capsys)


def test_wrong_credentials_are_named(board: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(INITIAL_NO_AUTH_ACTION_COUNT="2") as server:
        bucket = server.bucket()
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        said = refused(swept(board, f"s3://{bucket}/x"), capsys)
        assert "The object store refuses these credentials." in said
        assert "secret" not in said
        assert "The object store refuses these credentials." in refused(swept(f"s3://{bucket}/x.parquet", "out"), capsys)


SECRETS = {
    "s3://key:secret@bucket/x": "may not hold credentials",
    "s3://key@bucket/x": "may not hold credentials",
    "sftp://user:secret@host/x": "may not hold credentials",
    "abfss://box:secret@account.dfs.core.windows.net/x": "may not hold credentials",
    "s3://bucket/x?access_key=secret": "access_key in the query",
    "s3://bucket/x?secret_key=secret": "secret_key in the query",
    "https://host/x?X-Amz-Signature=secret": "X-Amz-Signature in the query",
    "abfss://box@account.dfs.core.windows.net/x?sas_token=secret": "sas_token in the query",
    "s3:///x": "names no bucket",
    "s3://bucket/x/../y": "may not go up",
    "s3://[bucket/x": "no URL",
}


@pytest.mark.parametrize("url", SECRETS)
def test_a_url_with_credentials_is_refused_before_anything_is_read_and_not_repeated(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (swept(tmp_path / "nope.parquet", url), swept(url, str(tmp_path / "out")), ["reduce", f"out={url}"]):
        assert main(words) == 1
        said = capsys.readouterr()
        assert SECRETS[url] in said.err
        assert "secret" not in (said.out + said.err).replace("secret_key in", "").replace("AWS_SECRET", "")
    with pytest.raises(ConfigError):
        RemoteFolder(url)


def test_a_scheme_that_nothing_opens_is_named(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Nothing that is installed opens nope://." in refused(swept(board, "nope://x/y"), capsys)
    assert "Nothing that is installed opens nope://." in refused(swept("nope://x/y.parquet", str(tmp_path)), capsys)
    said = refused(swept(board, "sftp://host/y"), capsys)
    assert "Nothing that is installed opens sftp://." in said
    assert "paramiko" in said


def test_an_upload_that_is_cut_off_leaves_no_object(s3: ObjectStore) -> None:
    """A driver that is killed while it writes: the bytes are sent in one go, and what is not complete is not there."""
    bucket = s3.bucket()
    program = f"""
import os, threading
from microbench_ray.core.storage.folders import RemoteFolder
folder = RemoteFolder("s3://{bucket}/x")
folder.write("old", b"1")
filesystem, path = folder._open("new")
stream = filesystem.open_output_stream(path)
stream.write(bytes(30_000_000))
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == -9
    assert s3.names(bucket) == ["x/old"]


def test_a_local_sweep_does_not_import_what_object_stores_need(board: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from microbench_ray.cli.main import main; code = main(sys.argv[1:]); "
        "print(sorted({'fsspec', 'pyarrow.dataset', 'pandas'} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    words = swept(tmp_path / "nope.parquet", str(tmp_path / "out"))
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "[]"


def test_file_urls_are_paths(board: Path, reference: Path, tmp_path: Path) -> None:
    assert main(swept(board, (tmp_path / "out").as_uri())) == 0
    assert_same_tables(tmp_path / "out", reference)
    shutil.rmtree(tmp_path / "out")
