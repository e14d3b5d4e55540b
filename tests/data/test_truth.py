"""The number that ranks models, against values by hand and in fractions; and where it comes from and is kept."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data import Benchmark, match_models
from microbench_ray.data.truth import item_shares, weighted_accuracies
from tests.helpers.errors import refuses

# Four items of one subtask, two of another: by items a leads (4/6 to 3/6), by subtasks b does (4/8 to 5/8).
SCORES = np.array([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 1]], float)
SUBTASKS = ["big"] * 4 + ["small"] * 2
ITEMS = [f"q{k}" for k in range(6)]


def board(scores: Any = SCORES, **options: Any) -> Benchmark:
    models = [f"m{k}" for k in range(len(scores))]
    settings: dict[str, Any] = {"subtasks": SUBTASKS, "max_missing": 1.0} | options
    return Benchmark.from_arrays("b", scores, ITEMS, models, **settings)


def test_micro_and_macro_order_two_models_differently() -> None:
    assert board().accuracies().tolist() == [4 / 6, 3 / 6]
    assert board(truth="macro").accuracies().tolist() == [4 / 8, 5 / 8]
    assert board().with_truth("macro").table()["accuracy"].tolist() == [4 / 8, 5 / 8]
    assert match_models(board(), best=0.5).tolist() == [0]
    assert match_models(board(truth="macro"), best=0.5).tolist() == [1]
    assert match_models(board(truth="macro"), where="accuracy > 0.6").tolist() == [1]


def test_a_missing_response_is_left_out_of_its_subtask() -> None:
    gaps = np.array([[1, np.nan, 0, 0, 0, 1], [1, 1, 0, 0, np.nan, np.nan], [np.nan] * 6, [1] * 6], float)
    found = weighted_accuracies(board(gaps, truth="macro"), np.arange(3), np.arange(6))
    # 1/3 and 1/2; 2/4, and no answer to the small subtask. The model without any was dropped.
    assert found.tolist() == pytest.approx([(1 / 3 + 1 / 2) / 2, 1 / 2, 1])
    none = weighted_accuracies(board(gaps, truth="macro"), np.array([1]), np.array([4, 5]))
    assert np.isnan(none).all()


def test_weights_by_hand() -> None:
    weighted = board(weights=[1, 1, 1, 1, 3, 3])
    assert weighted.truth == "weights"
    assert weighted.accuracies().tolist() == [4 / 10, 7 / 10]
    gaps = np.array([[1, np.nan, 0, 0, 0, 1], [1] * 6], float)
    assert board(gaps, weights=[1, 1, 1, 1, 3, 3]).accuracies().tolist() == pytest.approx([4 / 9, 1])


@pytest.mark.parametrize("units", [1, 4])
def test_random_boards_equal_the_definition_in_fractions(units: int) -> None:
    rng = np.random.default_rng(units)
    scores = rng.integers(0, units + 1, (150, 80)) / units
    scores[rng.random(scores.shape) < 0.2] = np.nan
    codes, weights = rng.integers(0, 5, 80), rng.integers(1, 9, 80)
    ids, models = [f"q{k}" for k in range(80)], [f"m{k}" for k in range(150)]
    parts: dict[str, Any] = {"subtasks": [f"s{code}" for code in codes], "max_missing": 1.0}
    macro = Benchmark.from_arrays("b", scores, ids, models, **parts, truth="macro")
    weighted = Benchmark.from_arrays("b", scores, ids, models, **parts, weights=weights)
    some = rng.permutation(80)[:11]
    for items in (np.arange(80), some):
        found = (weighted_accuracies(each, np.arange(150), items) for each in (macro, weighted))
        for row, value, other in zip(scores, *found, strict=True):
            answered = [k for k in items if not np.isnan(row[k])]
            means = [
                Fraction(sum(round(row[k] * units) for k in answered if codes[k] == code), units * n)
                for code in range(5)
                if (n := sum(codes[k] == code for k in answered))
            ]
            assert value == pytest.approx(float(sum(means) / len(means)), abs=1e-14)
            total = sum(Fraction(round(row[k] * units) * int(weights[k]), units) for k in answered)
            assert other == pytest.approx(float(total / sum(int(weights[k]) for k in answered)), abs=1e-14)


def test_shares_of_some_items() -> None:
    macro = board(truth="macro")
    assert item_shares(macro, np.array([0, 1, 4])) == pytest.approx([1 / 4, 1 / 4, 1 / 2])
    assert item_shares(macro, np.array([0, 1])) is None  # one subtask: they count the same
    assert item_shares(board(), np.arange(6)) is None
    assert item_shares(board(weights=[1, 1, 1, 1, 3, 3]), np.array([0, 4])) == pytest.approx([1 / 4, 3 / 4])


def test_a_truth_is_content_and_is_kept(tmp_path: Path) -> None:
    micro, macro, weighted = board(), board(truth="macro"), board(weights=[1, 1, 1, 1, 3, 3], clusters=list("aabbcc"))
    assert len({each.digest for each in (micro, macro, weighted, board(clusters=list("aabbcc")))}) == 4
    assert macro.with_truth("micro").digest == micro.digest
    for name, each in (("micro", micro), ("macro", macro), ("weights", weighted)):
        each.save(tmp_path / name)
        stored = mb.read_scores(tmp_path / name)
        assert (stored.truth, stored.digest, stored.notes) == (each.truth, each.digest, each.notes)
        assert stored.accuracies().tolist() == each.accuracies().tolist()
        sent = pickle.loads(pickle.dumps(each))  # noqa: S301
        assert (sent.truth, sent.accuracies().tolist()) == (each.truth, each.accuracies().tolist())
    assert weighted.cluster_codes is not None
    assert weighted.cluster_codes.tolist() == [0, 0, 1, 1, 2, 2]
    assert "macro" in repr(macro)
    assert "truth" not in repr(micro)


def test_what_has_no_such_truth_is_refused() -> None:
    with refuses(DataError, "truth", got="mean", hint="macro"):
        board(truth="mean")
    with refuses(DataError, "subtask", hint="columns"):
        board(subtasks=None, truth="macro")
    with refuses(DataError, "weights", got="macro"):
        board(weights=np.ones(6), truth="macro")
    for weights, got in (([1, 1, 1, 1, 1, 0], "0"), ([1, 1, 1, 1, 1, np.nan], "nan"), ([1, -1, 1, 1, 1, 1], "-1")):
        with refuses(DataError, "weight", where="item 'q", got=got):
            board(weights=weights)
    with refuses(DataError, "one weight per item", got="6 items"):
        board(weights=[1, 2])
    with refuses(DataError, "positive number", where="weights", got="'a'"):
        board(weights=["a"] * 6)


def wide() -> pd.DataFrame:
    about = {"item_id": ITEMS, "subtask": SUBTASKS, "points": [1, 1, 1, 1, 3, 3], "passage": list("aabbcc")}
    return pd.DataFrame(about | {f"m{k}": row for k, row in enumerate(SCORES)})


def micro_notes(path: Path) -> tuple[str, ...]:
    return mb.read_scores(path, columns={"ignore": ["points", "passage"]}).notes


COLUMNS = {"weight": "points", "cluster": "passage"}


def test_columns_of_tables(tmp_path: Path) -> None:
    expected = board(weights=[1, 1, 1, 1, 3, 3], clusters=list("aabbcc"))
    wide().to_csv(tmp_path / "b.csv", index=False)
    long = wide().melt(["item_id", "subtask", "points", "passage"], var_name="model", value_name="score")
    long.to_csv(tmp_path / "long.csv", index=False)
    for found in (
        mb.read_scores(tmp_path / "b.csv", columns=COLUMNS),
        mb.read_scores(tmp_path / "long.csv", name="b", columns=COLUMNS),
        mb.benchmark(wide(), name="b", columns=COLUMNS),
        mb.benchmark(SCORES, ITEMS, ["m0", "m1"], SUBTASKS, name="b", weights=[1, 1, 1, 1, 3, 3], cluster=list("aabbcc")),
    ):
        assert found.digest == expected.digest
    assert any("'points'" in note for note in mb.benchmark(wide(), columns=COLUMNS).notes)
    macro = mb.read_scores(tmp_path / "b.csv", columns={"ignore": ["points", "passage"]}, truth="macro")
    assert macro.accuracies().tolist() == [4 / 8, 5 / 8]
    assert macro.notes == micro_notes(tmp_path / "b.csv")


def test_subtasks_may_be_the_clusters() -> None:
    plain = wide().drop(columns=["points", "passage"])
    long = plain.melt(["item_id", "subtask"], var_name="model", value_name="score")
    for table, columns in (
        (plain, {"cluster": "subtask"}),
        (long, {"cluster": "subtask"}),
        (plain.rename(columns={"subtask": "area"}), {"subtask": "area", "cluster": "area"}),
    ):
        found = mb.benchmark(table, columns=columns)
        assert found.subtask_names == ["big", "small"]
        assert found.cluster_codes is not None
        assert found.cluster_codes.tolist() == [0, 0, 0, 0, 1, 1]
        assert list(found.model_ids) == ["m0", "m1"]


def test_columns_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    long = wide().melt(["item_id", "subtask", "points", "passage"], var_name="model", value_name="score")
    long.loc[3, "points"] = 2
    with refuses(DataError, "points", where="'q3'", got="'2'"):
        mb.benchmark(long, columns=COLUMNS)
    table = wide()
    table["points"] = ["1", "1", "one", "1", "3", "3"]
    with refuses(DataError, "score", got="one"):
        mb.benchmark(table, columns=COLUMNS)
    turned = wide().set_index("item_id")[["m0", "m1"]].T.rename_axis("model").reset_index()
    with refuses(DataError, "row per model", got="weight"):
        mb.benchmark(turned.assign(points=1), shape="models", columns={"weight": "points"})
    with refuses(DataError, "points"):
        mb.benchmark(wide().drop(columns="points"), columns=COLUMNS)
    from microbench_ray.cli.settings.ingest import IngestConf

    with refuses(ConfigError, "weight", where="columns.weight", hint="benchmark"):
        IngestConf(source="table", path=str(tmp_path), out=str(tmp_path / "out"), columns={"weight": "points"}).job()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("shape", ["items", "long"])
def test_weights_may_be_fractions(suffix: str, shape: str, tmp_path: Path) -> None:
    table = wide()
    table["points"] = weights = np.array([0.1, 1 / 3, 1, 1.5, 2.25, 3])
    if shape == "long":
        table = table.melt(["item_id", "subtask", "points", "passage"], var_name="model", value_name="score")
    path = tmp_path / f"b{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    found = mb.read_scores(path, columns=COLUMNS)
    assert found.weights is not None
    assert found.weights.tolist() == weights.tolist()


@pytest.mark.parametrize(("cell", "word"), [("", "needs a weight"), ("two", "weight should be"), ("0", "positive")])
@pytest.mark.parametrize("shape", ["items", "long"])
def test_a_cell_that_is_no_weight_is_called_one(cell: str, word: str, shape: str, tmp_path: Path) -> None:
    """Not a score, and without a name that only the program knows."""
    table = wide().astype({"points": str})
    table.loc[table["item_id"] == ITEMS[2], "points"] = cell
    if shape == "long":
        table = table.melt(["item_id", "subtask", "points", "passage"], var_name="model", value_name="score")
    table.to_csv(tmp_path / "b.csv", index=False)
    with refuses(DataError, "weight", where="b.csv", got=cell or "empty") as caught:
        mb.read_scores(tmp_path / "b.csv", columns=COLUMNS)
    assert word in str(caught.value)
    assert "#" not in str(caught.value)


def test_confidences_need_no_weights() -> None:
    confidences = pd.DataFrame({"item_id": ITEMS, "m0": 0.5, "m1": 0.5})
    assert mb.benchmark(wide(), confidence=confidences, columns=COLUMNS).confidence is not None


def test_an_item_that_is_dropped_takes_its_weight_along() -> None:
    gaps = SCORES.copy()
    gaps[:, 1] = np.nan
    found = board(gaps, weights=[1, 7, 2, 2, 3, 3], clusters=list("abcdef"))
    assert found.weights is not None
    assert found.weights.tolist() == [1, 2, 2, 3, 3]
    assert found.items.column("cluster").to_pylist() == list("acdef")
