"""Evaluation of a shard: no leakage, nested sources, cells independent of other cells, and counts against their definition."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.schemas import GROUP_KEY, SCHEMAS
from microbench_ray.data import Benchmark
from microbench_ray.methods import SELECTORS, Method, SeenItems, Selection, Signal, build_method
from microbench_ray.methods.base import EstimatorWithoutFit
from microbench_ray.methods.estimators.means import Mean
from microbench_ray.sweeps.evaluate import draw_run, evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import Shard
from microbench_ray.sweeps.tables import counts_of
from tests.helpers.errors import refuses
from tests.helpers.optional import required
from tests.helpers.shards import GRID, leaderboard, method, shards_of, tables_of

EVERY = sorted(set(SELECTORS) - {"fixed"})


@dataclass(frozen=True)
class Spy:
    """A selector that records what it was given and what it chose."""

    inner: Any
    shown: list[SeenItems]
    chosen: list[Selection]

    @property
    def signal(self) -> Any:
        return self.inner.signal

    @property
    def nested(self) -> Any:
        return self.inner.nested

    @property
    def fit_key(self) -> Any:
        return self.inner.fit_key

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> Any:
        self.shown.append(seen)
        return self.inner.fit(seen, rng)

    def select(self, seen: SeenItems, fit: Any, size: int, rng: np.random.Generator) -> Any:
        self.chosen.append(self.inner.select(seen, fit, size, rng))
        return self.chosen[-1]

    def fit_seconds(self, n_source: int, n_items: int) -> Any:
        return self.inner.fit_seconds(n_source, n_items)

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> Any:
        return self.inner.fit_bytes(n_source, n_items, size)


def spied(name: str, benchmark: Benchmark, shard: Shard) -> Spy:
    spy = Spy(SELECTORS[name](), [], [])
    evaluate_shard(replace(shard, methods=(Method(name, spy, Mean()),)), benchmark)
    return spy


def changed(benchmark: Benchmark, models: np.ndarray, items: np.ndarray) -> Benchmark:
    """The benchmark with these models' responses to these items inverted."""
    assert benchmark.confidence is not None
    scores, confidence = benchmark.scores.astype(float), benchmark.confidence.copy()
    cells = np.ix_(models, items)
    scores[cells], confidence[cells] = 1 - scores[cells], 1 - confidence[cells]
    return Benchmark.from_arrays(
        benchmark.name,
        scores,
        list(benchmark.item_ids),
        list(benchmark.model_ids),
        subtasks=[benchmark.subtask_names[code] for code in benchmark.subtask_codes],
        confidence=confidence,
    )


@pytest.mark.parametrize("name", EVERY)
def test_no_choice_depends_on_target_models_or_on_unseen_items(name: str) -> None:
    benchmark = leaderboard()
    shard = shards_of(["random"], [benchmark])[0]
    for run in shard.runs:
        draw, one_run = draw_run(shard, benchmark, run), replace(shard, runs=(run,))
        assert draw.unseen is not None
        before = spied(name, benchmark, one_run)
        assert len(before.chosen) == 2
        if before.signal is not None:
            responses = before.shown[0].responses
            assert responses is not None
            assert responses.shape[:2] == (12, 20)
        everything = np.arange(benchmark.n_items)
        spectators = np.setdiff1d(np.arange(benchmark.n_models), draw.sources)
        assert set(draw.targets) < set(spectators)
        for other in (changed(benchmark, spectators, everything), changed(benchmark, draw.sources, draw.unseen)):
            assert other.digest != benchmark.digest
            after = spied(name, other, one_run)
            for one, two in zip(before.chosen, after.chosen, strict=True):
                assert np.array_equal(one.items, two.items)
                assert one.weights is None or np.array_equal(one.weights, required(two.weights))


@pytest.mark.parametrize("name", [name for name in EVERY if SELECTORS[name]().signal is not None])
def test_a_choice_that_reads_source_models_depends_on_them(name: str) -> None:
    # Shows that the test above can fail.
    benchmark = leaderboard()
    shard = replace(shards_of(["random"], [benchmark])[0], runs=(0,))
    draw = draw_run(shard, benchmark, 0)
    shown = [spied(name, each, shard).shown[0] for each in (benchmark, changed(benchmark, draw.sources, draw.seen[::2]))]
    assert not np.array_equal(required(shown[0].responses), required(shown[1].responses))


