from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark, synthetic
from tests.helpers.errors import refuses

ITEMS = ["q1", "q2", "q3", "q4"]
MODELS = ["ada", "bob", "cyd"]
SCORES = np.array([[1, 0, 0.5, 1], [0, 0, 1, np.nan], [1, 1, 1, 0]])
ANSWERS = np.random.default_rng(0).dirichlet(np.ones(4), (3, 4))
LABELS = [3, 0, 1, 2]
GOLDEN = "a7de48b62acb807ceb10981ba57674f2"


def make(scores: Any = SCORES, items: Any = ITEMS, models: Any = MODELS, **options: Any) -> Benchmark:
    return Benchmark.from_arrays("b", scores, items, models, **{"max_missing": 0.3} | options)


def full() -> Benchmark:
    metadata = pd.DataFrame({"params": [7e9, None, 1e9], "instruct": [True, False, None]}, index=MODELS)
    return make(subtasks=["x", "x", "y", "x"], answers=ANSWERS, labels=LABELS, metadata=metadata)


def test_views() -> None:
    benchmark = full()
    assert benchmark.units == 2
    assert benchmark.scores.tolist() == [[2, 0, 1, 2], [0, 0, 2, 255], [2, 2, 2, 0]]
    assert (benchmark.n_models, benchmark.n_items, benchmark.has_missing, benchmark.missing) == (3, 4, True, 255)
    assert list(benchmark.model_ids) == MODELS
    assert list(benchmark.item_ids) == ITEMS
    assert benchmark.subtask_names == ["x", "y"]
    assert benchmark.subtask_codes.tolist() == [0, 0, 1, 0]
    assert benchmark.subtask_codes.dtype == np.int32
    assert benchmark.labels is not None
    assert benchmark.labels.tolist() == LABELS
    answers, confidence = benchmark.answers, benchmark.confidence
    assert answers is not None
    assert confidence is not None
    absent = np.isnan(SCORES)
    assert np.array_equal(answers[~absent], ANSWERS.astype("f4")[~absent])
    assert np.isnan(answers[absent]).all()
    assert np.array_equal(confidence, np.take_along_axis(answers, np.array(LABELS)[None, :, None], 2)[..., 0], equal_nan=True)
    assert benchmark.metadata.loc["bob", "params"] is pd.NA
    assert benchmark.metadata.loc["ada", "instruct"]
    assert benchmark.nbytes > answers.nbytes
    assert repr(benchmark) == "Benchmark('b', 3 models x 4 items, units=2)"
    assert benchmark.notes == ()


def test_views_are_read_only_and_not_copies() -> None:
    benchmark = full()
    for name in ("scores", "confidence", "answers", "labels", "subtask_codes", "model_ids", "item_ids"):
        array = getattr(benchmark, name)
        assert not array.flags.writeable, name
    again = Benchmark("other", *(getattr(benchmark, name) for name in ("models", "items", "units")))
    for name in ("scores", "confidence", "answers", "labels", "subtask_codes"):
        assert np.shares_memory(getattr(benchmark, name), getattr(again, name)), name
        assert getattr(benchmark, name).flags.c_contiguous, name


def test_pickle_hands_over_the_buffers() -> None:
    benchmark = full()
    digest, scores = benchmark.digest, benchmark.scores
    buffers: list[pickle.PickleBuffer] = []
    payload = pickle.dumps(benchmark, protocol=5, buffer_callback=buffers.append)
    raws = [buffer.raw() for buffer in buffers]
    copy = pickle.loads(payload, buffers=buffers)  # noqa: S301
    for name in ("scores", "confidence", "answers"):
        array = getattr(copy, name)
        assert any(np.shares_memory(array, np.frombuffer(raw, np.uint8)) for raw in raws if raw.nbytes), name
        assert not array.flags.writeable
    assert np.array_equal(copy.scores, scores)
    assert copy.digest == digest


def test_pickle_carries_no_cache_and_no_matrix_in_band() -> None:
    benchmark = synthetic(n_models=40, n_items=500)
    sizes = []
    for _ in range(2):
        sizes.append(len(pickle.dumps(benchmark, protocol=5, buffer_callback=lambda buffer: None)))
        _ = benchmark.digest, benchmark.item_ids, benchmark.metadata, benchmark.has_missing
    assert sizes[0] == sizes[1] < 6_000


