from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.helm import HelmReader
from microbench_ray.ingest.values import WITHOUT_SCORE
from tests.helpers import many_models
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, scores, values

READER = HelmReader()


def record(instance: str, means: dict[str, float | None], split: str = "test", **change: Any) -> dict[str, Any]:
    stats = [{"name": {"name": name, "split": split}, "count": 1, "mean": mean} for name, mean in means.items()]
    return {"instance_id": instance, "train_trial_index": 0, "stats": stats, **change}


def write_run(
    folder: Path, records: Any, model: str = "maker/one", name: str = "sums:kind=even", method: str = "generation"
) -> Path:
    folder.mkdir(parents=True)
    spec = {"name": f"{name},model=one", "adapter_spec": {"method": method, "model": model}}
    (folder / "run_spec.json").write_text(json.dumps(spec))
    (folder / "per_instance_stats.json").write_text(json.dumps(records))
    return folder


def test_real_runs(test_data: Path) -> None:
    """The expected values were read from the files by hand."""
    samples, tally = read_all(READER, test_data / "formats/helm")
    hellaswag = {"id45277": 1, "id41992": 1, "id44284": 1, "id44874": 0, "id47299": 0, "id49438": 0, "id42841": 0}
    hellaswag |= {"id46128": 0, "id47975": 0, "id41468": 0}
    task = "commonsense:dataset=hellaswag,method=multiple_choice_joint"
    assert scores(samples["eleutherai/pythia-1b-v0"]) == {f"{task}/{name}": [value] for name, value in hellaswag.items()}
    narrative = {"id1413": 0, "id1332": 1 / 3, "id1514": 0, "id1340": 4 / 11}  # f1_score; id1123 is of the split valid
    philosophy = dict.fromkeys(("id147", "id65", "id344", "id59", "id291", "id131", "id259", "id105"), 0) | {"id222": 1}
    expected: dict[str, list[Any]] = {f"narrative_qa/{name}": [pytest.approx(value)] for name, value in narrative.items()}
    expected |= {f"mmlu:subject=philosophy,method=multiple_choice_joint/{name}": [value] for name, value in philosophy.items()}
    assert scores(samples["openai/gpt2"]) == expected
    assert tally.dropped == {"instances outside the split test": 2}
    assert len({sample.content for found in samples.values() for sample in found}) == 23


def test_the_metric_option(test_data: Path) -> None:
    options = Options(metric="rouge_l", tasks=("narrative*",))
    samples, _ = read_all(READER, test_data / "formats/helm", options)
    assert scores(samples["openai/gpt2"])["narrative_qa/id1340"] == [pytest.approx(12 / 97)]
    with refuses(DataError, "rouge_l", where="per_instance_stats.json", got="exact_match", hint="metric="):
        read_all(READER, test_data / "formats/helm", Options(metric="rouge_l"))


def test_models_made_of_a_real_run(test_data: Path, tmp_path: Path) -> None:
    truth = many_models.helm(tmp_path, test_data)
    samples, _ = read_all(READER, tmp_path)
    assert {model: [sample.score for sample in found] for model, found in samples.items()} == truth
    assert len({tuple((sample.item_id, sample.content) for sample in found) for found in samples.values()}) == 1
    assert list(read_all(READER, tmp_path, Options(models=("*-03",)))[0]) == ["maker-0/model-03"]


def test_perturbations_are_left_out_and_trials_are_repetitions(tmp_path: Path) -> None:
    records = [
        record("id1", {"exact_match": 1.0}),
        record("id1", {"exact_match": 0.0}, train_trial_index=1),
        record("id1", {"exact_match": 0.0}, perturbation={"name": "typos"}),
        record("id2", {"exact_match": None}),
        record("id3", {"num_references": 4.0}),
        record("id3", {"exact_match": 0.5}),
    ]
    samples, tally = read_all(READER, write_run(tmp_path / "run", records))
    item = "sums:kind=even/id"
    assert scores(samples["maker/one"]) == {f"{item}1": [0, 1], f"{item}2": [None], f"{item}3": [0.5]}
    assert tally.dropped == {"perturbed instances": 1, WITHOUT_SCORE: 1}


@pytest.mark.parametrize(
    ("method", "known", "main"),
    [
        ("generation", ("exact_match", "quasi_exact_match"), "quasi_exact_match"),
        ("multiple_choice_joint", ("exact_match", "quasi_exact_match"), "exact_match"),
        ("generation", ("exact_match", "f1_score", "quasi_exact_match"), "f1_score"),
        ("generation", ("exact_match", "final_number_exact_match"), "final_number_exact_match"),
    ],
)
def test_the_main_metric(tmp_path: Path, method: str, known: tuple[str, ...], main: str) -> None:
    run = write_run(tmp_path / "run", [record("id1", {name: float(name == main) for name in known})], method=method)
    assert read_all(READER, run)[0]["maker/one"][0].score == 1


@pytest.mark.parametrize(("value", "word"), [(3.5, "outside"), ("blue", "not a number")])
def test_invalid_scores(tmp_path: Path, value: Any, word: str) -> None:
    run = write_run(tmp_path / "run", [record("id7", {"exact_match": value})])
    with refuses(
        DataError, word, where=f"{run / 'per_instance_stats.json'}: item 'sums:kind=even/id7', metric 'exact_match'", got=str(value)
    ):
        read_all(READER, run)


@pytest.mark.parametrize("model", ["../../etc/passwd", "a\0b", "m" * 500])
def test_model_names_are_not_changed(tmp_path: Path, model: str) -> None:
    assert list(read_all(READER, write_run(tmp_path / "run", [record("id1", {"exact_match": 1.0})], model))[0]) == [model]


@pytest.mark.parametrize("broken", [{}, [3], [{"instance_id": "id1"}], [{"instance_id": 4, "stats": []}], "[" * 100_000, "[{"])
def test_broken_files(tmp_path: Path, broken: Any) -> None:
    run = write_run(tmp_path / "run", broken)
    if isinstance(broken, str):
        (run / "per_instance_stats.json").write_text(broken)
    with refuses(DataError, "log", where=str(run / "per_instance_stats.json")):
        read_all(READER, tmp_path)


@pytest.mark.parametrize("spec", ["[]", "{", '{"name": "sums"}', '{"name": 3, "adapter_spec": {"model": "a"}}'])
def test_broken_specifications(tmp_path: Path, spec: str) -> None:
    run = write_run(tmp_path / "run", [])
    (run / "run_spec.json").write_text(spec)
    with refuses(DataError, "log", where=str(run / "run_spec.json")):
        READER.find(tmp_path, Options(), Tally())


def test_unfinished_runs_and_large_files(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [record("id1", {"exact_match": 1.0})])
    with refuses(DataError, "too large", where=str(run), hint="max_line_bytes"):
        read_all(READER, run, Options(max_line_bytes=100))
    (run / "per_instance_stats.json").unlink()
    with refuses(DataError, "HELM", where=str(tmp_path), got="per_instance_stats.json"):
        READER.find(tmp_path, Options(), Tally())


def test_positions_are_helms_own_ids(test_data: Path, tmp_path: Path) -> None:
    many_models.helm(tmp_path, test_data, n_models=2)
    samples, _ = read_all(READER, tmp_path)
    first = samples["maker-0/model-00"]
    assert values(first) == [score for _, score in sorted((int(str(found.position)[2:]), found.score) for found in first)]
