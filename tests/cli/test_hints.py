"""Hints are followed: the command that a message advises works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from microbench_ray.cli.main import main
from tests.helpers.refusals import Refused, assert_one_message
from tests.helpers.small_sweep import N_ITEMS, columns


def plan(board: Path, *more: str) -> list[str]:
    return ["plan", "benchmark=scores", f"benchmark.path={board}", *more]


def sweep(board: Path, *more: str) -> list[str]:
    keys = {each.split("=")[0] for each in more}
    given = ["benchmark=scores", f"benchmark.path={board}", "methods=[random]", "grid.sizes=[10]", "grid.n_source=[10]"]
    given += ["grid.n_target=10", "grid.runs=2", "plan_only=true"]
    return ["sweep", *(each for each in given if each.split("=")[0] not in keys), *more]


FRACTIONS = {
    "differences=[2]": "differences=[0.02]",
    "differences=[2,5]": "differences=[0.02,0.05]",
    "threshold=80": "threshold=0.8",
    "size=20 drop=5": "drop=0.05",
    "size=20 scores=[62,58]": "scores=[0.62,0.58]",
    "size=20 scores=[0.62,58]": "scores=[0.62,0.58]",
    "threshold=0,8": "threshold=0.8",
    "differences=0,02": "differences=[0.02]",
    "differences=[0,02]": "differences=[0.02]",
    "benchmark.max_missing=10": "max_missing=0.1",
}


@pytest.mark.parametrize("wrong", FRACTIONS)
def test_points_and_percent_and_decimal_commas(wrong: str, board: Path, refused: Refused) -> None:
    *others, last = wrong.split()
    message = refused(plan(board, *others, last), f"hint:  {FRACTIONS[wrong]}" if "[0,02]" not in wrong else FRACTIONS[wrong])
    right = FRACTIONS[wrong].replace("max_missing", "benchmark.max_missing")
    assert main(plan(board, *others, right)) == 0, message


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("thresholds=[80]", "thresholds=[0.8]"),
        ("thresholds=0,8", "thresholds=[0.8]"),
        ("confidence_level=95", "confidence_level=0.95"),
        ("grid.fractions=[25]", "grid.fractions=[0.25]"),
        ("sizes=[10]", "grid.sizes"),
        ("runs=3", "grid.runs"),
        ("grid.seed=1", "seed"),
        ("workers=2", "engine.workers"),
        ("where=x", "targets.where"),
    ],
)
def test_keys_and_fractions_of_a_sweep(wrong: str, right: str, board: Path, refused: Refused) -> None:
    named = "=" not in right
    message = refused(sweep(board, wrong), f"did you mean {right}?" if named else f"hint:  {right}")
    if right not in ("targets.where",):  # also needs targets=group
        assert main(sweep(board, f"{right}={wrong.split('=')[1]}" if named else right)) == 0, message


def test_a_key_of_another_kind_of_benchmark(board: Path, refused: Refused) -> None:
    for key in ("benchmark.path", "path"):
        message = refused(["plan", f"{key}={board}"], "benchmark=scores benchmark.path=")
        assert "did you mean path?" not in message
    advice = re.search(r"(benchmark=\w+) benchmark\.path=", message)
    assert advice is not None
    assert main(["plan", advice[1], f"benchmark.path={board}"]) == 0


def test_a_list_that_the_shell_split(board: Path, refused: Refused, capsys: pytest.CaptureFixture[str]) -> None:
    line = "differences=[.02, .05]"
    message = refused(plan(board, *shlex.split(line)), "space", "where: differences", f"got:   {line}")
    advice = message.rpartition("quote the argument: ")[2].strip()
    assert main(plan(board, *shlex.split(advice))) == 0
    assert main(plan(board, line.replace(" ", ""))) == 0
    capsys.readouterr()
    refused(plan(board, "differences=[.02,", "size=20"), "key=value")  # never closed


def test_a_secret_in_a_split_value_is_not_shown(refused: Refused) -> None:
    message = refused(["audit", "webhook={url:", "https://h/secret}", "out=x"], "webhook")
    assert "secret" not in message


def test_results_of_a_benchmark_of_another_name(
    board: Path, reference: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(plan(board, "benchmark.name=other", f"results={reference}"), "not of this benchmark", "other", "board")
    advice = re.search(r"benchmark\.name=\w+", message)
    assert advice is not None
    assert main(plan(board, advice[0], f"results={reference}")) == 0
    assert "random (10 sources" in capsys.readouterr().out
    refused(plan(board, f"results={reference}", "threshold=.7"), "threshold 0.7", "thresholds=[0.7]")


def test_a_model_name_nearly_right(board: Path, refused: Refused) -> None:
    message = refused(plan(board, "size=20", "models=[m01,m002]"), "m002", "did you mean")
    advice = re.search(r"did you mean (\w+)\?", message)
    assert advice is not None
    assert main(plan(board, "size=20", f"models=[m01,{advice[1]}]")) == 0


@pytest.mark.parametrize("wrong", ["differences=.02", "size=20 scores=.6", "budget=100"])
def test_a_list_without_brackets(wrong: str, board: Path, refused: Refused) -> None:
    *others, last = wrong.split()
    key, _, value = last.partition("=")
    refused(plan(board, *others, last), "brackets", f"where: {key}", f"'{key}=[{float(value):g}]'")


def test_a_path_without_a_key(board: Path, refused: Refused) -> None:
    refused(["ingest", "t.csv"], "hint:  path=t.csv")
    refused(["reduce", "DIR"], "hint:  out=DIR")
    message = refused(["plan", str(board)], "key=value", str(board))
    advice = re.search(r"hint:  (.*); --help", message)
    assert advice is not None
    assert main(["plan", *advice[1].split()]) == 0


@pytest.mark.parametrize(
    ("command", "wrong", "right"),
    [("next", "confidence", "alpha"), ("next", "on_conflict", "several_logs"), ("compare", "question", "accept")],
)
def test_keys_of_another_command_for_the_same_choice(command: str, wrong: str, right: str, refused: Refused) -> None:
    refused([command, f"{wrong}=x"], wrong, f"did you mean {right}?")


def test_a_plan_that_asks_nothing(board: Path, refused: Refused) -> None:
    message = refused(plan(board, "differences=[]"), "where: differences")
    for advice in re.findall(r"\S+=\S+", message.partition("hint:")[2]):
        assert main(plan(board, "differences=[]", advice)) == 0 if advice.startswith("size") else main(plan(board, advice)) == 0


@pytest.mark.parametrize(
    ("wrong", "right"), [("policy.drft=fail", "drift"), ("policy.drift=fial", "fail"), ("policy={drft: fail}", "drift")]
)
def test_a_mistyped_policy(wrong: str, right: str, refused: Refused) -> None:
    refused(["audit", "benchmark=synthetic", "methods=[random]", "out=x", wrong], "policy", f"did you mean {right}?")


def test_the_ingest_of_an_audit_is_a_mapping(refused: Refused) -> None:
    refused(["audit", "benchmark.path=x", "out=x", "ingest=LOGS"], "where: ingest", "{key: value}")


@pytest.mark.parametrize("command", ["plan", "ingest"])
def test_tables_with_semicolons_and_decimal_commas(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = pd.DataFrame({name: values / 2 if name.startswith("m") else values for name, values in columns().items()})
    path = tmp_path / "t.csv"

    def read(file: Path) -> int:
        ingest = ["ingest", "source=scores", f"path={file}", f"out={tmp_path / 'board'}"]
        return main(plan(file) if command == "plan" else ingest)

    half.to_csv(path, sep=";", decimal=",", index=False)
    assert read(path) == 0
    capsys.readouterr()
    half.astype(str).replace("0.5", "0,5").to_csv(path, index=False)
    assert_one_message(read(path), capsys.readouterr().err, ("write numbers with a decimal point: 0.5",))


def test_tables_with_other_names_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame(columns()).to_csv(path, sep=";", index=False)
    assert main(plan(path)) == 0
    pd.DataFrame(columns()).rename(columns={"item_id": "question_id"}).to_csv(path, index=False)
    assert main(plan(path)) == 0
    pd.DataFrame(columns()).drop(columns="item_id").to_csv(path, index=False)
    assert main(plan(path)) == 0
    pd.DataFrame(columns() | {"Average": [70.0] * N_ITEMS}).to_csv(path, index=False)
    assert main(plan(path)) == 0
