"""A folder with the files that the commands of the pages read, under the names that they use."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd

import microbench_ray as mb
from microbench_ray.cli.main import main
from tests.helpers import lm_eval_logs as logs

N_MODELS, N_ITEMS = 60, 240
NAMED = ("model-a", "model-b", "llama-8b-chat", "llama-8b-instruct")
FAMILIES = {"aurora": "llama"}


def write_world(folder: Path) -> None:
    """Write the files into an empty folder.

    LOGS: logs of lm-evaluation-harness; boards/mine: these, ingested; scores.parquet and scores.models.csv: the same as tables;
    tiny.txt: a list of 100 of the items; results/mine: a sweep of scores.parquet.
    """
    drawn = mb.synthetic(n_models=N_MODELS, n_items=N_ITEMS, n_subtasks=3)
    assert drawn.metadata is not None
    models = [*NAMED, *drawn.model_ids[len(NAMED) :]]
    for model, row in zip(models, drawn.scores, strict=True):
        logs.write_results(folder / "LOGS" / model, model)
        logs.write(folder / "LOGS" / model, "quiz", [logs.line(k, acc=float(score)) for k, score in enumerate(row)])
    run(folder, "ingest", "source=lm_eval", "path=LOGS", "out=boards/mine")
    board = mb.read_ingested(folder / "boards/mine")
    table = pd.DataFrame(np.where(board.scores == board.missing, np.nan, board.scores).T, columns=list(board.model_ids))
    table.insert(0, "item_id", list(board.item_ids))
    table.insert(1, "subtask", [f"s{min(k % 4, 2)}" for k in range(len(table))])
    table.to_parquet(folder / "scores.parquet")
    metadata = drawn.metadata.assign(model_id=models, family=drawn.metadata["family"].replace(FAMILIES))
    metadata.to_csv(folder / "scores.models.csv", index=False)
    (folder / "tiny.txt").write_text("".join(f"{item}\n" for item in board.item_ids[:100]), encoding="utf-8")
    small = ["engine=serial", "grid.runs=2", "grid.sizes=[10,50]", "grid.n_source=[20]", "grid.n_target=20", "n_resamples=100"]
    small += ["report=false", "figures=false"]
    run(
        folder,
        "sweep",
        "benchmark=scores",
        "benchmark.path=scores.parquet",
        "methods=[random,stratified_confidence]",
        *small,
        "out=results/mine",
    )


def run(folder: Path, job: str, *arguments: str) -> None:
    """Run a command in the folder, which must succeed."""
    with contextlib.chdir(folder):
        assert main([job, *arguments]) == 0
