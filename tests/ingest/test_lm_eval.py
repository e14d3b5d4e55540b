"""Logs of lm-evaluation-harness: which files belong to which model, and what their lines become."""

from __future__ import annotations

import json
import math

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.lm_eval import LmEvalReader
from tests.helpers.lm_eval_logs import TIME, choice, digest, line, one, read, write, write_results

READER = LmEvalReader()
LATER = "2026-02-01T00-00-00.5"


def found(path, **options):
    return [(log.model, log.part, log.files[0].name) for log in READER.find(path, Options(**options), Tally())]


def test_the_real_log(test_data):
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
    assert tally.taken == {"math_perturbed_full: metric exact_match": 1}


def test_without_hashes_the_real_log_gives_the_same_items(test_data, tmp_path):
    [(log, samples)], _ = read(READER, test_data / "formats" / "lm_eval")
    rows = [json.loads(text) for text in log.files[0].read_text(encoding="utf-8").splitlines()]
    hashed = ("doc_hash", "prompt_hash", "target_hash", "filter")
    write(tmp_path, log.part, [{name: value for name, value in row.items() if name not in hashed} for row in rows])
    assert one(READER, tmp_path) == samples


def test_folders_of_models_at_any_depth(tmp_path):
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
def test_without_results_the_folder_names_the_model(tmp_path, folder, model):
    write(tmp_path / folder, "t", [line(0)])
    write_results(tmp_path / folder, None)  # tells no name
    assert [each[0] for each in found(tmp_path)] == [model]


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        ("pretrained=org/m,dtype=float16", "org/m"),
        ({"pretrained": "org/m", "peft": "org/adapter"}, "org/adapter"),
        ("dtype=auto,model=gpt-x", "gpt-x"),
    ],
)
def test_older_results_name_the_model_in_its_arguments(tmp_path, arguments, model):
    write(tmp_path, "t", [line(0)])
    write_results(tmp_path, None, config={"model_args": arguments})
    assert [each[0] for each in found(tmp_path)] == [model]


def test_results_of_the_same_time_name_the_model(tmp_path):
    write(tmp_path, "t", [line(0)])
    write(tmp_path, "t", [line(0)], LATER)
    write_results(tmp_path, "org/a")
    write_results(tmp_path, "org/b", LATER).rename(tmp_path / f"mine_{LATER}.json")
    assert [each[0] for each in found(tmp_path)] == ["org/a", "org/b"]


def test_several_runs_of_a_task_are_several_logs(tmp_path):
    write(tmp_path, "t", [line(0)])
    write(tmp_path, "t", [line(0)], "2026-02-01T00:00:00.5")
    write(tmp_path, "u_2026", [line(0)], LATER)
    assert [each[1] for each in found(tmp_path)] == ["t", "t", "u_2026"]


def test_facts_on_the_model(tmp_path):
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


def test_wanted_tasks_and_models(tmp_path):
    for model in ("a", "b"):
        for task in ("t1", "t2"):
            write(tmp_path / model, task, [line(0)])
    assert [each[:2] for each in found(tmp_path, tasks=("*2",), models=("b*",))] == [("b", "t2")]
    with pytest.raises(DataError, match=r"tasks 't1', 't2'; models 'a', 'b'"):
        found(tmp_path, tasks=("t3",))