def test_missing_responses_do_not_count_as_wrong() -> None:
    scores = np.ones((3, 10))
    scores[1, :2] = np.nan  # a share of .2
    benchmark = make(scores, [f"q{k}" for k in range(10)], max_missing=0.2)
    assert benchmark.n_models == 3
    assert benchmark.has_missing
    assert benchmark.scores[1].tolist() == [255, 255] + [1] * 8
    dropped = make(scores, [f"q{k}" for k in range(10)], max_missing=0.19)
    assert list(dropped.model_ids) == ["ada", "cyd"]
    assert not dropped.has_missing
    (note,) = dropped.notes
    for fact in ("1 of 3 models", "19%", "max_missing", "'bob' (20.0% missing)"):
        assert fact in note


def test_items_without_answers_are_dropped_and_do_not_count_against_models() -> None:
    scores = np.array([[1, np.nan, 0, np.nan], [0, np.nan, 1, np.nan], [np.nan, np.nan, np.nan, 1]])
    benchmark = make(scores, confidence=np.where(np.isnan(scores), 0.1, 0.6), labels=LABELS, max_missing=0.4)
    assert list(benchmark.model_ids) == ["ada", "bob"]  # each misses 1 of 3 answered items, 33 %; cyd 67 %
    assert list(benchmark.item_ids) == ["q1", "q3"]  # only cyd answered q4
    assert benchmark.labels is not None
    assert benchmark.labels.tolist() == [3, 1]
    assert benchmark.confidence is not None
    assert benchmark.confidence.tolist() == pytest.approx(np.full((2, 2), 0.6))
    for fact in ("2 of 4 items", "'q2', 'q4'"):
        assert fact in benchmark.notes[1]


def test_models_without_any_response_are_dropped_at_any_share() -> None:
    scores = np.array([[1, 0], [0, 1], [np.nan, np.nan]])
    assert make(scores, ["a", "b"], max_missing=1).n_models == 2


def test_fewer_than_two_models_with_responses() -> None:
    scores = np.array([[1, np.nan], [np.nan, 1], [1, np.nan]])
    with refuses(DataError, "fewer than 2 models", got="3 of 3 models", hint="max_missing"):
        make(scores, ["a", "b"], max_missing=0.1)
    with refuses(DataError, "no responses", got="3 models"):
        make(np.full((3, 4), np.nan))


@pytest.mark.parametrize("convert", [np.asarray, list, lambda rows: [list(row) for row in rows]])
def test_an_array_and_its_rows_give_the_same_benchmark(convert: Any) -> None:
    assert make(convert(SCORES)).digest == make().digest


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64, np.float16])
def test_all_numeric_types_give_the_same_benchmark(dtype: Any) -> None:
    whole = np.where(np.isnan(SCORES), 0, np.ceil(SCORES))
    assert make(whole.astype(dtype)).digest == make(whole).digest


def test_scores_in_units() -> None:
    raw = np.array([[2, 0, 1, 2], [0, 0, 2, 255], [2, 2, 2, 0]], np.uint8)
    assert make(raw, units=2).digest == make().digest
    assert make(raw, units=4).units == 4
    assert make(np.where(raw == 1, 2, raw), units=2).units == 1  # the coarsest grid of these scores


def test_confidence_of_missing_responses_is_ignored() -> None:
    confidence = np.full(SCORES.shape, 0.25)
    confidence[1, 3] = 7.0  # a missing response
    benchmark = make(confidence=confidence)
    assert benchmark.confidence is not None
    assert np.isnan(benchmark.confidence[1, 3])
    assert np.isnan(benchmark.confidence).sum() == 1


def test_digest_depends_only_on_the_content() -> None:
    base = full()
    assert replace(base, name="c", notes=("n",)).digest == base.digest
    assert full().digest == base.digest
    assert len(base.digest) == 32
    variants = [
        make(),
        make(items=["q1", "q2", "q4", "q3"]),
        make(models=["ada", "cyd", "bob"]),
        make(subtasks=["x", "x", "y", "x"]),
        make(subtasks=["x", "x", "y", "y"]),
        make(labels=LABELS),
        make(labels=[3, 0, 1, 1]),
        make(confidence=np.full(SCORES.shape, 0.5)),
        make(confidence=np.full(SCORES.shape, 0.25)),
        make(1 - SCORES),
        make(answers=ANSWERS, labels=LABELS),
        make(metadata=pd.DataFrame({"params": [1.0, 2, 3]}, index=MODELS)),
        make(metadata=pd.DataFrame({"params": [1.0, 2, 4]}, index=MODELS)),
        make(metadata=pd.DataFrame({"size": [1.0, 2, 3]}, index=MODELS)),
        base,
    ]
    assert len({variant.digest for variant in variants}) == len(variants)


