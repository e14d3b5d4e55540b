from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark, read_scores
from tests.helpers.errors import refuses
from tests.helpers.table_files import SUFFIXES, write

Put = Callable[..., Path]
Wide = dict[str, Any]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_formats(put: Put, wide: Wide, suffix: str) -> None:
    benchmark = read_scores(put(f"my.bench{suffix}", wide))
    assert benchmark.name == "my.bench"
    assert list(benchmark.model_ids) == ["ada", "bob", "cyd"]
    assert list(benchmark.item_ids) == ["q1", "q2", "q3", "q4"]
    assert benchmark.subtask_names == ["b", "a"]
    assert benchmark.subtask_codes.tolist() == [0, 0, 1, 1]
    assert benchmark.scores.tolist() == [[1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 1, 0]]
    assert (benchmark.units, benchmark.confidence, benchmark.labels, benchmark.notes) == (1, None, None, ())


CELLS: dict[str, st.SearchStrategy[Any]] = {
    "binary": st.sampled_from([0.0, 1.0]),
    "graded": st.sampled_from([0.0, 0.5, 1.0, None]),
    "thirds": st.sampled_from([0.0, 1 / 3, 2 / 3, 1.0, None]),
    "continuous": st.one_of(st.none(), st.floats(0, 1)),
}
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=' ,"'), min_size=1, max_size=8
).filter(lambda name: name.strip() == name and name not in ("item_id", "subtask", "label"))


@st.composite
def wide_tables(draw: st.DrawFn) -> tuple[pa.Table, pa.Table | None]:
    items = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    models = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    cell = CELLS[draw(st.sampled_from(sorted(CELLS)))]
    columns: dict[str, Any] = {"item_id": items}
    if draw(st.booleans()):
        columns["subtask"] = draw(st.lists(NAMES, min_size=len(items), max_size=len(items)))
    if draw(st.booleans()):
        columns["label"] = draw(st.lists(st.integers(0, 9), min_size=len(items), max_size=len(items)))
    confidences: dict[str, Any] = {"item_id": items}
    for model in models:
        # all models answer the first item, so that none is dropped
        scores = [draw(st.floats(0, 1)) if cell is CELLS["continuous"] else 1.0]
        scores += draw(st.lists(cell, min_size=len(items) - 1, max_size=len(items) - 1))
        columns[model] = pa.array(scores, pa.float64())
        confidences[model] = [np.float32(draw(st.floats(0, 1, width=32))) for _ in items]
    return pa.table(columns), pa.table(confidences) if draw(st.booleans()) else None


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 2)
@given(wide_tables(), st.randoms(use_true_random=False))
def test_same_content_has_the_same_digest_in_every_format(tables: tuple[pa.Table, pa.Table | None], random: Any) -> None:
    scores, confidence = tables
    with tempfile.TemporaryDirectory() as folder:
        digests = set()
        for suffix in SUFFIXES:
            path = write(scores, Path(folder) / f"x{suffix}")
            confidence_path = None
            if confidence is not None:
                order = list(range(confidence.num_rows))
                random.shuffle(order)
                confidence_path = write(confidence.take(order), Path(folder) / f"confidence{suffix}")
            benchmark = read_scores(path, confidence=confidence_path, max_missing=1)
            digests.add(benchmark.digest)
        benchmark.save(Path(folder) / "saved")
        digests.add(read_scores(Path(folder) / "saved").digest)
    assert len(digests) == 1
    given_scores = scores.to_pandas().set_index("item_id")[list(benchmark.model_ids)]
    dropped = given_scores.drop(index=list(benchmark.item_ids))
    assert dropped.isna().all(axis=None)
    expected = given_scores.loc[list(benchmark.item_ids)].to_numpy().T
    absent = benchmark.scores == benchmark.missing
    assert np.array_equal(absent, np.isnan(expected))
    assert np.abs(benchmark.scores / benchmark.units - expected)[~absent].max() <= 1.1e-6


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
@pytest.mark.parametrize(
    "kind", [pa.bool_(), pa.int8(), pa.int64(), pa.uint8(), pa.float32(), pa.float64(), pa.float16(), pa.decimal128(4, 2)]
)
@pytest.mark.parametrize("gap", [False, True])
def test_column_types(put: Put, kind: pa.DataType, suffix: str, gap: bool) -> None:
    values = [1, 0, None, 1] if gap else [1, 0, 1, 1]
    column = pa.array([None if value is None else float(value) for value in values], pa.float64()).cast(kind)
    table = {"item_id": list("wxyz"), "ada": column, "bob": np.array([0.0, 1.0, 0.0, 1.0])}
    benchmark = read_scores(put(f"x{suffix}", table), max_missing=0.5)
    assert benchmark.scores[0].tolist() == [255 if value is None else value for value in values]


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([1, 20, 3]),
        pa.array(["1", "20", "3"], pa.large_string()),
        pa.array(["1", "20", "3"]).dictionary_encode(),
        pa.array(["1", "20", "3"], pa.string_view()),
    ],
)
def test_item_ids_are_texts(put: Put, ids: pa.Array) -> None:
    benchmark = read_scores(put("x.feather", {"item_id": ids, "subtask": ids, "a": [0, 1, 1], "b": [1, 0, 0]}))
    assert list(benchmark.item_ids) == ["1", "20", "3"]
    assert benchmark.subtask_names == ["1", "20", "3"]


