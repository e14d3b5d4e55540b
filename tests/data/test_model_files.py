"""Files of models: sorted by item, with one digest for the same items, whatever the order and the models before."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.data.responses import ModelRecord, model_file, pack, read_record, read_responses


def responses(items: Sequence[str], scores: Sequence[float | None], subtask: str = "all") -> pa.Table:
    known = {"item_id": items, "score": scores, "subtask": [subtask] * len(items), "log": ["l"] * len(items)}
    return pa.table(
        {field.name: known.get(field.name, [None] * len(items)) for field in SCHEMAS["responses"]}, SCHEMAS["responses"]
    )


def test_digests_and_order(tmp_path) -> None:
    (tmp_path / "models").mkdir()
    boards = {
        "a": responses(["q1", "q2"], [0.0, 1.0]),
        "b": responses(["q2", "q1"], [1.0, None]),
        "c": responses(["q1", "q2"], [1.0, 1.0], subtask="law"),
        "d": responses(["q2", "q10"], [1.0, 0.0]),
        "e": responses(["q1", "q2"], [0.5, 0.5]),
        "f": responses(["q1"], [0.0]),
    }
    for model, table in boards.items():
        (tmp_path / model_file(model)).write_bytes(pack(table, ModelRecord(model=model, facts={}, logs={})))
    folder = open_folder(tmp_path)
    digests = {model: read_record(folder, model_file(model)).items for model in boards}
    assert digests["a"] == digests["b"] == digests["e"]
    assert len(set(digests.values())) == 4
    read = {model: read_responses(folder, model_file(model)) for model in boards}
    assert read["d"].select(["item_id", "score"]).to_pylist() == [{"item_id": "q10", "score": 0}, {"item_id": "q2", "score": 1}]
    for model, table in boards.items():
        assert read[model].to_pylist() == table.sort_by("item_id").to_pylist()
