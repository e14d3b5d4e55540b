from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.lighteval import LightevalReader
from microbench_ray.ingest.values import NOT_FINITE, WITHOUT_SCORE
from tests.helpers import many_models
from tests.helpers.errors import refuses
from tests.helpers.reading import MEGABYTE, read_all, read_in_subprocess, scores, values

READER = LightevalReader()
TIME = "2026-05-05T17-54-23.203304"


def row(name: str = "0", **metrics: Any) -> dict[str, Any]:
    doc = {"query": f"What is {name}?", "choices": ["yes", "no"], "gold_index": [0], "id": name}
    return {"doc": doc, "metric": metrics, "model_response": {"logprobs": None}}


def write(folder: Path, rows: list[dict[str, Any]], task: str = "sums|0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"details_{task}_{TIME}.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def test_many_models(tmp_path: Path) -> None:
    truth = many_models.lighteval(tmp_path)
    samples, tally = read_all(READER, tmp_path)
    assert {model: values(found) for model, found in samples.items()} == truth
    assert not tally.dropped
    assert len({tuple((sample.item_id, sample.content) for sample in found) for found in samples.values()}) == 1
    assert {sample.subtask for sample in samples["maker-0/model-00"]} == {"letters|0"}
    assert list(read_all(READER, tmp_path, Options(models=("*-04",), tasks=("letters*",)))[0]) == ["maker-1/model-04"]


def test_confidences(tmp_path: Path) -> None:
    """exp(-0.5) of the sum of exp(-0.5) and three times exp(-2.5) is 1 / (1 + 3 exp(-2)) = 0.7112."""
    truth = many_models.lighteval(tmp_path, n_models=2)
    samples, _ = read_all(READER, tmp_path)
    for model, found in samples.items():
        for item, (sample, value) in enumerate(zip(found, truth[model], strict=True)):
            assert sample.label == item % 4
            assert sample.confidence == pytest.approx(0.71123 if value else 0.09625, abs=1e-4)
            assert sample.answers is not None
            assert sum(sample.answers) == pytest.approx(1)
            assert sample.answers[sample.label] == sample.confidence


@pytest.mark.parametrize("texts", [False, True])
def test_older_columns(tmp_path: Path, texts: bool) -> None:
    """Without positions the content identifies the item; it is the same in all versions."""
    truth = many_models.lighteval_old(tmp_path / "old", texts=texts)
    samples, _ = read_all(READER, tmp_path / "old")
    assert {model: [sample.score for sample in found] for model, found in samples.items()} == truth
    many_models.lighteval(tmp_path / "new", n_models=2)
    new_samples, _ = read_all(READER, tmp_path / "new")
    old, new = samples["maker-0/model-00"], new_samples["maker-0/model-00"]
    assert [(sample.content, sample.confidence, sample.label) for sample in old] == [
        (sample.content, sample.confidence, sample.label) for sample in new
    ]
    assert [sample.item_id for sample in old] == [f"lighteval|letters|0|0/{sample.content}" for sample in old]


def test_column_names_with_double_underscores(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    renamed = [{f"__{name}__": value for name, value in row("3", acc=1.0).items()}]
    assert scores(read_all(READER, write(tmp_path / "model", renamed))[0]["model"]) == {"sums|0/3": [1]}


@pytest.mark.parametrize(
    ("folder", "model"),
    [
        (f"details/maker/one/{TIME}", "maker/one"),
        (f"out/details/one/{TIME}", "one"),
        (f"details_maker__one_private/{TIME}", "maker/one"),
        (f"datasets--org--details_maker__one/snapshots/0a1b/{TIME}", "maker/one"),
        (f"org__details_maker__one/{TIME}", "maker/one"),
        (f"maker/one/{TIME}", "maker/one"),
    ],
)
def test_the_folders_name_the_model(tmp_path: Path, folder: str, model: str) -> None:
    write(tmp_path / folder, [row(acc=1.0)])
    (log,) = READER.find(tmp_path, Options(), Tally())
    assert (log.model, log.part) == (model, "sums|0")


def test_metrics(tmp_path: Path) -> None:
    file = write(tmp_path / "one", [row("0", acc=1.0, f1=0.25), row("1", acc=float("nan"), f1=0.5), row("2", acc=None, f1=None)])
    samples, tally = read_all(READER, file)
    assert [sample.score for sample in samples["one"]] == [1, None, None]
    assert tally.dropped == {NOT_FINITE: 1, WITHOUT_SCORE: 1}
    assert [sample.score for sample in read_all(READER, file, Options(metric="f1"))[0]["one"]] == [0.25, 0.5, None]
    with refuses(DataError, "'em'", where=f"{file}: row 1", got="'acc', 'f1'", hint="metric="):
        read_all(READER, file, Options(metric="em"))


def test_rows_of_the_other_sampling_method(tmp_path: Path) -> None:
    file = write(tmp_path / "one", [row("0", acc=1.0, em=None), row("0", acc=None, em=0.0)])
    samples, tally = read_all(READER, file)
    assert scores(samples["one"]) == {"sums|0/0": [1]}
    assert tally.dropped == {"rows of the other sampling method": 1}
    assert scores(read_all(READER, file, Options(metric="em"))[0]["one"]) == {"sums|0/0": [0]}


def test_a_score_outside_the_range(tmp_path: Path) -> None:
    file = write(tmp_path / "one", [row("q7", bleu=31.5)])
    with refuses(DataError, "outside", where=f"{file}: item 'sums|0/q7', metric 'bleu'", got="31.5"):
        read_all(READER, file)


def test_broken_and_foreign_files(tmp_path: Path) -> None:
    file = write(tmp_path / "one", [row(acc=1.0)])
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[4 : len(whole) // 4] = bytes([255]) * (len(whole) // 4 - 4)
    for content in (b"", b"no table", whole[: len(whole) // 2], bytes(damaged)):
        file.write_bytes(content)
        with refuses(DataError, "Parquet", where=str(file)):
            read_all(READER, file)
    for rows in ([{"a": 1}], [{"doc": 1, "metric": 2, "model_response": 3}], [{"example": "a", "metrics": "no dictionary"}]):
        with refuses(DataError, "source=", where=str(file)):
            read_all(READER, write(tmp_path / "one", rows))


def test_strings_that_are_not_utf8(tmp_path: Path) -> None:
    bad = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    file = tmp_path / f"details_sums_{TIME}.parquet"
    pq.write_table(pa.table({"example": bad, "metrics": ["{'acc': 1.0}"]}), file)
    with refuses(DataError, "utf-8", where=str(file)):
        read_all(READER, file)


@pytest.mark.parametrize("text", ["[" * 200_000, "x" * (2 << 20), "{'acc': __import__('os').getcwd()}", "{'acc': [" * 500])
def test_invalid_python_literals(tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "one", [{"example": "a", "metrics": text}])
    with refuses(DataError, "metrics", where=f"{file}: row 1"):
        read_all(READER, file)


def test_non_finite_numbers_in_python_literals(tmp_path: Path) -> None:
    texts = ["{'acc': nan}", "{'acc': -inf, 'f1': 0.5}", "{'acc': 1e999}", "{'acc': 1}"]
    file = write(tmp_path / "one", [{"example": f"q{k}", "metrics": text} for k, text in enumerate(texts)])
    samples, tally = read_all(READER, file)
    assert [sample.score for sample in samples["one"]] == [None, None, None, 1]
    assert tally.dropped == {NOT_FINITE: 3}


def test_a_large_row_group_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "one", [{**row(acc=1.0), "doc": {**row()["doc"], "query": "".join(map(chr, range(40, 9000)))}}])
    with refuses(DataError, "row group", where=str(file), hint="max_line_bytes"):
        read_all(READER, file, Options(max_line_bytes=5000))


@pytest.mark.slow
def test_a_repeated_string_is_not_multiplied_in_memory(tmp_path: Path) -> None:
    """A dictionary stores 32 equal prompts of 20 MB once, compressed to under 2 MB."""
    (tmp_path / "one").mkdir()
    file = tmp_path / "one" / f"details_sums_{TIME}.parquet"
    prompts = pa.DictionaryArray.from_arrays(pa.array([0] * 32, pa.int32()), pa.array(["x" * (20 << 20)]))
    pq.write_table(pa.table({"example": prompts, "metrics": ["{'acc': 1.0}"] * 32}), file, dictionary_pagesize_limit=64 << 20)
    assert file.stat().st_size < 2 << 20
    small = write(tmp_path / "small", [row(acc=1.0)])
    reading = read_in_subprocess(LightevalReader, {"repeated": file}, 64 * MEGABYTE, warm_up=small)["repeated"]
    assert reading.message == ""
    assert reading.growth < 300 * MEGABYTE
