from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from microbench_ray.audit.extrapolation import groups, mdad_among
from microbench_ray.audit.profile import profile
from microbench_ray.core.errors import ConfigError
from microbench_ray.data import match_models, synthetic
from microbench_ray.metrics import mdad, pair_counts
from microbench_ray.sweeps.grid import Targets
from tests.helpers import small


@pytest.fixture(scope="module")
def drawn():
    return synthetic(n_models=120, n_items=300, n_subtasks=3)


def test_the_best_by_hand():
    right = np.zeros((30, small.N_ITEMS), np.uint8)
    for model in range(30):
        right[model, : 8 * max(model, 2)] = 1
    right[28] = right[27]
    best, *rest = groups(small.board(right), best=0.1, least=2)
    assert best.label == "best 10 %"
    assert best.targets.tolist() == [27, 28, 29]
    assert best.names == ("m027", "m028", "m029")
    assert best.left_out == ""
    assert rest == []
    # Two would be .0667, and the model as good as the second comes with it.
    assert groups(small.board(right), best=2 / 30, least=2)[0].targets.tolist() == [27, 28, 29]


def test_groups_are_what_a_sweep_selects(drawn):
    best, newer, *families = groups(drawn, best=0.25, newer_than="2025-01-01", families=3, least=5)
    assert len(best.targets) >= 30
    accuracy = drawn.scores.mean(axis=1)
    assert accuracy[best.targets].min() > np.delete(accuracy, best.targets).max()
    assert newer.targets.tolist() == match_models(drawn, where="release_date >= '2025-01-01'").tolist()
    sizes = drawn.metadata["family"].value_counts()
    assert sorted(sizes, reverse=True)[:3] == [len(group.targets) for group in families]
    for group in (best, newer, *families):
        assert Targets(group.label, names=group.names).positions(drawn) == tuple(group.targets)


def test_what_is_left_out_says_why(drawn):
    few = groups(drawn, best=0.05, newer_than="2030-01-01", families=1, least=100)
    assert [group.targets.size for group in few] == [0, 0, 0]
    assert few[0].left_out == "6 models are too few: at least 100 are needed."
    assert few[1].left_out.startswith("0 models are too few")
    bare = groups(small.board(small.responses(30)), best=None, newer_than="2024-01-01", families=2)
    assert [(group.label, group.left_out) for group in bare] == [
        ("released since 2024-01-01", "The models' metadata have no column release_date."),
        ("family", "The models' metadata have no column family."),
    ]
    most = groups(drawn, best=0.99, least=2)[0]
    assert "left as sources" in most.left_out
    names = [f"m{k:03d}" for k in range(3)]
    unknown = small.board(small.responses(3), metadata=pd.DataFrame({"family": [None] * 3}, index=names, dtype="string"))
    assert groups(unknown, best=None, families=1)[0].left_out == "No model's family is known."


def test_mdad_among_some_models_is_that_of_these_models(drawn):
    found = profile(drawn, {"l": small.Fixed(items=tuple(drawn.item_ids[::5]), built_from=[drawn.model_ids[0]])})
    targets = np.arange(0, 120, 2)
    got = mdad_among(found, "l", targets, np.random.default_rng(0), n_resamples=50)
    scores = drawn.scores[targets[1:]]
    counts = pair_counts(scores.mean(axis=1), scores[:, ::5].mean(axis=1), n_items=300)
    assert got.mdad_monotone == mdad(counts, n_resamples=1).mdad_monotone
    assert got.mdad_monotone_ci_lo <= got.mdad_monotone


@pytest.mark.parametrize("wrong", [{"best": 0}, {"best": 1.5}, {"families": -1}, {"newer_than": "some day"}, {"newer_than": "NaT"}])
def test_wrong_parameters_are_refused(drawn, wrong):
    with pytest.raises(ConfigError, match=r"."):
        groups(drawn, **wrong)
