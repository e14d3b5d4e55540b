"""Plain arguments give the configuration that Hydra gives; any others are left to Hydra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microbench_ray.cli.compose import Composer, checked
from microbench_ray.cli.keys import JOBS, schema_of
from microbench_ray.cli.plain_arguments import PLAIN_JOBS, plain_conf
from microbench_ray.core.errors import ConfigError

SCORE = ["micro=/data/micro", "responses=new-model_1.csv"]
INGEST = ["source=lm_eval", "path=logs/2026-01-21", "out=board"]
VALUES = st.one_of(
    st.from_regex(r"[\w./+@%:=,-]{1,12}", fullmatch=True),
    st.sampled_from(
        ["null", "Null", "true", "FALSE", "nan", "Inf", "yes", "on", "off", "none", "1", "1e3", "0x1", "1_0", "_", "a"]
    ),
    st.text(max_size=4),
)


def by_hydra(job: str, arguments: list[str]) -> Any:
    composer = Composer(job, arguments)
    return checked(schema_of(job), composer.compose(composer.overrides))


@pytest.mark.parametrize(
    ("job", "arguments"),
    [
        ("score", SCORE),
        ("score", [*SCORE, "source=scores", "format=json", "out=report.json"]),
        ("score", [*SCORE, "metric=acc_norm", "filter=strict", "on_conflict=latest"]),
        ("ingest", INGEST),
        ("ingest", [*INGEST, "wait_for_out=3"]),
        ("compare", ["board=b.csv", "source=scores", "accept=superior", "margin=.02", "confidence=0.9"]),
        ("compare", ["margin=0", "confidence=1", "min_common=0.50"]),
        ("ingest", ["source=scores", "path=s3://bucket/a.csv", "out=/tmp/a,b=c@1:2%20+d"]),
    ],
)
def test_plain_arguments_give_what_hydra_gives(job: str, arguments: list[str]) -> None:
    conf = plain_conf(job, arguments)
    assert conf is not None
    assert conf == by_hydra(job, arguments)
    assert type(conf) is schema_of(job)


@pytest.mark.parametrize(
    ("job", "arguments"),
    [
        ("score", SCORE[:1]),
        ("score", [*SCORE, SCORE[0]]),
        ("score", [*SCORE, "sauce=lm_eval"]),
        ("score", [*SCORE, "source"]),
        ("score", [*SCORE, "+source=lm_eval"]),
        ("score", [*SCORE, "source=null"]),
        ("score", [*SCORE, "source=True"]),
        ("score", [*SCORE, "source=1"]),
        ("score", [*SCORE, "source=a,b"]),
        ("score", [*SCORE, "tasks=[gpqa]"]),
        ("score", [*SCORE, "max_line_bytes=10"]),
        ("score", [*SCORE, "out=null"]),
        *(
            ("score", [SCORE[0], f"responses={value}"])
            for value in ("~/new", "$HOME", "${micro}", "a b", "'a'", "a\\b", "???", "", "a\n")
        ),
        ("ingest", INGEST[:2]),
        ("ingest", [*INGEST, "wait_for_out=soon"]),
        ("ingest", [*INGEST, "wait_for_out=1e3"]),
        ("compare", ["board=b.csv", "margin=-0.1"]),
        ("compare", ["board=b.csv", "margin=0_1"]),
        ("compare", ["board=b.csv", "runs=[a,b]"]),
        ("plan", []),
    ],
)
def test_other_arguments_are_left_to_hydra(job: str, arguments: list[str]) -> None:
    assert plain_conf(job, arguments) is None


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLAIN_JOBS), st.data())
def test_whatever_is_plain_is_read_as_by_hydra(job: str, data: st.DataObject) -> None:
    keys = [field.name for field in fields(schema_of(job))]
    required: list[str] = {"score": SCORE, "ingest": INGEST}.get(job, [])
    extra = data.draw(st.lists(st.tuples(st.sampled_from(keys), VALUES), max_size=3, unique_by=lambda each: each[0]))
    given_keys = {key for key, _ in extra}
    kept = [each for each in required if each.split("=")[0] not in given_keys]
    arguments = [*kept, *(f"{key}={value}" for key, value in extra)]
    plain, hydra = (outcome(read, job, arguments) for read in (plain_conf, by_hydra))
    assert plain is None or plain == hydra


def outcome(read: Callable[[str, list[str]], Any], job: str, arguments: list[str]) -> Any:
    """The configuration, or the text of the error."""
    try:
        return read(job, arguments)
    except ConfigError as error:
        return str(error)


def test_the_plain_jobs_have_no_parts_of_conf_to_choose_from() -> None:
    conf = Path(__file__).parents[2] / "conf"
    assert set(PLAIN_JOBS) < set(JOBS)
    assert all("defaults:" not in (conf / f"{job}.yaml").read_text() for job in PLAIN_JOBS)
