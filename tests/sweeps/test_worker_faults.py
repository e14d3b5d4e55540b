"""Failing shards and workers are reported and the other shards continue; workers view the matrices without a copy."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from microbench_ray.data import Benchmark
from microbench_ray.methods.base import SeenItems, Selection, SelectorWithoutFit
from microbench_ray.methods.registry import SELECTORS
from tests.helpers.small_sweep import command


@dataclasses.dataclass(frozen=True)
class Faulty(SelectorWithoutFit):
    """Selects the first items, or fails as the file `fault` instructs; records every failing attempt."""

    fault: str = ""

    fit_key = "faulty"  # its shards hold no other method

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        path = Path(self.fault)
        if path.exists():
            how = path.read_text()
            with path.with_suffix(".attempts").open("a") as attempts:
                attempts.write("x")
            if how == "exit":
                os._exit(1)
            raise RuntimeError("no items today")
        return Selection(np.arange(size))


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], str]:
    """Sets how the method fails, None for not at all; returns its configuration."""
    monkeypatch.setitem(SELECTORS, "faulty", Faulty)
    path = tmp_path / "fault"

    def set_fault(how: str | None) -> str:
        if how is None:
            path.unlink()
        else:
            path.write_text(how)
        return f"methods=[random,{{label: faulty, selector: {{name: faulty, fault: '{path}'}}}}]"

    return set_fault


def faulty_command(board: Path, out: Path, method: str, engine: str) -> list[str]:
    kept = [each for each in command(board, out, engine=engine) if not each.startswith("methods")]
    return [*kept, method, f"engine.max_retries={1 if engine == 'local' else 0}", "grid.n_source=[10]"]


def assert_failures(out: Path, n_shards: int, error: str) -> None:
    failures = pq.read_table(out / "failures.parquet")
    assert len(failures) == n_shards
    assert set(failures["methods"].to_pylist()) == {"faulty"}
    assert failures["sizes"].to_pylist() == ["5, 10, 20"] * n_shards
    assert all(error in text for text in failures["error"].to_pylist())
    assert all(error in text for text in failures["traceback"].to_pylist())
    assert set(pq.read_table(out / "mdad.parquet")["method"].to_pylist()) == {"random"}


def assert_complete(out: Path) -> None:
    failures = pq.read_table(out / "failures.parquet")
    assert len(failures) == 0
    assert set(pq.read_table(out / "mdad.parquet")["method"].to_pylist()) == {"random", "faulty"}


@pytest.mark.parametrize("engine", ["serial", pytest.param("local", marks=[pytest.mark.ray, pytest.mark.slow])])
def test_a_failing_shard_is_reported_and_the_others_continue(
    engine: str,
    board: Path,
    tmp_path: Path,
    faulty: Callable[[str | None], str],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if engine == "local":
        request.getfixturevalue("by_value")
    out = tmp_path / "out"
    arguments = faulty_command(board, out, faulty("raise"), engine)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "60 cells failed" in error
    assert "RuntimeError: no items today" in error
    assert str(out / "failures.parquet") in error
    assert "Traceback" not in error
    assert_failures(out, 2, "RuntimeError: no items today")
    assert "in select" in pq.read_table(out / "failures.parquet")["traceback"][0].as_py()
    assert (tmp_path / "fault.attempts").read_text() == "xx", "an exception is not retried"
    assert main(["reduce", f"out={out}", "figures=false"]) == 2
    faulty(None)
    assert main(arguments) == 0
    assert "60 of 120 cells" in capsys.readouterr().err
    assert_complete(out)


@pytest.mark.ray
@pytest.mark.slow
def test_a_shard_whose_worker_dies_is_retried_and_then_reported(
    board: Path, tmp_path: Path, faulty: Callable[[str | None], str], by_value: None
) -> None:
    out = tmp_path / "out"
    arguments = [*faulty_command(board, out, faulty("exit"), "local"), "grid.runs=10"]
    assert main(arguments) == 2
    assert_failures(out, 1, "WorkerCrashedError")
    assert (tmp_path / "fault.attempts").read_text() == "xx", "one attempt and one retry"
    faulty(None)
    assert main(arguments) == 0
    assert_complete(out)


def inspect_matrices(benchmark: Benchmark) -> dict[str, Any]:
    """A worker's view of the matrices: values, private memory used to read them, and flags."""
    import psutil

    before = psutil.Process().memory_full_info().uss
    assert benchmark.confidence is not None
    matrices = [benchmark.scores, benchmark.confidence]
    total = sum(float(matrix.sum(dtype=np.float64)) for matrix in matrices)
    grown = psutil.Process().memory_full_info().uss - before
    spans = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, permissions = line.split()[:2]
        if permissions.endswith("s"):
            start, end = (int(part, 16) for part in addresses.split("-"))
            spans.append((start, end))
    shared = [any(a <= m.ctypes.data and m.ctypes.data + m.nbytes <= b for a, b in spans) for m in matrices]
    return {
        "pid": os.getpid(),
        "total": total,
        "grown": grown,
        "shared": shared,
        "owned": [matrix.flags.owndata for matrix in matrices],
        "writeable": [matrix.flags.writeable for matrix in matrices],
    }


@pytest.mark.ray
@pytest.mark.slow
def test_workers_view_the_matrices_in_shared_memory(ray_session: Any, by_value: None) -> None:
    rng = np.random.default_rng(0)
    correct, confidence = rng.random((400, 10_000)) < 0.5, rng.random((400, 10_000), dtype=np.float32)
    ids = [f"i{k}" for k in range(10_000)]
    benchmark = Benchmark.from_arrays("b", correct, ids, [f"m{k}" for k in range(400)], confidence=confidence)
    seen = ray_session.get(ray_session.remote(inspect_matrices).remote(ray_session.put(benchmark)), timeout=60)
    assert seen["pid"] != os.getpid()
    assert seen["total"] == pytest.approx(correct.sum() + confidence.sum(dtype=np.float64))
    assert seen["shared"] == [True, True]
    assert seen["owned"] == seen["writeable"] == [False, False]
    assert seen["grown"] < benchmark.nbytes / 4