def test_digest_is_stable() -> None:
    """Another digest makes all stored results unusable: change it only together with the format."""
    assert make().digest == GOLDEN


def test_chunks_do_not_matter() -> None:
    base = full()
    pieces = pa.concat_tables([base.models.slice(0, 1), base.models.slice(1)])
    chunked = Benchmark("b", pieces, base.items, base.units)
    assert chunked.models.column("score").num_chunks == 1
    assert chunked.digest == base.digest


def test_save_and_open(tmp_path: Path) -> None:
    base = full()
    base.save(tmp_path / "deep" / "b")
    opened = Benchmark.open(tmp_path / "deep" / "b")
    assert (opened.digest, opened.name, opened.units, opened.notes) == (base.digest, "b", 2, ())
    assert Benchmark.open(tmp_path / "deep" / "b", name="c").name == "c"
    assert not opened.scores.flags.writeable
    assert sorted(path.name for path in (tmp_path / "deep").rglob("*")) == ["b", "items.arrow", "models.arrow"]
    make().save(tmp_path / "deep" / "b")  # replaces
    assert Benchmark.open(tmp_path / "deep" / "b").digest == make().digest
    assert opened.digest == base.digest  # the mapped files stay valid


def test_open_reads_nothing_into_memory(tmp_path: Path) -> None:
    synthetic(n_models=100, n_items=5000).save(tmp_path / "b")
    before = pa.total_allocated_bytes()
    opened = Benchmark.open(tmp_path / "b")
    assert int(opened.scores.sum()) > 0
    assert pa.total_allocated_bytes() - before < 100_000 < opened.nbytes


@pytest.mark.parametrize("file", ["models.arrow", "items.arrow"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "foreign", "text"])
def test_open_damaged(tmp_path: Path, file: str, damage: str) -> None:
    full().save(tmp_path / "b")
    path = tmp_path / "b" / file
    content = path.read_bytes()
    path.unlink()
    if damage == "foreign":
        with pa.ipc.new_file(str(path), pa.schema({"a": pa.int8()})):
            pass
    elif damage != "missing":
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "text": b"item_id,ada\n" * 50}[damage])
    with refuses(DataError, file, where=str(tmp_path / "b"), hint="Benchmark.save"):
        Benchmark.open(tmp_path / "b")


def test_open_mixed_and_missing(tmp_path: Path) -> None:
    full().save(tmp_path / "b")
    make().save(tmp_path / "c")
    (tmp_path / "c" / "items.arrow").replace(tmp_path / "b" / "items.arrow")
    with refuses(DataError, "different benchmarks", where=str(tmp_path / "b")):
        Benchmark.open(tmp_path / "b")
    with refuses(DataError, "missing", where=str(tmp_path / "nowhere"), got="no such folder"):
        Benchmark.open(tmp_path / "nowhere")


