"""Sequential tests: what a state decides, whatever the order of the answers, and that it is rarely wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError, DataError, MicrobenchError
from microbench_ray.micro.json_values import checksum
from microbench_ray.micro.sequential import verdict as verdict_module
from microbench_ray.micro.sequential.report import NOT_SEQUENTIAL
from microbench_ray.micro.sequential.rules import SequentialRules
from microbench_ray.micro.sequential.verdict import Answers, race_of
from tests.helpers.errors import refuses

ITEMS = [f"q{k}" for k in range(200)]


def answers(accuracy: float, seed: int = 0, items: list[str] = ITEMS) -> dict[str, float]:
    """Right answers to a share of the items, exactly."""
    order = np.random.default_rng(seed).permutation(len(items))
    return {item: float(place < round(accuracy * len(items))) for item, place in zip(items, order, strict=True)}


def stopped(test: mb.Sequential, scores: dict[str, dict[str, float]], step: int = 5) -> int:
    """Answer batches until the test stops; returns the number of answers of the last model."""
    count = 0
    while batch := test.next(step):
        count += len(batch)
        test.add({model: {item: own[item] for item in batch} for model, own in scores.items()})
    return count


@pytest.mark.parametrize(
    ("question", "margin", "new", "decision"),
    [
        ("superior", 0.0, 0.9, "yes"),
        ("superior", 0.0, 0.2, "no"),
        ("superior", 0.1, 0.9, "yes"),
        ("superior", 0.5, 0.7, "no"),
        ("noninferior", 0.3, 0.5, "yes"),
        ("noninferior", 0.1, 0.1, "no"),
        ("equivalent", 0.3, 0.5, "yes"),
        ("equivalent", 0.05, 0.95, "no"),
    ],
)
def test_two_models(question: str, margin: float, new: float, decision: str) -> None:
    test = mb.Sequential(ITEMS, question, margin=margin)  # type: ignore[arg-type]
    count = stopped(test, {"base": answers(0.5), "new": answers(new, 1)})
    verdict = test.verdict()
    assert verdict.decision == decision
    assert count < 150
    row = verdict.table().iloc[0]
    assert row["low"] <= new - 0.5 <= row["high"]
    assert row["n_items"] == count
    assert not verdict.next


@pytest.mark.parametrize(
    ("question", "margin", "new", "decision"),
    [
        ("superior", 0.0, 0.5, "no"),
        ("superior", 0.05, 0.55, "no"),
        ("noninferior", 0.05, 0.45, "no"),
        ("equivalent", 0.05, 0.55, "no"),
        ("best", 0.0, 0.5, "no"),
        ("best", 0.0, 0.505, "yes"),
    ],
)
def test_the_whole_list_decides_exactly(question: str, margin: float, new: float, decision: str) -> None:
    test = mb.Sequential(ITEMS, question, margin=margin)  # type: ignore[arg-type]
    scores = {"base": answers(0.5), "new": answers(new, 1)}
    test.add(scores)
    assert test.verdict().decision == decision
    if question == "best":
        assert test.verdict().best == (["new"] if new > 0.5 else ["base", "new"])


def test_accuracy_within_a_half_width() -> None:
    test = mb.Sequential(ITEMS, "accuracy", "new", margin=0.08)
    scores = answers(0.8)
    while batch := test.next(10):
        test.add({item: scores[item] for item in batch})
    row = test.verdict().table().iloc[0]
    assert row["high"] - row["low"] <= 0.16 + 1e-9
    assert row["low"] <= 0.8 <= row["high"]
    assert row["n_items"] < 200


def test_predictions_spare_items_and_a_known_model_is_not_asked() -> None:
    rng = np.random.default_rng(0)
    chance = rng.choice([0.05, 0.95], len(ITEMS))
    base, new = (dict(zip(ITEMS, (rng.random(len(ITEMS)) < p).astype(float), strict=True)) for p in (chance, np.sqrt(chance)))
    predictions = dict(zip(ITEMS, chance.tolist(), strict=True))
    counts = {}
    for name, known, predicted in (("asked", None, None), ("known", base, None), ("predicted", base, predictions)):
        test = mb.Sequential(ITEMS, known=known, predictions=predicted)
        counts[name] = stopped(test, {"new": new} if known else {"base": base, "new": new}, step=3)
        assert test.verdict().decision == "yes"
    assert counts["predicted"] < counts["asked"]
    assert counts["known"] <= counts["asked"]
    accuracy = mb.Sequential(ITEMS, "accuracy", "new", margin=0.06, predictions=predictions)
    plain = mb.Sequential(ITEMS, "accuracy", "new", margin=0.06)
    assert stopped(accuracy, {"new": new}) < stopped(plain, {"new": new})


def test_the_best_of_several() -> None:
    names = [f"m{k}" for k in range(6)]
    accuracies = [0.1, 0.3, 0.4, 0.5, 0.2, 0.9]
    scores = {name: answers(accuracy, k) for k, (name, accuracy) in enumerate(zip(names, accuracies, strict=True))}
    test = mb.Sequential(ITEMS, "best", names)
    asked = dict.fromkeys(names, 0)
    while batch := test.next(10):
        verdict = test.verdict().found
        for each in verdict.models:
            if each.active:
                asked[each.model] += len(batch)
                test.add({item: scores[each.model][item] for item in batch}, model=each.model)
    assert test.verdict().best == ["m5"]
    assert asked["m0"] < asked["m5"]
    table = test.verdict().table()
    assert set(table["a"]) == {"m5"}
    assert not table["in_the_race"].any()
    assert (table["difference"] < 0).all()
    assert ((table["low"] <= np.array(accuracies[:5]) - 0.9) & (table["high"] >= np.array(accuracies[:5]) - 0.9)).all()


def test_a_margin_ends_a_race_of_equals() -> None:
    scores = {f"m{k}": answers(0.5, k) for k in range(3)}
    test = mb.Sequential(ITEMS, "best", list(scores), margin=0.25)
    assert stopped(test, scores) < 200
    assert len(test.verdict().best) == 1


@pytest.mark.parametrize(("n_models", "margin"), [(2, 0.0), (2, 0.1), (3, 0.1), (6, 0.1)])
def test_the_parts_of_a_race_share_alpha(n_models: int, margin: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The elimination, and for each model that is not the best one its comparison with the best, are wrong with alpha together."""
    spent = dict.fromkeys(("elimination", "comparison"), 0.0)

    def eliminate(scores: np.ndarray, largest: np.ndarray, n_listed: int, alpha: float, head: object) -> np.ndarray:
        spent["elimination"] = alpha
        return np.zeros(len(scores), int)

    def compare(values: object, null: float, of: object, alpha: float) -> bool:
        assert null == -margin
        spent["comparison"] = (n_models - 1) * alpha
        return False

    monkeypatch.setattr(verdict_module, "elimination_times", eliminate)
    monkeypatch.setattr(verdict_module, "refutes", compare)
    answered = Answers(np.zeros((n_models, 20)), np.full(n_models, 20), 500)
    assert race_of(answered, SequentialRules("best", margin=margin, alpha=0.04)).best == []
    assert sum(spent.values()) == pytest.approx(0.04)


