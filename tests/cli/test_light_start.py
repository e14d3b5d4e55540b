"""Commands that answer at once, and the library, import none of what takes longer to import than they take to answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("ray", "pandas", "scipy", "sklearn", "numba", "matplotlib", "rich", "vl_convert")


def imported(program: str, *arguments: object) -> tuple[set[str], str]:
    """Which of HEAVY and of Hydra's packages a program imports in an interpreter of its own, and what it prints before."""
    tail = f"\nimport json, sys\nprint('\\n' + json.dumps([m for m in {(*HEAVY, 'hydra', 'omegaconf')!r} if m in sys.modules]))"
    command = [sys.executable, "-c", program + tail, *map(str, arguments)]
    *said, last = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return set(json.loads(last)), "\n".join(said)


@pytest.mark.parametrize("question", [["differences=[.1]"], ["size=20", "scores=[.7,.5]", "drop=.05", "models=[m00,m01]"]])
def test_a_plan_imports_hydra_alone(board: Path, question: list[str]):
    program = "import sys; from microbench_ray.cli.main import main; assert main(sys.argv[1:]) == 0"
    found, said = imported(program, "plan", "benchmark=scores", f"benchmark.path={board}", "format=json", *question)
    assert json.loads(said)["n_models"] == 40
    assert found == {"hydra", "omegaconf"}
