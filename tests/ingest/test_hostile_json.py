"""Logs from strangers: endless lines, deep nesting, other encodings, names that are paths. One clear error, and memory bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.jsonl import json_file, json_lines, parse
from microbench_ray.ingest.lm_eval import LmEvalReader
from tests.helpers.lm_eval_logs import TIME, choice, line, one, write, write_results

READER = LmEvalReader()
MOST = 1 << 20
PEAK = """
import resource, sys
from pathlib import Path
from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.lm_eval import LmEvalReader
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
reader, options, tally = LmEvalReader(), Options(), Tally()
try:
    for log in reader.find(Path(sys.argv[1]), options, tally):
        for _ in reader.read(log, options, tally):
            pass
except DataError as error:
    print(error.what)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def reading(folder: Path) -> tuple[str, int]:
    """What reading a folder of logs says in a process of its own, and by how many MB its memory grows."""
    done = subprocess.run([sys.executable, "-c", PEAK, folder], capture_output=True, text=True, check=True)
    message, grown = done.stdout.splitlines()
    return message, int(grown)


@pytest.mark.parametrize("name", [f"samples_t_{TIME}.jsonl", f"results_{TIME}.json"])
def test_a_line_of_10_gigabytes_is_refused_in_bounded_memory(tmp_path, name):
    write(tmp_path, "t", [line(0)])
    with (tmp_path / name).open("r+b" if name.startswith("samples") else "wb") as file:
        file.truncate(10 << 30)  # sparse: no byte is stored
    message, grown = reading(tmp_path)
    assert message in ("A line is too long.", "The file is too large to be read as one document.")
    assert grown < 300


def test_the_longest_line_is_an_option(tmp_path):
    path = write(tmp_path, "t", [line(0), line(1, doc={"text": "x" * MOST})])
    assert len(one(READER, tmp_path)) == 2
    with pytest.raises(DataError, match=r"line 2\n.*max_line_bytes|line 2\n(.*\n)*.*max_line_bytes"):
        one(READER, tmp_path, Options(max_line_bytes=MOST))
    with pytest.raises(DataError, match="max_line_bytes"):
        json_file(path, MOST)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"doc":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_deep_nesting_is_an_error(tmp_path, text):
    path = write(tmp_path, "t", [line(0)])
    path.write_text(path.read_text() + text + "\n")
    with pytest.raises(DataError, match=r"nested too deeply.\n.*line 2"):
        one(READER, tmp_path)


def test_a_document_that_can_be_read_but_not_written_again_is_an_error(tmp_path):
    path = write(tmp_path, "t", [])
    depths = {50: True, 990: False}
    for depth, readable in depths.items():
        path.write_text('{"doc_id": 0, "acc": 1, "doc": ' + "[" * depth + "]" * depth + "}\n")
        if readable:
            assert one(READER, tmp_path)[0].content
        else:
            with pytest.raises(DataError, match="nested too deeply"):
                one(READER, tmp_path)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ('{"doc_id": 0}\n'.encode("utf-16"), "UTF-16"),
        ('{"doc_id": 0}\n'.encode("utf-32"), "UTF-32"),
        ('{"doc_id": "é"}\n'.encode("latin-1"), "byte 0xe9 at 12"),
        (b'{"doc_id": "\xed\xa0\x80"}\n', "byte 0xed at 12"),  # half of a surrogate pair
    ],
)
def test_other_encodings_are_named(tmp_path, content, got):
    path = write(tmp_path, "t", [])
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        one(READER, tmp_path)
    assert (caught.value.what, caught.value.where, caught.value.got) == ("A log must be in UTF-8.", f"{path}: line 1", got)


@pytest.mark.parametrize(
    "content", ['{"doc_id": 0}\n'.encode("utf-16-le"), b'{"doc_id": 0\n', b"\0" * 100, b'{"a": 1} {"a": 2}\n', b"01\n"]
)
def test_what_is_no_json_is_an_error_of_that_line(tmp_path, content):
    path = write(tmp_path, "t", [line(0), line(1)])
    path.write_bytes(path.read_bytes() + content)
    with pytest.raises(DataError) as caught:
        one(READER, tmp_path)
    assert (caught.value.what, caught.value.where) == ("The log is cut short, or no JSON.", f"{path}: line 3")


