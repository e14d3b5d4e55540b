"""Known models that are runs or copies of one another: found, declared, and held out together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods.kernels.copies import residual_correlation
from microbench_ray.metrics import bootstrap_models
from microbench_ray.micro.build import build
from microbench_ray.micro.builder import Builder
from microbench_ray.micro.choice import held_out_errors, readout_interval
from microbench_ray.micro.content import content_of
from microbench_ray.micro.groups import grouping_of, joined, near_duplicates
from tests.helpers.errors import refuses
from tests.micro.conftest import accuracies, method

N_ITEMS = 300


def board(scores: np.ndarray, **columns: list[str | None]) -> Benchmark:
    names = [f"m{k}" for k in range(len(scores))]
    metadata = pd.DataFrame({"model_id": names, **columns}) if columns else None
    return Benchmark.from_arrays("runs", scores, [f"i{k}" for k in range(scores.shape[1])], names, metadata=metadata)


def runs_of(n_models: int, n_runs: int, changed: float, seed: int = 0) -> np.ndarray:
    """Runs of models that each have a response of their own to an item, and change it with a probability in a run."""
    rng = np.random.default_rng(seed)
    own = rng.random((n_models, N_ITEMS)) < rng.uniform(0.3, 0.8, (n_models, 1))
    runs = np.repeat(own, n_runs, axis=0)
    return np.asarray(runs ^ (rng.random(runs.shape) < changed), int)


def test_correlations_by_hand() -> None:
    """Without the items' means, and each model's own: of three models, two alike and one their opposite."""
    responses = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]], np.float32)
    assert residual_correlation(responses) == pytest.approx(np.array([[1, 1, -1], [1, 1, -1], [-1, -1, 1]]))
    constant = np.ones((2, 4), np.float32)
    assert residual_correlation(constant) == pytest.approx(np.zeros((2, 2)))
    assert np.isfinite(residual_correlation(np.array([[np.nan, 1, 0], [0, 1, np.nan]], np.float32))).all()


def test_runs_are_found_and_models_of_one_world_are_not() -> None:
    grouping = grouping_of(board(runs_of(10, 3, 0.05)))
    assert np.array_equal(grouping.first, np.repeat(np.arange(0, 30, 3), 3))
    [note] = grouping.notes
    assert "near-duplicates" in note
    assert "30 models in 10 groups" in note
    assert "m0" in note
    world = synthetic(n_models=120, n_items=400)
    assert grouping_of(world) == (pytest.approx(np.arange(120)), ())


def test_few_items_make_no_duplicates() -> None:
    """Five models and four items: chance makes copies of them, and nothing can be said."""
    scores = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]])
    assert near_duplicates(board(scores)).tolist() == [0, 1, 2, 3, 4]


def test_a_chain_of_similar_models_is_not_one_group() -> None:
    """Each model shares two thirds of its responses with the next one, and a third with the one after that."""
    rng = np.random.default_rng(0)
    a, b, c, d, e = ((rng.random(100) < 0.5).astype(int) for _ in range(5))
    chain = [np.concatenate(parts) for parts in ((a, b, c), (a, b, d), (e, b, d))]
    others = (rng.random((20, 300)) < 0.5).astype(int)
    first = near_duplicates(board(np.vstack([*chain, others])))
    assert np.unique(first[:3]).size == 2
    assert np.array_equal(first[3:], np.arange(3, 23))


def test_a_column_decides_and_copies_across_its_groups_are_only_reported() -> None:
    scores = runs_of(3, 2, 0.02)
    column = ["a", None, "b", "a", None, "b"]
    grouping = grouping_of(board(scores, group=column))
    assert grouping.first.tolist() == [0, 1, 2, 0, 4, 2]
    assert "'group'" in grouping.notes[0]
    assert "near-duplicates" in grouping.notes[1]


@pytest.mark.parametrize(("n_families", "expected"), [(18, 60), (19, 19)])
def test_families_are_groups_where_they_are_enough_for_an_interval(n_families: int, expected: int) -> None:
    scores = runs_of(60, 1, 0)
    assert grouping_of(board(runs_of(30, 2, 0.02))).notes[0].startswith("near-duplicates")
    grouping = grouping_of(board(scores, family=[f"f{k % n_families}" for k in range(60)]))
    assert np.unique(grouping.first).size == expected
    assert any("'family'" in note for note in grouping.notes) is (expected == 19)


def test_one_group_cannot_be_held_out() -> None:
    with refuses(DataError, "two groups", where="runs", got="6 models in one group"):
        build(board(runs_of(6, 1, 0), group=["a"] * 6), method(), 10)


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_joined_groups_are_connected_components(pairs: list[tuple[int, int]]) -> None:
    first = joined(np.arange(12), pairs)
    for one, other in pairs:
        assert first[one] == first[other]
    assert all(first[model] <= model and first[first[model]] == first[model] for model in range(12))
    assert np.unique(first).size >= 12 - len(pairs)


def test_the_runs_of_a_model_are_in_one_fold_and_weigh_as_one_model() -> None:
    known = board(runs_of(8, 3, 0.05))
    groups = grouping_of(known).first
    parts = Builder(known, method("greedy", "ridge"), 20, 0, groups).cross_validate(np.arange(24), 10).folds
    assert len(parts) == 4  # at least two groups each
    for part in parts:
        assert not set(groups[part]) & set(groups[np.setdiff1d(np.arange(24), part)])
    micro = build(known, method("greedy", "ridge"), 20)
    assert "8 groups" in micro.held_out.label
    assert micro.held_out.mdad["n_groups"] == 8
    assert micro.held_out.mdad["mdad_monotone"] is None
    errors = held_out_errors(micro, np.zeros(20, bool))
    assert errors.n_groups == 8
    assert errors.weights == pytest.approx(np.full(24, 1 / 3))
    assert [model["group"] for model in content_of(micro)["models"]][:4] == ["m0", "m0", "m0", "m3"]


def test_the_groups_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="microbench_ray"):
        build(board(runs_of(8, 2, 0.05)), method(), 20)
    assert any("near-duplicates" in record.getMessage() and "16 models" in record.getMessage() for record in caplog.records)


def test_errors_of_runs_are_those_of_models_that_are_not_known() -> None:
    """Thirty runs of ten models: random folds leave a copy of each model among the known ones, and claim too small errors."""
    known = board(runs_of(10, 3, 0.02))
    apart = build(known, method("greedy", "ridge"), 30)
    together = Builder(known, method("greedy", "ridge"), 30, 0)
    naive = together.cross_validate(np.arange(30), 10).estimates - accuracies(known)
    honest = apart.errors(apart.held_out)
    assert np.sqrt(np.mean(honest**2)) > 1.5 * np.sqrt(np.mean(naive**2))


def test_resamples_of_groups_by_hand() -> None:
    """Two groups of two models: a resample of one group twice has its inner pair twice and no others."""
    sums, answered, estimates = [1, 2, 3, 4], [10] * 4, [0.1, 0.2, 0.3, 0.4]
    counts = bootstrap_models(sums, answered, 1, estimates, 200, np.random.default_rng(0), groups=[7, 7, 9, 9])
    totals = counts.n_pairs.sum(axis=1)
    # One group twice: 2 pairs. Both once: all 6 pairs.
    assert set(totals.tolist()) == {2, 6}
    assert 0.35 < np.mean(totals == 2) < 0.65
    alone = bootstrap_models(sums, answered, 1, estimates, 50, np.random.default_rng(0))
    by_itself = bootstrap_models(sums, answered, 1, estimates, 50, np.random.default_rng(0), groups=[0, 1, 2, 3])
    assert np.array_equal(alone.n_pairs, by_itself.n_pairs)


@pytest.mark.slow
def test_thirty_runs_of_ten_models_claim_the_errors_of_other_models(test_data: Path) -> None:
    """Three samples of each of ten models of CRUXEval, and the other models scored by 50 items: with and without groups."""
    samples = pd.read_parquet(test_data / "boards/crux_input_samples.parquet").astype({"model": str, "item_id": str})
    scores = samples[samples["sample"] < 3].pivot_table(index=["model", "sample"], columns="item_id", values="score").dropna()
    models = [model for model in scores.index.unique("model") if (model, 2) in scores.index]
    claimed: dict[str, float] = {}
    held: dict[str, float] = {}
    for mode in ("apart", "found", "column"):
        errors, inside = [], []
        for seed in range(4):
            chosen = list(np.random.default_rng(seed).permutation(models)[:10])
            runs = [(model, sample) for model in chosen for sample in range(3)]
            names = [f"{model}#{sample}" for model, sample in runs]
            columns = {"apart": {"group": names}, "found": {}, "column": {"group": [model for model, _ in runs]}}[mode]
            metadata = pd.DataFrame({"model_id": names, **columns})
            known = Benchmark.from_arrays("runs", scores.loc[runs].to_numpy(int), list(scores.columns), names, metadata=metadata)
            micro = build(known, method("greedy", "ridge"), 50, seed)
            errors.append(np.mean(micro.errors(micro.held_out) ** 2))
            others = [model for model in scores.index.unique("model") if model not in chosen and (model, 0) in scores.index]
            new = scores.loc[[(model, 0) for model in others]]
            estimates = micro.readout.estimate(new[micro.item_ids].to_numpy(float))
            for estimate, truth in zip(estimates.tolist(), new.mean(axis=1), strict=True):
                interval = readout_interval(micro, estimate, np.zeros(50, bool))
                inside.append(interval is None or interval.low <= truth <= interval.high)
        claimed[mode], held[mode] = 100 * float(np.sqrt(np.mean(errors))), float(np.mean(inside))
        print(f"{mode}: claimed error {claimed[mode]:.1f} points, held {held[mode]:.3f}")
    assert claimed["apart"] < 0.5 * claimed["found"] < 0.5 * claimed["column"]
    assert held["apart"] < held["found"] - 0.05
    assert held["column"] >= 0.85
