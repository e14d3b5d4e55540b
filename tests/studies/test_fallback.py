"""The study of models better than all known ones: its measures by brute force, its interval by hand, its exit codes."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microbench_ray.data import Benchmark, synthetic
from microbench_ray.micro.build import build
from microbench_ray.micro.score import score
from studies import fallback
from studies.fallback import Measures, main, measured, paired_loss
from studies.score_coverage import GUIDED

N_MODELS, N_ITEMS, SIZE = 60, 300, 30


def of_seed(scored: float, random: float) -> Measures:
    return Measures(
        alone=0.5,
        scored=scored,
        random=random,
        twice=0.6,
        error_alone=1.0,
        error_scored=1.0,
        error_random=1.0,
        error_twice=1.0,
        unlike=0.5,
    )


def write(board: Benchmark, path: Path) -> None:
    table = pd.DataFrame(board.scores.T, columns=board.model_ids).assign(item_id=board.item_ids, subtask="all")
    table.to_parquet(path)


def test_a_paired_interval_by_hand() -> None:
    # Differences .1, .2, .3: mean .2, standard error .1 / sqrt(3), and t is 4.303 with two degrees of freedom.
    seeds = [of_seed(scored=0.5, random=0.6), of_seed(scored=0.5, random=0.7), of_seed(scored=0.4, random=0.7)]
    assert paired_loss(seeds) == pytest.approx((0.2, -0.0484, 0.4484), abs=1e-4)
    assert paired_loss(seeds[1:2]) == pytest.approx((0.2, -np.inf, np.inf))


def share_right(right: dict[int, int], estimates: dict[int, float]) -> float:
    """Share of the pairs 1 to 4 points apart, by their numbers of right answers, whose estimates are in the right order."""
    near = [pair for pair in combinations(right, 2) if 2 <= abs(right[pair[0]] - right[pair[1]]) * 200 // N_ITEMS < 8]
    assert len(near) > 10
    agree = [
        (right[a] - right[b]) * (estimates[a] - estimates[b]) > 0 and abs(estimates[a] - estimates[b]) > 1e-12 for a, b in near
    ]
    return sum(agree) / len(near)


def mean_error(right: dict[int, int], estimates: dict[int, float]) -> float:
    return sum(100 * abs(estimates[model] - right[model] / N_ITEMS) for model in right) / len(right)


@pytest.mark.slow
def test_measures_are_those_of_brute_force() -> None:
    board = synthetic(n_models=N_MODELS, n_items=N_ITEMS, seed=3)
    seeds = measured(board, SIZE, 2)
    assert seeds[0] != seeds[1]
    n_right = board.scores.sum(axis=1, dtype=int)
    best = sorted(range(N_MODELS), key=lambda model: (-n_right[model], model))[: N_MODELS // 5]
    right = {model: int(n_right[model]) for model in best}
    others = [model for model in range(N_MODELS) if model not in best]
    assert board.confidence is not None
    known = Benchmark.from_arrays(
        board.name,
        board.scores[others],
        list(board.item_ids),
        [str(board.model_ids[model]) for model in others],
        subtasks=[board.subtask_names[code] for code in board.subtask_codes],
        confidence=board.confidence[others],
    )
    column_of = {str(name): column for column, name in enumerate(board.item_ids)}
    for seed, measures in enumerate(seeds):
        micro = build(known, GUIDED, SIZE, seed)
        reserve = [column_of[item.id] for item in micro.reserve]
        twice = np.random.default_rng(seed).choice(N_ITEMS, 2 * SIZE, replace=False)
        estimates: dict[str, dict[int, float]] = {"alone": {}, "scored": {}, "random": {}, "twice": {}}
        n_unlike = 0
        for model in best:
            responses = board.scores[model].astype(float)
            read = micro.readout.intercept + sum(item.coefficient * responses[column_of[item.id]] for item in micro.items)
            [alone], [both] = (
                score(micro, [[responses[column_of[name]] for name in ids]], ids, ["m"])
                for ids in (micro.item_ids, micro.all_item_ids)
            )
            estimates["alone"][model] = min(max(read, 0.0), 1.0)
            estimates["random"][model] = float(responses[reserve].mean())
            estimates["twice"][model] = float(responses[twice].mean())
            estimates["scored"][model] = estimates["random" if both.by_reserve else "alone"][model]
            n_unlike += alone.unlike
        for name, of_models in estimates.items():
            assert getattr(measures, name) == pytest.approx(share_right(right, of_models)), name
            assert getattr(measures, f"error_{name}") == pytest.approx(mean_error(right, of_models)), name
        assert measures.unlike == n_unlike / len(best)


@pytest.mark.slow
def test_most_models_better_than_the_known_ones_are_flagged_and_scored_closer() -> None:
    for measures in measured(synthetic(n_models=200, n_items=600, seed=3), 100, 2):
        assert measures.unlike > 0.5
        assert measures.error_scored < measures.error_alone
        assert min(measures.scored, measures.random) > 0.5


@pytest.mark.parametrize(
    ("lost", "code"),
    [([0.1, 0.11, 0.12], 1), ([-0.1, 0.0, 0.1], 0), ([-0.1, -0.11, -0.12], 0)],
)
def test_the_exit_code_says_whether_scores_order_fewer_pairs_than_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: list[float], code: int
) -> None:
    write(synthetic(n_models=10, n_items=20), tmp_path / "small.parquet")
    seeds = [of_seed(scored=0.5, random=0.5 + loss) for loss in lost]
    monkeypatch.setattr(fallback, "measured", lambda board, size, n_seeds, method: seeds)
    assert main([str(tmp_path / "small.parquet"), "--sizes", "10"]) == code
    *_, line = capsys.readouterr().out.splitlines()
    assert line.endswith("worse") is bool(code)
    assert f"{np.mean(lost):+.3f}" in line.split()


def test_a_line_per_size_that_fits_and_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(synthetic(n_models=60, n_items=80), tmp_path / "small.parquet")
    words = ["--seeds", "2", "--sizes", "10", "40", "100", "--method", "random_ridge"]
    assert main([str(tmp_path / "small.parquet"), *words]) in (0, 1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [["small", "10"], ["small", "40"]]
    assert main([str(tmp_path / "absent.parquet")]) == 2
    assert "absent.parquet" in capsys.readouterr().err
