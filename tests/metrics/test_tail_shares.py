"""Distribution functions of single numbers against scipy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from microbench_ray.metrics.tail_shares import binomial_share, chi_square_tail, f_tail, student_quantile, student_share

DF = st.floats(0.7, 1e9) | st.integers(1, 200).map(float) | st.just(math.inf)


@given(DF, st.floats(-50, 50))
@settings(max_examples=200)
def test_students_share(df: float, t: float) -> None:
    wanted = special.ndtr(t) if math.isinf(df) else special.stdtr(df, t)
    assert student_share(df, t) == pytest.approx(wanted, abs=1e-11)
    assert student_share(df, -t) + student_share(df, t) == pytest.approx(1, abs=1e-12)


@given(DF, st.floats(1e-6, 1 - 1e-6))
@settings(max_examples=200)
def test_students_quantile(df: float, p: float) -> None:
    wanted = special.ndtri(p) if math.isinf(df) else special.stdtrit(df, p)
    assert student_quantile(df, p) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


@given(st.floats(0, 100), st.integers(1, 60), st.integers(1, 20_000))
def test_tail_of_f(ratio: float, df: int, rest_df: int) -> None:
    assert f_tail(ratio, df, rest_df) == pytest.approx(special.fdtrc(df, rest_df, ratio), abs=1e-11)


@given(st.floats(0, 200), st.integers(1, 60))
def test_tail_of_chi_square(square: float, df: int) -> None:
    assert chi_square_tail(square, df) == pytest.approx(special.chdtrc(df, square), abs=1e-12)


@given(st.integers(0, 20_000), st.floats(0, 1), st.floats(0.01, 0.99))
def test_binomial_share(trials: int, part: float, p: float) -> None:
    successes = round(part * trials)
    assert binomial_share(successes, trials, p) == pytest.approx(special.bdtr(successes, trials, p), abs=1e-10)


def test_small_tails_keep_their_digits() -> None:
    assert student_share(11.0, -40.0) == pytest.approx(special.stdtr(11, -40), rel=1e-11)
    assert student_share(math.inf, -20.0) == pytest.approx(special.ndtr(-20), rel=1e-11)
    assert binomial_share(20, 400, 0.5) == pytest.approx(special.bdtr(20, 400, 0.5), rel=1e-10)
    assert student_share(3.0, math.inf) == 1
