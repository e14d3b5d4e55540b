"""Micro-benchmarks by the method `auto`: the folder carries its IRT model and estimates what the method estimates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.api.micro import DEFAULT_METHOD
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method, build_method
from microbench_ray.methods.kernels.irt_term import Beyond, IrtTerm
from microbench_ray.micro.artifact import FILE, MicroBenchmark, from_content, load
from microbench_ray.micro.build import build
from microbench_ray.micro.content import content_of
from microbench_ray.micro.json_values import checksum
from microbench_ray.micro.score import score
from tests.helpers.errors import refuses
from tests.micro.conftest import NEW, accuracies, first_models, new_models, responses_to

SIZE = 40


def auto(signal: str = "correctness") -> Method:
    return build_method("auto", {"name": "auto"}, {"name": "auto", "signal": signal})


@pytest.fixture(scope="module")
def micro(known: Benchmark) -> MicroBenchmark:
    return build(known, auto(), SIZE)


def test_it_is_the_default_of_the_library() -> None:
    assert DEFAULT_METHOD == {"method": "auto", "estimator": {"signal": "correctness"}}


@pytest.mark.slow
def test_a_folder_estimates_what_the_method_does(micro: MicroBenchmark, whole: Benchmark, tmp_path: Path) -> None:
    micro.save(tmp_path / "micro")
    found = load(tmp_path / "micro")
    answers = responses_to(micro.item_ids, whole, NEW)
    answers[0, :5] = np.nan
    assert found.readout.estimate(answers).tolist() == micro.readout.estimate(answers).tolist()
    assert isinstance(found.readout.term, IrtTerm)
    assert found.readout.term.difficulty.shape == (whole.n_items,)
    assert found.held_out.estimates.tolist() == micro.held_out.estimates.tolist()


@pytest.mark.slow
def test_its_estimates_are_closer_than_means_of_random_items(micro: MicroBenchmark, whole: Benchmark) -> None:
    estimates = micro.readout.estimate(responses_to(micro.item_ids, whole, NEW))
    error = np.sqrt(np.mean(np.square(estimates - accuracies(whole)[NEW])))
    assert micro.random_items is not None
    assert error < 0.7 * micro.random_items.random
    assert micro.random_items.verdict == "this"


@pytest.mark.slow
def test_its_intervals_hold_the_truth_of_new_models(micro: MicroBenchmark, whole: Benchmark) -> None:
    scored = score(micro, responses_to(micro.all_item_ids, whole, NEW), micro.all_item_ids, new_models(whole))
    inside = [
        each.interval is not None and each.interval.low <= truth <= each.interval.high
        for each, truth in zip(scored, accuracies(whole)[NEW], strict=True)
    ]
    assert np.mean(inside) > 0.9


@pytest.mark.parametrize("n_known", [4, pytest.param(12, marks=pytest.mark.slow)])
def test_few_known_models_are_enough(whole: Benchmark, n_known: int) -> None:
    few = build(first_models(whole, n_known), auto(), SIZE)
    (scored, *_) = score(few, responses_to(few.all_item_ids, whole, NEW), few.all_item_ids, new_models(whole))
    assert scored.interval is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"), [("difficulty", []), ("discrimination", [[0.0]]), ("weight", None), ("difficulty", [None] * 400)]
)
def test_a_forged_irt_model_is_refused(micro: MicroBenchmark, tmp_path: Path, key: str, value: object) -> None:
    micro.save(tmp_path / "micro")
    file = tmp_path / "micro" / FILE
    content = json.loads(file.read_text())
    content["readout"]["irt"][key] = value
    content["checksum"] = checksum(content)
    file.write_text(json.dumps(content))
    with refuses(DataError, "malformed", got="readout, irt", where=FILE):
        load(file)


@pytest.mark.slow
def test_a_folder_of_format_version_2_has_no_irt_model(micro: MicroBenchmark, tmp_path: Path) -> None:
    micro.save(tmp_path / "micro")
    file = tmp_path / "micro" / FILE
    content = json.loads(file.read_text())
    content["version"] = 2
    del content["readout"]["irt"]
    content["checksum"] = checksum(content)
    file.write_text(json.dumps(content))
    found = load(file)
    assert found.readout.term is None
    assert found.readout.coefficients.tolist() == micro.readout.coefficients.tolist()


def edited(micro: MicroBenchmark, version: int, **irt: Any) -> dict[str, Any]:
    """The content of its folder in another format version, with other limits of the IRT model."""
    content = content_of(micro)
    content["version"] = version
    del content["readout"]["irt"]["above"], content["readout"]["irt"]["below"]
    content["readout"]["irt"] |= irt
    return content | {"checksum": checksum(content)}


def test_folders_of_older_format_versions_move_as_they_did(micro: MicroBenchmark, whole: Benchmark) -> None:
    """One of version 5 above a limit, one of version 4 judged by the readout's sum alone, one of version 3 nowhere."""
    term = micro.readout.term
    assert isinstance(term, IrtTerm)
    assert term.above is not None
    assert term.below is not None
    answers = responses_to(micro.item_ids, whole, NEW)
    limit = float(np.median(micro.readout.estimate(answers)))
    cases: list[tuple[int, dict[str, Any], Beyond | None]] = [
        (5, {"beyond": {"above": limit, "prior_variance": 2.0, "own_share": 0.25}}, Beyond(limit, 2.0, 0.25)),
        (5, {"beyond": None}, None),
        (4, {"alone_above": limit}, Beyond(limit)),
        (4, {"alone_above": None}, None),
        (3, {}, None),
    ]
    for version, keys, above in cases:
        read = from_content(edited(micro, version, **keys), FILE)
        expected = replace(micro.readout, term=term._replace(above=above, below=None))
        assert np.array_equal(read.readout.estimate(answers), expected.estimate(answers))
        assert content_of(read)["readout"]["irt"] == edited(micro, version, **keys)["readout"]["irt"]


@pytest.mark.parametrize("side", ["above", "below"])
def test_a_folder_moves_beyond_either_limit(micro: MicroBenchmark, whole: Benchmark, side: str) -> None:
    term = micro.readout.term
    assert isinstance(term, IrtTerm)
    answers = responses_to(micro.item_ids, whole, NEW)
    limit = Beyond(float(np.median(micro.readout.estimate(answers))), 2.0, 0.25)
    limits: dict[str, Any] = {"above": None, "below": None, side: limit}
    written: dict[str, Any] = {"above": None, "below": None, side: limit._asdict()}
    read = from_content(edited(micro, 6, **written), FILE)
    expected = replace(micro.readout, term=term._replace(**limits))
    assert np.array_equal(read.readout.estimate(answers), expected.estimate(answers))
    assert content_of(read)["readout"]["irt"] == edited(micro, 6, **written)["readout"]["irt"]


@pytest.mark.parametrize(
    ("version", "limits"),
    [
        (5, {"beyond": {"above": 0.5}}),
        (5, {"beyond": {"above": 0.5, "prior_variance": 0.0, "own_share": 0.5}}),
        (5, {"beyond": 0.5}),
        (6, {"above": None}),
        (6, {"above": None, "below": {"limit": 0.5}}),
        (6, {"above": None, "below": {"limit": 0.5, "prior_variance": 1.0, "own_share": 2.0}}),
    ],
)
def test_a_malformed_limit_is_refused(micro: MicroBenchmark, version: int, limits: dict[str, Any]) -> None:
    with refuses(DataError, "malformed"):
        from_content(edited(micro, version, **limits), FILE)
