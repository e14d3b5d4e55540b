"""The answer of a sweep: from invented tables by hand, and of eight methods that are the same one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from microbench_ray.report.answer import Answer, answers, explanation, headlines, line, lines, title
from tests.helpers.pages import rows_of

GROUP = {"benchmark": "b", "n_source": 20, "size": 100, "targets": "random", "n_target": 30, "unseen": "half", "split": "seen"}


def tables(*methods: dict[str, Any], **common: Any) -> dict[str, pa.Table]:
    """`mdad` and `standings` from rows with `method`, `mdad` (points), `p` and changes of the group."""
    mdads, standings = [], []
    for each in methods:
        row = GROUP | common | {name: value for name, value in each.items() if name not in ("mdad", "p")}
        value = None if each["mdad"] is None else each["mdad"] / 100
        ends = {
            "mdad_monotone": value,
            "mdad_monotone_ci_lo": value and value - 0.01,
            "mdad_monotone_ci_hi": value and value + 0.01,
        }
        mdads.append({"threshold": 0.8, "reached_share": 1.0, "n_runs": 20, "ci": "runs"} | row | ends)
        if row["n_source"]:
            p = each.get("p")
            standings.append({"n_runs": 20} | row | {"p_best": p, "among_best": None if p is None else p > 0.05})
    return {"mdad": rows_of("mdad", mdads), "standings": rows_of("standings", standings)}


def headline(found: dict[str, pa.Table]) -> tuple[str, str]:
    chosen = headlines(answers(found))
    return title(chosen), explanation(chosen)


def method(name: str, mdad: float | None, p: float | None = 1.0, **more: Any) -> dict[str, Any]:
    return {"method": name, "mdad": mdad, "p": p} | more


def test_a_single_best_method_is_named_with_its_mdad() -> None:
    shown, meaning = headline(tables(method("auto", 4.0), method("random", 9.0, 0.001), method("worse", 12.0, 0.001)))
    assert shown == "100 items of auto detect differences of 4.0 points"
    for fact in ("3 methods", "auto", "80 %", "seen half"):
        assert fact in meaning
    assert "random" not in meaning


def test_methods_that_share_the_best_are_named_together_with_the_range_of_their_mdads() -> None:
    shown, meaning = headline(tables(method("a", 4.5, 0.2), method("b", 4.0), method("c", 9.0, 0.01)))
    assert shown == "100 items of a or b detect differences of 4.0 to 4.5 points"
    assert "a, b" in meaning
    many = [method(f"m{k}", 4.0 + k / 2) for k in range(5)]
    shown, meaning = headline(tables(*many, method("c", 20.0, 0.01)))
    assert shown == "100 items of the 5 best methods detect differences of 4.0 to 6.0 points"
    assert "m0, m1, m2, m3, m4" in meaning


def test_of_equal_methods_none_is_named() -> None:
    shown, meaning = headline(tables(*(method(f"r{k}", 9.0 + k % 3 / 2) for k in range(8))))
    assert shown == "No method is better than another by more than chance"
    assert "8 methods" in meaning
    assert "9.0 to 10.0 points" in meaning
    assert not [k for k in range(8) if f"r{k}" in shown + meaning]


@pytest.mark.parametrize("n_runs", [1, 9])
def test_too_few_runs_name_no_method_and_the_number_that_is_needed(n_runs: int) -> None:
    shown, meaning = headline(tables(method("a", 4.0, None), method("b", 9.0, None), n_runs=n_runs))
    assert "of a" not in shown + meaning
    assert "4.0 to 9.0 points" in shown
    for fact in (f"{n_runs} run", "chance", "10 runs", "grid.runs=10"):
        assert fact in meaning


def test_a_sweep_of_one_method_needs_no_comparison() -> None:
    shown, meaning = headline(tables(method("auto", 4.0, None), n_runs=3))
    assert shown == "100 items of auto detect differences of 4.0 points"
    assert "chance" not in meaning


def test_thresholds_that_are_never_reached() -> None:
    assert headline(tables(method("a", None), method("b", 9.0, 0.01)))[0] == (
        "100 items of a detect no difference: agreement never reaches 80 %"
    )
    shown = headline(tables(method("a", None), method("b", 9.0), method("c", 20.0, 0.01)))[0]
    assert shown == "100 items of a or b detect differences of 9.0 points (1 of 2 methods: none)"


def merged(*parts: dict[str, pa.Table]) -> dict[str, pa.Table]:
    return {name: pa.concat_tables([part[name] for part in parts]) for name in ("mdad", "standings")}


def test_several_benchmarks_have_a_line_each_and_a_headline_of_what_holds_on_all() -> None:
    one = tables(method("a", 4.0), method("b", 5.0), method("c", 9.0, 0.01))
    two = tables(method("a", 2.0), method("b", 5.0, 0.01), method("c", 9.0, 0.01), benchmark="other", size=50)
    equal = tables(method("a", 7.0), method("b", 8.0), method("c", 9.0), benchmark="third")
    found = answers(merged(one, two, equal))
    assert title(found) == "a is not worse than the best by more than chance on all 3 benchmarks"
    assert [line(each) for each in found] == [
        "b: 100 items of a or b detect differences of 4.0 to 5.0 points",
        "other: 50 items of a detect differences of 2.0 points",
        "third: 100 items of any method detect differences of 7.0 to 9.0 points; no method is better by more than chance",
    ]
    only_equal = answers(merged(equal, tables(method("a", 7.0), method("b", 8.0), benchmark="fourth")))
    assert "No method is better than another by more than chance" in title(only_equal)
    apart = tables(method("a", 4.0, 0.01), method("b", 5.0), benchmark="x")
    assert "No method is among the best on all 2 benchmarks" in title(answers(merged(two, apart)))
    few = tables(method("a", 4.0, None), method("b", 5.0, None), benchmark="x", n_runs=5)
    assert "5 runs" in title(answers(merged(one, few)))


def test_the_headline_is_about_the_size_nearest_to_100_and_the_most_sources() -> None:
    rows = [
        method("a", mdad, size=size, n_source=n) for size, n, mdad in ((30, 20, 9.0), (250, 20, 3.0), (30, 40, 8.0), (250, 40, 2.0))
    ]
    assert (
        headline(tables(*rows))[0] == "250 items of a detect differences of 2.0 points"
    )  # 100 is 3.3 times 30, and 250 is 2.5 times 100
    shown = list(lines(answers(tables(*rows))))
    assert shown[1:3] == ["  30 items of a detect differences of 8.0 points", "  250 items of a detect differences of 2.0 points"]


def test_fixed_lists_are_no_rivals() -> None:
    lists = [method("x", 3.0, n_source=0, unseen="none"), method("y", 4.0, n_source=0, unseen="none")]
    found = answers(tables(*lists))
    assert [line(each, named=False) for each in found] == [
        "100 items of x detect differences of 3.0 points",
        "100 items of y detect differences of 4.0 points",
    ]
    assert "all items" in explanation(headlines(found))


def test_without_tables_there_is_no_answer() -> None:
    assert answers(tables()) == []
    assert title([]) == "There are no results"
    assert explanation([]) == ""
    assert list(lines([])) == ["There are no results"]


def test_an_answer_without_standings_compares_nothing() -> None:
    found = tables(method("a", 4.0), method("b", 9.0))
    (answer,) = answers({"mdad": found["mdad"]})
    assert isinstance(answer, Answer)
    assert not answer.compared
    assert "not compared" in explanation([answer])
