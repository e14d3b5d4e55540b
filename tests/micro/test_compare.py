"""Comparisons of runs: pairing, gates, what more data would tell, several runs, and misuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.metrics.run_difference import FloatArray, RunDifference
from microbench_ray.micro.compare.compare import Compared, compare, decide, more_data
from microbench_ray.micro.compare.rules import CompareRules
from microbench_ray.micro.compare.runs import Run
from tests.helpers.errors import refuses


def run(name: str, scores: dict[str, Any], subtask: dict[str, str] | None = None, content: dict[str, str] | None = None) -> Run:
    """A run with one score or several for each item."""
    repeats = {item: tuple(each) if isinstance(each, tuple | list) else (each,) for item, each in scores.items()}
    return Run(name, repeats, subtask or dict.fromkeys(scores, "all"), {item: (content or {}).get(item) for item in scores})


def drawn(name: str, accuracy: float, n: int = 200, seed: int = 0, repeats: int = 1) -> Run:
    """A run of `n` items in four subtasks, right with one probability."""
    rng = np.random.default_rng([seed, sum(map(ord, name))])
    right = (rng.random((n, repeats)) < accuracy).astype(float)
    return run(name, {f"q{k}": row.tolist() for k, row in enumerate(right)}, {f"q{k}": f"s{k % 4}" for k in range(n)})


def words(compared: Compared) -> str:
    return " ".join(compared.warnings)


def test_two_runs() -> None:
    a, b = drawn("a", 0.4), drawn("b", 0.7)
    (found,) = compare([a, b]).comparisons
    gap = np.array([b.scores[item][0] - a.scores[item][0] for item in sorted(a.scores)])
    assert found.difference.value == pytest.approx(gap.mean())
    assert found.mean_b - found.mean_a == pytest.approx(gap.mean())
    assert (found.n_better, found.n_worse, found.n_equal) == ((gap > 0).sum(), (gap < 0).sum(), (gap == 0).sum())
    assert found.tests.mcnemar == pytest.approx(stats.binomtest(found.n_better, found.n_better + found.n_worse).pvalue, abs=1e-9)
    assert found.tests.paired_t == pytest.approx(stats.ttest_1samp(gap, 0).pvalue, abs=1e-9)
    assert found.p_adjusted == found.difference.p_value
    assert [each.subtask for each in found.subtasks] == ["s0", "s1", "s2", "s3"]
    assert sum(each.n_items * each.value for each in found.subtasks) == pytest.approx(gap.sum())
    assert len(found.items) == 100  # the most that are listed
    assert found.repeats_share is None


def permuted(gap: FloatArray) -> float:
    """The p-value of the test by all changes of signs."""
    test: Any = stats.permutation_test
    found = test((gap,), lambda each, axis: each.sum(axis), permutation_type="samples", n_resamples=np.inf, vectorized=True)
    return float(found.pvalue)


@pytest.mark.parametrize(("better", "worse", "equal"), [(7, 2, 3), (5, 5, 0), (0, 6, 4), (1, 9, 1)])
def test_mcnemars_test_is_the_permutation_test_and_that_of_a_binomial(better: int, worse: int, equal: int) -> None:
    gap = np.repeat([1.0, -1.0, 0.0], [better, worse, equal])
    a, b = (np.where(sign * gap > 0, 1.0, 0.0) for sign in (-1, 1))
    found = compare([run(name, {f"q{k}": each for k, each in enumerate(row)}) for name, row in (("a", a), ("b", b))])
    tests = found.comparisons[0].tests
    assert tests.mcnemar == pytest.approx(permuted(gap[gap != 0]), abs=1e-9)
    assert tests.mcnemar == pytest.approx(min(1, 2 * stats.binom.cdf(min(better, worse), better + worse, 0.5)), abs=1e-9)
    assert tests.paired_t == pytest.approx(stats.ttest_rel(b, a).pvalue, abs=1e-9)


def test_the_interval_is_near_the_permutation_test_of_grades() -> None:
    # Not equal: the interval is a normal one, with two more items.
    gaps = []
    for seed in range(6):
        grades = np.random.default_rng(seed).random((2, 12))
        a, b = (run(name, {f"q{k}": each for k, each in enumerate(row)}) for name, row in zip("ab", grades, strict=True))
        gaps.append(compare([a, b]).comparisons[0].difference.p_value - permuted(grades[1] - grades[0]))
    assert np.abs(gaps).max() < 0.1


def test_macro_is_the_mean_of_the_subtasks() -> None:
    subtask = {"q0": "x", "q1": "x", "q2": "x", "q3": "y"}
    a = run("a", {"q0": 0, "q1": 0, "q2": 0, "q3": 1}, subtask)
    b = run("b", {"q0": 1, "q1": 1, "q2": 1, "q3": 1}, subtask)
    micro, macro = (compare([a, b], CompareRules(truth=truth)).comparisons[0].difference.value for truth in ("micro", "macro"))
    assert (micro, macro) == (0.75, 0.5)


def test_weights_of_items() -> None:
    subtask = {"q0": "x", "q1": "x", "q2": "y", "q3": "y"}
    a = run("a", {"q0": 0, "q1": 0, "q2": 0, "q3": 1}, subtask)
    b = run("b", {"q0": 1, "q1": 1, "q2": 0, "q3": 0}, subtask)
    found = compare([a, b], weights={"q0": 1, "q1": 1, "q2": 2, "q3": 4, "other": -1})
    (each,) = found.comparisons
    assert (each.mean_a, each.mean_b, each.difference.value) == pytest.approx((4 / 8, 2 / 8, -2 / 8))
    assert found.means == pytest.approx([4 / 8, 2 / 8])
    assert [change.mean_a for change in each.subtasks] == pytest.approx([0, 4 / 6])
    assert each.tests == (None, None)
    assert found.rules.truth == "weights"
    three = compare([a, b, run("c", dict.fromkeys(subtask, 1), subtask)], weights={"q0": 1, "q1": 1, "q2": 2, "q3": 4})
    assert three.means == pytest.approx([4 / 8, 2 / 8, 1])


def test_weights_that_do_not_fit_are_refused() -> None:
    pair = [run("a", SAME), run("b", SAME)]
    with refuses(DataError, "weight", got="2 of 3"):
        compare(pair, weights={"q1": 1})
    with refuses(DataError, "positive", where="q2"):
        compare(pair, weights={"q0": 1, "q1": 1, "q2": 0})
    with refuses(ConfigError, "subtasks", where="truth"):
        compare(pair, CompareRules(truth="macro"), weights=dict.fromkeys(SAME, 1))


def test_only_common_items_count_and_others_are_told() -> None:
    a = run("a", {"q0": 1, "q1": 0, "q2": 1, "q3": ()})
    b = run("b", {"q1": 1, "q2": 1, "q3": 1, "q4": 0})
    found = compare([a, b])
    assert (found.n_items, found.n_union) == (2, 5)
    assert found.comparisons[0].difference.value == 0.5
    for fact in ("a was not asked 1", "q4", "b was not asked 1", "q0", "a has no score on 1", "q3"):
        assert fact in words(found)


@pytest.mark.parametrize(
    ("low", "high", "superior", "noninferior", "equivalent"),
    [
        (0.03, 0.05, "yes", "yes", "no"),
        (0.01, 0.05, "cannot be told", "yes", "cannot be told"),
        (-0.01, 0.01, "no", "yes", "yes"),
        (-0.03, 0.01, "no", "cannot be told", "cannot be told"),
        (-0.05, -0.03, "no", "no", "no"),
        (-0.05, 0.05, "cannot be told", "cannot be told", "cannot be told"),
        (-0.02, 0.02, "no", "cannot be told", "cannot be told"),
    ],
)
def test_a_gate_is_read_off_the_interval(low: float, high: float, superior: str, noninferior: str, equivalent: str) -> None:
    found = compare([drawn("a", 0.5), drawn("b", 0.5)]).comparisons[0].difference._replace(low=low, high=high)
    decisions = [decide(found, accept, 0.02) for accept in ("superior", "noninferior", "equivalent")]
    assert decisions == [superior, noninferior, equivalent]


def difference(value: float, mde: float, kind: str = "items") -> RunDifference:
    found = compare([drawn("a", 0.5), drawn("b", 0.5)]).comparisons[0].difference
    return found._replace(value=value, mde=mde, interval_kind=kind)


def test_more_items_or_repeats_by_hand() -> None:
    rules = CompareRules(accept="superior")
    # To find 2 points instead of 4 takes a quarter of the squared standard error: four times the items.
    assert more_data(difference(0.02, 0.04), rules, 100, 1, None) == (400, None)
    # Repeats alone: the items' 10 % stay, and 90 % must fall to 15 %: six times the repeats.
    assert more_data(difference(0.02, 0.04), rules, 100, 2, 0.9) == (400, 12)
    assert more_data(difference(0.02, 0.04), rules, 100, 2, 0.5).repeats is None
    assert more_data(difference(0.02, 0.04, "repeats"), rules, 100, 2, 1.0) == (None, 8)
    assert more_data(difference(0.0, 0.04), rules, 100, 2, 0.9) == (None, None)
    # Not worse by 2 points: the observed −1 point is 1 point from the margin.
    assert more_data(difference(-0.01, 0.04), CompareRules(accept="noninferior", margin=0.02), 100, 1, None).items == 1600


def test_more_items_do_tell() -> None:
    rules = CompareRules(accept="superior")
    few = compare([drawn("a", 0.5, 60), drawn("b", 0.58, 60)], rules)
    assert few.decision == "cannot be told"
    seen = few.comparisons[0]
    assert seen.more is not None
    assert seen.more.items is not None
    # With as many items whose difference is the one seen, the interval excludes the margin.
    times = -(-seen.more.items // 60)
    runs = [
        run(each.name, {f"{item}-{k}": scores for item, scores in each.scores.items() for k in range(times)})
        for each in (drawn("a", 0.5, 60), drawn("b", 0.58, 60))
    ]
    assert compare(runs, rules).decision == ("yes" if seen.difference.value > 0 else "no")


def test_several_runs_with_the_first_or_all_pairs() -> None:
    runs = [drawn("base", 0.5), drawn("b", 0.5), drawn("c", 0.8)]
    first = compare(runs)
    assert [(each.a, each.b) for each in first.comparisons] == [("base", "b"), ("base", "c")]
    p = [each.difference.p_value for each in first.comparisons]
    assert [each.p_adjusted for each in first.comparisons] == pytest.approx([max(p), 2 * min(p)])
    pairs = compare(runs, CompareRules(against="all"))
    assert len(pairs.comparisons) == 3
    assert pairs.p_best[2] > 0.99
    assert sum(pairs.p_best) == pytest.approx(1)
    assert pairs.shrunk[2] < pairs.means[2]


def test_many_pairs_are_compared_without_details() -> None:
    found = compare([drawn(f"r{k}", 0.5, 40) for k in range(12)], CompareRules(against="all"))
    assert len(found.comparisons) == 66
    assert not any(each.subtasks or each.items for each in found.comparisons)
    assert all(each.n_better + each.n_worse + each.n_equal == 40 for each in found.comparisons)


def test_a_gate_on_several_runs_holds_for_all_together() -> None:
    runs = [drawn("base", 0.5), drawn("b", 0.5), drawn("c", 0.8)]
    found = compare(runs, CompareRules(accept="noninferior", margin=0.3))
    assert found.level == pytest.approx(0.975)
    assert found.decision == "yes"
    assert compare(runs, CompareRules(accept="superior", margin=0.4)).decision == "no"


def test_repeats() -> None:
    a, b = drawn("a", 0.5, repeats=4), drawn("b", 0.6, repeats=4)
    found = compare([a, b]).comparisons[0]
    assert found.repeats_share is not None
    assert found.repeats_share > 0.9  # the items do not differ
    fixed = compare([a, b], CompareRules(reference="benchmark")).comparisons[0].difference
    assert fixed.interval_kind == "repeats"
    assert compare([a, b], CompareRules(reference="benchmark", repeats="runs")).comparisons[0].difference.interval_kind == "runs"


def test_clusters() -> None:
    a, b = drawn("a", 0.5), drawn("b", 0.6)
    found = compare([a, b], clusters={item: str(int(item[1:]) // 5) for item in a.scores}).comparisons[0]
    assert found.difference.interval_kind == "clusters"
    assert found.difference.df == 41
    assert found.tests == (None, None)
    few = compare([a, b], clusters="subtask")
    assert "4 clusters" in words(few)


SAME = {"q0": 1, "q1": 0, "q2": 1}


@pytest.mark.parametrize(
    ("runs", "rules", "clusters", "kind", "facts"),
    [
        ([run("a", SAME), run("b", {"x0": 1, "x1": 0})], CompareRules(), None, DataError, ("common", "q0", "x0")),
        ([run("a", SAME), run("b", {"q0": 1, "x1": 0})], CompareRules(), None, DataError, ("one item", "q0")),
        ([run("a", {"q0": 1}), run("b", {"q0": 0})], CompareRules(), None, DataError, ("one item", "q0")),
        ([run("a", SAME), run("b", dict.fromkeys(SAME, ()))], CompareRules(), None, DataError, ("common", "b")),
        ([run("a", SAME), run("b", SAME)], CompareRules(), {"q0": "x"}, DataError, ("cluster", "2 of 3")),
        ([run("a", SAME), run("b", SAME)], CompareRules(), "subtask", DataError, ("one cluster", "3 items")),
        ([run("a", SAME), run("b", SAME)], CompareRules(reference="benchmark"), None, ConfigError, ("repeats", "one score")),
        ([run("a", SAME), run("b", SAME)], CompareRules(confidence=95), None, ConfigError, ("confidence", "95")),
        ([run("a", SAME), run("b", SAME)], CompareRules(accept="superior", margin=2), None, ConfigError, ("margin", "2")),
        ([run("a", SAME), run("b", SAME)], CompareRules(accept="noninferior"), None, ConfigError, ("margin", "0")),
        ([run("a", SAME), run("b", SAME)], CompareRules(margin=0.02), None, ConfigError, ("margin", "accept")),
        ([run("a", SAME), run("b", SAME)], CompareRules(min_common=90), None, ConfigError, ("min_common", "90")),
        (
            [run("a", SAME | {"q0": (1, 0)}), run("b", SAME)],
            CompareRules(repeats="runs"),
            None,
            DataError,
            ("runs", "1, 2 repeats"),
        ),
    ],
)
def test_misuse_is_refused(
    runs: list[Run], rules: CompareRules, clusters: Any, kind: type[DataError], facts: tuple[str, ...]
) -> None:
    with refuses(kind, facts[0]) as caught:
        compare(runs, rules, clusters)
    for fact in facts[1:]:
        assert fact in str(caught.value)


GATE = CompareRules(accept="noninferior", margin=0.05)


@pytest.mark.parametrize(
    ("runs", "facts", "decision"),
    [
        # The whole against a subset.
        ([drawn("a", 0.5), drawn("b", 0.9, 50)], ("b was not asked 150", "min_common"), "cannot be told"),
        # Half of the answers are lost.
        (
            [
                drawn("a", 0.5),
                drawn("b", 0.9)._replace(
                    scores={item: each if k % 2 else () for k, (item, each) in enumerate(drawn("b", 0.9).scores.items())}
                ),
            ],
            ("no score on 100", "min_common"),
            "cannot be told",
        ),
        # Another prompt.
        (
            [
                drawn("a", 0.5)._replace(content=dict.fromkeys(drawn("a", 0.5).scores, "p1")),
                drawn("b", 0.9)._replace(content=dict.fromkeys(drawn("b", 0.9).scores, "p2")),
            ],
            ("200 of 200", "versions"),
            "yes",
        ),
        # Other subtasks.
        ([drawn("a", 0.5), drawn("b", 0.9)._replace(subtask=dict.fromkeys(drawn("b", 0.9).scores, "z"))], ("subtasks",), "yes"),
        # Few items.
        ([drawn("a", 0.5, 12), drawn("b", 0.5, 12)], ("only 12 items",), "cannot be told"),
        # The same file twice.
        ([drawn("a", 0.5), drawn("a", 0.5)._replace(name="copy")], ("same score on every item",), "yes"),
        # Different numbers of repeats.
        ([drawn("a", 0.5), run("b", {f"q{k}": (1, 1) if k else (1,) for k in range(200)})], ("numbers of repeats",), "yes"),
    ],
)
def test_a_doubtful_comparison_is_flagged(runs: list[Run], facts: tuple[str, ...], decision: str) -> None:
    found = compare(runs, GATE)
    for fact in facts:
        assert fact in words(found)
    assert found.decision == decision


def test_a_missing_share_that_is_allowed() -> None:
    found = compare([drawn("a", 0.5), drawn("b", 0.9, 50)], replace(GATE, min_common=0.2))
    assert found.decision == "yes"


def test_repeats_that_are_runs_are_noticed() -> None:
    rng = np.random.default_rng(0)
    moved = (rng.random((300, 6)) < 0.5 + np.linspace(-0.2, 0.2, 6)).astype(float)
    a = run("a", {f"q{k}": row.tolist() for k, row in enumerate(moved)})
    b = drawn("b", 0.5, 300, repeats=6)
    assert "a: the means of its repeats" in words(compare([a, b]))
    assert "repeats" not in words(compare([a, b], CompareRules(repeats="runs")))


def test_repeats_whose_equal_scores_stand_together_are_no_runs() -> None:
    rng = np.random.default_rng(1)
    grouped = np.sort((rng.random((300, 6)) < 0.5).astype(float), axis=1)
    a = run("a", {f"q{k}": row.tolist() for k, row in enumerate(grouped)})
    b = drawn("b", 0.5, 300, repeats=6)
    assert "repeats" not in words(compare([a, b]))
    assert "a: equal scores stand together" in words(compare([a, b], CompareRules(repeats="runs")))
