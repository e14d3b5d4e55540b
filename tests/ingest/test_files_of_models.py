"""A folder with one table per model, in which no column names the model: the file does."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.data import read_ingested, read_scores
from microbench_ray.data.tables.keys import table_keys
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.run import IngestJob, run_ingest
from microbench_ray.ingest.tables import TableReader
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, scores

TABLE = TableReader()
ADA, BOB = {"q1": 1, "q2": 0, "q3": 1}, {"q1": 0, "q2": 0, "q3": 1}
EXPECTED = {name: {item: [score] for item, score in of.items()} for name, of in (("ada-7b", ADA), ("bob", BOB))}


def read(folder: Path, **keys: object) -> dict[str, dict[str, list[float | None]]]:
    samples, _ = read_all(TABLE, folder, Options(table=table_keys(**keys)))  # type: ignore[arg-type]
    return {model: scores(found) for model, found in samples.items()}


@pytest.mark.parametrize("item", ["item_id", "question_id", "id", "task"])
@pytest.mark.parametrize("score", ["score", "correct", "Accuracy"])
def test_the_file_names_the_model(tmp_path: Path, item: str, score: str) -> None:
    for name, of in (("ada-7b", ADA), ("bob", BOB)):
        frame = pd.DataFrame({item: of.keys(), score: of.values(), "response": "because", "latency": 2.5})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    assert read(tmp_path) == EXPECTED
    tally = Tally()
    TABLE.find(tmp_path, Options(), tally)
    assert any("the file's name is the model" in choice for choice in tally.choices)
    assert not tally.dropped
    frame.to_csv(tmp_path / "bob.confidence.csv", index=False)
    TABLE.find(tmp_path, Options(), tally)
    assert "confidences" in " ".join(tally.dropped)
    (tmp_path / "bob.confidence.csv").unlink()
    run_ingest(IngestJob(source="table", path=str(tmp_path), out=tmp_path / "out"))
    assert read_ingested(tmp_path / "out").scores.tolist() == [[1, 0, 1], [0, 0, 1]]


def test_lines_with_texts_repeats_and_further_metrics(tmp_path: Path) -> None:
    for name, of in (("ada-7b", ADA), ("bob", BOB)):
        rows = [
            {"id": item, "category": "law", "epoch": epoch, "correct": bool(score), "f1": 0.3, "response": f"the answer {item}"}
            for item, score in of.items()
            for epoch in (1, 2)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    twice = {model: {item: [*scores, *scores] for item, scores in of.items()} for model, of in EXPECTED.items()}
    assert read(tmp_path) == twice
    samples, tally = read_all(TABLE, tmp_path)
    assert {sample.subtask for sample in samples["bob"]} == {"law"}
    assert any("repeats" in choice for choice in tally.choices)


@pytest.mark.parametrize(
    ("files", "models"),
    [
        (("ada-7b/results.csv", "bob/results.csv"), ["ada-7b", "bob"]),
        (("a/x/results.csv", "b/x/results.csv"), ["a/x/results", "b/x/results"]),
    ],
)
def test_names_that_repeat_are_those_of_folders(tmp_path: Path, files: tuple[str, str], models: list[str]) -> None:
    for file, of in zip(files, (ADA, BOB), strict=True):
        (tmp_path / file).parent.mkdir(parents=True)
        pd.DataFrame({"item_id": of.keys(), "score": of.values()}).to_csv(tmp_path / file, index=False)
    assert list(read(tmp_path)) == models


def test_keys_decide_what_names_do_not_tell(tmp_path: Path) -> None:
    frame = pd.DataFrame({"item_id": ADA.keys(), "acc": ADA.values(), "em": [0, 0, 0]})
    frame.to_csv(tmp_path / "ada-7b.csv", index=False)
    with refuses(DataError, "several columns", where="ada-7b.csv", hint="columns={score: acc}"):
        read(tmp_path)
    assert read(tmp_path, columns={"score": "acc"}) == {"ada-7b": EXPECTED["ada-7b"]}
    assert list(read(tmp_path, shape="items")) == ["acc", "em"]
    frame.rename(columns={"acc": "judged", "em": "other"}).to_csv(tmp_path / "ada-7b.csv", index=False)
    assert read(tmp_path, columns={"score": "judged"}) == {"ada-7b": EXPECTED["ada-7b"]}


def test_ids_are_taken_before_texts(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["q1", "q2", "q3"], "question": ["why", "who", "why"], "score": [1, 0, 1]})
    frame.to_csv(tmp_path / "ada-7b.csv", index=False)
    assert read(tmp_path) == {"ada-7b": EXPECTED["ada-7b"]}
    frame.assign(id=[0, 1, 2], question=["why", "who", "how"]).to_csv(tmp_path / "ada-7b.csv", index=False)
    assert read(tmp_path) == {"ada-7b": {"why": [1], "who": [0], "how": [1]}}  # the numbers of rows join nothing


@pytest.mark.parametrize(
    ("columns", "word", "hint"),
    [
        ({"item_id": ADA.keys(), "score": ADA.values(), "judge_b": BOB.values()}, "one model", "columns={score: score}"),
        ({"score": ADA.values()}, "no ids", "item_id"),
    ],
)
def test_what_may_be_one_model_or_several_is_refused(tmp_path: Path, columns: dict[str, object], word: str, hint: str) -> None:
    pd.DataFrame(columns).to_csv(tmp_path / "ada-7b.csv", index=False)
    with refuses(DataError, word, where="ada-7b.csv", hint=hint):
        read(tmp_path)
    assert next(iter(read(tmp_path, shape="items"))) == "score"


def test_other_tables_are_what_they_were(tmp_path: Path) -> None:
    # accuracies of models, models in columns, and a mean beside them
    pd.DataFrame({"name": ["gpt-4", "llama-3-8b"], "score": [0.7, 0.6]}).to_csv(tmp_path / "t.csv", index=False)
    assert list(read(tmp_path)) == ["gpt-4", "llama-3-8b"]
    pd.DataFrame({"item_id": ADA.keys(), "gpt-4": ADA.values(), "score": BOB.values()}).to_csv(tmp_path / "t.csv", index=False)
    assert list(read(tmp_path)) == ["gpt-4", "score"]
    with refuses(DataError, "model", where="t.csv"):
        pd.DataFrame({"item_id": ["q1", "q1"], "who": ["a", "b"], "score": [0, 1]}).to_csv(tmp_path / "t.csv", index=False)
        read_scores(tmp_path / "t.csv")