def test_the_best_model_stays_and_missing_scores_are_the_worst_case() -> None:
    """One far better model eliminates all others, unless it has no scores: then nothing is known of it."""
    rng = np.random.default_rng(0)
    scores = np.array([np.ones(60), *(rng.random((3, 60)) < 0.3)])
    race = race_of(Answers(scores, np.full(4, 60), 500), SequentialRules("best"))
    assert race.active.tolist() == [True, False, False, False]
    assert race.best == [0]
    scores[0] = np.nan
    assert race_of(Answers(scores, np.full(4, 60), 500), SequentialRules("best")).active.all()


def test_only_the_head_of_the_order_counts() -> None:
    one, other = mb.Sequential(ITEMS), mb.Sequential(ITEMS)
    base, new = answers(0.5), answers(0.6, 1)
    head = list(one.items[:50])
    one.add({"base": {item: base[item] for item in head}, "new": {item: new[item] for item in head}})
    for item in reversed([*head, *one.items[80:]]):  # in another order, and with items that are not at the head
        other.add({item: new[item]}, model="new")
        other.add({item: base[item]}, model="base")
    assert one.verdict().table().equals(other.verdict().table())
    assert other.next(40) == list(one.items[50:80])


def test_missing_scores_are_the_worst_case_and_are_not_asked_again() -> None:
    complete, gaps = mb.Sequential(ITEMS), mb.Sequential(ITEMS)
    base, new = answers(0.2), answers(0.8, 1)
    for test in (complete, gaps):
        head = test.items[:60]
        test.add({"base": {item: base[item] for item in head}})
        test.add({item: None if test is gaps and k % 5 == 0 else new[item] for k, item in enumerate(head)}, model="new")
    known, unknown = (test.verdict().table().iloc[0] for test in (complete, gaps))
    assert unknown["low"] < known["low"]
    assert unknown["high"] >= known["high"]
    assert gaps.verdict().found.warnings
    mean = np.mean([new[item] - base[item] for k, item in enumerate(gaps.items[:60]) if k % 5])
    assert unknown["difference"] == pytest.approx(mean)
    assert not set(gaps.next(20)) & set(gaps.items[:60])


