from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from microbench_ray.audit.drift import detect_drift
from microbench_ray.audit.drift_null import HALF_BIN, MetricKey, draw_divisions, evaluate_metrics, find_cohorts
from microbench_ray.audit.drift_rules import METRICS, DriftPolicy, DriftRule
from microbench_ray.audit.profile import Profile, profile, profiles
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data import Benchmark
from microbench_ray.methods.selectors.fixed import Fixed
from microbench_ray.metrics import compare, mdad, mean_agreement, true_pairs
from tests.helpers import small
from tests.helpers.errors import refuses

POLICY = DriftPolicy(n_resamples=400)
Rows = dict[MetricKey, dict[str, Any]]
N, ADDED = 80, 6


@pytest.fixture(scope="module")
def right() -> NDArray[np.uint8]:
    return small.responses(N + ADDED)


def compared(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> tuple[Profile, Profile]:
    return profiles(small.board(before), small.board(now), small.lists())


def audited(
    before: NDArray[np.uint8],
    now: NDArray[np.uint8],
    *,
    new: int = ADDED,
    night: str = "n1",
    policy: DriftPolicy = POLICY,
    earlier: pa.Table | None = None,
) -> tuple[Rows, pa.Table]:
    baseline, tonight = compared(before, now)
    names = list(tonight.model_ids[len(now) - new :])
    table = detect_drift(baseline, tonight, names, night=night, policy=policy, earlier=earlier)
    return {MetricKey(row["metric"], row["subject"], row["subtask"]): row for row in table.to_pylist()}, table


def test_a_night_like_the_baseline_has_no_finding(right: NDArray[np.uint8]) -> None:
    rows, table = audited(right[:N], right)
    assert table.schema.equals(SCHEMAS["history"])
    assert {row["severity"] for row in rows.values()} == {""}
    assert {row["text"] for row in rows.values()} == {""}
    # 2 lists × (all and 3 subtasks) × 2 families; 3 subtasks × 3 residuals; 4 metrics of pairs × 2 lists; accuracy_change.
    assert len(rows) == 16 + 9 + 8 + 4
    for key, row in rows.items():
        assert row["kind"] == "metric"
        assert row["size"] == {"even": 40, "weighted": 24}.get(key.subject)
        assert row["nights"] == 0
        low, high = row["bound_lo"], row["bound_hi"]
        assert low is None or low <= row["value"]
        assert high is None or row["value"] <= high


def test_values_by_the_plain_formulas(right: NDArray[np.uint8]) -> None:
    rows, _ = audited(right[:N], right, new=2)
    listed = np.arange(0, 240, 6)
    bias = right[:, listed].mean(axis=1) - right.mean(axis=1)
    row = rows[MetricKey("bias_new", "even", "")]
    assert row["value"] == pytest.approx(bias[-2:].mean())
    assert row["reference"] == pytest.approx(bias[:N].mean())
    assert rows[MetricKey("bias_added", "even", "")]["value"] == pytest.approx(bias[-ADDED:].mean())
    biology, elsewhere = right[:, 80:160].mean(axis=1), np.delete(right, np.s_[80:160], axis=1).mean(axis=1)
    expected = np.polyval(np.polyfit(elsewhere[:N], biology[:N], 2), elsewhere)
    off = biology - expected
    assert rows[MetricKey("residual_added", "", "biology")]["value"] == pytest.approx(off[-ADDED:].mean())
    assert rows[MetricKey("residual_new", "", "biology")]["value"] == pytest.approx(off[-2:].mean())
    assert rows[MetricKey("residual_worst", "", "biology")]["value"] == pytest.approx(np.abs(off[-2:]).max())
    assert rows[MetricKey("residual_added", "", "biology")]["reference"] == pytest.approx(0, abs=1e-9)
    counts = compare(true_pairs(right.sum(axis=1, dtype=int), np.full(N + ADDED, 240)), right[:, listed].mean(axis=1)).counts
    assert rows[MetricKey("agreement", "even", "")]["value"] == mean_agreement(counts)
    assert rows[MetricKey("mdad_monotone", "even", "")]["value"] == mdad(counts, n_resamples=1).mdad_monotone
    apart, good = 0, 0
    for i in range(N, N + ADDED):
        for j in range(i):
            truth = int(right[i].sum()) - int(right[j].sum())
            guess = int(right[i, listed].sum()) - int(right[j, listed].sum())
            apart += truth != 0
            good += truth * guess > 0
    assert rows[MetricKey("agreement_added", "even", "")]["value"] == good / apart


def test_a_corrupted_subtask_of_the_new_models_is_found_without_a_list(right: NDArray[np.uint8]) -> None:
    bad = right.copy()
    bad[N:, 80:160] = 0
    baseline, tonight = profiles(small.board(right[:N]), small.board(bad), {})
    rows = detect_drift(baseline, tonight, list(tonight.model_ids[N:]), night="n1", policy=POLICY).to_pylist()
    failed = [row for row in rows if row["severity"] == "fail"]
    assert ("residual_new", "biology") in [(row["metric"], row["subtask"]) for row in failed]
    text = next(row["text"] for row in failed if row["metric"] == "residual_new" and row["subtask"] == "biology")
    assert "'biology'" in text
    assert f"({ADDED} models)" in text


def test_one_corrupted_model_of_two_is_found_where_enough_models_are_known(right: NDArray[np.uint8]) -> None:
    bad = right[: N + 2].copy()
    bad[N, 80:160] = 0
    # With 82 models, 2/82 of the divisions have this model among the new ones: far less than 8 %, and far more than 0.8 %.
    rows, _ = audited(right[:N], bad, new=2, policy=DriftPolicy(n_resamples=400, level=0.9))
    row = rows[MetricKey("residual_worst", "", "biology")]
    assert row["severity"] == "fail"
    assert f"'m{N:03d}'" in row["text"]
    rows, _ = audited(right[:N], bad, new=2)
    row = rows[MetricKey("residual_worst", "", "biology")]
    assert (row["bound_lo"], row["bound_hi"], row["severity"]) == (None, None, "")


def test_a_leaked_list_is_found(right: NDArray[np.uint8]) -> None:
    bad = right.copy()
    bad[N:, ::6] = 1
    rows, _ = audited(right[:N], bad)
    assert rows[MetricKey("bias_new", "even", "")]["severity"] == "fail"
    assert rows[MetricKey("bias_new", "even", "")]["value"] > rows[MetricKey("bias_new", "even", "")]["bound_hi"]
    # The rule about all added models needs two nights in a row.
    assert rows[MetricKey("bias_added", "even", "")]["severity"] == "note"


def test_a_rescored_subtask_of_the_same_models_is_outside_beyond_the_tolerance(right: NDArray[np.uint8]) -> None:
    bad = right.copy()
    bad[:N, 0] = 1 - bad[:N, 0]
    change = (bad[:N, :80].mean(axis=1) - right[:N, :80].mean(axis=1)).mean()
    assert abs(change) > 0.0025 * 0.5
    rows, _ = audited(right[:N], bad, policy=DriftPolicy(n_resamples=400, tolerance=abs(change) * 0.99))
    row = rows[MetricKey("accuracy_change", "", "algebra")]
    assert row["severity"] == "fail"
    assert row["value"] == pytest.approx(change)
    assert rows[MetricKey("accuracy_change", "", "biology")]["value"] == 0
    rows, _ = audited(right[:N], bad, policy=DriftPolicy(n_resamples=400, tolerance=abs(change) * 1.01))
    assert rows[MetricKey("accuracy_change", "", "algebra")]["severity"] == ""


def test_the_only_subtask_is_watched_as_the_whole(right: NDArray[np.uint8]) -> None:
    def keys(policy: DriftPolicy) -> set[MetricKey]:
        items, names = small.items(), [f"m{k}" for k in range(N + ADDED)]
        before, now = (
            Benchmark.from_arrays("b", right[:n], items, names[:n], subtasks=["all"] * len(items)) for n in (N, N + ADDED)
        )
        baseline, tonight = profiles(before, now, small.lists())
        table = detect_drift(baseline, tonight, [], night="n1", policy=policy)
        return {MetricKey(row["metric"], row["subject"], row["subtask"]) for row in table.to_pylist()}

    found = keys(POLICY)
    assert {MetricKey("bias_added", "even", ""), MetricKey("accuracy_change", "", "")} <= found
    assert not [key for key in found if key.subtask]
    each = keys(DriftPolicy(rules=(DriftRule("bias_added", scope="each"),), n_resamples=400))
    assert each == {MetricKey("bias_added", "even", "all"), MetricKey("bias_added", "weighted", "all")}


def test_metrics_without_models_have_no_row(right: NDArray[np.uint8]) -> None:
    rows, _ = audited(right[:N], right, new=0)
    assert {METRICS[key.metric].family for key in rows} == {"added", "same"}
    rows, _ = audited(right[:N], right[:N], new=0)
    assert {key.metric for key in rows} == {"accuracy_change"}
    rows, _ = audited(right[:N], right[: N + 1], new=1)
    assert MetricKey("bias_new", "even", "") in rows


def test_nights_in_a_row_are_counted_per_side_and_a_recomputed_night_changes_nothing(right: NDArray[np.uint8]) -> None:
    bad = right.copy()
    bad[N:, ::6] = 1
    key = MetricKey("bias_added", "even", "")
    first, table = audited(right[:N], bad, night="n1")
    assert (first[key]["nights"], first[key]["severity"]) == (1, "note")
    second, both = audited(right[:N], bad, night="n2", new=0, earlier=table)
    assert (second[key]["nights"], second[key]["severity"]) == (2, "fail")
    assert "2 nights" in second[key]["text"]
    recomputed, _ = audited(right[:N], bad, night="n2", new=0, earlier=pa.concat_tables([both, table]))
    assert recomputed == second
    # A night on the other side starts a new streak, and a night inside ends it.
    worse = right.copy()
    worse[N:, ::6] = 0
    other, _ = audited(right[:N], worse, night="n2", earlier=table)
    assert (other[key]["nights"], other[key]["severity"]) == (1, "note")
    calm, _ = audited(right[:N], right, night="n2", earlier=table)
    assert calm[key]["nights"] == 0


def test_rows_are_reproducible_and_another_night_has_other_draws(right: NDArray[np.uint8]) -> None:
    _, first = audited(right[:N], right)
    _, repeated = audited(right[:N], right)
    _, other_night = audited(right[:N], right, night="n2")
    assert first.equals(repeated)
    assert not first.drop_columns(["night"]).equals(other_night.drop_columns(["night"]))


def test_the_order_of_models_does_not_matter_to_the_values(right: NDArray[np.uint8]) -> None:
    baseline, tonight = compared(right[:N], right)
    order = np.random.default_rng(5).permutation(N + ADDED)
    new = list(tonight.model_ids[N:])
    rows = detect_drift(baseline, tonight, new, night="n1", policy=POLICY)
    shuffled = detect_drift(baseline, tonight.take(order), new, night="n1", policy=POLICY)
    np.testing.assert_allclose(rows["value"].to_numpy(), shuffled["value"].to_numpy(), atol=1e-12)
    assert rows["bound_hi"].equals(shuffled["bound_hi"])


def test_an_mdad_never_reached_is_null_and_counts_as_the_largest() -> None:
    # A list of one item that every model gets right orders no pair.
    right = small.responses(60, seed=2)
    right[:, 0] = 1
    baseline, tonight = profiles(small.board(right[:50]), small.board(right), {"one": Fixed(items=["q0000"])})
    rows = detect_drift(baseline, tonight, list(tonight.model_ids[50:]), night="n1", policy=POLICY).to_pylist()
    row = next(row for row in rows if row["metric"] == "mdad_monotone")
    assert row["value"] is None
    assert row["reference"] is None
    assert row["bound_hi"] is None
    assert row["severity"] == ""


def test_models_that_a_list_was_built_from_are_no_targets(right: NDArray[np.uint8]) -> None:
    every = small.items()
    names = [f"m{k:03d}" for k in range(N + ADDED)]
    known = {"even": Fixed(items=every[::6], built_from=names[:10])}
    baseline, tonight = profiles(small.board(right[:N]), small.board(right), known)
    rows = detect_drift(baseline, tonight, names[N:], night="n1", policy=POLICY).to_pylist()
    row = next(row for row in rows if row["metric"] == "bias_new" and row["subtask"] == "")
    bias = right[10:N, ::6].mean(axis=1) - right[10:N].mean(axis=1)
    assert row["reference"] == pytest.approx(bias.mean())


def test_undefined_metrics_have_no_row(right: NDArray[np.uint8]) -> None:
    every, names = small.items(), [f"m{k:03d}" for k in range(N + ADDED)]
    known = {"even": Fixed(items=every[::6], built_from=names[N:]), "algebra": Fixed(items=every[:40])}
    baseline, tonight = profiles(small.board(right[:N]), small.board(right), known)
    rows = detect_drift(baseline, tonight, names[N:], night="n1", policy=POLICY).to_pylist()
    keys = {(row["metric"], row["subject"], row["subtask"]) for row in rows}
    # One list was built from every added model; the other has no items of two subtasks.
    assert ("bias_new", "even", "") not in keys
    assert ("agreement_added", "even", "") not in keys
    assert ("mdad_monotone", "even", "") in keys
    assert {subtask for metric, subject, subtask in keys if (metric, subject) == ("bias_new", "algebra")} == {"", "algebra"}
    assert all(row["value"] is not None for row in rows)
    alone = Benchmark.from_arrays("b", right, every, names)
    baseline, tonight = profiles(Benchmark.from_arrays("b", right[:N], every, names[:N]), alone, {})
    rows = detect_drift(baseline, tonight, names[N:], night="n1", policy=POLICY).to_pylist()
    assert {row["metric"] for row in rows} == {"accuracy_change"}  # residuals need several subtasks


@pytest.mark.parametrize(
    ("rule", "key", "got", "valid"),
    [
        (DriftRule("bias_new", subjects=("evn",)), "subjects", "evn", "even, weighted"),
        (DriftRule("residual_new", subtasks=("biologie",)), "subtasks", "biologie", "biology"),
    ],
)
def test_rules_about_unknown_lists_and_subtasks_are_refused(
    right: NDArray[np.uint8], rule: DriftRule, key: str, got: str, valid: str
) -> None:
    with refuses(ConfigError, rule.metric, where=key, got=got, hint=valid):
        audited(right[:N], right, policy=DriftPolicy((rule,)))


def test_vanished_models_are_left_out_of_both_nights(right: NDArray[np.uint8]) -> None:
    gone = right[5:]
    baseline, tonight = profiles(
        small.board(right[:N]), small.board(gone, [f"m{k:03d}" for k in range(5, N + ADDED)]), small.lists()
    )
    rows = detect_drift(baseline, tonight, list(tonight.model_ids[-ADDED:]), night="n1", policy=POLICY).to_pylist()
    row = next(row for row in rows if row["metric"] == "bias_new" and row["subtask"] == "" and row["subject"] == "even")
    bias = right[5:N, ::6].mean(axis=1) - right[5:N].mean(axis=1)
    assert row["reference"] == pytest.approx(bias.mean())


def test_the_first_matching_rule_applies() -> None:
    policy = DriftPolicy((DriftRule("bias_new", subjects=("a",), nights=3), DriftRule("bias_new", scope="each", subtasks=("s",))))
    assert policy.rule("bias_new", "a", "") == policy.rules[0]
    assert policy.rule("bias_new", "b", "") is None
    assert policy.rule("bias_new", "b", "s") == policy.rules[1]
    assert policy.rule("bias_new", "b", "t") is None
    assert policy.rule("mdad_monotone", "b", "") is None
    assert DriftPolicy().rule("mdad_monotone", "b", "t") is None
    assert DriftPolicy((DriftRule("mdad_monotone", scope="both"),)).rule("mdad_monotone", "b", "t") is not None


@pytest.mark.parametrize(
    ("make", "word", "key", "got"),
    [
        (lambda: DriftRule("bias"), "metric", "metric", "bias"),
        (lambda: DriftRule("residual_new", scope="together"), "residual_new", "scope", "together"),
        (lambda: DriftRule("bias_new", sides="left"), "sides", "sides", "left"),  # type: ignore[arg-type]
        (lambda: DriftRule("bias_new", nights=0), "nights", "nights", "0"),
        (lambda: DriftRule("bias_new", factor=0), "factor", "factor", "0"),
        (lambda: DriftRule("bias_new", severity="loud"), "severity", "severity", "loud"),  # type: ignore[arg-type]
        (lambda: DriftPolicy(level=1), "level", "level", "1"),
        (lambda: DriftPolicy(n_resamples=100), "resamples", "n_resamples", "100"),
        (lambda: DriftPolicy(tie_policy="paper"), "tie policy", "tie_policy", "paper"),  # type: ignore[arg-type]
        (lambda: DriftPolicy(tolerance=-1), "tolerance", "tolerance", "-1"),
    ],
)
def test_bad_rules_are_refused(make: Callable[[], object], word: str, key: str, got: str) -> None:
    with refuses(ConfigError, word, where=f"drift rules, {key}", got=got):
        make()


def test_profiles_of_other_lists_are_refused(right: NDArray[np.uint8]) -> None:
    baseline, _ = compared(right[:N], right)
    with refuses(DataError, "lists", where="night n1", got="0 lists"):
        detect_drift(baseline, profile(small.board(right), {}), [], night="n1")


def test_cohorts_by_hand() -> None:
    baseline = profile(small.board(small.responses(4)), {})
    tonight = profile(small.board(small.responses(5), ["m003", "new", "m001", "old", "m000"]), {})
    cohorts = find_cohorts(baseline, tonight, ["new", "m001"])
    assert baseline.model_ids[cohorts.shared_baseline].tolist() == ["m000", "m001", "m003"]
    assert tonight.model_ids[cohorts.shared_tonight].tolist() == ["m000", "m001", "m003"]
    assert tonight.model_ids[cohorts.earlier].tolist() == ["old"]
    assert tonight.model_ids[cohorts.added].tolist() == ["old", "new"]
    assert tonight.model_ids[cohorts.new].tolist() == ["new"]


def test_random_divisions_are_in_units_of_the_standard_error(right: NDArray[np.uint8]) -> None:
    baseline, tonight = compared(right[:N], right)
    cohorts = find_cohorts(baseline, tonight, list(tonight.model_ids[N:]))
    values = evaluate_metrics(baseline, tonight, cohorts, DriftPolicy(n_resamples=4000), np.random.default_rng(0))
    bias = baseline.estimates["even"][:, 0] - baseline.accuracy[:, 0]
    value = values[MetricKey("bias_new", "even", "")]
    # The mean of six models minus that of the baseline; the error counts one more model, which is one item of 240 off.
    spread = np.sqrt((np.square(bias - bias.mean()).sum() + 1 / 240**2) / N)
    assert value.scale == pytest.approx(spread * np.sqrt(1 / ADDED + 1 / N))
    assert value.centre == value.reference == pytest.approx(bias.mean())
    assert value.null.std() == pytest.approx(1, rel=0.1)
    assert value.null.mean() == pytest.approx(0, abs=4 / np.sqrt(4000))
    assert (value.n_models, value.n_group) == (N + ADDED, ADDED)
    assert HALF_BIN == 0.0025


def test_the_first_division_is_that_of_the_night() -> None:
    divisions = draw_divisions(np.random.default_rng(0), 50, n_base=5, n_added=3, n_new=1)
    assert divisions.order[0].tolist() == list(range(8))
    assert (np.sort(divisions.order, axis=1) == np.arange(8)).all()
    assert (divisions.added[0].tolist(), divisions.new[0].tolist()) == ([5, 6, 7], [7])
    assert divisions.indicator(divisions.added)[0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert (divisions.indicator(divisions.added).sum(axis=1) == 3).all()


def night_with_failing_models(seed: int) -> tuple[Profile, Profile]:
    """A baseline of 24 models, and two more; one model in ten fails on a subtask, as some do on real boards."""
    rng = np.random.default_rng(seed)
    scores = small.responses(26, seed=seed)
    for model in np.flatnonzero(rng.random(26) < 0.1):
        scores[model, 80 * (start := int(rng.integers(3))) : 80 * (start + 1)] = 0
    return compared(scores[:24], scores)


@pytest.mark.slow
def test_clean_nights_rarely_alarm_where_a_few_models_fail_on_a_subtask() -> None:
    rules = tuple(DriftRule(metric) for metric in ("bias_new", "residual_new", "residual_worst", "residual_added"))
    alarms = 0
    for seed in range(100):
        baseline, tonight = night_with_failing_models(seed)
        policy = DriftPolicy(rules, n_resamples=200)
        rows = detect_drift(baseline, tonight, list(tonight.model_ids[24:]), night="n", policy=policy, seed=seed)
        alarms += "fail" in rows["severity"].to_pylist()
    # At 1 %, more than five of 100 independent nights have a probability below 0.001.
    assert alarms <= 5