def test_csv_by_hand(put: Put) -> None:
    """Ids that look like numbers or missing values are kept; a BOM, quotes and CRLF are supported."""
    text = '\ufeffitem_id,subtask,"a, b",c\r\n001,NA,true,0.50\r\n"x\ny",007,False,\r\nnull,nan,,NaN\r\n1e3,,1,1\r\n'
    with refuses(DataError, "subtask", where="column 'subtask'", got="empty"):
        read_scores(put("x.csv", text))
    text = text.replace("1e3,,1,1", "1e3,a,,1").replace("1,1", "1")
    benchmark = read_scores(put("x.csv", text), max_missing=0.7)
    assert list(benchmark.item_ids) == ["001", "x\ny", "1e3"]  # no model answered "null"
    assert list(benchmark.model_ids) == ["a, b", "c"]
    assert benchmark.subtask_names == ["NA", "007", "a"]
    assert benchmark.scores.tolist() == [[2, 0, 255], [1, 255, 2]]


def test_files_written_by_pandas(tmp_path: Path) -> None:
    frame = pd.DataFrame({"item_id": ["x", "y"], "m": [1.0, 0.5], "n": [True, False]})
    frame.to_feather(tmp_path / "a.feather")  # compressed
    frame.to_csv(tmp_path / "b.csv", index=False)
    frame.set_index("item_id").to_parquet(tmp_path / "c.parquet")
    frame.iloc[::-1].iloc[::-1].set_axis([5, 7]).to_parquet(tmp_path / "d.parquet")
    assert len({read_scores(path).digest for path in tmp_path.iterdir()}) == 1


def test_a_pandas_index_is_not_a_model(put: Put, wide: Wide) -> None:
    path = put("x.parquet", wide | {"__index_level_0__": [7, 8, 9, 10]})
    assert read_scores(path).n_models == 3


def test_missing_cells_are_noted(put: Put) -> None:
    rows = "".join(f"q{k},1,{k % 2},{'' if k < 3 else 1}\n" for k in range(10))
    benchmark = read_scores(put("x.csv", "item_id,ada,bob,cyd\n" + rows))
    assert list(benchmark.model_ids) == ["ada", "bob"]
    assert "'cyd' (30.0% missing)" in benchmark.notes[0]
    assert read_scores(put("y.csv", "item_id,ada,bob,cyd\n" + rows), max_missing=0.3).n_models == 3


def test_a_column_without_any_score_is_dropped(put: Put) -> None:
    benchmark = read_scores(put("x.csv", "item_id,ada,bob,cyd\nq1,1,,0\nq2,0,,1\n"))
    assert list(benchmark.model_ids) == ["ada", "cyd"]
    assert "'bob' (100.0% missing)" in benchmark.notes[0]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".feather"])
