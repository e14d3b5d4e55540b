"""What a message about a table advises is done, and works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from microbench_ray.cli.settings.ingest import IngestConf
from microbench_ray.core.errors import ConfigError, DataError, DataWarning
from microbench_ray.data import Benchmark, read_ingested, read_scores
from microbench_ray.data.memory import benchmark
from microbench_ray.data.tables.keys import table_keys
from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.table_files import write

Put = Callable[..., Path]
EXPECTED = {("ada", "x1"): 1.0, ("ada", "x2"): 0.0, ("bob", "x1"): 0.0, ("bob", "x2"): 1.0, ("cyd", "x1"): 1.0, ("cyd", "x2"): 1.0}
MODELS, ITEMS = ("ada", "bob", "cyd"), ("x1", "x2")
PLACEHOLDERS = {"NAME": "what", "WORD": "yes"}


def keys_in(hint: str) -> dict[str, Any]:
    """The keys of the first piece of advice, as `read_scores` takes them: `shape=models, with columns={ignore: [a]}`."""
    hint = re.sub(r"^the rows also differ in .*?: (?=columns)", "", hint)
    advice = re.split(r" if | for | averages|, or another|; ", hint)[0]
    keys: dict[str, Any] = {}
    if shape := re.search(r"shape=(\w+)", advice):
        keys["shape"] = shape[1]
    if columns := re.search(r"columns=\{(.*?)\}", advice):
        pairs = re.findall(r"(\w+): (\[[^\]]*\]|[^,\]]+)", columns[1])
        keys["columns"] = {role: [n.strip() for n in v[1:-1].split(",")] if v.startswith("[") else v for role, v in pairs}
    if scale := re.search(r"scale=(\d+)", advice):
        keys["scale"] = float(scale[1])
    if correct := re.search(r"correct=(\w+)", advice):
        keys["correct"] = correct[1]
    return keys


def scores_of(benchmark: Benchmark) -> dict[tuple[str, str], float]:
    return {
        (model, item): float(benchmark.scores[m, i] / benchmark.units)
        for m, model in enumerate(benchmark.model_ids)
        for i, item in enumerate(benchmark.item_ids)
    }


def long(template: str, header: str, yes: Any = 1, no: Any = 0) -> str:
    rows = [template.format(model=m, item=i, score=yes if score else no) for (m, i), score in EXPECTED.items()]
    return "\n".join([header, *rows]) + "\n"


def wide(id_name: str, yes: Any = 1, no: Any = 0, more: str = "", cells: str = "") -> str:
    rows = [f"{i},{','.join(str(yes if EXPECTED[m, i] else no) for m in MODELS)}{cells}" for i in ITEMS]
    return "\n".join([f"{id_name},{','.join(MODELS)}{more}", *rows]) + "\n"


def models_as_rows(id_name: str, more: str = "", cells: str = "") -> str:
    rows = [f"{m}{cells},{','.join(str(int(EXPECTED[m, i])) for i in ITEMS)}" for m in MODELS]
    return "\n".join([f"{id_name}{more},{','.join(ITEMS)}", *rows]) + "\n"


ADVICE: dict[str, str] = {
    "rows without a telling name": wide("name"),
    "an index without a name": wide(""),
    "percent": wide("item_id", 100, 0),
    "percent with its sign": wide("item_id", "100%", "0%"),
    "words": wide("item_id", "yes", "no"),
    "other words": wide("item_id", "Correct", "Incorrect"),
    "long, in words": long("{model},{item},{score}", "model,item,result", "pass", "fail"),
    "a column in words beside the scores": wide("item_id", more=",reviewed", cells=",no"),
    "two columns of scores": long("{model},{item},{score},0", "model,item,score,correct"),
    "two columns of items": long("{model},1,{item},{score}", "model,question_id,doc_id,score").replace(",1,", ",x,"),
    "no known score": long("{model},{item},{score},0.5", "model,item,judged,chance"),
    "contradictions": long("{model},{item},{score},a", "model,item,score,batch")
    + long("{model},{item},{score},b", "x", 1, 0).split("\n", 1)[1].replace("ada,x1,1,b", "ada,x1,0,b"),
    "the same id in two subtasks": "subtask,item_id,ada,bob,cyd\nx,1,1,0,1\ny,1,0,1,1\n",
    "models as rows with something called an item": models_as_rows("model", ",item", ",z"),
}


@pytest.mark.parametrize("case", ADVICE)
def test_following_the_hint_reads_the_table(case: str, put: Put) -> None:
    path = put("t.csv", ADVICE[case])
    with pytest.raises(DataError) as caught:
        read_scores(path)
    hint = caught.value.hint or ""
    keys = keys_in(hint)
    assert keys, hint
    found = read_scores(path, **keys)
    expected = EXPECTED | {("ada", "x1"): 0.5} if case == "contradictions" else EXPECTED
    if case == "the same id in two subtasks":
        expected = {(model, {"x1": "x/1", "x2": "y/1"}[item]): score for (model, item), score in EXPECTED.items()}
        assert found.subtask_names == ["x", "y"]
    assert scores_of(found) == expected, hint


def test_an_index_of_pandas_survives_what_it_is_written_as(tmp_path: Path) -> None:
    """Whatever `to_csv` is told about the index, ids are not lost; they were where `index=False` was advised."""
    frame = pd.DataFrame({"gpt-4": [1, 0], "llama-3-8b": [0, 1]}, index=["q1", "q2"])
    frame.to_csv(tmp_path / "t.csv")
    assert list(read_scores(tmp_path / "t.csv").item_ids) == ["q1", "q2"]
    frame.rename_axis("item_id").reset_index().to_csv(tmp_path / "t.csv")
    assert list(read_scores(tmp_path / "t.csv").item_ids) == ["q1", "q2"]
    frame.T.to_csv(tmp_path / "t.csv")
    assert list(read_scores(tmp_path / "t.csv").item_ids) == ["q1", "q2"]


@pytest.mark.parametrize(
    ("keys", "word", "hint"),
    [
        ({"shape": "wide"}, "shape", "items"),
        ({"columns": {"items": "a"}}, "role", "item"),
        ({"columns": {"score": ["a", "b"]}}, "One column", "columns={score: NAME}"),
        ({"columns": {"score": "a", "item": "a"}}, "two roles", "one role"),
        ({"scale": 0}, "scale", "scale=100"),
        ({"scale": float("nan")}, "scale", "scale=100"),
    ],
)
def test_invalid_keys_are_refused(keys: dict[str, Any], word: str, hint: str) -> None:
    with refuses(ConfigError, word, hint=hint):
        table_keys(**keys)


@pytest.mark.parametrize(
    ("text", "keys", "word", "hint"),
    [
        (wide("item_id"), {"columns": {"item": "item"}}, "no column 'item'", "item_id"),
        (wide("item_id"), {"correct": "yes"}, "no column of words", "numbers need none"),
        (wide("item_id", "yes", "no"), {"correct": "ja"}, "words", "correct=yes"),
        (wide("item_id"), {"scale": 100}, "fractions already", "leave out scale="),
        (wide("item_id"), {"shape": "long"}, "needs a column", "columns={model: NAME}"),
        (long("{model},{item},{score}", "model,item,score") + ",x1,1\n", {}, "needs a model", "fill in"),
    ],
)
def test_keys_that_do_not_fit_are_refused(text: str, keys: dict[str, Any], word: str, hint: str, put: Put) -> None:
    path = put("t.csv", text)
    with refuses(DataError, word, where=str(path), hint=hint):
        read_scores(path, **keys)


def test_settings_give_the_same_keys_again() -> None:
    keys = table_keys("long", {"model": ["name", "revision"], "score": "ok"}, 10, ["yes", "Ja"])
    assert table_keys(**keys.settings()) == keys
    assert table_keys().settings() == {}


BESIDE = {
    "a standard error of all": ({"stderr": [0.1, 0.2]}, ["stderr"]),
    "one of each model": ({"ada_stderr": [0.1, 0.2], "bob ±": [0, 0.1]}, ["ada_stderr", "bob ±"]),
    "what else is measured": ({"confidence": [0.9, 0.8], "latency": [0.5, 1.0]}, ["confidence", "latency"]),
    "models that are called alike": ({"stderr-7b": [0.0, 1.0], "cyd_stderr": [1.0, 0.0]}, []),
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("case", BESIDE)
def test_numbers_beside_scores_are_no_models(case: str, suffix: str, tmp_path: Path) -> None:
    more, left_out = BESIDE[case]
    table = pa.table({"item_id": ["x1", "x2"], "ada": [1, 0], "bob": [0, 1], **more})
    write(table, file := tmp_path / f"board{suffix}")
    models = [name for name in table.column_names[1:] if name not in left_out]
    benchmark = read_scores(file, max_missing=1)
    assert list(benchmark.model_ids) == models
    assert all(any(name in note for note in benchmark.notes) for name in left_out)
    summary = run_ingest(IngestJob("table", str(file), tmp_path / "out"))
    assert summary.added == sorted(models)
    kept = read_scores(file, max_missing=1, columns={"ignore": []})
    assert list(kept.model_ids) == table.column_names[1:]


@pytest.mark.parametrize("header", ["id,score,stderr", "question_id,acc,acc_stderr", "id,score,ci_low,ci_high"])
def test_standard_errors_of_one_model(header: str, tmp_path: Path) -> None:
    rows = "".join(f"x{k},{k % 2}{',0.25' * (header.count(',') - 1)}\n" for k in range(4))
    (tmp_path / "ada.csv").write_text(f"{header}\n{rows}")
    summary = run_ingest(IngestJob("table", str(tmp_path / "ada.csv"), tmp_path / "out"))
    assert (summary.added, summary.responses) == (["ada"], 4)
    assert any(header.rpartition(",")[2] in choice for choice in summary.choices)


def test_standard_errors_in_a_long_table(put: Put) -> None:
    text = long("{model},{item},{score},0.5", "model,item,judged,judged_stderr")
    assert scores_of(read_scores(put("board.csv", text))) == EXPECTED


def test_ranks_and_means_of_models_in_rows(put: Put) -> None:
    rows = {model: [int(EXPECTED[model, item]) for item in ITEMS] for model in MODELS}
    text = "Rank,Model,Average,Elo,x1,x2\n" + "".join(
        f"{k},{model},{sum(row) / 2},{1000 + k},{row[0]},{row[1]}\n" for k, (model, row) in enumerate(rows.items(), 1)
    )
    with pytest.warns(DataWarning, match="left out"):
        assert scores_of(read_scores(put("board.csv", text))) == EXPECTED


@pytest.mark.parametrize("orient", ["records", "columns", "index", "lines", "models"])
def test_json_as_programs_write_it(orient: str, tmp_path: Path) -> None:
    frame = pd.DataFrame([{"model": m, "item": i, "score": score} for (m, i), score in EXPECTED.items()])
    if orient == "models":
        frame = frame.pivot_table(index="item", columns="model", values="score")
    written: dict[str, dict[str, Any]] = {"lines": {"orient": "records", "lines": True}, "models": {"orient": "columns"}}
    frame.to_json(file := tmp_path / "board.json", **written.get(orient, {"orient": orient, "indent": 1}))
    assert scores_of(read_scores(file)) == EXPECTED


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("t.csv", "# results\nmodel,item,score\na,x,1\n", "above the header"),
        ("t.csv", "item_id,a,b\nx,1\n", "cells"),
        ("t.csv", "item_id,a,b\nx\xe9,1,0\n".encode("latin-1"), "UTF-8"),
        ("t.json", '{"model": "a", "score": 1}', "item_id"),
        ("a.csv", "item,score,variant\nx,1,u\nx,0,v\n", "columns={model: variant}"),
    ],
)
def test_advice_for_other_files(name: str, content: str | bytes, hint: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_scores(path)
    assert hint in (caught.value.hint or "")


def test_words_of_models_in_a_dict() -> None:
    """A dict of models is not taken for columns because its scores are words."""
    given = {model: {item: "yes" if EXPECTED[model, item] else "no" for item in ITEMS} for model in MODELS}
    assert scores_of(benchmark(given, correct="yes")) == EXPECTED


def test_numbers_of_items_as_pandas_writes_them_beside_missing_values(tmp_path: Path) -> None:
    table = pa.table({"item_id": [1.0, 2.0], "ada": [1, 0], "bob": [0, 1]})
    write(table, file := tmp_path / "board.parquet")
    assert list(benchmark(table).item_ids) == list(read_scores(file).item_ids) == ["1", "2"]
    run_ingest(IngestJob("table", str(file), tmp_path / "out"))
    assert list(read_ingested(tmp_path / "out").item_ids) == ["1", "2"]
    with pytest.raises(DataError):
        benchmark(pa.table({"item_id": [1.5, 2.0], "ada": [1, 0], "bob": [0, 1]}))


def test_many_columns(put: Put) -> None:
    """A header of more bytes than `csv` takes for one field, and than Arrow parses at a time."""
    items = [f"question_{'x' * 190}_{k}" for k in range(6000)]
    rows = "".join(f"{model}{',1' * len(items)}\n" for model in MODELS)
    found = read_scores(put("board.csv", f"model,{','.join(items)}\n{rows}"))
    assert (list(found.model_ids), found.n_items) == (list(MODELS), len(items))


def test_errors_are_no_scores_unless_they_are_reversed(put: Put, tmp_path: Path) -> None:
    path = put("board.csv", long("{model},{item},{score}", "model,item,error", yes=0, no=1))
    with refuses(DataError, "lower values", where=str(path), got="'error'", hint="columns={score: error}"):
        read_scores(path)
    job = IngestConf("table", str(path), str(tmp_path / "out"), columns={"score": "error"}, scale=0, offset=1).job()
    run_ingest(job)
    assert scores_of(read_ingested(tmp_path / "out")) == EXPECTED


def test_words_in_hints_can_be_pasted(put: Put) -> None:
    with pytest.raises(DataError) as caught:
        read_scores(put("board.csv", long("{model},{item},{score}", "model,item,score", yes="correct (1)", no="wrong (0)")))
    assert shlex.split((caught.value.hint or "").partition(" if ")[0]) == ['correct="correct (1)"']


def test_settings_of_one_model_may_be_models(put: Put) -> None:
    one, other = (
        long("{model},{item},{score}," + s, "model,item,score,effort", yes, 1 - yes) for s, yes in (("low", 1), ("high", 0))
    )
    path = put("board.csv", one + other.split("\n", 1)[1])
    with pytest.raises(DataError) as caught:
        read_scores(path)
    assert "columns={model: [model, effort]}" in (caught.value.hint or "")
    assert read_scores(path, columns={"model": ["model", "effort"]}).n_models == 2 * len(MODELS)