def test_a_state_is_saved_and_continued(tmp_path: Path) -> None:
    test = mb.Sequential(ITEMS, "best", ["a", "b", "c"], margin=0.02, alpha=0.1)
    batch = test.next(30)
    for k, model in enumerate(test.models):
        test.add({item: answers(0.3 + 0.1 * k, k)[item] for item in batch}, model=model)
    test.add({test.items[30]: None}, model="a")
    test.save(tmp_path / "state.json")
    loaded = mb.Sequential.load(tmp_path / "state.json")
    assert loaded.next(30) == test.next(30)
    assert loaded.verdict().to_json() == test.verdict().to_json()
    assert loaded.next(5) == test.next(5)
    known = mb.Sequential(ITEMS, known=answers(0.4), predictions=dict.fromkeys(ITEMS, 0.5))
    known.save(tmp_path / "state.json")
    assert mb.Sequential.load(tmp_path / "state.json").verdict().to_json() == known.verdict().to_json()
    content = json.loads((tmp_path / "state.json").read_text())
    content["alpha"] = 0.2
    (tmp_path / "state.json").write_text(json.dumps(content))
    with refuses(DataError, "edited", where="state.json"):
        mb.Sequential.load(tmp_path / "state.json")


@pytest.mark.parametrize("key", ["question", "margin", "alpha", "n_items", "models", "items", "scores", "known_mean", "version"])
def test_a_malformed_state_is_one_message(key: str, tmp_path: Path) -> None:
    test = mb.Sequential(ITEMS[:5], known=dict.fromkeys(ITEMS[:5], 0.5))
    test.save(tmp_path / "state.json")
    content = json.loads((tmp_path / "state.json").read_text())
    odd: list[object] = [
        None,
        -1,
        2,
        "x",
        [],
        {},
        [1],
        ["x"],
        [{}],
        [{"id": 1}],
        [{"id": []}],
        [{"model": "base", "scores": {"q1": "x"}}],
        True,
        1e300,
    ]
    for value in odd:
        forged = content | {key: value}
        forged["checksum"] = checksum(forged)
        (tmp_path / "state.json").write_text(json.dumps(forged))
        try:
            mb.Sequential.load(tmp_path / "state.json")
        except MicrobenchError:
            continue
        assert (key, value) in [("scores", []), ("scores", {}), ("version", True)]  # no scores yet; 1


def test_the_order_is_random_and_depends_on_the_ids_and_the_seed_only() -> None:
    assert mb.Sequential(ITEMS).items == mb.Sequential(ITEMS[::-1]).items
    assert mb.Sequential(ITEMS, seed=1).items != mb.Sequential(ITEMS).items
    assert list(mb.Sequential(ITEMS, seed=None).items) == ITEMS
    places = [mb.Sequential(ITEMS, seed=seed).items.index("q0") for seed in range(40)]
    assert len(set(places)) > 25


def test_a_sample_of_a_larger_list_is_never_the_whole_list() -> None:
    test = mb.Sequential(ITEMS, n_items=1000)
    test.add({"base": answers(0.5), "new": answers(0.51, 1)})
    assert test.verdict().decision == "cannot be told"
    assert test.next(5) == []