@pytest.mark.parametrize("confidence_suffix", [".parquet", ".csv"])
def test_confidence_file(put: Put, wide: Wide, suffix: str, confidence_suffix: str) -> None:
    confidence = {"cyd": [0.1, 0.2, 0.3, 0.4], "item_id": ["q4", "q3", "q2", "q1"], "bob": [0.5] * 4, "ada": [0.75] * 4}
    path = put(f"x{suffix}", wide)
    other = put(f"x.confidence{confidence_suffix}", confidence)
    benchmark = read_scores(path)
    assert benchmark.confidence is not None
    assert benchmark.confidence.tolist()[:2] == [[0.75] * 4, [0.5] * 4]
    assert benchmark.confidence[2].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert read_scores(path, confidence=None).confidence is None
    assert read_scores(path, confidence=other.rename(other.with_name(f"elsewhere{confidence_suffix}"))).digest == benchmark.digest
    assert read_scores(path).confidence is None


def test_a_companion_with_the_same_suffix_is_preferred(put: Put, wide: Wide) -> None:
    put("x.confidence.parquet", {"item_id": ["other"], "ada": [0.5]})
    put("x.confidence.csv", {"item_id": wide["item_id"]} | dict.fromkeys(("ada", "bob", "cyd"), [0.5] * 4))
    assert read_scores(put("x.csv", wide)).confidence is not None


def test_labels(put: Put, wide: Wide) -> None:
    benchmark = read_scores(put("x.csv", wide | {"label": [3, 0, 1, 2]}))
    assert benchmark.labels is not None
    assert benchmark.labels.tolist() == [3, 0, 1, 2]
    assert benchmark.n_models == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_metadata(put: Put, wide: Wide, suffix: str) -> None:
    path = put("x.parquet", wide)
    metadata = {
        "model_id": ["cyd", "ada", "eve"],
        "params": [7e9, 0.5, 1.0],
        "layers": [32, 2, 1],
        "instruct": [True, False, None],
        "family": ["c", None, "e"],
        "release_date": pa.array([19000, None, 19002], pa.date32()),
    }
    put(f"x.models{suffix}", metadata)
    benchmark = read_scores(path)
    frame = benchmark.metadata
    assert list(frame.index) == ["ada", "bob", "cyd"]
    assert frame.isna().sum(axis=1).tolist() == [2, 5, 0]
    assert [frame[name]["cyd"] for name in ("params", "layers", "instruct", "family")] == [7e9, 32, True, "c"]
    assert str(frame["release_date"]["cyd"]).startswith("2022-01-08")
    assert len(benchmark.notes) == 2
    assert read_scores(path, metadata=None).metadata.empty
    assert benchmark.digest == read_scores(path, metadata=put("m.parquet", metadata)).digest  # the same in every format


def test_numeric_model_ids(put: Put) -> None:
    path = put("x.csv", "item_id,001,2\nq,1,0\n")
    put("x.models.csv", "model_id,params\n001,5\n2,6\n")
    assert read_scores(path).metadata["params"].to_dict() == {"001": 5, "2": 6}


def test_folder(put: Put, wide: Wide, tmp_path: Path) -> None:
    benchmark = read_scores(put("x.csv", wide))
    benchmark.save(tmp_path / "saved")
    assert read_scores(tmp_path / "saved", name="y").name == "y"
    assert isinstance(read_scores(str(tmp_path / "saved")), Benchmark)


def drop(wide: Wide, *names: str) -> Wide:
    return {name: column for name, column in wide.items() if name not in names}


