from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from microbench_ray.audit import drift_null as null
from microbench_ray.audit.drift import drift, intervals
from microbench_ray.audit.drift_null import Key, Value, evaluate, find_cohorts
from microbench_ray.audit.drift_rules import METRICS, DriftRule, Policy
from microbench_ray.audit.profile import Profile, profile, profiles
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.methods.selectors.fixed import Fixed
from microbench_ray.metrics import compare, mdad, mean_agreement, true_pairs
from tests.helpers import small

POLICY = Policy(n_resamples=400)
N, ADDED = 80, 6


@pytest.fixture(scope="module")
def right():
    return small.responses(N + ADDED)


def compared(before: np.ndarray, now: np.ndarray) -> tuple[Profile, Profile]:
    return profiles(small.board(before), small.board(now), small.lists())


def audited(before, now, *, new=ADDED, night="n1", policy=POLICY, earlier=None, seed=0):
    one, other = compared(before, now)
    rows = drift(one, other, list(other.model_ids[len(now) - new :]), night=night, policy=policy, earlier=earlier, seed=seed)
    return {Key(row["metric"], row["subject"], row["subtask"]): row for row in rows.to_pylist()}, rows


def test_a_night_like_the_baseline_says_nothing(right):
    rows, table = audited(right[:N], right)
    assert table.schema.equals(SCHEMAS["history"])
    assert {row["severity"] for row in rows.values()} == {""}
    assert {row["text"] for row in rows.values()} == {""}
    # 2 lists × (together and 3 subtasks) × 2 families; 3 subtasks × 3; 4 metrics of pairs × 2 lists; the same models.
    assert len(rows) == 16 + 9 + 8 + 4
    for key, row in rows.items():
        assert row["kind"] == "metric"
        assert row["size"] == {"even": 40, "weighted": 24}.get(key.subject)
        assert row["nights"] == 0
        low, high = row["bound_lo"], row["bound_hi"]
        assert low is None or low <= row["value"]
        assert high is None or row["value"] <= high


def test_values_by_the_plain_formulas(right):
    rows, _ = audited(right[:N], right, new=2)
    listed = np.arange(0, 240, 6)
    bias = right[:, listed].mean(axis=1) - right.mean(axis=1)
    row = rows[Key("bias_new", "even", "")]
    assert row["value"] == pytest.approx(bias[-2:].mean())
    assert row["reference"] == pytest.approx(bias[:N].mean())
    assert rows[Key("bias_added", "even", "")]["value"] == pytest.approx(bias[-ADDED:].mean())
    biology, elsewhere = right[:, 80:160].mean(axis=1), np.delete(right, np.s_[80:160], axis=1).mean(axis=1)
    expected = np.polyval(np.polyfit(elsewhere[:N], biology[:N], 2), elsewhere)
    off = biology - expected
    assert rows[Key("residual_added", "", "biology")]["value"] == pytest.approx(off[-ADDED:].mean())
    assert rows[Key("residual_new", "", "biology")]["value"] == pytest.approx(off[-2:].mean())
    assert rows[Key("residual_worst", "", "biology")]["value"] == pytest.approx(np.abs(off[-2:]).max())
    assert rows[Key("residual_added", "", "biology")]["reference"] == pytest.approx(0, abs=1e-9)
    counts = compare(true_pairs(right.sum(axis=1, dtype=int), np.full(N + ADDED, 240)), right[:, listed].mean(axis=1)).counts
    assert rows[Key("agreement", "even", "")]["value"] == mean_agreement(counts)
    assert rows[Key("mdad_monotone", "even", "")]["value"] == mdad(counts, n_resamples=1).mdad_monotone
    apart, good = 0, 0
    for i in range(N, N + ADDED):
        for j in range(i):
            truth = int(right[i].sum()) - int(right[j].sum())
            guess = int(right[i, listed].sum()) - int(right[j, listed].sum())
            apart += truth != 0
            good += truth * guess > 0
    assert rows[Key("agreement_added", "even", "")]["value"] == good / apart


