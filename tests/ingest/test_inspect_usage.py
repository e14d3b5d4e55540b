"""Costs of items from the usage in Inspect's logs: by hand, of real logs, and on the board that is ingested from them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers.errors import refuses
from tests.ingest.test_inspect import sample, write_eval, write_json

pytestmark = pytest.mark.skipif(find_spec("inspect_ai") is None, reason="needs the extra `inspect`")


def usage(**tokens: int) -> dict[str, Any]:
    return {model: {"input_tokens": 1, "output_tokens": total - 1, "total_tokens": total} for model, total in tokens.items()}


def write_logs(folder: Path) -> Path:
    """Two models on two items; one of the four samples used two models, and one ended in an error."""
    folder.mkdir()
    first = [sample(1, model_usage=usage(one=100), working_time=2.0), sample(2, "I", model_usage=usage(one=300, judge=100))]
    error = {"message": "out of time", "traceback": "", "traceback_ansi": ""}
    second = [sample(1, "I", model_usage=usage(two=140), working_time=4.0), sample(2, model_usage=usage(two=9), error=error)]
    write_eval(folder / "first.eval", first, model="maker/one")
    write_json(folder / "second.json", second, model="maker/two")
    write_json(folder / "third.json", [sample(1, model_usage=usage(three=7))], model="maker/three", status="cancelled")
    return folder


def test_means_by_hand_and_the_board_that_they_are_for(tmp_path: Path) -> None:
    logs = write_logs(tmp_path / "logs")
    costs = mb.read_inspect_costs(logs)
    assert dict(zip(costs["item_id"], costs["cost"], strict=True)) == {"sums/1": 120, "sums/2": 400}
    assert mb.read_inspect_costs(logs, "seconds").to_dict("records") == [{"item_id": "sums/1", "cost": 3}]
    costs.to_csv(tmp_path / "costs.csv", index=False)
    run_ingest(IngestJob(source="inspect", path=str(logs), out=tmp_path / "board", options=Options()))
    board = mb.read_ingested(tmp_path / "board", max_missing=1, items=tmp_path / "costs.csv")
    assert board.costs is not None
    assert dict(zip(board.item_ids, board.costs.tolist(), strict=True)) == {"sums/1": 120, "sums/2": 400}


def test_real_logs_record_tokens(test_data: Path) -> None:
    """By hand: 134 + 200, 109 + 191 and 116 + 135 tokens in the file."""
    file = test_data / "formats/inspect_ai/eee_data_arc_qwen.json"
    costs = mb.read_inspect_costs(file)
    assert costs["item_id"].tolist() == [f"inspect_evals/arc_easy/{k}" for k in (1, 2, 3)]
    assert costs["cost"].tolist() == [334, 300, 251]


def test_what_has_no_usage_is_refused(tmp_path: Path) -> None:
    file = write_eval(tmp_path / "log.eval", [sample()])
    with refuses(DataError, "tokens", where="log.eval"):
        mb.read_inspect_costs(file)
    with refuses(ConfigError, "unit", where="unit", got="dollars", hint="tokens"):
        mb.read_inspect_costs(file, "dollars")  # type: ignore[arg-type]
    (tmp_path / "broken.eval").write_bytes(b"no archive")
    with refuses(DataError, "Inspect", where="broken.eval"):
        mb.read_inspect_costs(tmp_path)