def test_an_estimator_is_given_the_selected_responses_of_the_targets_and_no_others() -> None:
    benchmark = leaderboard()
    shard = replace(shards_of(["random"], [benchmark])[0], runs=(1,), sizes=((5, None),), keep_estimates=True)
    draw, spy = draw_run(shard, benchmark, 1), Spy(SELECTORS["random"](), [], [])
    given = []

    @dataclass(frozen=True)
    class Recording(EstimatorWithoutFit):
        signal: Signal = "correctness"

        def estimate(self, responses: Any, selection: Any, seen: SeenItems, fit: Any) -> Any:
            given.append(responses.copy())
            return responses.mean(axis=1)

    estimates = evaluate_shard(replace(shard, methods=(Method("random", spy, Recording()),)), benchmark)["estimates"]
    items = draw.seen[spy.chosen[0].items]
    assert np.array_equal(given[0], benchmark.scores[draw.targets][:, items])
    assert estimates["estimate"].to_pylist() == given[0].mean(axis=1).tolist()


def test_sources_nest_and_are_never_targets() -> None:
    benchmark = leaderboard()
    shards = {shard.n_source: shard for shard in shards_of(["random"], [benchmark], replace(GRID, n_source=(4, 12, 23)))}
    for run in range(3):
        small, middle, large = (draw_run(shards[n], benchmark, run) for n in (4, 12, 23))
        assert np.array_equal(small.sources, middle.sources[:4])
        assert np.array_equal(middle.sources, large.sources[:12])
        assert np.array_equal(small.targets, large.targets)
        assert np.array_equal(small.seen, large.seen)
        assert sorted([*large.sources, *large.targets]) == list(range(30))
        assert sorted([*small.seen, *required(small.unseen)]) == list(range(40))


def test_runs_differ() -> None:
    benchmark = leaderboard()
    draws = [draw_run(shards_of(["random"], [benchmark])[0], benchmark, run) for run in range(3)]
    for field in ("targets", "sources", "seen"):
        assert len({tuple(getattr(draw, field)) for draw in draws}) == 3


def test_a_fixed_group_is_the_targets_of_every_run() -> None:
    benchmark = leaderboard()
    shard = shards_of(["random"], [benchmark], targets=Targets("g", regex="m1[0-4]"))[0]
    for run in range(3):
        draw = draw_run(shard, benchmark, run)
        assert draw.targets.tolist() == [10, 11, 12, 13, 14]
        assert not set(draw.sources) & set(draw.targets)
    assert set(evaluate_shard(shard, benchmark)["cells"]["n_target"].to_pylist()) == {5}


MORE: dict[str, tuple[list[Any], dict[str, Any], tuple[Benchmark, ...]]] = {
    "method": ([*EVERY, method("random", label="random again"), method("stratified_confidence", strata=3, label="s3")], {}, ()),
    "order of methods": (EVERY[::-1], {}, ()),
    "size": (EVERY, {"sizes": (1, 3, 5, 8, 20)}, ()),
    "fraction": (EVERY, {"fractions": (0.1, 0.25)}, ()),
    "n_source": (EVERY, {"n_source": (3, 12, 20)}, ()),
    "runs": (EVERY, {"runs": 13}, ()),
    "benchmark": (EVERY, {}, (leaderboard("other", n_items=60),)),
}


@pytest.fixture(scope="module")
def before() -> pa.Table:
    """The cells of every method on a leaderboard with gaps."""
    return tables_of(EVERY, [leaderboard(gaps=True)])


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(MORE))
def test_more_of_anything_changes_no_other_cell(what: Any, before: pa.Table) -> None:
    methods, change, benchmarks = MORE[what]
    benchmark = leaderboard(gaps=True)
    after = tables_of(methods, [*benchmarks, benchmark], replace(GRID, **change))
    assert len(before) == len(EVERY) * 2 * 3 * 2
    key = [*GROUP_KEY, "run", "split"]
    keys = {tuple(row[name] for name in key) for row in before.select(key).to_pylist()}
    rows = [index for index, row in enumerate(after.select(key).to_pylist()) if tuple(row[name] for name in key) in keys]
    assert after.take(rows).equals(before)
    assert what == "order of methods" or len(after) > len(before)


@pytest.mark.slow
def test_another_seed_changes_cells_and_one_size_per_shard_does_not(before: pa.Table) -> None:
    benchmark = leaderboard(gaps=True)
    assert tables_of(EVERY, [benchmark], sizes_apart=True).equals(before)
    assert not tables_of(EVERY, [benchmark], seed=1).equals(before)


@pytest.mark.parametrize(
    ("confidence", "selector", "estimator", "expected"),
    [
        (True, "random", "correctness", "-/correctness"),
        (True, "random", "confidence", "-/confidence"),
        (False, "random", "confidence", "-/correctness"),
        (True, "stratified_confidence", "correctness", "confidence/correctness"),
        (True, "stratified_confidence", "confidence", "confidence/confidence"),
        (False, "stratified_confidence", "confidence", "correctness/correctness"),
    ],
)
def test_the_signal_that_was_read_is_in_the_table(confidence: bool, selector: str, estimator: str, expected: str) -> None:
    cells = tables_of([method(selector, signal=estimator)], [leaderboard(confidence=confidence)])
    assert set(cells["signal"].to_pylist()) == {expected}


