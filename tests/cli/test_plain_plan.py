"""A plan of plain arguments is the job that Hydra's configuration gives; any others are left to Hydra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.plain_plan import READ, plain_plan
from microbench_ray.core.errors import MicrobenchError

BOARD = ["benchmark=scores", "benchmark.path=boards/gpqa.parquet"]
WORDS = "1 0 07 100 .5 0.25 1. 1e-1 00.5 1_0 nan [.1] [0.1,.2] [] [1] [a] [a-b.c/d,_e] [true] [a,null] [7b] null wrong json"
VALUES = st.one_of(
    st.sampled_from([*WORDS.split(), "[.1, .2]", "text", "a/b", "???", "", "$x", "~/a"]),
    st.from_regex(r"[\w./+@%:=,\[\]-]{1,8}", fullmatch=True),
)
KEYS = st.sampled_from([key for key in READ if key != "benchmark"])


def by_hydra(arguments: list[str]) -> Any:
    return Composer("plan", arguments).plan()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["size=100"],
        BOARD,
        [*BOARD, "benchmark.name=mine", "differences=[.02,0.125]", "format=json"],
        [*BOARD, "size=50", "models=[m00,org/model-7b.v2]", "drop=.05", "threshold=0.7", "tie_policy=half"],
        [*BOARD, "size=50", "scores=[.7,.5]", "results=out/sweep"],
        ["benchmark=ingested", "benchmark.path=s3://bucket/board"],
        ["benchmark=release", "benchmark.path=release"],
    ],
)
def test_plain_arguments_give_the_job_that_hydra_gives(arguments: list[str]) -> None:
    job = plain_plan(arguments)
    assert job is not None
    assert job == by_hydra(arguments)
    assert repr(job) == repr(by_hydra(arguments))  # equal types, too: 1 is not 1.0


@pytest.mark.parametrize(
    "arguments",
    [
        ["benchmark=gpqa"],  # starts from data_dir
        ["benchmark=nothing"],
        ["benchmark=scores"],
        ["benchmark=synthetic", "benchmark.path=x"],
        [*BOARD, BOARD[1]],
        [*BOARD, "benchmark.max_missing=0.5"],
        ["size=0"],
        ["size=1e2"],
        ["size"],
        ["differences=.02"],
        ["differences=[.02, .05]"],
        ["differences=[2]"],
        ["models=[a,true]"],
        ["benchmark=[scores,gpqa]"],
        ["+size=10"],
        ["data_dir=x"],
    ],
)
def test_other_arguments_are_left_to_hydra(arguments: list[str]) -> None:
    assert plain_plan(arguments) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=3, unique_by=lambda each: each[0]))
def test_whatever_is_plain_is_read_as_by_hydra(extra: list[tuple[str, str]]) -> None:
    given_keys = {key for key, _ in extra}
    arguments = [each for each in BOARD if each.split("=")[0] not in given_keys] + [f"{key}={value}" for key, value in extra]
    plain = outcome(plain_plan, arguments)
    assert plain is None or plain == outcome(by_hydra, arguments)


def outcome(read: Callable[[list[str]], Any], arguments: list[str]) -> Any:
    """The job with the types of its values, or the text of the error."""
    try:
        job = read(arguments)
    except MicrobenchError as error:
        return str(error)
    return None if job is None else repr(job)
