"""`microbench next` with the real lm-evaluation-harness: batches by `--samples`, until the question is answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import microbench_ray as mb
from microbench_ray.cli.main import DONE, UNDECIDED, main
from tests.helpers.real_lm_eval import MODELS, write_samples


@pytest.mark.slow
def test_the_real_harness_runs_batches_until_the_answer(
    lm_eval_logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["ingest", "source=lm_eval", f"path={lm_eval_logs}", "out=board", "tasks=[tiny_add,tiny_order]"]) == DONE
    board = mb.read_ingested("board")
    assert (
        main(["export", "benchmark=ingested", "benchmark.path=board", "method=random", f"size={board.n_items - 2}", "out=micro"])
        == DONE
    )
    start = ["next", "state=s.json", "micro=micro", "question=accuracy", "margin=0.2", "batch=40", "samples=batch.json"]
    assert main([*start, "format=json"]) == UNDECIDED
    batch = json.loads(Path("batch.json").read_text())
    assert set(batch) <= {"tiny_add", "tiny_order"}
    assert sum(map(len, batch.values())) == 40
    # A run of the harness on the batch alone; the model is one of the board's, so that its answers are known.
    model = MODELS[3]
    logs = write_samples(lm_eval_logs.parent / "tasks", tmp_path / "run", model, 3, tmp_path / "batch.json")
    capsys.readouterr()
    code = main(["next", str(logs), "source=lm_eval", "state=s.json", "format=json", "samples=batch.json"])
    found = json.loads(capsys.readouterr().out)
    assert code == DONE
    assert found["n_items"] == 40 < board.n_items
    assert json.loads(Path("batch.json").read_text()) == {}
    test = mb.Sequential.load("s.json")
    state = json.loads(Path("s.json").read_text())
    asked = state["scores"][0]["scores"]
    assert set(asked) == set(test.items[:40])