def test_without_confidences_a_method_reads_correctness() -> None:
    benchmark = leaderboard(confidence=False)
    fallback, plain = (
        tables_of([method("stratified_confidence", label="s", **{"signal": signal})], [benchmark])
        for signal in ("confidence", "correctness")
    )
    assert fallback.equals(plain)


def test_an_estimate_from_confidences_is_their_mean() -> None:
    benchmark = leaderboard()
    shard = replace(
        shards_of([method("random", signal="confidence")], [benchmark], replace(GRID, sizes=(20,)))[0], keep_estimates=True
    )
    rows = evaluate_shard(shard, benchmark)["estimates"].to_pylist()
    confidence, position = required(benchmark.confidence), {name: index for index, name in enumerate(benchmark.model_ids)}
    for row in rows:
        # All 20 seen items are selected.
        seen = draw_run(shard, benchmark, row["run"]).seen
        assert row["estimate"] == pytest.approx(confidence[position[row["target"]], seen].mean(dtype=float), abs=1e-12)


@pytest.mark.parametrize("unseen", ["half", "none"])
def test_kept_estimates_are_one_row_per_target(unseen: Literal["half", "none"]) -> None:
    benchmark = leaderboard(gaps=True)
    grid = replace(GRID, unseen=unseen)
    shard = shards_of(["random"], [benchmark], grid, keep_estimates=True)[0]
    tables = evaluate_shard(shard, benchmark)
    frame = tables["estimates"].to_pandas()
    assert tables["estimates"].schema.equals(SCHEMAS["estimates"])
    assert len(frame) == 2 * 3 * 7
    assert not frame.duplicated(["size", "run", "target"]).any()
    scores = np.where(benchmark.scores == benchmark.missing, np.nan, benchmark.scores.astype(float))
    position = {name: index for index, name in enumerate(benchmark.model_ids)}
    for run, rows in frame.groupby("run"):
        draw = draw_run(shard, benchmark, int(run))
        assert set(rows["target"]) == set(benchmark.model_ids[draw.targets])
        targets = [position[name] for name in rows["target"]]
        assert rows["accuracy_seen"].to_numpy() == pytest.approx(np.nanmean(scores[targets][:, draw.seen], axis=1))
        if unseen == "half":
            assert rows["accuracy_unseen"].to_numpy() == pytest.approx(np.nanmean(scores[targets][:, draw.unseen], axis=1))
        else:
            assert rows["accuracy_unseen"].isna().all()
            assert len(draw.seen) == 40
    assert set(tables["cells"]["split"].to_pylist()) == ({"seen", "unseen"} if unseen == "half" else {"seen"})
    # The cells are computed from these numbers, the mean absolute error for example.
    first = frame[(frame["run"] == 1) & (frame["size"] == 8)]
    cell = next(row for row in tables["cells"].to_pylist() if (row["run"], row["size"], row["split"]) == (1, 8, "seen"))
    assert cell["mean_abs_error"] == pytest.approx((first["estimate"] - first["accuracy_seen"]).abs().mean())


def test_all_seen_items_selected_order_the_models_as_they_are() -> None:
    cells = tables_of(EVERY, [leaderboard()], replace(GRID, sizes=(20,)))
    for row in cells.to_pylist():
        if row["split"] == "seen":
            assert row["n_agree"] == row["n_pairs"]
            assert row["n_tied"] == []
            assert row["mean_abs_error"] == pytest.approx(0, abs=1e-12)
            assert row["kendall_tau"] == pytest.approx(1)


def test_a_constant_estimate_has_no_tau() -> None:
    # All models get every item right: no pair differs.
    benchmark = Benchmark.from_arrays("b", np.ones((10, 8), np.uint8), [*"abcdefgh"], [f"m{k}" for k in range(10)])
    cells = tables_of(["random"], [benchmark], Grid(sizes=(2,), n_source=(3,), n_target=4, runs=1)).to_pylist()
    assert [row["kendall_tau"] for row in cells] == [None, None]
    assert [(row["n_pairs"], row["n_true_tied"], row["n_true_tied_up"]) for row in cells] == [([], 6, 0)] * 2


