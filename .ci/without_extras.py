"""The library in an environment without extras: counts, and the tutorial's plans, sweeps, export, scores; a message for the rest.

.ci/run runs it by the Python of an environment that holds only the wheel and what it requires.
"""

from __future__ import annotations

import runpy
import sys
import tempfile
from contextlib import chdir, redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.core.extras import EXTRAS

ROOT = Path(__file__).parents[1]
MODULES = {module for modules in EXTRAS.values() for module in modules}

assert not Path(mb.__file__).is_relative_to(ROOT), "this is the checkout, not the wheel"
assert not [module for module in MODULES if find_spec(module)], "an extra is installed"

# Accuracies .50, .52 and .60: one pair of three, the last two, is estimated the wrong way round.
counts = mb.pair_counts([0.5, 0.52, 0.6], [0.4, 0.6, 0.5], n_items=100)
assert [counts.n_agree[4], counts.n_agree[20], counts.n_agree[16]] == [1, 1, 0]
assert mb.mdad(counts, ci="pairs").mdad == 0.02

tutorial = runpy.run_path(str(ROOT / "docs/hooks/tutorial.py"))
text = tutorial["TUTORIAL"].read_text(encoding="utf-8")
with tempfile.TemporaryDirectory() as folder, chdir(folder):
    assert tutorial["executed"](text) == text, "the tutorial prints something else"

shown = StringIO()
with redirect_stderr(shown):
    mb.sweep(mb.synthetic(), sizes=[10], n_source=10, n_target=10, runs=2, progress=True)
    assert main(["sweep"]) == 1
assert "cells/s" in shown.getvalue(), shown.getvalue()
assert 'pip install "microbench-ray[cli]"' in shown.getvalue(), shown.getvalue()
sys.stdout.write("without extras: counts, plans, sweeps, export, scores and the tutorial work\n")
