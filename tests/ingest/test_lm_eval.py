"""Logs of lm-evaluation-harness: which files belong to which model, and how their lines are read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.lm_eval import LmEvalReader
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import TIME, choice, digest, line, read, read_one, write, write_results

READER = LmEvalReader()
LATER = "2026-02-01T00-00-00.5"


def found(path: Path, **options: Any) -> list[tuple[str, str, str]]:
    """Model, task and file name of every log."""
    return [(log.model, log.part, log.files[0].name) for log in READER.find(path, Options(**options), Tally())]


def test_the_real_log(test_data: Path) -> None:
    path = test_data / "formats" / "lm_eval"
    [(log, samples)], tally = read(READER, path)
    assert log.model == "RylanSchaeffer/mem_Qwen3-93M_minerva_math_rep_0_sbst_1.0000_epch_1_ot_1"
    assert log.part == "math_perturbed_full"
    assert log.facts["params"] == 93069280
    assert log.facts["evaluated"] == "2026-01-21"
    assert [sample.position for sample in samples] == [str(k) for k in range(10)]
    assert {sample.score for sample in samples} == {0.0}
    assert samples[0].item_id == "math_perturbed_full/7193b975fe3f4bf6"
    assert samples[0].content == "7193b975fe3f4bf6159e1031c2f9c6ac8ee72053be21c4cdc5cc87b55924c050"
    assert tally.dropped == {}
    assert tally.choices == {"math_perturbed_full: metric exact_match": 1}


def test_the_real_log_without_hashes_gives_the_same_items(test_data: Path, tmp_path: Path) -> None:
    [(log, samples)], _ = read(READER, test_data / "formats" / "lm_eval")
    rows = [json.loads(text) for text in log.files[0].read_text(encoding="utf-8").splitlines()]
    hashed = ("doc_hash", "prompt_hash", "target_hash", "filter")
    write(tmp_path, log.part, [{name: value for name, value in row.items() if name not in hashed} for row in rows])
    assert read_one(READER, tmp_path) == [sample._replace(prompt=None) for sample in samples]


def test_folders_of_models_at_any_depth(tmp_path: Path) -> None:
    write(tmp_path / "a" / "org__m1", "arc_easy_x", [line(0)])
    write_results(tmp_path / "a" / "org__m1", "org/m1")
    write(tmp_path / "b", "gsm8k", [line(0)])
    write(tmp_path / ".cache" / "b", "gsm8k", [line(0)])
    (tmp_path / "b" / "notes.jsonl").write_text("x")
    second = ("b", "gsm8k", f"samples_gsm8k_{TIME}.jsonl")
    assert found(tmp_path) == [("org/m1", "arc_easy_x", f"samples_arc_easy_x_{TIME}.jsonl"), second]
    assert found(tmp_path / "b" / second[2]) == [second]


@pytest.mark.parametrize(
    ("folder", "model"), [("org__m", "org/m"), ("org__m__v2", "org/m__v2"), ("plain", "plain"), ("__home__me__m", "/home/me/m")]
)
def test_without_results_the_folder_names_the_model(tmp_path: Path, folder: str, model: str) -> None:
    write(tmp_path / folder, "t", [line(0)])
    write_results(tmp_path / folder, None)
    assert [each[0] for each in found(tmp_path)] == [model]


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        ("pretrained=org/m,dtype=float16", "org/m"),
        ({"pretrained": "org/m", "peft": "org/adapter"}, "org/adapter"),
        ("dtype=auto,model=gpt-x", "gpt-x"),
    ],
)
def test_the_model_is_read_from_the_arguments_of_older_results(tmp_path: Path, arguments: Any, model: str) -> None:
    write(tmp_path, "t", [line(0)])
    write_results(tmp_path, None, config={"model_args": arguments})
    assert [each[0] for each in found(tmp_path)] == [model]


def test_results_of_the_same_time_name_the_model(tmp_path: Path) -> None:
    write(tmp_path, "t", [line(0)])
    write(tmp_path, "t", [line(0)], LATER)
    write_results(tmp_path, "org/a")
    write_results(tmp_path, "org/b", LATER).rename(tmp_path / f"mine_{LATER}.json")
    assert [each[0] for each in found(tmp_path)] == ["org/a", "org/b"]


def test_several_runs_of_a_task_are_several_logs(tmp_path: Path) -> None:
    write(tmp_path, "t", [line(0)])
    write(tmp_path, "t", [line(0)], "2026-02-01T00:00:00.5")
    write(tmp_path, "u_2026", [line(0)], LATER)
    assert [each[1] for each in found(tmp_path)] == ["t", "t", "u_2026"]


def test_facts_about_the_model(tmp_path: Path) -> None:
    write(tmp_path, "t", [line(0)])
    config = {"model_num_parameters": 7e9, "model_dtype": "torch.bfloat16", "model_sha": "abc"}
    write_results(tmp_path, "org/a", config=config, chat_template="{{x}}", date=1768964383.8)
    [log] = READER.find(tmp_path, Options(), Tally())
    assert log.facts == {
        "params": 7e9,
        "precision": "bfloat16",
        "revision": "abc",
        "chat_template": True,
        "evaluated": "2026-01-21",
    }


def test_patterns_of_tasks_and_models(tmp_path: Path) -> None:
    for model in ("a", "b"):
        for task in ("t1", "t2"):
            write(tmp_path / model, task, [line(0)])
    assert [each[:2] for each in found(tmp_path, tasks=("*2",), models=("b*",))] == [("b", "t2")]
    with refuses(DataError, "tasks=", where=str(tmp_path), got="tasks 't1', 't2'; models 'a', 'b'"):
        found(tmp_path, tasks=("t3",))


def test_paths_without_samples(tmp_path: Path) -> None:
    with refuses(DataError, "no lm-evaluation-harness samples", where=str(tmp_path), hint="--log_samples"):
        found(tmp_path)
    with refuses(DataError, "does not exist", where=str(tmp_path / "none")):
        found(tmp_path / "none")
    (tmp_path / "x.jsonl").write_text("{}")
    with refuses(DataError, "sample file", where=str(tmp_path / "x.jsonl"), hint="samples_"):
        found(tmp_path / "x.jsonl")


def test_equal_documents_are_separate_items_and_repetitions_are_not(tmp_path: Path) -> None:
    doc = {"q": "same"}
    write(tmp_path, "t", [line(0, doc), line(3, doc), line(4, doc), line(3, doc, acc=0.0)])
    name = f"t/{digest(doc)[:16]}"
    assert [(each.item_id, each.score) for each in read_one(READER, tmp_path)] == [
        (name, 1.0),
        (f"{name}#2", 1.0),
        (f"{name}#3", 1.0),
        (f"{name}#2", 0.0),
    ]


def test_items_do_not_depend_on_their_position(tmp_path: Path) -> None:
    docs = [{"q": k, "text": "é\u2028"} for k in range(3)]
    write(tmp_path / "a", "t", [line(k, docs[k]) for k in range(3)])
    write(tmp_path / "b", "t", [line(k, docs[2 - k], doc_hash=None) for k in range(3)])
    (_, first), (_, second) = read(READER, tmp_path)[0]
    assert [each.item_id for each in first] == [each.item_id for each in second][::-1]
    assert {each.content for each in first} == {digest(doc) for doc in docs}


def test_without_documents_items_are_joined_on_the_position(tmp_path: Path) -> None:
    rows = [{"doc_id": k, "acc": 1.0} for k in (4, 2)]
    write(tmp_path, "t", rows)
    assert [(each.item_id, each.content) for each in read_one(READER, tmp_path)] == [("t/4", None), ("t/2", None)]


def test_the_first_filter_is_read_and_the_others_are_left_out(tmp_path: Path) -> None:
    scores = {"strict": 0, "loose": 1}
    rows = [line(k, filter=each, acc=None, metrics=["em"], em=score) for each, score in scores.items() for k in range(2)]
    write(tmp_path, "t", rows)
    [(_, samples)], tally = read(READER, tmp_path)
    assert [each.score for each in samples] == [0.0, 0.0]
    assert tally.dropped == {"samples of another filter": 2}
    assert tally.choices == {"t: metric em, filter strict": 1}
    assert [each.score for each in read_one(READER, tmp_path, Options(filter="loose"))] == [1.0, 1.0]
    with refuses(DataError, "filter", where=str(tmp_path), got="filter=other", hint="'loose', 'strict'"):
        read_one(READER, tmp_path, Options(filter="other"))


def test_with_unnamed_filters_the_first_line_of_a_document_is_read(tmp_path: Path) -> None:
    write(tmp_path, "t", [line(k, filter=None, acc=score) for score in (0.0, 1.0) for k in range(2)])
    [(_, samples)], tally = read(READER, tmp_path)
    assert [each.score for each in samples] == [0.0, 0.0]
    assert tally.dropped == {"samples of another, unnamed filter": 2}
    with refuses(DataError, "does not name its filters", where="line 1", hint="filter="):
        read_one(READER, tmp_path, Options(filter="none"))


@pytest.mark.parametrize(
    ("metrics", "main"),
    [
        ({"acc": 0.0, "acc_norm": 1.0}, "acc_norm"),
        ({"exact_match": 0.0, "acc": 1.0}, "acc"),
        ({"inst_level_strict_acc": [True], "prompt_level_strict_acc": True}, "prompt_level_strict_acc"),
        ({"word_perplexity": [-3.0, 4], "rougeL": 0.25, "em": 1}, "rougeL"),
        ({"bleu": 31.5, "f1": 0.5}, "f1"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_the_main_metric(tmp_path: Path, metrics: dict[str, Any], main: str, named: bool) -> None:
    write(tmp_path, "t", [line(0, **{"acc": None, "metrics": list(metrics) if named else None, **metrics})])
    [(_, [sample])], tally = read(READER, tmp_path)
    assert sample.score == float(metrics[main])
    assert tally.choices == {f"t: metric {main}": 1}


def test_the_metric_option(tmp_path: Path) -> None:
    write(tmp_path, "t", [line(0, metrics=["acc", "acc_norm"], acc=0.0, acc_norm=1.0)])
    assert read_one(READER, tmp_path, Options(metric="acc"))[0].score == 0.0
    with refuses(DataError, "metric", where="line 1", got="metric=f1", hint="acc, acc_norm"):
        read_one(READER, tmp_path, Options(metric="f1"))


@pytest.mark.parametrize("score", [None, float("nan"), float("inf"), "NaN", "none"])
def test_missing_and_non_finite_scores_are_none(tmp_path: Path, score: Any) -> None:
    write(tmp_path, "t", [line(0), line(1) | {"acc": score}])
    assert [each.score for each in read_one(READER, tmp_path)] == [1.0, None]


@pytest.mark.parametrize(("logged", "score"), [(True, 1.0), ("0.25", 0.25), (1 + 1e-15, 1.0), (-1e-17, 0.0)])
def test_scores_as_versions_write_them(tmp_path: Path, logged: Any, score: float) -> None:
    write(tmp_path, "t", [line(0, acc=logged)])
    assert read_one(READER, tmp_path)[0].score == score


@pytest.mark.parametrize("score", [1.5, -0.1, 50, [1, 0], {"x": 1}])
def test_invalid_scores(tmp_path: Path, score: Any) -> None:
    path = write(tmp_path, "t", [line(0), line(1, acc=score)])
    with refuses(DataError, "[0, 1]", where=f"{path}: line 2: acc", hint="metric="):
        read_one(READER, tmp_path)


def test_a_task_without_scores_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "wikitext", [line(0, acc=None, metrics=["word_perplexity"], word_perplexity=[-30.0, 4])])
    with refuses(DataError, "metric", where="line 1", got="word_perplexity", hint="tasks="):
        read_one(READER, tmp_path)


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([], "no samples"),
        (["text"], "not a sample"),
        ([[1]], "not a sample"),
        ([{"acc": 1.0}], "no document"),
        ([{"acc": 1.0, "doc_id": [1]}], "doc_id"),
        ([{"acc": 1.0, "doc_id": 1, "doc_hash": "../../x"}], "doc_hash"),
        ([{"acc": 1.0, "doc_id": 1, "doc_hash": 5}], "doc_hash"),
        ([{"doc_id": 1}], "metric"),
    ],
)
def test_lines_that_are_not_samples(tmp_path: Path, rows: list[Any], word: str) -> None:
    path = write(tmp_path, "t", rows)
    with refuses(DataError, word, where=str(path)):
        read_one(READER, tmp_path)


def test_confidences(tmp_path: Path) -> None:
    write(tmp_path, "t", [choice(0, [-1, -3], ["no", "yes"], "yes", acc=0.0), line(1)])
    first, second = read_one(READER, tmp_path)
    assert (first.confidence, first.label) == (pytest.approx(1 / (1 + math.exp(2))), 1)
    assert (second.confidence, second.answers, second.label) == (None, None, None)


def test_truncated_results_are_named(tmp_path: Path) -> None:
    write(tmp_path, "t", [line(0)])
    path = write_results(tmp_path, "org/a")
    path.write_text('{"results": ')
    with refuses(DataError, "truncated", where=str(path)):
        found(tmp_path)


def test_logs_without_hashes_and_times(tmp_path: Path) -> None:
    """Versions before 0.4.3: an indented list, numbers as numbers, pairs as lists, and no names of filters or metrics."""

    def old(doc_id: int, doc: Any, score: float) -> dict[str, Any]:
        pairs = [[[-2.5, False]], [[-0.25, True]]]
        return {
            "doc_id": doc_id,
            "doc": doc,
            "target": 1,
            "arguments": [["q", " no"], ["q", " yes"]],
            "resps": pairs,
            "filtered_resps": [pair[0] for pair in pairs],
            "acc": score,
        }

    docs = [{"q": "one", "list": [{}, []]}, {"q": "two"}, {"q": "two"}]
    rows = [old(k, doc, 1.0) for k, doc in enumerate(docs)]
    for task in ("exam", "exam_hard"):
        path = tmp_path / f"pretrained__org__m,dtype__auto_{task}.jsonl"
        path.write_text(json.dumps(rows, indent=2, ensure_ascii=False), encoding="utf-8")
    (tmp_path / "other.jsonl").write_text("{}")
    content = {"results": {}, "configs": {"exam": {}, "exam_hard": {}}, "config": {"model_args": "pretrained=org/m,dtype=auto"}}
    (tmp_path / "results.json").write_text(json.dumps(content))
    logs, _ = read(READER, tmp_path)
    assert [(log.model, log.part) for log, _ in logs] == [("org/m", "exam"), ("org/m", "exam_hard")]
    samples = logs[0][1]
    hashes = [digest(doc) for doc in docs]
    assert [sample.content for sample in samples] == hashes
    assert [sample.item_id for sample in samples] == [
        f"exam/{hashes[0][:16]}",
        f"exam/{hashes[1][:16]}",
        f"exam/{hashes[1][:16]}#2",
    ]
    assert {(sample.score, sample.label) for sample in samples} == {(1.0, 1)}
    assert read_one(READER, path)[0].confidence == pytest.approx(1 / (1 + math.exp(-2.25)))