def test_a_fixed_list_is_audited_on_all_models_and_resamples_them() -> None:
    benchmark = leaderboard(gaps=True)
    listed = ["q4", "q0", "q39", "q17", "q8"]
    tiny = build_method(
        "tiny", {"name": "fixed", "items": listed, "weights": [1, 2, 3, 4, 0], "built_from": ["m03"]}, {"name": "weighted_mean"}
    )
    (shard,) = shards_of([tiny], [benchmark], keep_estimates=True, model_resamples=50)
    tables = evaluate_shard(shard, benchmark)
    (cell,) = tables["cells"].to_pylist()
    expected = {"targets": "all", "n_target": 29, "unseen": "none", "n_source": 0, "size": 5, "run": 0, "split": "seen"}
    assert {name: cell[name] for name in expected} == expected
    estimates = tables["estimates"].to_pandas()
    assert "m03" not in set(estimates["target"])
    scores = np.where(benchmark.scores == benchmark.missing, np.nan, benchmark.scores.astype(float))
    for row in estimates.itertuples():
        answers = scores[list(benchmark.model_ids).index(row.target)]
        chosen, weights = answers[[4, 0, 39, 17, 8]], np.array([1, 2, 3, 4, 0])
        answered = ~np.isnan(chosen)
        assert row.estimate == pytest.approx((chosen[answered] * weights[answered]).sum() / weights[answered].sum())
        assert row.accuracy_seen == pytest.approx(np.nanmean(answers))
    resamples = tables["resamples"]
    assert resamples["resample"].to_pylist() == list(range(50))
    assert resamples.schema.equals(SCHEMAS["resamples"])
    counts, point = counts_of(resamples), counts_of(tables["cells"])
    n_all_pairs = counts.n_pairs.sum(axis=1) + counts.n_true_tied
    # Two draws of the same model form no pair, so there are fewer than 29 · 28 / 2.
    assert n_all_pairs.max() < 406
    assert int(point.n_pairs.sum() + point.n_true_tied.sum()) == 406
    # A bin without pairs of the models has no pairs in any resample.
    width = min(counts.n_bins, point.n_bins)
    assert not counts.n_pairs[:, :width][:, point.n_pairs[0, :width] == 0].any()
    again = evaluate_shard(shard, benchmark)
    assert all(again[name].equals(tables[name]) for name in tables)


def test_methods_with_runs_have_no_resamples() -> None:
    benchmark = leaderboard()
    assert set(evaluate_shard(shards_of(["random"], [benchmark])[0], benchmark)) == {"cells"}


def test_a_shard_of_a_separate_subtask_reads_that_subtask_alone() -> None:
    benchmark = leaderboard()
    grid = replace(GRID, sizes=(2,), subtasks="separate")
    shards = shards_of(["random", "random_subtask_equal"], [benchmark], grid)
    assert [shard.label for shard in shards] == ["b/s0", "b/s1", "b/s2", "b/s3"]
    for number, shard in enumerate(shards):
        items = np.flatnonzero(benchmark.subtask_codes == number)
        draw = draw_run(shard, benchmark, 0)
        assert sorted([*draw.seen, *required(draw.unseen)]) == items.tolist()
        assert len(draw.seen) == (len(items) + 1) // 2
        cells = evaluate_shard(shard, benchmark)["cells"]
        assert set(cells["benchmark"].to_pylist()) == {shard.label}
        # Other items of the benchmark do not matter.
        others = np.setdiff1d(np.arange(benchmark.n_items), items)
        other = changed(benchmark, np.arange(benchmark.n_models), others)
        assert evaluate_shard(shard, other)["cells"].equals(cells)
    assert len({tuple(draw_run(shard, benchmark, 0).targets) for shard in shards}) > 1


def test_the_error_for_an_invalid_selection_names_the_method() -> None:
    @dataclass(frozen=True)
    class Twice(Spy):
        def select(self, seen: SeenItems, fit: Any, size: int, rng: np.random.Generator) -> Any:
            return Selection(np.zeros(size, np.intp))

    shard = shards_of(["random"], [leaderboard()])[0]
    wrong = Method("wrong", Twice(SELECTORS["random"](), [], []), Mean())
    with refuses(ConfigError, "distinct", where="wrong", got="1 distinct positions for size 3, from 0 to 0") as caught:
        evaluate_shard(replace(shard, methods=(wrong,)), leaderboard())
    assert "0 to 19" in caught.value.what


def test_a_shard_reads_a_read_only_benchmark_and_leaves_global_state_alone() -> None:
    benchmark = leaderboard(gaps=True)
    assert not benchmark.scores.flags.writeable
    before, digest = pickle.dumps(np.random.get_state()), benchmark.digest  # noqa: NPY002
    tables_of(EVERY, [benchmark])
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002
    assert Benchmark(benchmark.name, benchmark.models, benchmark.items, benchmark.units).digest == digest
