"""A table that several benchmarks read; and, printed after them, each measurement beside its budget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.real_data import test_data

__all__ = ["test_data"]  # a fixture, found by its name


@pytest.fixture(scope="session")
def drawn(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn table of 447 models and 12,032 items, with confidences beside it."""
    folder = tmp_path_factory.mktemp("drawn")
    subprocess.run([sys.executable, test_data / "make_leaderboard.py", "mmlu_pro", folder], check=True)
    return folder / "mmlu_pro.parquet"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a table of medians, memory and budgets."""
    session = getattr(config, "_benchmarksession", None)
    if session is None or not session.benchmarks:
        return
    terminalreporter.section("budgets")
    terminalreporter.write_line(f"{'':64} median s   budget s   USS MB   budget MB   in counting")
    for each in session.benchmarks:
        info = each.extra_info
        cells = [
            f"{each.stats.median:8.4f}",
            f"{info.get('budget_seconds', '-'):>10}",
            f"{info['uss_mb']:8.0f}" if "uss_mb" in info else f"{'-':>8}",
            f"{info.get('budget_mb', '-'):>11}",
            f"{100 * info['share_counting']:11.1f} %" if "share_counting" in info else f"{'-':>13}",
        ]
        terminalreporter.write_line(f"{each.name:64} " + " ".join(cells))
