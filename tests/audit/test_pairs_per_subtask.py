from __future__ import annotations

from microbench_ray.audit.drift import detect_drift
from microbench_ray.audit.drift_rules import DriftPolicy, DriftRule
from microbench_ray.audit.profile import profiles
from microbench_ray.metrics import mdad, pair_counts
from tests.helpers import small


def test_an_mdad_per_subtask_is_that_of_the_subtask() -> None:
    right = small.responses(86)
    baseline, tonight = profiles(small.board(right[:80]), small.board(right), small.lists())
    policy = DriftPolicy((DriftRule("mdad_monotone", subjects=("even",), scope="each", subtasks=("biology",)),), n_resamples=300)
    rows = detect_drift(baseline, tonight, list(tonight.model_ids[80:]), night="n", policy=policy).to_pylist()
    assert [(row["metric"], row["subject"], row["subtask"]) for row in rows] == [("mdad_monotone", "even", "biology")]
    listed = range(84, 160, 6)
    counts = pair_counts(right[:, 80:160].mean(axis=1), right[:, listed].mean(axis=1), n_items=80)
    assert rows[0]["value"] == mdad(counts, n_resamples=1).mdad_monotone
    assert rows[0]["bound_lo"] <= rows[0]["value"] <= (rows[0]["bound_hi"] or 1)
