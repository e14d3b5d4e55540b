"""Results of the library show themselves: a short text, a table in notebooks and papers, a plot."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.presented import MAX_TEXT_ROWS
from tests.helpers.errors import refuses

SHOWN_BY: dict[str, Callable[[mb.Benchmark], Any]] = {
    "benchmark": lambda w: w,
    "items_needed": lambda w: mb.items_needed(w, [0.05, 0.1, 0.2]),
    "detectable_difference": lambda w: mb.detectable_difference(w, 20),
    "ranking_probability": lambda w: mb.ranking_probability(w, list(w.model_ids[:2]), 20),
    "posterior_ranking_probability": lambda w: mb.posterior_ranking_probability(w, [0.7, 0.5], 20),
    "regression_gate": lambda w: mb.regression_gate(w, 0.05, 20),
    "export": lambda w: mb.export(w, 20, "random_ridge"),
    "score": lambda w: mb.score(mb.export(w, 20, "random_ridge"), w.scores[:30], list(w.item_ids), list(w.model_ids[:30])),
    "sweep": lambda w: mb.sweep(w, ["random", "mdad_guided"], [5, 10], 10, 15, 2, n_resamples=100),
    "agreement_curve": lambda w: mb.agreement_curve(curve_counts()),
    "compare": lambda w: mb.compare(*w.model_ids[:4], benchmark=w, accept="superior"),
}
PLOTTED = ("items_needed", "regression_gate", "export", "score", "sweep", "agreement_curve", "compare")


def curve_counts() -> mb.PairCounts:
    """Three models, whose pairs (0, 1), (0, 2), (1, 2) differ by .25, .5 and .25 and are ordered right, right and wrong."""
    return mb.pair_counts([0.5, 0.75, 1.0], [0.2, 0.4, 0.3], n_items=4)


@pytest.fixture(scope="module")
def world() -> mb.Benchmark:
    return mb.synthetic(n_models=50, n_items=240)


@pytest.fixture(scope="module")
def results(world: mb.Benchmark) -> dict[str, Any]:
    return {name: result(world) for name, result in SHOWN_BY.items()}


@pytest.fixture
def axes() -> Iterator[Any]:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    yield pyplot.subplots()[1]
    pyplot.close("all")


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_result_shows_itself(results: dict[str, Any], name: str) -> None:
    result = results[name]
    text = repr(result)
    assert str(result) == text
    assert len(text.splitlines()) <= MAX_TEXT_ROWS + 3
    assert "array(" not in text
    table = result.table()
    assert type(table) is pd.DataFrame
    assert len(table) > 0
    overview = result.overview()
    lines = result.to_markdown().splitlines()
    assert len(lines) == len(overview.rows) + 2
    assert result.to_latex().count("\\\\\n") == len(overview.rows) + 1
    assert result._repr_html_().count("<tr>") == min(len(overview.rows), 60) + 1


@pytest.mark.parametrize("name", PLOTTED)
def test_a_result_plots_itself(results: dict[str, Any], axes: Any, name: str) -> None:
    assert results[name].plot(ax=axes) is axes
    assert axes.get_xlabel()
    axes.figure.canvas.draw()
    assert results[name].plot() is not axes


def test_the_table_of_a_sweep_joins_mdads_and_summary(results: dict[str, Any]) -> None:
    result = results["sweep"]
    table = result.table()
    assert len(table) == len(result.mdad) == 8
    keys = ["method", "size", "split"]
    indexed = table.set_index(keys)
    for _, row in result.summary.iterrows():
        assert indexed.loc[tuple(row[keys]), "mean_agreement"] == row["mean_agreement"]
    assert list(indexed["mdad_monotone"].isna()) == list(result.mdad["mdad_monotone"].isna())
    header = result.to_markdown().splitlines()[0]
    assert header == "| split | method | 5 items | 10 items |"


def test_mdads_that_are_not_reached_and_open_intervals_are_words_not_numbers(world: mb.Benchmark) -> None:
    result = mb.sweep(world, "random", [1], 10, 15, 2, n_resamples=100, thresholds=[1.0])
    assert result.mdad["mdad_monotone"].isna().any() or result.mdad["mdad_monotone_ci_hi"].isna().any()
    assert "not reached" in result.to_markdown() or "∞" in result.to_markdown()


def test_the_curve_of_a_sweep_is_plotted_where_it_exists(results: dict[str, Any], axes: Any) -> None:
    result = results["sweep"]
    result.plot("agreement", size=5, split="unseen", ax=axes)
    assert "5 items, unseen half" in axes.get_title()
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"random", "mdad_guided"}
    with refuses(ConfigError, "value", where="size", got="7", hint="5, 10"):
        result.plot("agreement", size=7, ax=axes)
    with refuses(ConfigError, "plot", where="kind"):
        result.plot("curve", ax=axes)


def test_frames_stay_frames_and_what_is_computed_from_them_is_plain(results: dict[str, Any]) -> None:
    needed, scored = results["items_needed"], results["score"]
    for frame in (needed, scored):
        assert issubclass(type(frame), pd.DataFrame)
        for derived in (frame.iloc[:1], frame[["low"]], frame.round(2), pd.concat([frame, frame])):
            assert type(derived) is pd.DataFrame
        again = pickle.loads(pickle.dumps(frame))  # noqa: S301
        assert type(again) is type(frame)
        assert repr(again) == repr(frame)
        pd.testing.assert_frame_equal(again.table(), frame.table())
    changed: Any = mb.items_needed(mb.synthetic(n_models=30, n_items=200), 0.1)
    changed["note"] = "mine"
    assert "mine" in changed.to_markdown()


def test_scores_are_as_many_rows_as_fit(results: dict[str, Any]) -> None:
    scored = results["score"]
    assert "22 more rows" in repr(scored)
    assert scored.to_markdown().count("\n") == 32
    assert list(scored.table().columns) == list(scored.columns)
    assert "neighbours" not in scored.to_markdown()


def test_answers_are_dictionaries_with_a_sentence(results: dict[str, Any]) -> None:
    answer = results["detectable_difference"]
    assert issubclass(type(answer), dict)
    assert f"{100 * answer['mdad']:.1f} points" in repr(answer)
    assert pickle.loads(pickle.dumps(answer)) == answer  # noqa: S301
    assert answer.table().iloc[0].to_dict() == dict(answer)


def test_the_table_of_a_benchmark_is_over_the_answered_items() -> None:
    board = mb.benchmark([[1, 0, np.nan, 1], [0, 0, 1, 0.5]], model_ids=["a", "b"], max_missing=0.5)
    table = board.table()
    assert list(table["accuracy"]) == pytest.approx([2 / 3, 1.5 / 4])
    assert list(table["answered"]) == [3, 4]


def test_the_table_of_a_micro_benchmark_is_its_items(results: dict[str, Any]) -> None:
    micro = results["export"]
    table = micro.table()
    assert list(table["item_id"]) == micro.item_ids
    assert table["coefficient"].to_list() == pytest.approx(list(micro.readout.coefficients))
    assert "20 of 240 items by random_ridge" in repr(micro)


def test_a_comparison_says_its_answer_and_has_the_report_of_the_command() -> None:
    two = mb.compare({"q1": 1, "q2": 0, "q3": 1}, {"q1": 1, "q2": 1, "q3": 1}, names=["old", "new"])
    assert "new" in repr(two).splitlines()[0]
    assert "decision" not in two.to_markdown()
    assert json.loads(two.report("json")) == json.loads(json.dumps(two.to_json()))


def test_an_agreement_curve_and_counts_are_short() -> None:
    curve = mb.agreement_curve(curve_counts())
    table = curve.table().query("n_pairs > 0")
    assert list(zip(table["diff_lo"], table["agreement"], strict=True)) == [(0.25, 0.5), (0.5, 1)]
    assert "3 pairs in 101 bins" in repr(curve)
    assert repr(curve_counts()) == "PairCounts(201 bins: 3 pairs, 2 agree, 0 tied; 0 pairs without a true order)"
    assert repr(mb.PairCounts.stack([curve_counts()] * 2)).startswith("PairCounts(2 x 201 bins: 6 pairs")


def test_hostile_names_stay_in_their_cells() -> None:
    name = "a|b\n<script>alert(1)</script>"
    board = mb.benchmark([[1, 0], [0, 1]], model_ids=[name, "b_&_c"])
    assert len(board.to_markdown().splitlines()) == 4
    assert "<script" not in board._repr_html_()
    assert "b\\_\\&\\_c" in board.to_latex()


def test_text_formats_need_neither_tabulate_nor_jinja_nor_matplotlib() -> None:
    program = """
import sys
for name in ("tabulate", "jinja2", "matplotlib"):
    sys.modules[name] = None
import microbench_ray as mb
world = mb.synthetic(n_models=30, n_items=200)
needed = mb.items_needed(world, 0.1)
needed.to_markdown(), needed.to_latex(), needed._repr_html_()
try:
    needed.plot()
except mb.MicrobenchError as error:
    print(error.hint)
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "matplotlib" in process.stdout


DOCUMENTED = sorted(name for name in mb.__all__ if inspect.isfunction(getattr(mb, name)) and not name.startswith("read_"))


@pytest.mark.parametrize("name", [*DOCUMENTED, "Result"])
def test_the_examples_of_the_docstrings_run(name: str) -> None:
    """Their output is the one that is printed."""
    subject = getattr(mb, name)
    tests = doctest.DocTestFinder(recurse=False).find(subject, name, globs=vars(importlib.import_module(subject.__module__)).copy())
    assert sum(len(test.examples) for test in tests), f"{name} has no example"
    for test in tests:
        assert doctest.DocTestRunner().run(test).failed == 0
