"""From logs of the real lm-evaluation-harness to a micro-benchmark, back to the harness with `--samples`, and to a score."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from microbench_ray.cli.main import main
from microbench_ray.micro import artifact
from tests.helpers import real_lm_eval

pytestmark = pytest.mark.slow
SIZE = 15


@pytest.fixture(scope="module")
def folder(lm_eval_logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve models ingested into `board/`, and a micro-benchmark of them in `micro/`."""
    folder = tmp_path_factory.mktemp("round_trip")
    tasks = "tasks=[tiny_add,tiny_order]"
    assert main(["ingest", "source=lm_eval", f"path={lm_eval_logs}", tasks, f"out={folder / 'board'}"]) == 0
    board = ["benchmark=ingested", f"benchmark.path={folder / 'board'}"]
    method = "method={method: mdad_guided, estimator: {signal: correctness}}"
    assert main(["export", *board, method, f"size={SIZE}", f"out={folder / 'micro'}"]) == 0
    return folder


def test_the_harness_runs_the_exported_samples_and_its_log_is_scored(
    folder: Path, lm_eval_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    micro = artifact.load(folder / "micro")
    samples = folder / "micro/samples.json"
    numbers = json.loads(samples.read_text())
    assert sum(map(len, numbers.values())) == micro.size == SIZE

    logs = real_lm_eval.write_samples(lm_eval_folder / "tasks", folder / "new_model", "org/new", 77, samples)
    answers: dict[tuple[str, str], float] = {}
    for file in logs.rglob("samples_*.jsonl"):
        task = file.name.removeprefix("samples_").rpartition("_")[0]
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        assert sorted(row["doc_id"] for row in rows) == numbers[task]
        answers |= {(task, str(row["doc_id"])): row["acc_norm"] for row in rows}
    assert len(answers) == SIZE

    capsys.readouterr()
    assert main(["score", f"micro={folder / 'micro'}", f"responses={logs}", "format=json"]) == 0
    (score,) = json.loads(capsys.readouterr().out)["models"]
    assert (score["model"], score["answered"], score["missing"]) == ("org/new", SIZE, 0)

    # The same by hand: the harness's own scores with the exported coefficients.
    written = json.loads((folder / "micro/microbench.json").read_text())
    terms = [item["coefficient"] * answers[item["task"], item["position"]] for item in written["items"]]
    assert score["estimate"] == pytest.approx(min(max(written["readout"]["intercept"] + sum(terms), 0), 1), abs=1e-9)
