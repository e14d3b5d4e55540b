"""Which responses are to one item: equal ids and contents, equal ids, or equal contents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from microbench_ray.cli.settings.ingest import IngestConf
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data.ingested import read_ingested
from microbench_ray.ingest.base import Options, Sample
from microbench_ray.ingest.join import N_EXAMPLES, Examples, Seen, joined, own_id, versions
from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import digest, line, write

N = 4
ORDERS = (("x", "y"), ("y", "x"), ("x", "z"))


def shuffled(folder: Path, template: str = "") -> None:
    """Three models, each with the choices in an order of its own, and a prompt of its own where there is a template."""
    for model, choices in zip("abc", ORDERS, strict=True):
        docs = [{"question": f"{template and model + template}q{k}", "choices": list(choices)} for k in range(N)]
        write(folder / model, "t", [line(k, doc, acc=float(k == 0)) for k, doc in enumerate(docs)])


def ingest(path: Path, out: Path, source: str = "lm_eval", **options: Any) -> None:
    run_ingest(IngestJob(source=source, path=str(path), out=out, options=Options(**options)))


def test_where_nothing_joins_two_versions_of_an_item_are_shown(tmp_path: Path) -> None:
    shuffled(tmp_path / "logs")
    ingest(tmp_path / "logs", tmp_path / "out")
    for min_answered in (0.0, 0.5):
        with refuses(DataError, "versions", got="t/", hint="join=id") as caught:
            read_ingested(tmp_path / "out", min_answered=min_answered)
        assert all(repr(model) in (caught.value.got or "") for model in "ab")


@pytest.mark.parametrize("template", ["", " says "])
def test_the_advice_joins_items_by_their_ids(tmp_path: Path, template: str) -> None:
    shuffled(tmp_path / "logs", template)
    ingest(tmp_path / "logs", tmp_path / "out", join="id")
    benchmark = read_ingested(tmp_path / "out")
    assert sorted(benchmark.item_ids) == [f"t/{k}" for k in range(N)]
    assert (benchmark.scores / benchmark.units).tolist() == [[1, 0, 0, 0]] * 3
    with refuses(ConfigError, "settings", got="join"):
        ingest(tmp_path / "logs", tmp_path / "out")


def test_equal_contents_under_other_ids_are_joined_by_content(tmp_path: Path) -> None:
    for model, ids in (("a", ("u1", "u2")), ("b", ("v1", "v2"))):
        common = {"model_id": model, "evaluation_name": "t"}
        lines = [
            common | {"sample_id": name, "input": {"raw": f"question {k}"}, "evaluation": {"score": k}}
            for k, name in enumerate(ids)
        ]
        (tmp_path / f"{model}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    ingest(tmp_path, tmp_path / "out", "every_eval_ever")
    with refuses(DataError, "two models", got="question", hint="join=hash"):
        read_ingested(tmp_path / "out")
    ingest(tmp_path, tmp_path / "hash", "every_eval_ever", join="hash")
    assert sorted(map(sorted, read_ingested(tmp_path / "hash").scores.tolist())) == [[0, 1], [0, 1]]


def test_the_ids_of_the_tool() -> None:
    content = digest({"question": "?"})
    assert own_id(Sample("t/7", "t", 1.0, content="abc", position="row 3")) == "t/7"
    assert own_id(Sample(f"t/{content[:16]}#2", "t", 1.0, content=content, position="5")) == "t/5"
    assert own_id(Sample(f"t/{content}", "t", 1.0, content=content)) == f"t/{content}"


def test_equal_contents_in_one_log_stay_items_of_their_own() -> None:
    samples = [Sample(name, "t", 1.0, content="c" * 40) for name in ("p", "q", "p")]
    assert [each.item_id for each in joined(samples, "hash")] == [f"t/{'c' * 32}", f"t/{'c' * 32}#2", f"t/{'c' * 32}"]
    assert list(joined(samples, "content")) == samples


def test_joining_by_id_drops_what_depends_on_the_order_of_answers() -> None:
    [sample] = joined([Sample("p", "t", 1.0, confidence=0.75, answers=(0.75, 0.25), label=0, content="c")], "id")
    assert (sample.confidence, sample.answers, sample.label, sample.content) == (0.75, None, None, None)


def test_the_examples_are_the_same_items_whatever_the_order_of_samples() -> None:
    samples = [Sample(f"t/{k}", "t", 1.0, text={"question": k}) for k in range(50)]
    kept = []
    for order in (samples, samples[::-1], samples[25:] + samples[:25]):
        examples = Examples({})
        list(joined(order, "content", examples))
        kept.append(examples.texts)
    assert kept[0] == kept[1] == kept[2]
    assert len(kept[0]) == N_EXAMPLES
    again = Examples(kept[0])
    list(joined(samples, "content", again))
    assert again.texts == kept[0]


def test_an_unknown_way_to_join(tmp_path: Path) -> None:
    with refuses(ConfigError, "join", where="join", hint="content"):
        IngestConf(source="lm_eval", path="x", out=str(tmp_path), join="name").job()


def test_different_texts_of_one_content_are_said() -> None:
    table = SCHEMAS["responses"].empty_table()
    rows = [dict.fromkeys(table.column_names) | {"item_id": item, "subtask": "s", "log": "l", "content": content}
            for item, content in (("a", "1"), ("b", "2"), ("c", None))]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=table.schema)
    seen: dict[str, Seen] = {}
    assert versions(seen, {"a": "x y", "c": "z", "d": "not in the log"}, table) is None
    assert versions(seen, {"a": "x y", "c": "other"}, table) is None
    said = versions(seen, {"a": "y x"}, table)
    assert said is not None
    assert "'a'" in said
    assert "join=id" in said
    changed = table.set_column(table.column_names.index("content"), table.schema.field("content"), pa.array(["9", "2", None]))
    assert versions(seen, {"a": "y x"}, changed) is None  # another content: another version, which is told where it is left out