def test_a_byte_order_mark_blank_lines_and_windows_lines_are_nothing(tmp_path):
    path = write(tmp_path, "t", [line(0), line(1)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n") + b" \n")
    assert [number for number, _ in json_lines(path, MOST)] == [1, 3]
    assert [sample.position for sample in one(READER, tmp_path)] == ["0", "1"]


def test_a_last_line_that_is_cut_is_an_error_and_one_without_its_end_is_none(tmp_path):
    path = write(tmp_path, "t", [line(0), line(1)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert len(one(READER, tmp_path)) == 2
    path.write_bytes(whole[:-40])
    with pytest.raises(DataError, match=r"cut short(.*\n)*.*line 2"):
        one(READER, tmp_path)


def test_nan_and_infinity(tmp_path):
    rows = [line(0), *(choice(k, [-1, value], ["a", "b"], "0", acc=value) for k, value in ((1, float("nan")), (2, float("-inf"))))]
    write(tmp_path, "t", rows)
    assert [(sample.score, sample.confidence) for sample in one(READER, tmp_path)] == [(1.0, None), (None, None), (None, None)]


@pytest.mark.parametrize("text", ["1" * 5000, '{"a": 1' + "0" * 5000 + "}"])
def test_endless_numbers_are_an_error(text):
    with pytest.raises(DataError, match="no JSON"):
        parse(text.encode(), "x")


def test_a_broken_character_in_a_document_has_a_hash_all_the_same(tmp_path):
    write(tmp_path, "t", [])
    (tmp_path / f"samples_t_{TIME}.jsonl").write_text('{"doc_id": 0, "acc": 1, "doc": {"text": "\\ud800"}}\n')
    assert len(one(READER, tmp_path)[0].content) == 64


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\0b", "x" * 500, "..", "<script>", "a\nb"])
def test_names_of_models_are_texts_and_no_paths(tmp_path, name):
    write(tmp_path / "logs", "t", [line(0)])
    write_results(tmp_path / "logs", name)
    before = sorted(tmp_path.rglob("*"))
    [log] = READER.find(tmp_path / "logs", Options(), Tally())
    assert log.model == name
    assert [sample.position for sample in READER.read(log, Options(), Tally())] == ["0"]
    assert sorted(tmp_path.rglob("*")) == before


def test_names_that_cannot_be_stored_are_an_error(tmp_path):
    path = write(tmp_path, "t", [line(0)])
    write_results(tmp_path, "\ud800")
    with pytest.raises(DataError, match=r"name of the model is empty or broken(.*\n)*.*ud800"):
        READER.find(tmp_path, Options(), Tally())
    write_results(tmp_path, "m")
    os.rename(path, os.fsencode(tmp_path) + b"/samples_\xff.jsonl")  # noqa: PTH104  # no text is such a name
    with pytest.raises(DataError, match="name of the task is empty or broken"):
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
def test_strange_results_leave_the_folder_to_name_the_model(tmp_path, content):
    write(tmp_path / "org__m", "t", [line(0)])
    (tmp_path / "org__m" / f"results_{TIME}.json").write_text(json.dumps(content))
    [log] = READER.find(tmp_path, Options(), Tally())
    assert (log.model, "params" in log.facts) == ("org/m", False)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = write(tmp_path, "t", [line(0)])
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"cannot be read(.*\n)*.*samples_t"):
        one(READER, tmp_path)


@pytest.mark.parametrize("indented", ["", "\ufeff"])
def test_a_list_is_read_element_by_element(tmp_path, indented):
    path = tmp_path / "x.jsonl"
    rows = [{"a": {"b": [{"c": "}"}]}}, {}, {"text": "  }\n"}]
    path.write_text(indented + json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    assert list(json_lines(path, MOST)) == [(2, rows[0]), (11, rows[1]), (12, rows[2])]
    path.write_text(path.read_text(encoding="utf-8").rstrip()[:-1], encoding="utf-8")
    with pytest.raises(DataError, match="a list without its end"):
        list(json_lines(path, MOST))


def test_an_endless_element_of_a_list_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("[\n  {\n" + "    0,\n" * 1000)
    with pytest.raises(DataError, match=r"too long(.*\n)*.*line 2"):
        list(json_lines(path, 1000))


MUST_BE_FLAT = ("acc", "filter", "doc_hash", "doc_id", "metrics")


@pytest.mark.parametrize("field", [*MUST_BE_FLAT, "target", "resps", "filtered_resps", "arguments"])
@pytest.mark.parametrize("depth", [1, 2, 940])
def test_nested_values_where_there_should_be_none_are_read_or_an_error(tmp_path, field, depth):
    row = choice(0, [-1, -2], ["a", "b"], "0", acc=1.0, doc_hash="aa")
    marked = json.dumps(row | {field: "HERE"}).replace('"HERE"', "[" * depth + "]" * depth)
    write(tmp_path, "t", []).write_text(marked)
    if field in MUST_BE_FLAT:
        with pytest.raises(DataError, match="line 1"):
            one(READER, tmp_path)
    else:
        assert [sample.position for sample in one(READER, tmp_path)] == ["0"]


@pytest.mark.parametrize("position", ["", "\ud800"])
def test_a_document_whose_name_cannot_be_stored_is_an_error(tmp_path, position):
    write(tmp_path, "t", []).write_text(json.dumps({"doc_id": position, "acc": 1}))
    with pytest.raises(DataError, match=r"name of the document is empty or broken(.*\n)*.*line 1"):
        one(READER, tmp_path)


def test_one_document_over_and_over_does_not_slow_reading_down(tmp_path):
    """Each line looks up its document once, however many share its hash."""
    lines = 100_000
    write(tmp_path, "t", ({"doc_id": k, "doc_hash": "aa", "acc": 1} for k in range(lines)))
    samples = one(READER, tmp_path)
    assert len({sample.item_id for sample in samples}) == lines
    assert samples[-1].item_id == f"t/aa#{lines}"