def test_save_does_not_replace_other_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("x")
    thesis = tmp_path / "b" / "thesis.tex"
    with refuses(DataError, "saved", where=str(tmp_path / "b"), got="a folder with other files"):
        full().save(tmp_path / "b")
    with refuses(DataError, "saved", where=str(thesis), got="a file"):
        full().save(thesis)
    assert thesis.read_text() == "x"
    with refuses(DataError, "saved", where=str(thesis / "c")):
        full().save(thesis / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "word", "where", "got"),
    [
        ({"scores": SCORES + np.array([[0, 0, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 0]])}, "[0, 1]", "'bob', item 'q3'", "1.5"),
        ({"scores": SCORES - [[0], [0], [1.0]]}, "[0, 1]", "'cyd', item 'q4'", "-1"),
        ({"scores": np.where(SCORES == 0.5, np.inf, SCORES)}, "[0, 1]", "'ada', item 'q3'", "inf"),
        ({"scores": np.array([[1, 2, 0, 1]] * 3)}, "[0, 1]", "'ada', item 'q2'", "2"),
        ({"scores": SCORES.astype(str)}, "numbers", "scores", "<U"),
        ({"scores": SCORES[:2]}, "(n_models, n_items)", "scores", "(2, 4) for 3 models and 4 items"),
        ({"scores": SCORES[0]}, "shape", "scores", "(4,)"),
        ({"scores": [SCORES[0], SCORES[1], SCORES[2][:3]]}, "shape", "scores", "(3, 3)"),
        ({"items": ["q1", "q2", "q1", "q2"]}, "unique", "item ids", "2 given more than once: 'q1', 'q2'"),
        ({"models": ["ada", "ada", "cyd"]}, "unique", "model ids", "'ada'"),
        ({"models": ["ada", "", "cyd"]}, "name", "model 2 of 3", "''"),
        ({"items": ["q1", "q2", None, "q4"]}, "name", "item 3 of 4", "None"),
        ({"subtasks": ["a", "b"]}, "subtask", None, "2 for 4"),
        ({"subtasks": ["a", None, "b", "b"]}, "name", "subtask 2 of 4", "None"),
        ({"models": ["ada"], "scores": SCORES[:1]}, "2 models", None, "1 model(s)"),
        ({"items": [], "scores": SCORES[:, :0]}, "1 item", None, "0 item(s)"),
        ({"max_missing": 1.5}, "[0, 1]", "max_missing", "1.5"),
        ({"confidence": np.full((3, 4), 1.01)}, "probability", "confidence of model 'ada', item 'q1'", "1.01"),
        ({"confidence": np.full((3, 4), -np.inf)}, "probability", "confidence", "-inf"),
        ({"confidence": np.full((3, 4), 1e300)}, "probability", "confidence", "1e+300"),
        ({"confidence": np.full((3, 4), NAN)}, "no confidence", "model 'ada', item 'q1'", None),
        ({"confidence": np.ones((3, 3))}, "shape", "confidence", "(3, 3)"),
        ({"answers": ANSWERS}, "labels", "answers", None),
        ({"answers": ANSWERS * 2, "labels": LABELS}, "probability", "answers of model", None),
        ({"answers": ANSWERS[..., 0], "labels": LABELS}, "n_answers", "answers", "(3, 4)"),
        ({"answers": ANSWERS, "labels": [0, 0, 4, 0]}, "4 answers", "item 'q3'", "4"),
        ({"labels": [0, 1, -1, 0]}, "position", "item 'q3'", "-1"),
        ({"labels": [0, 1, 0.5, 0]}, "position", "item 'q3'", "0.5"),
        ({"labels": [0, 1]}, "one label per item", "labels", "(2,)"),
        ({"metadata": pd.DataFrame({"score": [1, 2, 3]}, index=MODELS)}, "'score'", None, "'score'"),
        ({"metadata": pd.DataFrame({"a": [[1], [2], [3]]}, index=MODELS)}, "texts", "column 'a'", "list"),
        ({"metadata": pd.DataFrame({"a": [1, "b", 3]}, index=MODELS)}, "types", "metadata", "'b'"),
        ({"metadata": pd.DataFrame({"a": [1, 2, 3]}, index=["ada", "ada", "bob"])}, "one row per model", "model_id", "'ada'"),
    ],
)
def test_invalid_input_is_reported(change: dict[str, Any], word: str, where: str | None, got: str | None) -> None:
    with refuses(DataError, word, where=where, got=got):
        make(**change)


def test_metadata_is_aligned_with_notes() -> None:
    metadata = pd.DataFrame({"model_id": ["cyd", "zoe", "ada"], "year": [2023, 2024, 2025], "family": ["c", "z", None]})
    benchmark = make(metadata=metadata)
    assert benchmark.metadata["year"].tolist() == [2025, pd.NA, 2023]
    assert benchmark.metadata["family"].isna().tolist() == [True, True, False]
    without_metadata, without_scores = benchmark.notes
    assert "1 of 3 models" in without_metadata
    assert "'bob'" in without_metadata
    assert "'zoe'" in without_scores
    assert list(make().metadata.columns) == []
    assert list(make().metadata.index) == MODELS
