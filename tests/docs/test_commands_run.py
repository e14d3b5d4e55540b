"""The commands of the README and of the pages for users run, on a small board, in the order of their page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from microbench_ray.cli.main import main
from tests.helpers.doc_pages import ROOT, blocks, shell_lines
from tests.helpers.doc_world import NAMED, write_world

PAGES = ["README.md", *(f"docs/how-to/{name}.md" for name in ("table", "logs", "micro-benchmark", "leaderboard", "method"))]
PAGES += ["docs/how-to/suite.md", *(f"docs/reference/{name}.md" for name in ("results", "audit"))]
MEANT = {
    "sweep": ["benchmark=scores", "benchmark.path=scores.parquet", "grid.sizes=[10,25]"],
    "plan": ["benchmark=scores", "benchmark.path=scores.parquet"],
    "ingest": ["source=lm_eval", "path=LOGS", "out=boards/other"],
}
"""What `…` stands for, by job."""
RUNS = {"LOGS/base": f"LOGS/{NAMED[0]}", "LOGS/new": f"LOGS/{NAMED[1]}"}
"""Folders of single models."""
NAMES = {"DIR": "results/mine", "BOARD": "boards/mine", "AUDIT": "audits/page"}
SMALL = {
    "sweep": ["engine=serial", "grid.runs=2", "grid.n_source=[20]", "grid.n_target=20", "n_resamples=100"],
    "audit": ["engine=serial", "grid.runs=2", "grid.n_source=[20]", "grid.n_target=20", "grid.sizes=[10]", "n_resamples=100"],
    "reduce": ["n_resamples=100"],
    "export": ["folds=2"],
}
"""What makes a command small; later arguments count."""
NO_PICTURES = ["report=false", "figures=false"]
ELSEWHERE = (
    "experiment=figure_3",
    "experiment=better",
    "hf://",
    "s3://",
    "source=inspect",
    "metric=exact_match",
    "tasks=[leaderboard_bbh_*]",
)
"""In commands that need data which this world lacks; these are composed by tests/docs/test_paths.py."""


def commands(page: str) -> list[list[str]]:
    """The commands of a page that this world can run, made small: job and arguments."""
    found = []
    for words in shell_lines((ROOT / page).read_text(encoding="utf-8")):
        if "microbench" not in words or any(mark in word for mark in ELSEWHERE for word in words):
            continue
        job, *arguments = words[words.index("microbench") + 1 :]
        meant = [name for word in arguments for name in (MEANT[job] if word == "…" else [RUNS.get(word, word)])]
        for name, path in NAMES.items():
            meant = [word.replace(f"={name}", f"={path}") for word in meant]
        small = [word for word in SMALL.get(job, []) if word not in meant and not ("n_target" in word and "targets=group" in meant)]
        if job == "sweep" and not any(word.startswith(("methods=", "experiment=", "plan_only=")) for word in meant):
            small.append("methods=[random,greedy]")
        found.append([job, *meant, *small, *(NO_PICTURES if job in ("sweep", "reduce", "audit") else [])])
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `write_world`; to be copied."""
    folder = tmp_path_factory.mktemp("pages") / "world"
    folder.mkdir()
    write_world(folder)
    return folder


def test_commands_are_found() -> None:
    assert [page for page in PAGES if not commands(page)] == []
    assert sum(len(commands(page)) for page in PAGES) > 30
    assert ["reduce", "out=results/mine", "baseline=best", "n_resamples=100", "report=false", "figures=false"] in commands(
        "docs/how-to/method.md"
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_run(
    page: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shutil.copytree(world, tmp_path / "world"))
    if page == "docs/how-to/suite.md":  # its Python draws its boards
        for block in blocks((ROOT / page).read_text(encoding="utf-8"), "python"):
            exec(compile(block, page, "exec"), {"__name__": "page"})  # noqa: S102
    for command in commands(page):
        code = main(command)
        assert code in ((0, 3, 4) if command[0] in ("compare", "next") else (0,)), (command, capsys.readouterr())