def test_a_corrupted_subtask_of_the_new_models_is_found_without_a_list(right):
    bad = right.copy()
    bad[N:, 80:160] = 0
    one, other = profiles(small.board(right[:N]), small.board(bad), {})
    rows = drift(one, other, list(other.model_ids[N:]), night="n1", policy=POLICY).to_pylist()
    failed = [row for row in rows if row["severity"] == "fail"]
    assert ("residual_new", "biology") in [(row["metric"], row["subtask"]) for row in failed]
    text = next(row["text"] for row in failed if row["metric"] == "residual_new" and row["subtask"] == "biology")
    assert "'biology'" in text
    assert f"({ADDED} models)" in text
    # One model of six is enough for the one that looks at the worst.
    bad = right.copy()
    bad[N, 80:160] = 0
    rows, _ = audited(right[:N], bad)
    assert rows[Key("residual_worst", "", "biology")]["severity"] == "fail"
    assert f"'m{N:03d}'" in rows[Key("residual_worst", "", "biology")]["text"]


def test_a_leaked_list_is_found(right):
    bad = right.copy()
    bad[N:, ::6] = 1
    rows, _ = audited(right[:N], bad)
    assert rows[Key("bias_new", "even", "")]["severity"] == "fail"
    assert rows[Key("bias_new", "even", "")]["value"] > rows[Key("bias_new", "even", "")]["bound_hi"]
    # Of the models added since the baseline it must show two nights running.
    assert rows[Key("bias_added", "even", "")]["severity"] == "note"


def test_a_rescored_subtask_of_the_same_models_is_outside_whatever_its_size(right):
    bad = right.copy()
    bad[:N, 0] = 1 - bad[:N, 0]
    change = (bad[:N, :80].mean(axis=1) - right[:N, :80].mean(axis=1)).mean()
    assert abs(change) > 0.0025 * 0.5
    rows, _ = audited(right[:N], bad, policy=Policy(n_resamples=400, tolerance=abs(change) * 0.99))
    row = rows[Key("accuracy_change", "", "algebra")]
    assert row["severity"] == "fail"
    assert row["value"] == pytest.approx(change)
    assert rows[Key("accuracy_change", "", "biology")]["value"] == 0
    rows, _ = audited(right[:N], bad, policy=Policy(n_resamples=400, tolerance=abs(change) * 1.01))
    assert rows[Key("accuracy_change", "", "algebra")]["severity"] == ""


def test_no_new_models_no_tests_of_them(right):
    rows, _ = audited(right[:N], right, new=0)
    assert {METRICS[key.metric].family for key in rows} == {"added", "same"}
    rows, _ = audited(right[:N], right[:N], new=0)
    assert {key.metric for key in rows} == {"accuracy_change"}
    rows, _ = audited(right[:N], right[: N + 1], new=1)
    assert Key("bias_new", "even", "") in rows


def test_nights_running_are_counted_per_side_and_a_repeated_night_changes_nothing(right):
    bad = right.copy()
    bad[N:, ::6] = 1
    key = Key("bias_added", "even", "")
    first, table = audited(right[:N], bad, night="n1")
    assert (first[key]["nights"], first[key]["severity"]) == (1, "note")
    second, both = audited(right[:N], bad, night="n2", new=0, earlier=table)
    assert (second[key]["nights"], second[key]["severity"]) == (2, "fail")
    assert "2 nights running" in second[key]["text"]
    again, _ = audited(right[:N], bad, night="n2", new=0, earlier=pa.concat_tables([both, table]))
    assert again == second
    # The other side begins anew, and so does a night within.
    worse = right.copy()
    worse[N:, ::6] = 0
    other, _ = audited(right[:N], worse, night="n2", earlier=table)
    assert (other[key]["nights"], other[key]["severity"]) == (1, "note")
    calm, _ = audited(right[:N], right, night="n2", earlier=table)
    assert calm[key]["nights"] == 0


def test_the_same_seed_the_same_rows_and_another_night_other_draws(right):
    _, one = audited(right[:N], right)
    _, again = audited(right[:N], right)
    _, table = audited(right[:N], right, night="n2")
    assert one.equals(again)
    assert not one.drop_columns(["night"]).equals(table.drop_columns(["night"]))


def test_the_order_of_models_does_not_matter_to_the_values(right):
    one, other = compared(right[:N], right)
    order = np.random.default_rng(5).permutation(N + ADDED)
    new = list(other.model_ids[N:])
    rows = drift(one, other, new, night="n1", policy=POLICY)
    shuffled = drift(one, other.take(order), new, night="n1", policy=POLICY)
    np.testing.assert_allclose(rows["value"].to_numpy(), shuffled["value"].to_numpy(), atol=1e-12)
    assert rows["bound_hi"].equals(shuffled["bound_hi"])