def test_where_nothing_is_the_error_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match="--log_samples"):
        found(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        found(tmp_path / "none")
    (tmp_path / "x.jsonl").write_text("{}")
    with pytest.raises(DataError, match="no file of samples"):
        found(tmp_path / "x.jsonl")


def test_two_equal_documents_are_two_items_and_repetitions_are_one(tmp_path):
    doc = {"q": "same"}
    write(tmp_path, "t", [line(0, doc), line(3, doc), line(4, doc), line(3, doc, acc=0.0)])
    name = f"t/{digest(doc)[:16]}"
    assert [(each.item_id, each.score) for each in one(READER, tmp_path)] == [
        (name, 1.0),
        (f"{name}#2", 1.0),
        (f"{name}#3", 1.0),
        (f"{name}#2", 0.0),
    ]


def test_items_do_not_depend_on_their_position(tmp_path):
    docs = [{"q": k, "text": "é\u2028"} for k in range(3)]
    write(tmp_path / "a", "t", [line(k, docs[k]) for k in range(3)])
    write(tmp_path / "b", "t", [line(k, docs[2 - k], doc_hash=None) for k in range(3)])
    (_, first), (_, second) = read(READER, tmp_path)[0]
    assert [each.item_id for each in first] == [each.item_id for each in second][::-1]
    assert {each.content for each in first} == {digest(doc) for doc in docs}


def test_without_documents_items_are_joined_on_the_position(tmp_path):
    rows = [{"doc_id": k, "acc": 1.0} for k in (4, 2)]
    write(tmp_path, "t", rows)
    assert [(each.item_id, each.content) for each in one(READER, tmp_path)] == [("t/4", None), ("t/2", None)]


def test_the_first_filter_is_taken_and_others_are_no_repetitions(tmp_path):
    scores = {"strict": 0, "loose": 1}
    rows = [line(k, filter=each, acc=None, metrics=["em"], em=score) for each, score in scores.items() for k in range(2)]
    write(tmp_path, "t", rows)
    [(_, samples)], tally = read(READER, tmp_path)
    assert [each.score for each in samples] == [0.0, 0.0]
    assert tally.dropped == {"of another filter": 2}
    assert tally.taken == {"t: metric em, filter strict": 1}
    assert [each.score for each in one(READER, tmp_path, Options(filter="loose"))] == [1.0, 1.0]
    with pytest.raises(DataError, match=r"filter=other\n.*'loose', 'strict'"):
        one(READER, tmp_path, Options(filter="other"))


def test_where_filters_are_not_named_the_first_line_of_a_document_counts(tmp_path):
    write(tmp_path, "t", [line(k, filter=None, acc=score) for score in (0.0, 1.0) for k in range(2)])
    [(_, samples)], tally = read(READER, tmp_path)
    assert [each.score for each in samples] == [0.0, 0.0]
    assert tally.dropped == {"of another filter (unnamed)": 2}
    with pytest.raises(DataError, match="does not name its filters"):
        one(READER, tmp_path, Options(filter="none"))


@pytest.mark.parametrize(
    ("metrics", "taken"),
    [
        ({"acc": 0.0, "acc_norm": 1.0}, "acc_norm"),
        ({"exact_match": 0.0, "acc": 1.0}, "acc"),
        ({"inst_level_strict_acc": [True], "prompt_level_strict_acc": True}, "prompt_level_strict_acc"),
        ({"word_perplexity": [-3.0, 4], "rougeL": 0.25, "em": 1}, "rougeL"),
        ({"bleu": 31.5, "f1": 0.5}, "f1"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_the_main_metric(tmp_path, metrics, taken, named):
    write(tmp_path, "t", [line(0, **{"acc": None, "metrics": list(metrics) if named else None, **metrics})])
    [(_, [sample])], tally = read(READER, tmp_path)
    assert sample.score == float(metrics[taken])
    assert tally.taken == {f"t: metric {taken}": 1}


def test_the_metric_that_is_asked_for(tmp_path):
    write(tmp_path, "t", [line(0, metrics=["acc", "acc_norm"], acc=0.0, acc_norm=1.0)])
    assert one(READER, tmp_path, Options(metric="acc"))[0].score == 0.0
    with pytest.raises(DataError, match=r"metric=f1\n.*there are: acc, acc_norm"):
        one(READER, tmp_path, Options(metric="f1"))


@pytest.mark.parametrize("score", [None, float("nan"), float("inf"), "NaN", "none"])
def test_what_is_not_scored_is_none(tmp_path, score):
    write(tmp_path, "t", [line(0), line(1) | {"acc": score}])
    assert [each.score for each in one(READER, tmp_path)] == [1.0, None]


@pytest.mark.parametrize(("score", "read_as"), [(True, 1.0), ("0.25", 0.25), (1 + 1e-15, 1.0), (-1e-17, 0.0)])
def test_scores_as_versions_write_them(tmp_path, score, read_as):
    write(tmp_path, "t", [line(0, acc=score)])
    assert one(READER, tmp_path)[0].score == read_as


@pytest.mark.parametrize("score", [1.5, -0.1, 50, [1, 0], {"x": 1}])
def test_other_scores_are_an_error_with_its_place(tmp_path, score):
    path = write(tmp_path, "t", [line(0), line(1, acc=score)])
    with pytest.raises(DataError) as caught:
        one(READER, tmp_path)
    assert caught.value.where == f"{path}: line 2: acc"


def test_a_task_without_scores_is_an_error(tmp_path):
    write(tmp_path, "wikitext", [line(0, acc=None, metrics=["word_perplexity"], word_perplexity=[-30.0, 4])])
    with pytest.raises(DataError, match=r"got:   word_perplexity\n  hint:  leave the task out"):
        one(READER, tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no sample"),
        (["text"], "no sample"),
        ([[1]], "no sample"),
        ([{"acc": 1.0}], "names no document"),
        ([{"acc": 1.0, "doc_id": [1]}], "number is none"),
        ([{"acc": 1.0, "doc_id": 1, "doc_hash": "../../x"}], "hash is none"),
        ([{"acc": 1.0, "doc_id": 1, "doc_hash": 5}], "hash is none"),
        ([{"doc_id": 1}], "score in"),
    ],
)
def test_lines_that_are_no_samples(tmp_path, rows, message):
    write(tmp_path, "t", rows)
    with pytest.raises(DataError, match=message):
        one(READER, tmp_path)


def test_confidences_come_along(tmp_path):
    write(tmp_path, "t", [choice(0, [-1, -3], ["no", "yes"], "yes", acc=0.0), line(1)])
    first, second = one(READER, tmp_path)
    assert (first.confidence, first.label) == (pytest.approx(1 / (1 + math.exp(2))), 1)
    assert (second.confidence, second.answers, second.label) == (None, None, None)


def test_results_that_are_broken_are_named(tmp_path):
    write(tmp_path, "t", [line(0)])
    path = write_results(tmp_path, "org/a")
    path.write_text('{"results": ')
    with pytest.raises(DataError, match=path.name):
        found(tmp_path)


def test_logs_of_before_hashes_and_times(tmp_path):
    """Versions before 0.4.3: an indented list, numbers as numbers, pairs as lists, and nothing that names filter or metrics."""

    def old(doc_id, doc, score):
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
    assert one(READER, path)[0].confidence == pytest.approx(1 / (1 + math.exp(-2.25)))