def test_the_json_has_the_keys_of_compare() -> None:
    base, new = answers(0.4), answers(0.6, 1)
    compared = mb.compare(base, new, accept="superior").to_json()
    test = mb.Sequential(ITEMS)
    test.add({"base": base, "new": new})
    found = test.verdict().to_json()
    assert set(found) == {*compared, "sequential"}
    assert set(found["rules"]) == set(compared["rules"])
    assert set(found["runs"][0]) == set(compared["runs"][0])
    (mine,), (theirs,) = found["comparisons"], compared["comparisons"]
    assert set(mine) == set(theirs)
    assert set(mine["tests"]) == set(theirs["tests"])
    assert set(mine["difference"]) == set(theirs["difference"])
    assert mine["difference"]["value"] == pytest.approx(theirs["difference"]["value"])
    assert all(mine["difference"][key] is None for key in NOT_SEQUENTIAL)
    assert {key: mine[key] for key in ("n_items", "n_better", "n_worse", "n_equal")} == {
        key: theirs[key] for key in ("n_items", "n_better", "n_worse", "n_equal")
    }
    json.dumps(found, allow_nan=False)
    json.dumps(mb.Sequential(ITEMS).verdict().to_json(), allow_nan=False)


def test_results_show_themselves() -> None:
    test = mb.Sequential(ITEMS)
    assert "cannot be told" in repr(test)
    test.add({"base": answers(0.1), "new": answers(0.9, 1)})
    assert "new is better than base" in repr(test.verdict())
    assert test.verdict().to_markdown().startswith("| a")


@pytest.mark.parametrize(
    ("arguments", "kind", "word"),
    [
        ({"question": "better"}, ConfigError, "question"),
        ({"margin": 1.0}, ConfigError, "margin"),
        ({"alpha": 0.0}, ConfigError, "alpha"),
        ({"alpha": float("nan")}, ConfigError, "alpha"),
        ({"margin": "two"}, ConfigError, "number"),
        ({"alpha": None}, ConfigError, "number"),
        ({"question": "noninferior"}, ConfigError, "margin"),
        ({"question": "accuracy", "margin": 0.1, "models": "a", "predictions": dict.fromkeys(ITEMS, "x")}, DataError, "prediction"),
        ({"question": "accuracy", "margin": 0.1, "models": "a", "predictions": {"other": 0.5}}, DataError, "prediction"),
        ({"known": dict.fromkeys(ITEMS, "right")}, DataError, "known score"),
        ({"question": "accuracy", "margin": 0.1}, ConfigError, "one model"),
        ({"models": ["a"]}, ConfigError, "two models"),
        ({"models": ["a", "a"]}, ConfigError, "twice"),
        ({"items": ["q1"]}, DataError, "two items"),
        ({"items": ["q1", "q1"]}, DataError, "twice"),
        ({"items": "q1"}, ConfigError, "list"),
        ({"n_items": 100}, ConfigError, "n_items"),
        ({"known": {"q1": 1}}, DataError, "every item"),
        ({"predictions": dict.fromkeys(ITEMS, 0.5)}, ConfigError, "known model"),
        ({"known": dict.fromkeys(ITEMS, 0), "n_items": 300}, ConfigError, "whole list"),
        ({"known": dict.fromkeys(ITEMS, 2)}, DataError, "known score"),
        ({"known": dict.fromkeys(ITEMS, 0), "predictions": {"q1": 0.5}}, DataError, "prediction"),
        ({"question": "best", "known": dict.fromkeys(ITEMS, 0)}, ConfigError, "known model"),
    ],
)
def test_misuse(arguments: dict[str, object], kind: type[ConfigError] | type[DataError], word: str) -> None:
    with refuses(kind, word):
        mb.Sequential(**{"items": ITEMS, **arguments})  # type: ignore[arg-type]


def test_answers_are_checked() -> None:
    test = mb.Sequential(ITEMS)
    test.add({"base": {"q1": 1, "other": 0}})
    for given, model, kind, word in (
        ({"q1": 0}, "base", DataError, "another score"),
        ({"q2": 1.5}, "base", DataError, "outside"),
        ({"q2": "right"}, "base", ConfigError, "number"),
        ({"q2": 1}, "third", ConfigError, "no such model"),
        ({"q2": 1}, None, ConfigError, "which model"),
    ):
        with refuses(kind, word):
            test.add(given, model=model)
    with refuses(ConfigError, "mapping", where="scores"):
        test.add([1, 0])  # type: ignore[arg-type]
