"""The study of adaptive choice: what is asked, the estimates, and the printed table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microbench_ray.data.synthetic import synthetic
from microbench_ray.methods.kernels.irt import IrtFit, abilities, fit_irt, p_irt
from studies.adaptive_choice import ADAPTIVE, ask, gains, main, newton_step


def fitted(dims: int) -> tuple[IrtFit, np.ndarray]:
    rng = np.random.default_rng(0)
    latent = rng.normal(0, 1.5, (40, 1)) - rng.normal(size=30)
    scores = (latent + rng.logistic(size=latent.shape) > 0).astype(float)
    return fit_irt(scores[:30].astype(np.float32), dims), scores[30:]


def test_newton_steps_reach_the_most_probable_ability() -> None:
    fit, answers = fitted(3)
    items = np.arange(12)
    found = np.zeros((len(answers), fit.discrimination.shape[1]))
    own = np.broadcast_to(fit.discrimination[items], (len(answers), 12, found.shape[1]))
    for _ in range(20):
        found = newton_step(found, own, np.broadcast_to(fit.difficulty[items], (len(answers), 12)), answers[:, items])
    assert found == pytest.approx(abilities(fit, answers[:, items], items), abs=1e-4)


@pytest.mark.parametrize("how", ADAPTIVE)
def test_each_target_is_asked_its_own_items_once(how: str) -> None:
    fit, answers = fitted(ADAPTIVE[how])
    asked = ask(fit, answers, [4, 12], how, 1, np.random.default_rng(0))
    assert all(len(set(row)) == 12 for row in asked.items.tolist())
    assert len(set(asked.items[:, 0])) == 1  # before the first answer, all are alike
    assert len(set(map(tuple, asked.items.tolist()))) > 1
    for target, row in enumerate(asked.items):
        expected = p_irt(fit, answers[target : target + 1, row], row)[0]
        assert asked.estimates[1, target] == pytest.approx(expected, abs=1e-3)
    bounded = ask(fit, answers, [4], how, 5, np.random.default_rng(0))
    assert len(set(bounded.items[:, 0])) > 1


def test_gains_by_hand() -> None:
    # One ability, 0: p is 1/2 for the items of difficulty 0, so that their information is a² / 4.
    slopes, difficulty = np.array([[2.0], [1.0], [3.0]]), np.array([0.0, 0.0, 6.0])
    none, all_open = np.zeros((1, 0), np.intp), np.ones((1, 3), bool)
    found = gains(np.zeros((1, 1)), slopes, difficulty, none, all_open, "fisher")
    right = 1 / (1 + np.exp(6))
    assert found[0] == pytest.approx([1.0, 0.25, 9 * right * (1 - right)])
    # The variance of the sum, g² with g = Σ a p (1 − p), falls by v (a g)² / (1 + v a²) where the posterior variance is 1.
    spread = np.array([0.25, 0.25, right * (1 - right)])
    g = float(spread @ slopes[:, 0])
    expected = spread * (slopes[:, 0] * g) ** 2 / (1 + spread * slopes[:, 0] ** 2) + spread
    assert gains(np.zeros((1, 1)), slopes, difficulty, none, all_open, "variance")[0] == pytest.approx(expected)


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = synthetic(n_models=36, n_items=60)
    table = pd.DataFrame(board.scores.T, columns=board.model_ids).assign(item_id=board.item_ids)
    table.to_parquet(tmp_path / "b.parquet")
    words = ["--runs", "2", "--sources", "15", "30", "--sizes", "5", "40", "--methods", "random+p_irt"]
    assert main([str(tmp_path / "b.parquet"), *words]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "random+p_irt" in line]
    assert len(rows) == 4  # 30 sources leave too few targets, and 40 items are too many; two ways, and their means
    assert main(["missing.parquet"]) == 2
