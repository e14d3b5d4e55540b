"""The driver of audits: what a night does to the folder, the history and the verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from microbench_ray.audit.drift_rules import DriftRule, Policy
from microbench_ray.audit.run import run_accept
from microbench_ray.core.errors import ConfigError, GridError, StoreError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.store import Store
from microbench_ray.data import Benchmark
from microbench_ray.methods import ESTIMATORS, SELECTORS, Method
from tests.helpers import nights

SCORES = nights.responses()
RANDOM = Method("random", SELECTORS["random"](), ESTIMATORS["mean"]())


def quiet(text: str) -> None:
    pass


def test_the_first_night(tmp_path: Path) -> None:
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    said = outcome.verdict
    assert (said["status"], said["night"], said["benchmark"], outcome.failed) == ("ok", "2026-01-01", "board", 0)
    (tiny,) = said["subjects"]
    assert (tiny["label"], tiny["size"]) == ("tiny", 64)
    assert 0 < tiny["mdad"] < 0.2
    assert tiny["ci_lo"] <= tiny["mdad"] <= tiny["ci_hi"]
    assert tiny["items_needed"] > 64
    assert said["baseline"]["night"] == "2026-01-01"
    place = tmp_path / "nights/2026-01-01"
    assert json.loads((place / "verdict.json").read_text()) == said
    history = pq.read_table(tmp_path / "history")
    assert history.schema.names == SCHEMAS["history"].names
    rows = history.to_pylist()
    (mdad,) = [row for row in rows if row["kind"] == "mdad_list"]
    assert (mdad["subject"], mdad["value"]) == ("tiny", tiny["mdad"])
    leaderboard = pq.read_table(place / "leaderboard.parquet")
    assert leaderboard.num_rows == 80
    assert leaderboard["rank"].to_pylist() == sorted(leaderboard["rank"].to_pylist())


def test_its_mdad_is_that_of_a_sweep(tmp_path: Path, sweep_of_list: dict[str, float]) -> None:
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    assert outcome.verdict["subjects"][0]["mdad"] == sweep_of_list["mdad_monotone"]
    assert outcome.verdict["subjects"][0]["ci_hi"] == sweep_of_list["mdad_monotone_ci_hi"]


@pytest.fixture
def sweep_of_list(tmp_path: Path) -> dict[str, float]:
    from microbench_ray.sweeps.driver import SweepJob, run_sweep
    from microbench_ray.sweeps.engine.serial import SerialEngine
    from microbench_ray.sweeps.grid import Grid, Targets
    from microbench_ray.sweeps.reduce import Rules

    sweep = SweepJob(
        (nights.board(SCORES[:80]),),
        (nights.fixed(),),
        Grid(),
        Targets(),
        Rules(n_resamples=100),
        SerialEngine(),
        tmp_path / "sweep",
    )
    return run_sweep(sweep, sweep.plan(), quiet).tables["mdad"].to_pylist()[0]


def test_new_vanished_and_rescored_models_are_told(tmp_path: Path) -> None:
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
    texts = [finding["text"] for finding in outcome.verdict["findings"]]
    assert any(text.startswith("Model 'm003' was scored again: 10 responses changed") for text in texts)
    assert any(text.startswith("Model 'm000'") and "has vanished" in text for text in texts)
    assert (tmp_path / "history/2026-01-01.parquet").read_bytes() == first
    assert sorted(set(pq.read_table(tmp_path / "history")["night"].to_pylist())) == ["2026-01-01", "2026-01-02"]
    new = pq.read_table(tmp_path / "nights/2026-01-02/leaderboard.parquet", filters=[("is_new", "=", True)])
    assert sorted(new["model"].to_pylist()) == ["m080", "m081"]


def test_the_same_night_twice_is_once(tmp_path: Path) -> None:
    benchmark = nights.board(SCORES[:80])
    first = nights.run(tmp_path, "2026-01-01", benchmark)
    before = nights.files(tmp_path)
    again = nights.run(tmp_path, "2026-01-01", benchmark)
    assert again.again
    assert again.verdict == first.verdict
    assert nights.files(tmp_path) == before


def test_the_same_night_with_other_inputs_is_refused(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    before = nights.files(tmp_path)
    with pytest.raises(ConfigError) as caught:
        nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:81]))
    assert "another benchmark" in str(caught.value)
    with pytest.raises(ConfigError, match="other inputs"):
        nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]), wanted=0.01)
    assert nights.files(tmp_path) == before


def test_nights_are_appended(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:80]))
    with pytest.raises(ConfigError) as caught:
        nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:81]))
    assert "2026-01-02" in str(caught.value)


def test_a_night_whose_folder_is_gone_is_made_again(tmp_path: Path) -> None:
    import shutil

    benchmark = nights.board(SCORES[:80])
    nights.run(tmp_path, "2026-01-01", benchmark)
    before = nights.files(tmp_path)
    shutil.rmtree(tmp_path / "nights")
    nights.run(tmp_path, "2026-01-01", benchmark)
    assert nights.files(tmp_path) == before


class Killed(BaseException):
    """As if the process had been killed just before a write."""


def test_killed_at_any_write_and_started_again_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boards = {"2026-01-01": nights.board(SCORES[:80]), "2026-01-02": nights.board(SCORES[:83])}
    for night, benchmark in boards.items():
        nights.run(tmp_path / "undisturbed", night, benchmark, methods=(RANDOM,))
    expected = nights.files(tmp_path / "undisturbed")
    write = Store.write
    left = {"writes": 0}

    def dying(store: Store, name: str, content: bytes) -> None:
        if left["writes"] == 0:
            raise Killed
        left["writes"] -= 1
        write(store, name, content)

    monkeypatch.setattr(Store, "write", dying)
    killed = 0
    for night, benchmark in boards.items():
        for after in range(1000):  # each attempt gets as far as the one before, and one write further
            left["writes"] = after
            try:
                nights.run(tmp_path / "killed", night, benchmark, methods=(RANDOM,))
            except Killed:
                killed += 1
            else:
                break
    assert killed > 20
    assert nights.files(tmp_path / "killed") == expected


def test_methods_are_swept_again_only_when_the_pool_is_moved(tmp_path: Path) -> None:
    said: list[str] = []

    def night(label: str, n_models: int) -> str:
        from microbench_ray.audit.run import run_audit

        said.clear()
        run_audit(nights.audit(tmp_path, label, nights.board(SCORES[:n_models]), methods=(RANDOM,)), said.append)
        return next(text for text in said if text.startswith("methods:"))

    assert night("2026-01-01", 80) == "methods: 8 cells computed, 0 reused"
    assert night("2026-01-02", 84) == "methods: 0 cells computed, 8 reused"
    run_accept(tmp_path, ["baseline"], quiet)
    assert night("2026-01-03", 85) == "methods: 0 cells computed, 8 reused"
    run_accept(tmp_path, ["pool"], quiet)
    assert night("2026-01-04", 86) == "methods: 8 cells computed, 0 reused"


def test_the_baseline_is_moved_by_command_alone(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    second = nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:82]))
    assert second.verdict["baseline"]["night"] == "2026-01-01"
    run_accept(tmp_path, ["baseline", "pool"], quiet)
    third = nights.run(tmp_path, "2026-01-03", nights.board(SCORES[:83]))
    assert third.verdict["baseline"]["night"] == "2026-01-02"


def test_nothing_is_accepted_before_the_first_night(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no night to accept"):
        run_accept(tmp_path, ["baseline"], quiet)
    with pytest.raises(ConfigError, match="no night to accept"):
        run_accept(tmp_path / "none", ["baseline"], quiet)
    assert not (tmp_path / "none").exists()


def test_a_baseline_that_was_altered_is_refused(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    (frozen,) = (tmp_path / "frozen").iterdir()
    other = nights.board(1 - SCORES[:80])
    for path in frozen.iterdir():
        path.unlink()
    other.save(frozen)
    with pytest.raises(StoreError, match="not what was accepted"):
        nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:81]))


def test_a_corrupted_subtask_of_new_models_is_drift(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    scores = SCORES[:84].copy()
    scores[80:, ::4] = 0.0  # subtask s0 of tonight's four
    outcome = nights.run(tmp_path, "2026-01-02", nights.board(scores))
    drifts = [finding for finding in outcome.verdict["findings"] if finding["kind"] == "drift" and finding["severity"] == "fail"]
    assert "s0" in {finding["subtask"] for finding in drifts}
    assert outcome.verdict["status"] == "violated"
    softer = nights.run(tmp_path / "softer", "2026-01-01", nights.board(SCORES[:80]))
    assert softer.verdict["status"] == "ok"
    actions = {**nights.audit(tmp_path, "x", nights.board(SCORES)).actions, "drift": "warn"}
    softer = nights.run(tmp_path / "softer", "2026-01-02", nights.board(scores), actions=actions)
    assert softer.verdict["status"] == "attention"


def test_a_rule_of_n_nights_waits_for_them(tmp_path: Path) -> None:
    policy = Policy((DriftRule("accuracy_change", nights=2),), n_resamples=300)
    scores = SCORES[:80].copy()
    scores[:, :160] = 0.0
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    ignore = dict.fromkeys(("model_rescored",), "ignore")
    actions = {**nights.audit(tmp_path, "x", nights.board(SCORES)).actions, **ignore}
    found = [
        nights.run(tmp_path, f"2026-01-0{k}", nights.board(np.vstack([scores, SCORES[80 : 80 + k]])), drift=policy, actions=actions)
        for k in (2, 3)
    ]
    assert [outcome.verdict["status"] for outcome in found] == ["ok", "violated"]


def test_an_mdad_over_its_limit_violates_the_policy(tmp_path: Path) -> None:
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]), limits={"tiny": 0.001})
    assert outcome.verdict["status"] == "violated"
    assert "0.1 are allowed" in outcome.verdict["headline"]


def test_items_of_a_list_that_are_not_there(tmp_path: Path) -> None:
    benchmark = nights.board(SCORES[:80, :300])
    outcome = nights.run(tmp_path, "2026-01-01", benchmark)
    (finding,) = [finding for finding in outcome.verdict["findings"] if finding["kind"] == "list_items"]
    assert finding["text"].startswith("4 of the 64 items of 'tiny' are not in tonight's benchmark: i300")
    assert outcome.verdict["subjects"][0]["size"] == 60


def test_dead_and_negative_items_and_missing_cells(tmp_path: Path) -> None:
    scores = SCORES[:80].copy()
    scores[:, 1], scores[:, 2] = 1.0, 0.0
    scores[:, 6] = scores.mean(axis=1) < np.median(scores.mean(axis=1))
    scores[:20, 100:200] = np.nan
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(scores))
    assert outcome.verdict["changes"]["items_dead"] == 2
    assert outcome.verdict["changes"]["items_negative"] == 1
    assert outcome.verdict["changes"]["missing"] == pytest.approx(20 * 100 / (80 * 320))
    assert {"missing", "item_dead", "item_negative"} <= set(nights.kinds(outcome))


def test_targets_unlike_the_others(tmp_path: Path) -> None:
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(np.vstack([SCORES, nights.responses(30, seed=1)])), methods=(RANDOM,))
    tiny, *drawn = outcome.verdict["subjects"]
    assert [each["group"] for each in tiny["extrapolation"]] == ["best 20 %"]
    assert tiny["extrapolation"][0]["n_models"] == 25  # a fifth of 120, and one as good as the last of them
    assert [each["size"] for each in drawn] == [20, 40]
    assert all(each["extrapolation"][0]["group"] == "best 20 %" for each in drawn)


def test_one_audit_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path, folders=("history",)).held(0, quiet), pytest.raises(StoreError):
        nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))


@pytest.mark.parametrize("label", ["", "..", "a/b", "x" * 200])
def test_labels_that_are_no_file_names(label: str) -> None:
    from microbench_ray.audit.history import check_night

    with pytest.raises(ConfigError):
        check_night(label)


def test_a_night_without_any_of_the_baseline_s_items_says_so(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]))
    names = [f"m{k:03}" for k in range(80)]
    other = Benchmark.from_arrays("board", SCORES[:80], [f"z{k}" for k in range(SCORES.shape[1])], names)
    outcome = nights.run(tmp_path, "2026-01-02", other, report=True, figures=True)
    said = [finding["text"] for finding in outcome.verdict["findings"] if finding["kind"] == "drift"]
    assert len(said) == 1
    assert said[0].startswith("Tonight's benchmark has none of the baseline's items")
    assert outcome.verdict["status"] == "violated"
    run_accept(tmp_path, ["baseline", "pool"], quiet)
    after = nights.run(tmp_path, "2026-01-03", other)
    assert "drift" not in nights.kinds(after)


def test_a_small_baseline_does_not_judge_new_models(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:3]))
    outcome = nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:60]))
    drifts = [finding for finding in outcome.verdict["findings"] if finding["kind"] == "drift"]
    assert [finding["severity"] for finding in drifts] == ["note"]
    assert drifts[0]["text"].startswith("The baseline has 3 models")
    changed = SCORES[:60].copy()
    changed[:3] = 0.0
    assert nights.run(tmp_path, "2026-01-03", nights.board(changed)).verdict["status"] == "violated"


def test_a_pool_too_small_for_the_grid_is_said_before_anything_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(GridError, match="models"):
        nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:40]), methods=(RANDOM,))
    assert not (tmp_path / "baseline.json").exists()
    assert not list((tmp_path / "sweeps").iterdir())
    outcome = nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:60]), methods=(RANDOM,))
    assert outcome.verdict["baseline"]["night"] == "2026-01-02"


def test_a_first_night_that_was_killed_and_never_ended_is_no_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("microbench_ray.audit.run.look", killed)
        with pytest.raises(KeyboardInterrupt):
            nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:40]))
    outcome = nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:60]))
    assert outcome.verdict["baseline"]["night"] == "2026-01-02"
    assert outcome.verdict["baseline"]["digest"] == nights.board(SCORES[:60]).digest


def test_a_night_made_again_leaves_what_the_last_one_needs(tmp_path: Path) -> None:
    for k in (1, 2, 3):
        nights.run(tmp_path, f"2026-01-0{k}", nights.board(SCORES[: 78 + k]))
    shutil.rmtree(tmp_path / "nights" / "2026-01-02")
    nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:80]))
    assert nights.run(tmp_path, "2026-01-04", nights.board(SCORES[:82])).verdict["changes"]["models_new"] == 1


def test_where_no_item_of_any_list_is_there_the_night_goes_on(tmp_path: Path) -> None:
    strange = Method("tiny", nights.Fixed(["z1", "z2"]), ESTIMATORS["weighted_mean"]())
    outcome = nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:80]), lists=(strange,), report=True, figures=True)
    assert outcome.verdict["headline"].startswith("2 of the 2 items of 'tiny' are not in tonight's benchmark: z1, z2")
    assert (tmp_path / "nights" / "2026-01-01" / "report.html").exists()
    again = nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:84]), lists=(strange,), report=True, figures=True)
    assert again.verdict["changes"]["models_new"] == 4
