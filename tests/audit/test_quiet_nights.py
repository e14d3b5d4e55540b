"""A night without changes reads neither the logs nor the responses again, draws no figures, and sees every change."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from microbench_ray.audit.run import AuditOutcome, run_audit
from microbench_ray.data import Benchmark, item_versions, read_ingested
from microbench_ray.data.stamps import board_stamp
from microbench_ray.ingest.lm_eval import LmEvalReader
from microbench_ray.ingest.run import IngestJob
from microbench_ray.methods import ESTIMATORS, Fixed, Method
from microbench_ray.report import figures
from microbench_ray.sweeps.reduce import Rules
from tests.helpers import nights

SCORES = nights.responses(24, 32)
MODELS = [f"m{k:03}" for k in range(24)]
Calls = dict[str, int]


def write_log(logs: Path, model: str, scores: np.ndarray) -> Path:
    """Write a model's log of lm-evaluation-harness."""
    path = logs / f"org__{model}" / "samples_exam_2026-01-21T03-44-18.458309.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for k, score in enumerate(scores.tolist()):
        digests = {f"{what}_hash": sha256(f"{what}{k}".encode()).hexdigest() for what in ("doc", "prompt", "target")}
        lines.append(json.dumps({"doc_id": k, "doc": {"q": k}, "target": "a", "metrics": ["acc"], "acc": score} | digests))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for model, scores in zip(MODELS, SCORES, strict=True):
        write_log(tmp_path / "logs", model, scores)
    return tmp_path / "logs"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """How often the logs are looked through, the responses are read, and figures are drawn."""
    counts = {"find": 0, "read": 0, "draw": 0}

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **options)

        return wrapper

    monkeypatch.setattr(LmEvalReader, "find", counted("find", LmEvalReader.find))
    monkeypatch.setattr(figures, "draw_figures", counted("draw", draw))
    monkeypatch.setitem(globals(), "read_ingested", counted("read", read_ingested))
    return counts


def draw(tables: Mapping[str, pa.Table], write: Callable[[str, bytes], object], *, benchmarks: Sequence[str]) -> None:
    """Stands in for the figures, which depend on these tables only."""
    for name in ("a.png", "a.svg"):
        write(name, repr([tables[each].to_pydict() for each in ("agreement", "mdad", "summary")]).encode())


def night(tmp_path: Path, label: str, **changes: Any) -> AuditOutcome:
    """A night of the logs in `tmp_path`."""
    board, settings = tmp_path / "board", {"metadata": "auto", **changes.pop("settings", {})}
    job = nights.audit(
        tmp_path / "audit",
        label,
        lambda: read(board),
        ingest=IngestJob(source="lm_eval", path=str(tmp_path / "logs"), out=board),
        items=lambda: item_versions(board),
        stamp=lambda: board_stamp(board, settings),
        lists=(Method("tiny", Fixed([f"exam/{sha256(f'doc{k}'.encode()).hexdigest()[:16]}" for k in range(12)]), WEIGHTED),),
        figures=True,
    )
    return run_audit(replace(job, **changes))


WEIGHTED = ESTIMATORS["weighted_mean"]()


def read(board: Path) -> Benchmark:
    return globals()["read_ingested"](board)  # type: ignore[no-any-return]


def night_files(tmp_path: Path, label: str) -> dict[str, bytes]:
    """The files of a night but for those that hold its label."""
    files = nights.files(tmp_path / "audit" / "nights" / label)
    return {name: content for name, content in files.items() if name not in ("verdict.json", "report.html")}


def test_a_night_without_changes_computes_nothing_again(tmp_path: Path, logs: Path, calls: Calls) -> None:
    first, second = night(tmp_path, "1"), night(tmp_path, "2")
    assert calls == {"find": 2, "read": 1, "draw": 1}
    third = night(tmp_path, "3")
    assert calls == {"find": 2, "read": 1, "draw": 1}
    assert night_files(tmp_path, "1") == night_files(tmp_path, "2") == night_files(tmp_path, "3")
    assert "figures/a.svg" in night_files(tmp_path, "3")
    assert second.verdict["findings"] == third.verdict["findings"]
    assert first.verdict["made"] == third.verdict["made"]


def test_a_changed_score_is_seen(tmp_path: Path, logs: Path, calls: Calls) -> None:
    for label in "123":
        night(tmp_path, label)
    flipped = SCORES[0].copy()
    flipped[:3] = 1 - flipped[:3]
    write_log(logs, MODELS[0], flipped)
    changed = night(tmp_path, "4")
    assert calls == {"find": 3, "read": 2, "draw": 2}
    assert changed.verdict["changes"]["models_rescored"] == 1


def test_a_new_model_is_seen(tmp_path: Path, logs: Path, calls: Calls) -> None:
    for label in "123":
        night(tmp_path, label)
    write_log(logs, "new", SCORES[0])
    assert night(tmp_path, "4").verdict["made"]["benchmark"]["n_models"] == 25
    assert calls == {"find": 3, "read": 2, "draw": 2}


def test_a_file_of_the_same_size_and_time_is_seen(tmp_path: Path, logs: Path, calls: Calls) -> None:
    """The times of the last write may be set; the inode's may not."""
    for label in "123":
        night(tmp_path, label)
    path = next((tmp_path / "board" / "models").iterdir())
    times = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    night(tmp_path, "4")
    assert (calls["find"], calls["read"]) == (3, 2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"settings": {"max_missing": 0.2}}, {"find": 2, "read": 2, "draw": 1}),
        ({"rules": Rules(thresholds=(0.7,), n_resamples=100)}, {"find": 2, "read": 1, "draw": 2}),
    ],
)
def test_other_settings_are_seen(tmp_path: Path, logs: Path, calls: Calls, changes: dict[str, Any], expected: Calls) -> None:
    for label in "123":
        night(tmp_path, label)
    night(tmp_path, "4", **changes)
    assert calls == expected


def test_lost_files_are_made_again(tmp_path: Path, logs: Path, calls: Calls) -> None:
    for label in "123":
        night(tmp_path, label)
    (tmp_path / "audit" / "last_read.json").write_text('{"stamp": 1}')
    (tmp_path / "board" / "last_ingest.json").write_text("{")
    figure = next((tmp_path / "audit" / "nights" / "3" / "figures").iterdir())
    figure.unlink()
    next((tmp_path / "audit" / "nights" / "3" / "figures").iterdir()).parent.rename(tmp_path / "elsewhere")
    night(tmp_path, "4")
    assert calls == {"find": 3, "read": 2, "draw": 2}
    assert night_files(tmp_path, "4") == night_files(tmp_path, "1")


def test_other_versions_of_the_program_draw_again(
    tmp_path: Path, logs: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label in "12":
        night(tmp_path, label)
    verdict = tmp_path / "audit" / "nights" / "2" / "verdict.json"
    content = json.loads(verdict.read_text())
    content["made"]["versions"]["numpy"] = "1.0"
    verdict.write_text(json.dumps(content))
    night(tmp_path, "3")
    assert calls["draw"] == 2


def test_logs_with_links_to_folders_are_looked_through(tmp_path: Path, logs: Path, calls: Calls) -> None:
    (tmp_path / "other").mkdir()
    (logs / "link").symlink_to(tmp_path / "other")
    for label in "123":
        night(tmp_path, label)
    assert (calls["find"], calls["read"]) == (3, 1)
