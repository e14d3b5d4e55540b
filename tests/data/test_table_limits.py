"""Small files that describe gigabytes are refused before they are read; damaged ones give one message."""

from __future__ import annotations

import gzip
import io
import resource
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import DataError, MicrobenchError
from microbench_ray.data import read_scores
from microbench_ray.data.tables import json_rows
from microbench_ray.data.tables.feather import check_feather
from tests.data.test_table_shapes import small_board
from tests.helpers.errors import refuses

MEGABYTE = 1 << 20


def many_zeros(path: Path, start: bytes, line: bytes) -> None:
    """About 80 MB of text in less than 100 kB."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(start)
        for _ in range(80):
            file.write(line * (MEGABYTE // len(line)))


def csv_bomb(folder: Path) -> Path:
    many_zeros(folder / "t.csv.gz", b"item_id,a,b\n", b"q,0,0\n")
    return folder / "t.csv.gz"


def header_bomb(folder: Path) -> Path:
    many_zeros(folder / "t.tsv.gz", b"item_id", b"\ta")
    return folder / "t.tsv.gz"


def json_bomb(folder: Path) -> Path:
    many_zeros(folder / "t.jsonl.gz", b"", b'{"item_id":"q","a":0,"b":0}\n')
    return folder / "t.jsonl.gz"


def feather_bomb(folder: Path) -> Path:
    table = pa.table({"item_id": pa.array(["q"] * 10), "a": np.zeros(10)})
    zeros = pa.table({"item_id": pa.array(np.zeros(10**7, np.int64)), "a": np.zeros(10**7), "b": np.zeros(3 * 10**7)[::3]})
    pyarrow.feather.write_feather(table, str(folder / "small.feather"))
    pyarrow.feather.write_feather(pa.concat_tables([zeros] * 2), str(folder / "t.feather"), compression="zstd")
    return folder / "t.feather"


def text_bomb(folder: Path) -> Path:
    """One long text, stored once and repeated by number."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**6, np.int32)), pa.array(["q" * 10**4]))
    pyarrow.feather.write_feather(pa.table({"item_id": texts, "a": np.zeros(10**6)}), str(folder / "t.arrow"), compression="zstd")
    return folder / "t.arrow"


def excel_bomb(folder: Path) -> Path:
    small_board().wide().to_excel(folder / "small.xlsx", index=False)
    with zipfile.ZipFile(folder / "small.xlsx") as old, zipfile.ZipFile(folder / "t.xlsx", "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, content.replace(b"</sheetData>", b" " * 90 * MEGABYTE + b"</sheetData>"))
    return folder / "t.xlsx"


@pytest.mark.slow
@pytest.mark.parametrize("make", [csv_bomb, header_bomb, json_bomb, feather_bomb, text_bomb, excel_bomb])
def test_bombs_are_refused(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    assert path.stat().st_size < 2 * MEGABYTE
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with refuses(DataError, "memory", where=str(path), got="bytes"):
        read_scores(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700 * 1024  # in kB


def test_the_size_of_feather_is_that_of_its_buffers(tmp_path: Path) -> None:
    """Compressed or not, in several batches, with dictionaries: never less than what Arrow says the table takes."""
    from microbench_ray.data.tables.feather import _sizes

    table = pa.table({
        "item_id": [f"q{k}" for k in range(1000)],
        "a": pa.array(np.zeros(1000)),
        "b": pa.array(["x", "y"] * 500).dictionary_encode(),
        "c": pa.array([None, 1.0] * 500),
    })  # fmt: skip
    sizes = set()
    for compression in ("uncompressed", "lz4", "zstd"):
        path = tmp_path / f"{compression}.feather"
        pyarrow.feather.write_feather(table, str(path), compression=compression, chunksize=300)
        buffer = pa.memory_map(str(path)).read_buffer()
        check_feather(buffer)
        sizes.add(sum(_sizes(memoryview(buffer))))
    assert len(sizes) == 1
    assert table.nbytes <= sizes.pop() <= table.nbytes + 4096  # padding, and offsets of each batch


@pytest.mark.parametrize("suffix", [".feather", ".xlsx", ".csv.gz", ".jsonl", ".csv"])
def test_damaged_files_give_one_message(suffix: str, tmp_path: Path) -> None:
    """Bytes that are changed, or cut off, anywhere: scores, or an error of ours; never another exception."""
    path, rng = tmp_path / f"t{suffix}", np.random.default_rng(3)
    frame = small_board(4, 12).wide()
    if suffix == ".feather":
        pyarrow.feather.write_feather(pa.Table.from_pandas(frame), str(path), compression="lz4")
    elif suffix == ".xlsx":
        frame.to_excel(path, index=False)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(60):
        changed = content[: rng.integers(1, len(content) + 1)] if rng.random() < 0.2 else content.copy()
        changed = changed.copy()
        changed[rng.integers(0, len(changed), 3)] = rng.integers(0, 256, 3)
        path.write_bytes(changed.tobytes())
        with suppress(MicrobenchError):
            read_scores(path, max_missing=1)


@pytest.mark.parametrize(
    "text", ["null", "\nnull\n", '{"item_id": "a", "m": 1}\nnull\n', '{"item_id": "a", "m": 1} null\n', "\ufeffnull"]
)
def test_json_lines_that_are_no_objects(put: Callable[..., Path], text: str) -> None:
    """Arrow's reader crashes at the first, and takes the others for rows without values."""
    path = put("t.jsonl", text)
    with refuses(DataError, "line", where=f"{path}: line"):
        read_scores(path)


@given(
    st.lists(st.sampled_from([b"{}", b'{"a": 1}', b"", b" ", b" {}", b"\xef\xbb\xbf{}", b"null", b"x" * 9]), max_size=9),
    st.booleans(),
)
def test_lines_that_begin_objects_are_counted_across_blocks(lines: list[bytes], ended: bool) -> None:
    """With blocks of 7 bytes; a byte order mark begins no other line than the first."""
    content = b"\n".join(lines) + b"\n" * ended
    plain = [line.strip() for line in [b"".join(lines[:1]).removeprefix(b"\xef\xbb\xbf"), *lines[1:]] if line.strip()]
    expected = len(plain) if all(line.startswith(b"{") for line in plain) else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "COUNT_BYTES", 7)
        assert json_rows.count_objects(io.BytesIO(content), 100) == expected
        assert json_rows.count_objects(io.BytesIO(b"{}\n" + b"{" * 101), 100) is None


def test_two_objects_in_a_line_are_no_rows(put: Callable[..., Path]) -> None:
    path = put("t.jsonl", '{"item_id": "a", "m": 1, "n": 0}{"item_id": "b", "m": 1, "n": 0}\n')
    with refuses(DataError, "JSON", where=f"{path}: line 1"):
        read_scores(path)
