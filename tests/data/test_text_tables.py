"""Delimited text with any of its suffixes, compressed or not, and archives, which are refused with a command that extracts them."""

from __future__ import annotations

import gzip
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.data import read_scores
from microbench_ray.data.table_files import refuse_archive, row_name
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.lm_eval import LmEvalReader
from microbench_ray.ingest.tables import TableReader
from tests.helpers.errors import refuses

ROWS = [["item_id", "ada", "bob"], ["q1", "1", "0"], ["q2", "0.5", ""], ["q3", "0", "1"]]
LINES = b'{"item_id": "q1", "ada": 1, "bob": 0}\n{"item_id": "q2", "ada": 0, "bob": 0}\n'


def text(separator: str) -> bytes:
    return "".join(separator.join(row) + "\n" for row in ROWS).encode()


def compressed(content: bytes, suffix: str) -> bytes:
    if suffix.endswith(".gz"):
        return gzip.compress(content)
    return pa.compress(content, codec="zstd", asbytes=True) if suffix.endswith(".zst") else content


@pytest.mark.parametrize("suffix", [".txt", ".tab", ".TXT", ".txt.gz", ".tab.zst", ".csv.zst", ".tsv.gz"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_whatever_the_suffix(tmp_path: Path, suffix: str, separator: str) -> None:
    path = tmp_path / f"board{suffix}"
    path.write_bytes(compressed(text(separator), suffix))
    board = read_scores(path, max_missing=0.5)
    assert (board.name, [*board.model_ids], [*board.item_ids]) == ("board", ["ada", "bob"], ["q1", "q2", "q3"])
    assert (board.scores[0] / board.units).tolist() == [1, 0.5, 0]
    assert row_name(path, 0) == "line 2"


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst", ".ndjson.zst"])
def test_compressed_lines(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"board{suffix}"
    path.write_bytes(compressed(LINES, suffix))
    assert read_scores(path).scores.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.zst", ".jsonl.gz", ".jsonl.zst"])
def test_texts_that_are_cut_off_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    content = compressed(text(",") if ".csv" in suffix else LINES, suffix)
    path.write_bytes(content[: len(content) - 9])
    with refuses(DataError, "truncated", where=str(path)):
        read_scores(path)


@pytest.mark.slow  # a process
def test_a_table_that_is_too_large_lets_the_process_end(tmp_path: Path) -> None:
    """An error in the thread in which Arrow reads ahead kept Python from exiting."""
    with gzip.open(tmp_path / "t.csv.gz", "wb", compresslevel=1) as file:
        file.write(b"item_id,a,b\n")
        for _ in range(80):
            file.write(b"q,0,0\n" * (2**20 // 6))
    code = "import sys; from microbench_ray.data import read_scores; read_scores(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "t.csv.gz")], capture_output=True, text=True, timeout=60)
    assert "more memory" in done.stderr


def test_texts_in_folders_are_of_anything(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("Results of two models.\n")
    (tmp_path / "board.tab").write_bytes(text("\t"))
    logs = TableReader().find(tmp_path, Options(), Tally())
    assert [log.model for log in logs] == ["ada", "bob"]
    logs = TableReader().find((tmp_path / "board.tab").rename(tmp_path / "board.txt"), Options(), Tally())
    assert [log.model for log in logs] == ["ada", "bob"]


@pytest.mark.parametrize(("members", "path"), [(["my board.csv"], "my board.csv"), (["a.csv", "sub/b.csv"], "")])
def test_the_hint_for_an_archive_works(tmp_path: Path, members: list[str], path: str) -> None:
    archive = tmp_path / "my results.csv.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for member in members:
            file.writestr(member, text(","))
    with refuses(DataError, "zip", where=str(archive), got=members[0]) as found:
        TableReader().find(archive, Options(), Tally())
    for refuse in (lambda: read_scores(archive), lambda: LmEvalReader().find(archive, Options(), Tally())):
        with refuses(DataError, "zip", where=str(archive)):
            refuse()
    hint = str(found.value.hint)
    command, _, then = hint.partition(" extracts it; then ")
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "zipfile"]
    subprocess.run([sys.executable, *words[1:]], check=True)
    (given,) = shlex.split(then)
    place = Path(given.removeprefix("path=").strip('"'))
    assert place == tmp_path / "my results" / path
    assert len(TableReader().find(place, Options(), Tally())) == 2 * len(members)


def test_another_file_with_the_suffix_of_an_archive_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "t.zip").write_bytes(text(","))
    refuse_archive(tmp_path / "t.zip")
    with refuses(DataError, "suffix", got=".zip"):
        read_scores(tmp_path / "t.zip")