BASE = "item_id,subtask,ada,bob\n"
INVALID_FILES: list[tuple[str, str | bytes, str, str | None, str | None]] = [
    ("x.csv", "", "empty", None, "0 bytes"),
    ("x.parquet", "", "empty", None, "0 bytes"),
    ("x.csv", "\n", "CSV", None, None),
    ("x.parquet", "PAR1 but not really", "not a Parquet file", None, None),
    ("x.feather", "item_id,ada", "not a Feather (Arrow IPC) file", None, None),
    ("x.csv.gz", "item_id,ada\n", "not a CSV file", None, "gzip"),
    ("x.csv", b"item_id,ad\xe9\nq,1\n", "not a CSV file", None, "utf-8"),
    ("x.csv", BASE + "q1,s,1,0\nq2,s,1\n", "CSV", None, "Expected 4 columns"),
    ("x.csv", BASE, "no rows", None, None),
    ("x.csv", "item_id,subtask\nq,s\n", "no column with a model's scores", None, "'item_id', 'subtask'"),
    ("x.csv", "name,ada,bob\nq,1,0\n", "items or the models", None, "'ada', 'bob'"),
    ("x.csv", BASE + "q1,s,1,0\nq2,s,1,wrong\n", "text where a score", "column 'bob', line 3, item 'q2'", "'wrong'"),
    ("x.csv", BASE + "q1,s,1,0\nq2,s,1,1_0\n", "text where a score", "column 'bob', line 3, item 'q2'", "'1_0'"),
    ("x.csv", BASE + "q1,s,1,0\nq2,s,1,2024-01-01\n", "text where a score", "column 'bob'", "'2024-01-01'"),
    ("x.csv", BASE + "q1,s,1,0\nq2,s,1.5,0\n", "[0, 1]", "model 'ada', item 'q2'", "1.5"),
    ("x.csv", BASE + "q1,s,1,0\nq2,s,1,-inf\n", "[0, 1]", "model 'bob', item 'q2'", "-inf"),
    ("x.csv", BASE + "q1,s,1,0\nq1,s,1,0\n", "unique", "x.csv: item ids", "'q1'"),
    ("x.csv", BASE + "q1,s,1,0\n,s,1,0\n", "item_id", "line 3", "empty"),
    ("x.csv", BASE + "q1,s,1,0\nq2,,1,0\n", "remove the column", "column 'subtask', line 3", "empty"),
    ("x.csv", "item_id,ada,bob,ada\nq1,1,0,1\n", "unique", None, "'ada'"),
    ("x.csv", "item_id,ada,bob,\nq1,1,0,1\n,,,x\n", "item_id", "line 3", "empty"),
    ("x.csv", ",item_id,,bob\n0,q1,1,0\n", "no name", "column 3", None),
    ("x.csv", "item_id,ada\nq1,1\n", "2 models", None, "1 model(s)"),
    ("x.csv", "item_id,label,ada,bob\nq1,B,1,0\n", "text where a label", "column 'label'", "'B'"),
    ("x.csv", "item_id,label,ada,bob\nq1,,1,0\n", "position", "'q1'", "nan"),
    ("x.xlsx", "whatever", "Excel", None, "zip"),
    ("x.xls", "whatever", ".parquet, .feather", None, "suffix '.xls'"),
    ("x.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "LFS", None, None),
    ("x", "whatever", "suffix", None, "suffix ''"),
]


@pytest.mark.parametrize(("name", "content", "word", "where", "got"), INVALID_FILES)
def test_invalid_files_are_reported(
    put: Put, name: str, content: str | bytes, word: str, where: str | None, got: str | None
) -> None:
    path = put(name, content)
    with refuses(DataError, word, where=str(path), got=got) as caught:
        read_scores(path)
    assert where is None or where in str(caught.value.where)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None  # no traceback of pyarrow


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".csv.gz"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_truncated(put: Put, wide: Wide, suffix: str, share: float) -> None:
    path = put(f"x{suffix}", wide)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with refuses(DataError, "truncated", where=str(path), hint="again"):
        read_scores(path)


@pytest.mark.parametrize(
    ("change", "word", "where", "got"),
    [
        ({"bob": ["1", "0", "yes", None]}, "text where a score", "column 'bob', row 3, item 'q3'", "'yes'"),
        ({"bob": [[1], [0], [1], [0]]}, "no number where a score", "column 'bob', row 1", "[1]"),
        ({"item_id": ["q1", None, "q3", "q4"]}, "item_id", "row 2", "empty"),
        ({"item_id": pa.array([1, None, 3, 4])}, "item_id", "row 2", "empty"),
        ({"item_id": [1.5, 2.0, 3.0, 4.0]}, "texts or integers", "column 'item_id'", "double"),
        ({"subtask": ["a", "b", "c", None]}, "subtask", "row 4", "empty"),
        ({"bob": np.array([0, 0, 255, 0], np.uint8)}, "[0, 1]", "model 'bob', item 'q3'", "255"),
    ],
)
def test_invalid_columns_of_binary_formats_are_reported(
    put: Put, wide: Wide, change: Wide, word: str, where: str, got: str
) -> None:
    with refuses(DataError, word, where=where, got=got):
        read_scores(put("x.parquet", wide | change))


def test_a_table_without_rows_or_item_ids_is_reported(put: Put, wide: Wide) -> None:
    with refuses(DataError, "no rows", where="x.parquet"):
        read_scores(put("x.parquet", {name: column[:0] for name, column in wide.items()}))
    numbered = read_scores(put("y.parquet", drop(wide, "item_id")))
    assert list(numbered.item_ids) == ["1", "2", "3", "4"]
    assert any("numbered" in note for note in numbered.notes)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_duplicate_columns_of_binary_formats(tmp_path: Path, suffix: str) -> None:
    table = pa.Table.from_arrays([pa.array(["q"]), pa.array([1]), pa.array([0])], names=["item_id", "ada", "ada"])
    with refuses(DataError, "unique", where=f"x{suffix}", got="'ada'"):
        read_scores(write(table, tmp_path / f"x{suffix}"))


def test_missing_paths(tmp_path: Path, put: Put, wide: Wide) -> None:
    for name in ("nowhere.parquet", "nowhere"):
        with refuses(DataError, "exist", where=str(tmp_path / name), got="no such file"):
            read_scores(tmp_path / name)
    with refuses(DataError, "models.arrow", where=str(tmp_path), hint="Parquet, Feather or CSV"):
        read_scores(tmp_path)
    path = put("x.csv", wide)
    for options in ({"confidence": tmp_path / "gone.csv"}, {"metadata": tmp_path / "gone.csv"}):
        with refuses(DataError, "exist", where="gone.csv", got="no such file"):
            read_scores(path, confidence=options.get("confidence"), metadata=options.get("metadata"))


CONFIDENCE: Wide = {"item_id": ["q1", "q2", "q3", "q4"], "ada": [0.5] * 4, "bob": [0.5] * 4, "cyd": [0.5] * 4}


@pytest.mark.parametrize(
    ("confidence", "word", "where", "got"),
    [
        (drop(CONFIDENCE, "bob"), "same model columns", "x.parquet", "missing: 'bob'"),
        (CONFIDENCE | {"zoe": [0.5] * 4}, "same model columns", "x.parquet", "extra: 'zoe'"),
        (CONFIDENCE | {"item_id": ["q1", "q2", "q3", "q5"]}, "same items", "x.parquet", "missing: 'q4'; extra: 'q5'"),
        ({name: column[:3] for name, column in CONFIDENCE.items()}, "same items", "x.parquet", "missing: 'q4'"),
        ({name: [*column, column[0]] for name, column in CONFIDENCE.items()}, "same items", "x.parquet", "5 items for 4"),
        (CONFIDENCE | {"bob": [0.5, 0.5, 1.2, 0.5]}, "probability", "confidence of model 'bob', item 'q3'", "1.2"),
        (CONFIDENCE | {"bob": [0.5, 0.5, None, 0.5]}, "no confidence", "model 'bob', item 'q3'", "missing"),
        (CONFIDENCE | {"bob": ["0.5", "high", "0.5", "0.5"]}, "text", "x.confidence.parquet: column 'bob', row 2", "'high'"),
        (drop(CONFIDENCE, "item_id"), "ids", "x.confidence.parquet", "'ada'"),
    ],
)
def test_invalid_confidences_are_reported(put: Put, wide: Wide, confidence: Wide, word: str, where: str, got: str) -> None:
    path = put("x.parquet", wide)
    put("x.confidence.parquet", confidence)
    with refuses(DataError, word, where=where, got=got) as caught:
        read_scores(path)
    assert "x.confidence.parquet" in str(caught.value.where)


@pytest.mark.parametrize(
    ("content", "word", "got"),
    [
        ("model,params\nada,1\n", "column model_id", "'model', 'params'"),
        ("model_id,params\nada,1\nada,2\n", "one row per model", "'ada'"),
        ("model_id,params,params\nada,1,2\n", "unique", "'params'"),
        ("model_id,score\nada,1\n", "'score'", "'score'"),
        ("", "empty", "0 bytes"),
    ],
)
def test_invalid_metadata_are_reported(put: Put, wide: Wide, content: str, word: str, got: str) -> None:
    path = put("x.parquet", wide)
    put("x.models.csv", content)
    with refuses(DataError, word, where="x.models.csv", got=got):
        read_scores(path)
