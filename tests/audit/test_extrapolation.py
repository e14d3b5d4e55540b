from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from microbench_ray.audit.extrapolation import group_mdad
from microbench_ray.audit.profile import profile
from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark, match_models, synthetic
from microbench_ray.data.shifted_groups import shifted_groups
from microbench_ray.methods import Fixed
from microbench_ray.metrics import mdad, pair_counts
from microbench_ray.sweeps.grid import Targets
from tests.helpers import small
from tests.helpers.errors import refuses


@pytest.fixture(scope="module")
def drawn() -> Benchmark:
    return synthetic(n_models=120, n_items=300, n_subtasks=3)


def test_the_best_by_hand() -> None:
    right = np.zeros((30, small.N_ITEMS), np.uint8)
    for model in range(30):
        right[model, : 8 * max(model, 2)] = 1
    right[28] = right[27]
    best, *rest = shifted_groups(small.board(right), best=0.1, min_targets=2)
    assert best.label == "best 10 %"
    assert best.targets.tolist() == [27, 28, 29]
    assert best.names == ("m027", "m028", "m029")
    assert best.skipped == ""
    assert rest == []
    # A share of 0.0667 is two models, and the model tied with the second is included.
    assert shifted_groups(small.board(right), best=2 / 30, min_targets=2)[0].targets.tolist() == [27, 28, 29]


def test_groups_are_what_a_sweep_selects(drawn: Benchmark) -> None:
    best, newer, *families = shifted_groups(drawn, best=0.25, newer_than="2025-01-01", families=3, min_targets=5)
    assert len(best.targets) >= 30
    accuracy = drawn.scores.mean(axis=1)
    assert accuracy[best.targets].min() > np.delete(accuracy, best.targets).max()
    assert newer.targets.tolist() == match_models(drawn, where="release_date >= '2025-01-01'").tolist()
    sizes = drawn.metadata["family"].value_counts()
    assert sorted(sizes, reverse=True)[:3] == [len(group.targets) for group in families]
    for group in (best, newer, *families):
        assert Targets(group.label, names=group.names).positions(drawn) == tuple(group.targets)


def test_skipped_groups_have_a_reason(drawn: Benchmark) -> None:
    few = shifted_groups(drawn, best=0.05, newer_than="2030-01-01", families=1, min_targets=100)
    assert [group.targets.size for group in few] == [0, 0, 0]
    family_size = max(drawn.metadata["family"].value_counts())
    assert [re.findall(r"\d+", group.skipped) for group in few] == [["6", "100"], ["0", "100"], [str(family_size), "100"]]
    bare = shifted_groups(small.board(small.responses(30)), best=None, newer_than="2024-01-01", families=2)
    assert [group.label for group in bare] == ["released since 2024-01-01", "family"]
    assert "release_date" in bare[0].skipped
    assert "family" in bare[1].skipped
    nearly_all = shifted_groups(drawn, best=0.99, min_targets=2)[0]
    assert "source" in nearly_all.skipped
    names = [f"m{k:03d}" for k in range(3)]
    unknown = small.board(small.responses(3), metadata=pd.DataFrame({"family": [None] * 3}, index=names, dtype="string"))
    assert "family" in shifted_groups(unknown, best=None, families=1)[0].skipped


def test_the_mdad_of_a_group_is_that_of_its_models(drawn: Benchmark) -> None:
    found = profile(drawn, {"l": Fixed(items=tuple(drawn.item_ids[::5]), built_from=[drawn.model_ids[0]])})
    targets = np.arange(0, 120, 2)
    got = group_mdad(found, "l", targets, np.random.default_rng(0), n_resamples=50)
    scores = drawn.scores[targets[1:]]
    counts = pair_counts(scores.mean(axis=1), scores[:, ::5].mean(axis=1), n_items=300)
    assert got.mdad_monotone == mdad(counts, n_resamples=1).mdad_monotone
    assert got.mdad_monotone_ci_lo <= got.mdad_monotone


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        ({"best": 0}, "best=0"),
        ({"best": 1.5}, "best=1.5"),
        ({"families": -1}, "families=-1"),
        ({"newer_than": "some day"}, "some day"),
        ({"newer_than": "NaT"}, "NaT"),
    ],
)
def test_wrong_parameters_are_refused(drawn: Benchmark, wrong: dict[str, Any], got: str) -> None:
    with refuses(ConfigError, next(iter(wrong)), got=got):
        shifted_groups(drawn, **wrong)
