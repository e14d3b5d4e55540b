"""Regular expressions of the user take linear time, and are checked before any work."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import DataError
from microbench_ray.data.regex import MAX_LENGTH, search
from tests.helpers.errors import refuses
from tests.helpers.refusals import Refused, swept


@pytest.mark.parametrize("regex", ["^(a+)+$", "(a|aa)+$", "(.*a){20}$", "(a?){30}a{30}$"])
def test_no_expression_takes_exponential_time(regex: str) -> None:
    start = time.process_time()
    assert search(regex, ["a" * 5_000 + "b"], "x").tolist() == [False]
    assert time.process_time() - start < 2


@given(
    regex=st.lists(st.sampled_from(["a", "b", ".", "[ab]", "a+", "b*", "(ab|b)", "^", "$", "a?"]), min_size=1, max_size=6).map(
        "".join
    ),
    texts=st.lists(st.text("abc", max_size=8), max_size=5),
)
def test_matches_are_those_of_python(regex: str, texts: list[str]) -> None:
    assert search(regex, texts, "x").tolist() == [re.search(regex, text) is not None for text in texts]


@pytest.mark.parametrize("regex", ["(", r"(a)\1", "(?=a)", "a{1000}{1000}", "\udc80"])
def test_other_expressions_are_refused(regex: str) -> None:
    with refuses(DataError, "regular expression", where="targets.regex", got=repr(regex)[1:3], hint="RE2"):
        search(regex, ["a"], "targets.regex")
    with refuses(DataError, "too long", got="10,001"):
        search("a" * (MAX_LENGTH + 1), ["a"], "targets.regex")


@pytest.mark.parametrize("key", ["targets.regex", "extra_targets"])
def test_the_configuration_is_checked_before_the_benchmark_is_read(key: str, tmp_path: Path, refused: Refused) -> None:
    more = (
        ["targets=group", "targets.label=g", "targets.regex=("]
        if key == "targets.regex"
        else ["extra_targets=[{label: h, regex: '('}]"]
    )
    refused(swept(tmp_path / "missing.parquet", tmp_path / "out", *more), "regular expression", "targets.regex")