def test_an_mdad_never_reached_is_null_and_counts_as_the_largest():
    # A list of one item that everybody has right orders nobody.
    right = small.responses(60, seed=2)
    right[:, 0] = 1
    one, other = profiles(small.board(right[:50]), small.board(right), {"one": Fixed(items=["q0000"])})
    rows = drift(one, other, list(other.model_ids[50:]), night="n1", policy=POLICY).to_pylist()
    row = next(row for row in rows if row["metric"] == "mdad_monotone")
    assert row["value"] is None
    assert row["reference"] is None
    assert row["bound_hi"] is None
    assert row["severity"] == ""


def test_models_that_a_list_was_built_from_are_no_targets(right):
    every = small.items()
    names = [f"m{k:03d}" for k in range(N + ADDED)]
    known = {"even": Fixed(items=every[::6], built_from=names[:10])}
    one, other = profiles(small.board(right[:N]), small.board(right), known)
    rows = drift(one, other, names[N:], night="n1", policy=POLICY).to_pylist()
    row = next(row for row in rows if row["metric"] == "bias_new" and row["subtask"] == "")
    bias = right[10:N, ::6].mean(axis=1) - right[10:N].mean(axis=1)
    assert row["reference"] == pytest.approx(bias.mean())


def test_what_is_undefined_has_no_row(right):
    every, names = small.items(), [f"m{k:03d}" for k in range(N + ADDED)]
    known = {"even": Fixed(items=every[::6], built_from=names[N:]), "algebra": Fixed(items=every[:40])}
    one, other = profiles(small.board(right[:N]), small.board(right), known)
    rows = drift(one, other, names[N:], night="n1", policy=POLICY).to_pylist()
    keys = {(row["metric"], row["subject"], row["subtask"]) for row in rows}
    # Every added model built the one list; the other has no items of two subtasks.
    assert ("bias_new", "even", "") not in keys
    assert ("agreement_added", "even", "") not in keys
    assert ("mdad_monotone", "even", "") in keys
    assert {subtask for metric, subject, subtask in keys if (metric, subject) == ("bias_new", "algebra")} == {"", "algebra"}
    assert all(row["value"] is not None for row in rows)
    alone = small.Benchmark.from_arrays("b", right, every, names)
    one, other = profiles(small.Benchmark.from_arrays("b", right[:N], every, names[:N]), alone, {})
    rows = drift(one, other, names[N:], night="n1", policy=POLICY).to_pylist()
    assert {row["metric"] for row in rows} == {"accuracy_change"}  # one subtask has no others


def test_rules_about_what_there_is_not_are_refused(right):
    for rule in (DriftRule("bias_new", subjects=("evn",)), DriftRule("residual_new", subtasks=("biologie",))):
        with pytest.raises(ConfigError, match="something that there is not"):
            audited(right[:N], right, policy=Policy((rule,)))


def test_vanished_models_are_in_neither_side(right):
    gone = right[5:]
    one, other = profiles(small.board(right[:N]), small.board(gone, [f"m{k:03d}" for k in range(5, N + ADDED)]), small.lists())
    rows = drift(one, other, list(other.model_ids[-ADDED:]), night="n1", policy=POLICY).to_pylist()
    row = next(row for row in rows if row["metric"] == "bias_new" and row["subtask"] == "" and row["subject"] == "even")
    bias = right[5:N, ::6].mean(axis=1) - right[5:N].mean(axis=1)
    assert row["reference"] == pytest.approx(bias.mean())


MANY = 10**30
"""So many models in the baseline that nothing is to be smoothed."""


def test_few_models_in_the_baseline_widen_all_alike():
    value = Value(0.0, 0.0, np.random.default_rng(0).normal(size=500), 1e-6)
    values = {Key("bias_new", "l", ""): value, Key("bias_added", "l", ""): value}
    plain, wide = (intervals(values, Policy(n_resamples=500), n) for n in (MANY, 32))
    for one, other in zip(plain, wide, strict=True):
        assert other.high - other.low == pytest.approx((one.high - one.low) * np.sqrt(1 + 0.25))  # 32 ** -0.4 is 1/4


