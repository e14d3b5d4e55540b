"""`run_audit` and `run_accept`: what a night does to the folder, the history and the verdict.

The unmarked tests run a night end to end, resume an interrupted one, and accept one; the slow ones cover the other cases.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from microbench_ray.audit.accepting import run_accept
from microbench_ray.audit.baseline import Part
from microbench_ray.audit.drift_rules import DriftPolicy, DriftRule
from microbench_ray.audit.findings import DEFAULT_ACTIONS
from microbench_ray.audit.history import check_night
from microbench_ray.audit.job import AcceptJob
from microbench_ray.audit.run import AuditOutcome, run_audit
from microbench_ray.core.errors import ConfigError, GridError, StoreError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.store import Store
from microbench_ray.data import Benchmark
from microbench_ray.methods import ESTIMATORS, SELECTORS, Fixed, Method
from microbench_ray.sweeps.driver import SweepJob, run_sweep
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules
from tests.helpers import nights
from tests.helpers.errors import refuses

SCORES = nights.responses()
RANDOM = Method("random", SELECTORS["random"](), ESTIMATORS["mean"]())


def accept_last(out: Path, *parts: Part) -> None:
    run_accept(AcceptJob(out, parts, violated=True))


def findings(outcome: AuditOutcome, kind: str) -> list[dict[str, Any]]:
    return [finding for finding in outcome.verdict["findings"] if finding["kind"] == kind]


def test_the_first_night(tmp_path: Path) -> None:
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    verdict = outcome.verdict
    assert (verdict["status"], verdict["night"], verdict["benchmark"], outcome.failed) == ("ok", "2026-01-01", "board", 0)
    (tiny,) = verdict["subjects"]
    assert (tiny["label"], tiny["size"], tiny["wanted"]) == ("tiny", 64, 0.02)
    assert 0 < tiny["mdad"] < 0.2
    assert tiny["ci_lo"] <= tiny["mdad"] <= tiny["ci_hi"]
    assert tiny["items_needed"] > 64
    assert verdict["baseline"]["night"] == "2026-01-01"
    folder = tmp_path / "nights/2026-01-01"
    assert json.loads((folder / "verdict.json").read_text()) == verdict
    history = pq.read_table(tmp_path / "history")
    assert history.schema.names == SCHEMAS["history"].names
    (mdad,) = [row for row in history.to_pylist() if row["kind"] == "mdad_list"]
    assert (mdad["subject"], mdad["value"]) == ("tiny", tiny["mdad"])
    leaderboard = pq.read_table(folder / "leaderboard.parquet")
    assert leaderboard.num_rows == 80
    assert leaderboard["rank"].to_pylist() == sorted(leaderboard["rank"].to_pylist())


def test_the_mdad_of_a_list_is_that_of_a_sweep(tmp_path: Path) -> None:
    job = SweepJob(
        benchmarks=(nights.board(SCORES[:80]),),
        methods=(nights.fixed(),),
        grid=Grid(),
        targets=Targets(),
        rules=Rules(n_resamples=100),
        engine=SerialEngine(),
        out=tmp_path / "sweep",
    )
    row = run_sweep(job, job.plan()).tables["mdad"].to_pylist()[0]
    outcome = nights.run(tmp_path / "audit", "2026-01-01", nights.board(SCORES[:80]))
    assert outcome.verdict["subjects"][0]["mdad"] == row["mdad_monotone"]
    assert outcome.verdict["subjects"][0]["ci_hi"] == row["mdad_monotone_ci_hi"]


@pytest.mark.slow
def test_new_vanished_and_rescored_models_are_reported(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    first = (tmp_path / "history/2026-01-01.parquet").read_bytes()
    scores = SCORES[:82].copy()
    scores[3, :10] = 1 - scores[3, :10]
    models = [f"m{k:03}" for k in range(82)]
    outcome = nights.run(tmp_path, "2026-01-02", nights.board(scores[1:], models[1:]))
    assert outcome.verdict["status"] == "attention"
    assert outcome.verdict["changes"]["models_new"] == 2
    assert outcome.verdict["changes"]["models_vanished"] == 1
    assert outcome.verdict["changes"]["models_rescored"] == 1
    (rescored,) = findings(outcome, "model_rescored")
    assert rescored["name"] == "m003"
    assert "10 responses" in rescored["text"]
    assert (rescored["reference"], rescored["value"]) == (pytest.approx(SCORES[3].mean()), pytest.approx(scores[3].mean()))
    assert [finding["name"] for finding in findings(outcome, "model_vanished")] == ["m000"]
    assert (tmp_path / "history/2026-01-01.parquet").read_bytes() == first
    assert sorted(set(pq.read_table(tmp_path / "history")["night"].to_pylist())) == ["2026-01-01", "2026-01-02"]
    new = pq.read_table(tmp_path / "nights/2026-01-02/leaderboard.parquet", filters=[("is_new", "=", True)])
    assert sorted(new["model"].to_pylist()) == ["m080", "m081"]


def test_rerunning_a_finished_night_changes_nothing(tmp_path: Path) -> None:
    benchmark = nights.board(SCORES[:80])
    first = nights.run(tmp_path, "2026-01-01", benchmark)
    before = nights.files(tmp_path)
    repeated = nights.run(tmp_path, "2026-01-01", benchmark)
    assert not first.already_done
    assert repeated.already_done
    assert repeated.verdict == first.verdict
    assert nights.files(tmp_path) == before


def test_a_finished_night_with_other_inputs_is_refused(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    before = nights.files(tmp_path)
    with refuses(ConfigError, "history", where="2026-01-01", got="benchmark"):
        nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:81]))
    with refuses(ConfigError, "history", where="2026-01-01", got="configuration"):
        nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]), target_difference=0.01)
    assert nights.files(tmp_path) == before


def test_a_night_is_identified_by_the_content_of_its_configuration(tmp_path: Path) -> None:
    benchmark = nights.board(SCORES[:40])
    limits = {"tiny": 0.5, "other": 0.25}
    nights.run(tmp_path, "2026-01-01", benchmark, max_mdad=limits)
    same = {"max_mdad": dict(reversed(limits.items())), "target_difference": np.float64(0.02)}
    assert nights.run(tmp_path, "2026-01-01", benchmark, **same).already_done
    with refuses(ConfigError, "plain", where="max_mdad", got="object"):
        nights.run(tmp_path, "2026-01-02", benchmark, max_mdad={"tiny": object()})


def test_a_night_must_sort_after_the_others(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:80]))
    with refuses(ConfigError, "sort", where="night", got="2026-01-02"):
        nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:81]))


@pytest.mark.slow
def test_a_night_whose_folder_is_missing_is_recomputed(tmp_path: Path) -> None:
    benchmark = nights.board(SCORES[:80])
    nights.run(tmp_path, "2026-01-01", benchmark)
    before = nights.files(tmp_path)
    shutil.rmtree(tmp_path / "nights")
    assert not nights.run(tmp_path, "2026-01-01", benchmark).already_done
    assert nights.files(tmp_path) == before


@pytest.mark.slow
def test_methods_are_swept_again_only_after_another_pool_is_accepted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="microbench_ray")

    def cells(night: str, n_models: int) -> tuple[int, int]:
        caplog.clear()
        nights.run(tmp_path, night, nights.board(SCORES[:n_models]), methods=(RANDOM,))
        (record,) = [each for each in caplog.records if each.name.endswith("audit.sweeps") and "methods" in (each.args or ())]
        _, computed, reused = record.args or ()
        return int(str(computed)), int(str(reused))

    assert cells("2026-01-01", 80) == (8, 0)
    assert cells("2026-01-02", 84) == (0, 8)
    accept_last(tmp_path, "baseline")
    assert cells("2026-01-03", 85) == (0, 8)
    accept_last(tmp_path, "pool")
    assert cells("2026-01-04", 86) == (8, 0)


def test_accepting_a_night_makes_it_the_baseline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="microbench_ray")
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    second = nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:82]))
    assert second.verdict["baseline"]["night"] == "2026-01-01"
    caplog.clear()
    accept_last(tmp_path, "baseline", "pool")
    for fact in ("82 models", "2026-01-02", "baseline", "pool", nights.board(SCORES[:82]).digest):
        assert fact in caplog.text
    third = nights.run(tmp_path, "2026-01-03", nights.board(SCORES[:83]))
    assert third.verdict["baseline"]["night"] == "2026-01-02"


def test_there_is_nothing_to_accept_before_the_first_night(tmp_path: Path) -> None:
    with refuses(ConfigError, "no night", where=str(tmp_path)):
        accept_last(tmp_path, "baseline")
    with refuses(ConfigError, "no night", where="absent"):
        accept_last(tmp_path / "absent", "baseline")
    assert not (tmp_path / "absent").exists()


def test_an_altered_baseline_is_refused(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    (frozen,) = (tmp_path / "frozen").iterdir()
    altered = nights.board(1 - SCORES[:80])
    for path in frozen.iterdir():
        path.unlink()
    altered.save(frozen)
    with refuses(StoreError, "altered", where=str(frozen), got=altered.digest):
        nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:81]))


def test_a_damaged_baseline_file_is_reported(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    (tmp_path / "baseline.json").write_text('{"baseline": {}}')
    with refuses(StoreError, "damaged", where="baseline.json", got="night"):
        nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:81]))


def corrupted(n_models: int) -> NDArray[np.float64]:
    """Scores in which the models from 80 on get every item of subtask s0 wrong."""
    scores = SCORES[:n_models].copy()
    scores[80:, ::4] = 0.0
    return scores


def test_a_corrupted_subtask_of_new_models_is_drift(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    outcome = nights.run(tmp_path, "2026-01-02", nights.board(corrupted(84)))
    failures = [finding for finding in findings(outcome, "drift") if finding["severity"] == "fail"]
    assert "s0" in {finding["subtask"] for finding in failures}
    assert outcome.verdict["status"] == "violated"


@pytest.mark.slow
def test_the_policy_may_make_drift_a_warning(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    actions = {**DEFAULT_ACTIONS, "drift": "warn"}
    outcome = nights.run(tmp_path, "2026-01-02", nights.board(corrupted(84)), actions=actions)
    assert "warn" in {finding["severity"] for finding in findings(outcome, "drift")}
    assert outcome.verdict["status"] == "attention"


def test_a_rule_about_two_nights_fails_on_the_second(tmp_path: Path) -> None:
    policy = DriftPolicy((DriftRule("accuracy_change", nights=2),), n_resamples=300)
    scores = SCORES[:80].copy()
    scores[:, :160] = 0.0
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    actions = {**DEFAULT_ACTIONS, "model_rescored": "ignore"}
    outcomes = [
        nights.run(tmp_path, f"2026-01-0{k}", nights.board(np.vstack([scores, SCORES[80 : 80 + k]])), drift=policy, actions=actions)
        for k in (2, 3)
    ]
    assert [outcome.verdict["status"] for outcome in outcomes] == ["ok", "violated"]


def test_an_mdad_above_its_limit_violates_the_policy(tmp_path: Path) -> None:
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]), max_mdad={"tiny": 0.001})
    (finding,) = findings(outcome, "mdad")
    assert (finding["severity"], finding["subject"], finding["bound_hi"]) == ("fail", "tiny", 0.001)
    assert finding["value"] == outcome.verdict["subjects"][0]["mdad"]
    assert outcome.verdict["status"] == "violated"
    assert "0.1" in outcome.verdict["headline"]
    value = outcome.verdict["subjects"][0]["mdad"]
    outcome = nights.run(tmp_path / "within", "2026-01-01", nights.board(SCORES[:80]), max_mdad={"tiny": value})
    assert outcome.verdict["status"] == "ok"


def test_missing_items_of_a_list_are_reported(tmp_path: Path) -> None:
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80, :300]))
    (finding,) = findings(outcome, "list_items")
    assert (finding["severity"], finding["subject"], finding["value"]) == ("fail", "tiny", 4)
    for fact in ("4 of the 64", "tiny", "i300"):
        assert fact in finding["text"]
    assert outcome.verdict["subjects"][0]["size"] == 60


def test_dead_and_negative_items_and_missing_responses(tmp_path: Path) -> None:
    scores = SCORES[:80].copy()
    scores[:, 1], scores[:, 2] = 1.0, 0.0
    scores[:, 6] = scores.mean(axis=1) < np.median(scores.mean(axis=1))
    scores[:20, 100:200] = np.nan
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(scores))
    assert outcome.verdict["changes"]["items_dead"] == 2
    assert outcome.verdict["changes"]["items_negative"] == 1
    assert outcome.verdict["changes"]["missing"] == pytest.approx(20 * 100 / (80 * 320))
    assert {"missing", "item_dead", "item_negative"} <= set(nights.kinds(outcome))


@pytest.mark.slow
def test_groups_of_targets_unlike_the_others(tmp_path: Path) -> None:
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(np.vstack([SCORES, nights.responses(30, seed=1)])), methods=(RANDOM,))
    tiny, *swept = outcome.verdict["subjects"]
    assert [each["group"] for each in tiny["extrapolation"]] == ["best 20 %"]
    assert tiny["extrapolation"][0]["n_models"] == 25  # a fifth of 120, and one tied with the last of them
    assert [each["size"] for each in swept] == [20, 40]
    assert [[each["group"] for each in subject["extrapolation"]] for subject in swept] == [["best 20 %"]] * 2


def test_only_one_audit_holds_the_folder(tmp_path: Path) -> None:
    with Store(tmp_path, folders=("history",)).locked(0), pytest.raises(StoreError) as caught:
        nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "baseline.json").exists()


@pytest.mark.parametrize("label", ["", "..", "a/b", "x" * 200])
def test_a_label_that_cannot_be_a_file_name_is_refused(label: str) -> None:
    with refuses(ConfigError, "label", where="night", got=repr(label)):
        check_night(label)


@pytest.mark.slow
def test_a_benchmark_without_the_baselines_items_is_drift_until_accepted(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    names = [f"m{k:03}" for k in range(80)]
    other = Benchmark.from_arrays("board", SCORES[:80], [f"z{k}" for k in range(SCORES.shape[1])], names)
    outcome = nights.run(tmp_path, "2026-01-02", other, report=True, figures=True)
    (drift,) = findings(outcome, "drift")
    assert drift["severity"] == "fail"
    assert "items in common" in drift["text"]
    assert outcome.verdict["status"] == "violated"
    accept_last(tmp_path, "baseline", "pool")
    accepted = nights.run(tmp_path, "2026-01-03", other)
    assert "drift" not in nights.kinds(accepted)


@pytest.mark.slow
def test_a_small_baseline_does_not_judge_new_models(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:3]))
    outcome = nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:60]))
    (drift,) = findings(outcome, "drift")
    assert drift["severity"] == "note"
    assert "3 models" in drift["text"]
    changed = SCORES[:60].copy()
    changed[:3] = 0.0
    assert nights.run(tmp_path, "2026-01-03", nights.board(changed)).verdict["status"] == "violated"


def test_a_pool_too_small_for_the_grid_is_refused_before_anything_is_accepted(tmp_path: Path) -> None:
    with refuses(GridError, "models", where="pool of 40 models"):
        nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:40]), methods=(RANDOM,))
    assert not (tmp_path / "baseline.json").exists()
    assert list((tmp_path / "sweeps").iterdir()) == []
    outcome = nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:60]), methods=(RANDOM,))
    assert outcome.verdict["baseline"]["night"] == "2026-01-02"


@pytest.mark.slow
def test_a_recomputed_night_keeps_what_the_last_night_needs(tmp_path: Path) -> None:
    for k in (1, 2, 3):
        nights.run(tmp_path, f"2026-01-0{k}", nights.board(SCORES[: 78 + k]))
    shutil.rmtree(tmp_path / "nights" / "2026-01-02")
    nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:80]))
    assert nights.run(tmp_path, "2026-01-04", nights.board(SCORES[:82])).verdict["changes"]["models_new"] == 1


@pytest.mark.slow
def test_a_night_without_any_listed_item_is_complete(tmp_path: Path) -> None:
    absent = Method("tiny", Fixed(["z1", "z2"]), ESTIMATORS["weighted_mean"]())
    job = nights.audit(tmp_path, "2026-01-01", nights.board(SCORES[:80]), lists=(absent,), report=True, figures=True)
    outcome = run_audit(job)
    for fact in ("2 of the 2", "tiny", "z1, z2"):
        assert fact in outcome.verdict["headline"]
    assert (tmp_path / "nights" / "2026-01-01" / "report.html").exists()
    second = run_audit(replace(job, night="2026-01-02", read=lambda: nights.board(SCORES[:84])))
    assert second.verdict["changes"]["models_new"] == 4
