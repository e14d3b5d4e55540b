"""Hostile logs: endless lines, deep nesting, other encodings, names that are paths. Each is one clear error in bounded memory."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.jsonl import json_file, json_lines, parse
from microbench_ray.ingest.lm_eval import LmEvalReader
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import TIME, choice, line, read_one, write, write_results
from tests.helpers.reading import MEGABYTE, read_in_subprocess

READER = LmEvalReader()
MOST = 1 << 20


def test_10_gigabytes_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    small = write(tmp_path / "small", "t", [line(0)])
    long_line, large_file = tmp_path / "long_line", tmp_path / "large_file"
    write(long_line, "t", [line(0)])
    write(large_file, "t", [line(0)])
    for path in (long_line / f"samples_t_{TIME}.jsonl", large_file / f"results_{TIME}.json"):
        path.touch()
        os.truncate(path, 10 << 30)  # sparse: no bytes are stored
    paths = {"A line is too long": long_line, "The file is too large": large_file}
    for message, reading in read_in_subprocess(LmEvalReader, paths, 64 * MEGABYTE, warm_up=small).items():
        assert message in reading.message
        assert reading.growth < 300 * MEGABYTE


def test_max_line_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, "t", [line(0), line(1, doc={"text": "x" * MOST})])
    assert len(read_one(READER, tmp_path)) == 2
    with refuses(DataError, "too long", where=f"{path}: line 2", hint="max_line_bytes"):
        read_one(READER, tmp_path, Options(max_line_bytes=MOST))
    with refuses(DataError, "too large", where=str(path), hint="max_line_bytes"):
        json_file(path, MOST)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"doc":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_deep_nesting_is_an_error(tmp_path: Path, text: Any) -> None:
    path = write(tmp_path, "t", [line(0)])
    path.write_text(path.read_text() + text + "\n")
    with refuses(DataError, "nested too deeply", where=f"{path}: line 2"):
        read_one(READER, tmp_path)


def test_a_document_that_is_too_deep_to_be_hashed_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "t", [])
    depths = {50: True, 990: False}
    for depth, readable in depths.items():
        path.write_text('{"doc_id": 0, "acc": 1, "doc": ' + "[" * depth + "]" * depth + "}\n")
        if readable:
            assert read_one(READER, tmp_path)[0].content
        else:
            with refuses(DataError, "nested too deeply", where=f"{path}: line 1"):
                read_one(READER, tmp_path)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ('{"doc_id": 0}\n'.encode("utf-16"), "UTF-16"),
        ('{"doc_id": 0}\n'.encode("utf-32"), "UTF-32"),
        ('{"doc_id": "é"}\n'.encode("latin-1"), "byte 0xe9 at 12"),
        (b'{"doc_id": "\xed\xa0\x80"}\n', "byte 0xed at 12"),  # half of a surrogate pair
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: Any, got: Any) -> None:
    path = write(tmp_path, "t", [])
    path.write_bytes(content)
    with refuses(DataError, "UTF-8", where=f"{path}: line 1", got=got):
        read_one(READER, tmp_path)


@pytest.mark.parametrize(
    "content", ['{"doc_id": 0}\n'.encode("utf-16-le"), b'{"doc_id": 0\n', b"\0" * 100, b'{"a": 1} {"a": 2}\n', b"01\n"]
)
def test_invalid_json_is_an_error_that_names_the_line(tmp_path: Path, content: Any) -> None:
    path = write(tmp_path, "t", [line(0), line(1)])
    path.write_bytes(path.read_bytes() + content)
    with refuses(DataError, "JSON", where=f"{path}: line 3"):
        read_one(READER, tmp_path)


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = write(tmp_path, "t", [line(0), line(1)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n") + b" \n")
    assert [number for number, _ in json_lines(path, MOST)] == [1, 3]
    assert [sample.position for sample in read_one(READER, tmp_path)] == ["0", "1"]


def test_a_truncated_last_line_is_an_error_and_a_missing_line_end_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, "t", [line(0), line(1)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert len(read_one(READER, tmp_path)) == 2
    path.write_bytes(whole[:-40])
    with refuses(DataError, "truncated", where=f"{path}: line 2"):
        read_one(READER, tmp_path)


def test_nan_and_infinity(tmp_path: Path) -> None:
    rows = [line(0), *(choice(k, [-1, value], ["a", "b"], "0", acc=value) for k, value in ((1, float("nan")), (2, float("-inf"))))]
    write(tmp_path, "t", rows)
    assert [(sample.score, sample.confidence) for sample in read_one(READER, tmp_path)] == [(1.0, None), (None, None), (None, None)]


@pytest.mark.parametrize("text", ["1" * 5000, '{"a": 1' + "0" * 5000 + "}"])
def test_numbers_of_thousands_of_digits_are_an_error(text: Any) -> None:
    with refuses(DataError, "not valid JSON", where="x"):
        parse(text.encode(), "x")


def test_a_document_with_a_lone_surrogate_has_a_hash(tmp_path: Path) -> None:
    write(tmp_path, "t", [])
    (tmp_path / f"samples_t_{TIME}.jsonl").write_text('{"doc_id": 0, "acc": 1, "doc": {"text": "\\ud800"}}\n')
    assert len(read_one(READER, tmp_path)[0].content or "") == 64


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\0b", "x" * 500, "..", "<script>", "a\nb"])
def test_model_names_are_not_used_as_paths(tmp_path: Path, name: Any) -> None:
    write(tmp_path / "logs", "t", [line(0)])
    write_results(tmp_path / "logs", name)
    before = sorted(tmp_path.rglob("*"))
    [log] = READER.find(tmp_path / "logs", Options(), Tally())
    assert log.model == name
    assert [sample.position for sample in READER.read(log, Options(), Tally())] == ["0"]
    assert sorted(tmp_path.rglob("*")) == before


def test_names_that_are_not_valid_unicode_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "t", [line(0)])
    write_results(tmp_path, "\ud800")
    with refuses(DataError, "model name", where=str(path), got="ud800"):
        READER.find(tmp_path, Options(), Tally())
    write_results(tmp_path, "m")
    os.rename(path, os.fsencode(tmp_path) + b"/samples_\xff.jsonl")  # noqa: PTH104  # pathlib cannot write such a name
    with refuses(DataError, "task name", where=str(tmp_path), got="udcff"):
        READER.find(tmp_path, Options(), Tally())


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"results": 1, "config": []},
        {"config": {"model_args": 5, "model_num_parameters": "many", "model_sha": []}, "date": "x"},
        {"config": {"model_args": {"pretrained": {"a": 1}}}, "model_name": ["m"], "date": 1e300},
        {"results": {}, "date": float("nan"), "chat_template": None},
    ],
)
def test_with_malformed_results_the_folder_names_the_model(tmp_path: Path, content: Any) -> None:
    write(tmp_path / "org__m", "t", [line(0)])
    (tmp_path / "org__m" / f"results_{TIME}.json").write_text(json.dumps(content))
    [log] = READER.find(tmp_path, Options(), Tally())
    assert (log.model, "params" in log.facts) == ("org/m", False)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "t", [line(0)])
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with refuses(DataError, "no lm-evaluation-harness samples", where=str(tmp_path), got="not regular files"):
        read_one(READER, tmp_path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_list_is_read_element_by_element(tmp_path: Path, mark: Any) -> None:
    path = tmp_path / "x.jsonl"
    rows = [{"a": {"b": [{"c": "}"}]}}, {}, {"text": "  }\n"}]
    path.write_text(mark + json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    assert list(json_lines(path, MOST)) == [(2, rows[0]), (11, rows[1]), (12, rows[2])]
    path.write_text(path.read_text(encoding="utf-8").rstrip()[:-1], encoding="utf-8")
    with refuses(DataError, "truncated", where=str(path), got="bracket"):
        list(json_lines(path, MOST))


def test_an_endless_list_element_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("[\n  {\n" + "    0,\n" * 1000)
    with refuses(DataError, "too long", where=f"{path}: line 2"):
        list(json_lines(path, 1000))


MUST_BE_FLAT = ("acc", "filter", "doc_hash", "doc_id", "metrics")


@pytest.mark.parametrize("field", [*MUST_BE_FLAT, "target", "resps", "filtered_resps", "arguments"])
@pytest.mark.parametrize("depth", [1, 2, 940])
def test_nested_values_in_flat_fields_are_read_or_an_error(tmp_path: Path, field: Any, depth: Any) -> None:
    row = choice(0, [-1, -2], ["a", "b"], "0", acc=1.0, doc_hash="aa")
    marked = json.dumps(row | {field: "HERE"}).replace('"HERE"', "[" * depth + "]" * depth)
    write(tmp_path, "t", []).write_text(marked)
    if field in MUST_BE_FLAT:
        with refuses(DataError, "log", where="line 1"):
            read_one(READER, tmp_path)
    else:
        assert [sample.position for sample in read_one(READER, tmp_path)] == ["0"]


@pytest.mark.parametrize("position", ["", "\ud800"])
def test_a_doc_id_that_is_empty_or_not_valid_unicode_is_an_error(tmp_path: Path, position: Any) -> None:
    write(tmp_path, "t", []).write_text(json.dumps({"doc_id": position, "acc": 1}))
    with refuses(DataError, "document name", where="line 1"):
        read_one(READER, tmp_path)


def test_a_repeated_document_is_read_in_linear_time(tmp_path: Path) -> None:
    """Each line looks up its document once, however many lines share its hash."""
    lines = 40_000
    write(tmp_path, "t", ({"doc_id": k, "doc_hash": "aa", "acc": 1} for k in range(lines)))
    start = time.process_time()
    samples = read_one(READER, tmp_path)
    assert time.process_time() - start < 15  # about 1 s; a search through the earlier lines takes over 20 s
    assert len({sample.item_id for sample in samples}) == lines
    assert samples[-1].item_id == f"t/aa#{lines}"