def test_the_limits_keep_the_level_together():
    rng = np.random.default_rng(0)
    n = 2000
    values = {
        Key("bias_new", "l", ""): Value(0.0, 0.0, rng.standard_t(3, n), 1e-6),
        Key("bias_new", "l", "s"): Value(0.0, 0.0, 5 * rng.normal(size=n), 1e-6),
        Key("bias_added", "l", ""): Value(0.0, 0.0, 0.1 * rng.normal(size=n), 1e-6),
    }
    found = intervals(values, Policy(n_resamples=n, level=0.95), MANY)
    inside = np.ones(n, bool)
    for value, (low, high) in zip(values.values(), found, strict=True):
        inside &= (low <= value.null) & (value.null <= high)
    assert abs(inside.sum() - np.ceil((n + 1) * 0.95)) <= 1  # the one on the limit, by rounding
    # Each family gives about half of the rest.
    added = list(found)[2]
    outside = np.mean(np.abs(values[Key("bias_added", "l", "")].null - (added.low + added.high) / 2) > added.high)
    assert 0.015 < outside < 0.035


def test_a_factor_widens_and_a_side_opens():
    rng = np.random.default_rng(0)
    value = Value(0.0, 0.0, rng.normal(size=500), 1e-6)
    key = Key("bias_new", "l", "")
    plain, wide, up = (
        intervals({key: value}, Policy((rule,), n_resamples=500), MANY)[0]
        for rule in (DriftRule("bias_new"), DriftRule("bias_new", factor=2), DriftRule("bias_new", sides="up"))
    )
    assert wide == pytest.approx(plain)  # alone, a factor only rescales its own deviations
    assert up.low == -np.inf
    assert up.high < plain.high
    both = {key: value, Key("bias_new", "m", ""): value}
    rules = (DriftRule("bias_new", subjects=("l",), factor=2), DriftRule("bias_new"))
    wide, plain = intervals(both, Policy(rules, n_resamples=500), MANY)
    assert wide.high - wide.low == pytest.approx(2 * (plain.high - plain.low))


def test_the_first_rule_that_fits_counts():
    policy = Policy((DriftRule("bias_new", subjects=("a",), nights=3), DriftRule("bias_new", scope="each", subtasks=("s",))))
    assert policy.rule("bias_new", "a", "").nights == 3
    assert policy.rule("bias_new", "b", "") is None
    assert policy.rule("bias_new", "b", "s").nights == 1
    assert policy.rule("bias_new", "b", "t") is None
    assert policy.rule("mdad_monotone", "b", "") is None
    assert Policy().rule("mdad_monotone", "b", "t") is None
    assert Policy((DriftRule("mdad_monotone", scope="both"),)).rule("mdad_monotone", "b", "t") is not None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: DriftRule("bias"),
        lambda: DriftRule("residual_new", scope="together"),
        lambda: DriftRule("bias_new", sides="left"),
        lambda: DriftRule("bias_new", nights=0),
        lambda: DriftRule("bias_new", factor=0),
        lambda: DriftRule("bias_new", severity="loud"),
        lambda: Policy(level=1),
        lambda: Policy(n_resamples=100),
        lambda: Policy(tie_policy="paper"),
        lambda: Policy(tolerance=-1),
    ],
)
def test_bad_rules_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"."):
        wrong()


def test_profiles_of_other_lists_are_refused(right):
    one, _ = compared(right[:N], right)
    with pytest.raises(DataError, match="same items and lists"):
        drift(one, profile(small.board(right), {}), [], night="n1")


def test_who_is_who():
    board = small.board(small.responses(4))
    one = profile(board, {})
    other = profile(small.board(small.responses(5), ["m003", "new", "m001", "old", "m000"]), {})
    who = find_cohorts(one, other, ["new", "m001"])
    assert one.model_ids[who.kept].tolist() == other.model_ids[who.same].tolist() == ["m000", "m001", "m003"]
    assert other.model_ids[who.added].tolist() == ["old", "new"]
    assert other.model_ids[who.new].tolist() == ["new"]


def test_simulated_nights_are_as_variable_as_the_draws_say(right):
    one, other = compared(right[:N], right)
    who = find_cohorts(one, other, list(other.model_ids[N:]))
    values = evaluate(one, other, who, Policy(n_resamples=4000), np.random.default_rng(0))
    bias = one.estimates["even"][:, 0] - one.accuracy[:, 0]
    value = values[Key("bias_new", "even", "")]
    # The mean of six draws less the mean of a drawn baseline.
    assert value.null.std() == pytest.approx(bias.std() * np.sqrt(1 / ADDED + 1 / N), rel=0.05)
    assert value.null.mean() == pytest.approx(0, abs=4 * value.null.std() / np.sqrt(4000))
    assert null.HALF_A_BIN == 0.0025
