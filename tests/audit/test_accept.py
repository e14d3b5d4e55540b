"""Labels of nights, `microbench accept` on violated and earlier nights, and nights that are set aside."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from microbench_ray.audit.accepting import run_accept
from microbench_ray.audit.baseline import PARTS
from microbench_ray.audit.history import check_order
from microbench_ray.audit.job import AcceptJob
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark
from tests.helpers import nights
from tests.helpers.errors import refuses
from tests.helpers.refusals import everything

SCORES = nights.responses()


def board(n_models: int) -> Benchmark:
    return nights.board(SCORES[:n_models])


def accept(out: Path, *changes: str) -> int:
    return main(["accept", f"out={out}", *changes])


@pytest.mark.parametrize("label", ["zz", "a", "2026-13-01", "20270101", "2027", "2026-02-30", "2026-01-011"])
def test_a_label_that_is_no_date_is_refused_after_dated_ones(label: str) -> None:
    with refuses(ConfigError, "date", where="night", got=label, hint="2026-01-31"):
        check_order(label, ["2026-01-01"])


@pytest.mark.parametrize(
    ("label", "existing"),
    [("2026-01-02", ["2026-01-01"]), ("2026-01-01-rerun", ["2026-01-01"]), ("2026-01-01", ["1"]), ("b", ["a"]), ("zz", [])],
)
def test_labels_that_can_be_ordered_are_accepted(label: str, existing: list[str]) -> None:
    check_order(label, existing)


def test_a_label_that_is_no_date_is_refused_before_any_work(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", board(40))
    before = nights.files(tmp_path)

    def unread() -> Benchmark:
        raise AssertionError("the benchmark was read")

    with refuses(ConfigError, "date", where="night", got="rerun"):
        nights.run(tmp_path, "rerun", unread)
    assert nights.files(tmp_path) == before


def test_a_night_of_the_future_is_named_and_can_be_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights.run(tmp_path, "2026-01-01", board(60))
    nights.run(tmp_path, "2026-01-02", board(61))
    nights.run(tmp_path, "2054-03-01", board(62))
    with refuses(ConfigError, "sort", got="2054-03-01, which is in the future", hint="microbench accept out=DIR drop=2054-03-01"):
        nights.run(tmp_path, "2026-01-03", board(63))
    assert accept(tmp_path, "drop=2054-03-01") == 0
    assert "set_aside/2054-03-01" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "set_aside/2054-03-01").iterdir()} == {"history.parquet", "night"}
    assert sorted(path.stem for path in (tmp_path / "history").glob("*.parquet")) == ["2026-01-01", "2026-01-02"]
    outcome = nights.run(tmp_path, "2026-01-03", board(63))
    # The benchmark of 2026-01-02 was no longer stored: the changes are those since the baseline of 2026-01-01.
    assert outcome.verdict["changes"]["models_new"] == 3
    nights.run(tmp_path, "2026-01-04", board(64))


def test_only_the_last_night_is_set_aside_and_not_the_baseline(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", board(60))
    nights.run(tmp_path, "2026-01-02", board(61))
    before = nights.files(tmp_path)
    with refuses(ConfigError, "last", where="drop", got="2026-01-01", hint="drop=2026-01-02"):
        run_accept(AcceptJob(tmp_path, PARTS, drop="2026-01-01"))
    with refuses(ConfigError, "last", where="drop", got="2026-02-01"):
        run_accept(AcceptJob(tmp_path, PARTS, drop="2026-02-01"))
    run_accept(AcceptJob(tmp_path, PARTS))
    with refuses(ConfigError, "baseline", where="drop", got="2026-01-02", hint="night="):
        run_accept(AcceptJob(tmp_path, PARTS, drop="2026-01-02"))
    run_accept(AcceptJob(tmp_path, PARTS, night="2026-01-01"))
    assert nights.files(tmp_path) == before
    run_accept(AcceptJob(tmp_path, PARTS, drop="2026-01-02"))
    assert run_accept(AcceptJob(tmp_path, PARTS, drop="2026-01-01")) is None
    outcome = nights.run(tmp_path, "2025-01-01", board(62))
    assert outcome.verdict["baseline"]["night"] == "2025-01-01"


def test_the_same_label_is_set_aside_twice(tmp_path: Path) -> None:
    for _ in range(2):
        nights.run(tmp_path, "2054-01-01", board(40))
        run_accept(AcceptJob(tmp_path, PARTS, drop="2054-01-01"))
    assert sorted(path.name for path in (tmp_path / "set_aside").iterdir()) == ["2054-01-01", "2054-01-01.1"]


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("only_night", [False, True])
@pytest.mark.parametrize("n_moves", [0, 1, 2])
def test_a_killed_command_that_set_a_night_aside_is_finished_by_the_next(
    n_moves: int, only_night: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for night in ("2026-01-01", "2026-01-02")[only_night:]:
        nights.run(tmp_path / "killed", night, board(40))
    shutil.copytree(tmp_path / "killed", tmp_path / "undisturbed")
    jobs = {name: AcceptJob(tmp_path / name, PARTS, drop="2026-01-02") for name in ("killed", "undisturbed")}
    references = run_accept(jobs["undisturbed"])
    assert (references is None) == only_night
    left, rename = n_moves, Path.rename

    def rename_or_die(path: Path, target: Path) -> Path:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename_or_die)
        if n_moves < 2:
            with pytest.raises(Killed):
                run_accept(jobs["killed"])
        else:
            run_accept(jobs["killed"])
    assert run_accept(jobs["killed"]) == references
    assert everything(tmp_path / "killed", relative=True) == everything(tmp_path / "undisturbed", relative=True)


def test_a_violated_night_is_accepted_only_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights.run(tmp_path, "2026-01-01", board(60))
    violated = nights.run(tmp_path, "2026-01-02", board(61), max_mdad={"tiny": 0.0001})
    assert violated.verdict["status"] == "violated"
    before = nights.files(tmp_path)
    assert accept(tmp_path) == 1
    message = capsys.readouterr().err
    for fact in ("VIOLATED", "2026-01-02", "violated=true"):
        assert fact in message
    assert nights.files(tmp_path) == before
    assert accept(tmp_path, "violated=true", "what=[baseline]") == 0
    references = run_accept(AcceptJob(tmp_path, ("pool",), night="2026-01-01"))
    assert references is not None
    assert (references.baseline.night, references.pool.night) == ("2026-01-02", "2026-01-01")


def test_a_night_is_accepted_only_if_it_exists_and_its_benchmark_is_stored(tmp_path: Path) -> None:
    for k in range(1, 4):
        nights.run(tmp_path, f"2026-01-0{k}", board(60 + k))
    with refuses(ConfigError, "no such night", where="night", got="2026-01-04", hint="2026-01-03"):
        run_accept(AcceptJob(tmp_path, PARTS, night="2026-01-04"))
    with refuses(ConfigError, "stored", where="2026-01-02", hint="2026-01-01, 2026-01-03"):
        run_accept(AcceptJob(tmp_path, PARTS, night="2026-01-02"))
    run_accept(AcceptJob(tmp_path, PARTS, night="2026-01-03"))


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        (("drop=2026-01-01", "night=2026-01-01"), ("drop", "alone")),
        (("drop=2026-01-01", "violated=true"), ("drop", "alone")),
        (("night=../x",), ("night", "../x")),
        (("drop=../x",), ("night", "../x")),
        (("violated=maybe",), ("violated",)),
    ],
)
def test_bad_keys_of_accept_are_refused(
    changes: tuple[str, ...], facts: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accept(tmp_path, *changes) == 1
    message = capsys.readouterr().err
    for fact in facts:
        assert fact in message
