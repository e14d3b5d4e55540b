"""Models dropped for missing responses: the note says how many more a larger `max_missing` keeps."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark, read_scores
from tests.helpers.errors import refuses

MORE = re.compile(r"max_missing=([0-9.]+) keeps (\d+) more")


def scores_with_gaps(shares: list[float], n_items: int = 200) -> np.ndarray:
    """(n_models, n_items) 0/1 scores of which these shares are missing; the first model answered every item."""
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 2, (len(shares), n_items)).astype(float)
    for row, share in enumerate(shares):
        scores[row, rng.permutation(n_items)[: round(share * n_items)]] = np.nan
    return scores


def board_of(scores: np.ndarray, max_missing: float) -> Benchmark:
    items, models = ([f"{name}{k}" for k in range(n)] for name, n in (("i", scores.shape[1]), ("m", len(scores))))
    return Benchmark.from_arrays("board", scores, items, models, max_missing=max_missing)


def test_the_note_says_how_many_more_models_a_larger_share_keeps() -> None:
    """93 models of which 52 miss between 11 and 40 % of the items."""
    scores = scores_with_gaps([0.0] * 41 + list(np.linspace(0.11, 0.4, 52)))
    board = board_of(scores, 0.1)
    (note,) = board.notes
    assert note.startswith("52 of 93 models dropped")
    advice = [(float(level), int(more)) for level, more in MORE.findall(note)]
    assert len(advice) == 2
    assert [more for _, more in advice] == sorted(more for _, more in advice)
    assert advice[0][1] >= 26
    assert advice[1][1] == 52
    for level, more in advice:
        assert board_of(scores, level).n_models == 41 + more


def test_models_without_responses_are_not_promised() -> None:
    scores = scores_with_gaps([0.0, 0.0, 0.25, 1.0])
    (note,) = board_of(scores, 0.1).notes
    assert MORE.findall(note) == [("0.25", "1")]
    (note,) = board_of(scores_with_gaps([0.0, 0.0, 1.0]), 0.1).notes
    assert not MORE.findall(note)


def test_advice_to_raise_the_share_is_given_only_where_it_can_help() -> None:
    with refuses(DataError, "Fewer than 2", got="max_missing=0.25 keeps 1 more", hint="raise max_missing"):
        board_of(scores_with_gaps([0.0, 0.25]), 0.1)
    with refuses(DataError, "Fewer than 2", hint="remove items") as caught:
        board_of(scores_with_gaps([0.0, 1.0]), 0.1)
    assert "max_missing" not in str(caught.value.hint)


@pytest.mark.parametrize(
    "command",
    [
        ["plan", "size=20"],
        ["export", "size=20", "out=OUT", "overwrite=false"],
        ["sweep", "methods=[random]", "grid.sizes=[5]", "grid.n_source=[3]", "grid.n_target=4", "grid.runs=2", "out=OUT"],
    ],
)
def test_every_command_that_loads_a_board_shows_the_note(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = scores_with_gaps([0.0] * 30 + [0.2, 0.3, 0.3])
    columns = {f"m{k:02d}": pa.array([None if np.isnan(x) else x for x in row]) for k, row in enumerate(scores)}
    path = tmp_path / "board.parquet"
    pq.write_table(pa.table({"item_id": [f"i{k}" for k in range(scores.shape[1])]} | columns), path)
    more = ["engine=serial", "figures=false", "report=false", "n_resamples=100"] if command[0] == "sweep" else []
    words = [word.replace("OUT", str(tmp_path / "out")) for word in command]
    assert main([words[0], "benchmark=scores", f"benchmark.path={path}", *words[1:], *more]) == 0
    shown = " ".join("".join(capsys.readouterr()).split())
    assert "max_missing=0.3 keeps 3 more" in shown
    assert read_scores(path, max_missing=0.3).n_models == 33
