from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.data import read_release
from microbench_ray.data.table_files import LFS_POINTER
from tests.helpers.errors import refuses

Release = Callable[..., Path]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """Write 3 models x 5 items x 4 answers in the paper's layout, with parts replaced by keyword; returns the prefix."""
    rng = np.random.default_rng(0)

    def release(**change: Any) -> Path:
        answers = rng.dirichlet(np.ones(4), (3, 5))
        correct = answers.argmax(axis=2) == 1
        parts = {
            "models-by-confidence_combined.npy": answers,
            "models-by-correctness_combined.npy": correct,
            "labels_combined.npy": np.array([1.0, 1, 0, 3, 2]),
            "subtask-idx-ranges.json": [[0, 2], [2, 5]],
        }
        names = {"confidence": 0, "correctness": 1, "labels": 2, "ranges": 3}
        for key, value in change.items():
            parts[list(parts)[names[key]]] = value
        for name, value in parts.items():
            path = tmp_path / f"tiny-pro_{name}"
            if isinstance(value, bytes):
                path.write_bytes(value)
            elif name.endswith(".npy") and value is not None:
                np.save(path, value)
            elif value is not None:
                path.write_text(json.dumps(value))
        return tmp_path / "tiny-pro"

    return release


@pytest.mark.parametrize("folder", [False, True])
def test_release(release: Release, folder: bool) -> None:
    prefix = release()
    benchmark = read_release(prefix.parent if folder else prefix)
    answers = np.load(f"{prefix}_models-by-confidence_combined.npy").astype("f4")
    correct = np.load(f"{prefix}_models-by-correctness_combined.npy")
    assert (benchmark.name, benchmark.units) == ("tiny-pro", 1)
    assert np.array_equal(benchmark.scores, correct)
    assert benchmark.answers is not None
    assert np.array_equal(benchmark.answers, answers)
    assert benchmark.labels is not None
    assert benchmark.labels.tolist() == [1, 1, 0, 3, 2]
    assert benchmark.confidence is not None
    assert np.array_equal(benchmark.confidence, answers[:, range(5), [1, 1, 0, 3, 2]])
    assert list(benchmark.item_ids) == ["subtask_00/0", "subtask_00/1", "subtask_01/0", "subtask_01/1", "subtask_01/2"]
    assert benchmark.subtask_names == ["subtask_00", "subtask_01"]
    assert list(benchmark.model_ids) == ["model_000", "model_001", "model_002"]


def test_folder_with_several(release: Release) -> None:
    prefix = release()
    (prefix.parent / "bbh_models-by-confidence_combined.npy").touch()
    assert read_release(prefix.parent, name="tiny-pro").name == "tiny-pro"
    assert read_release(prefix, name="other").name == "other"
    with refuses(DataError, "one benchmark", where=str(prefix.parent), got="'bbh', 'tiny-pro'"):
        read_release(prefix.parent)
    with refuses(DataError, "missing", where=f"{prefix.parent / 'nowhere'}_models-by-confidence_combined.npy", got="no such file"):
        read_release(prefix.parent / "nowhere")


def test_empty_folder(tmp_path: Path) -> None:
    with refuses(DataError, "one benchmark", where=str(tmp_path), got="no file *_models-by-confidence_combined.npy"):
        read_release(tmp_path)


@pytest.mark.parametrize("ending", ["model-names-in-order.json", "model-names.json", "model-names.txt"])
def test_model_names(release: Release, ending: str) -> None:
    path = Path(f"{release()}_{ending}")
    text = json.dumps(["x", "y", "z"]) if ending.endswith("json") else "x\ny\nz\n"
    path.write_text(text)
    assert list(read_release(path.parent).model_ids) == ["x", "y", "z"]
    path.write_text(text.replace("z", "y"))
    with refuses(DataError, "unique", where=str(path.parent), got="'y'"):
        read_release(path.parent)
    path.write_text('["x"]' if ending.endswith("json") else "x\n")
    with refuses(DataError, "3 model names", where=str(path), got="1 names"):
        read_release(path.parent)


def test_missing_responses(release: Release) -> None:
    correct = np.ones((3, 5))
    correct[0, 0] = np.nan
    correct[2] = np.nan
    benchmark = read_release(release(correctness=correct), max_missing=0.2)
    assert benchmark.n_models == 2
    assert benchmark.scores[0].tolist() == [255, 1, 1, 1, 1]
    assert "'model_002'" in benchmark.notes[0]


@pytest.mark.parametrize(
    ("change", "word", "where", "got"),
    [
        ({"labels": None}, "missing", "_labels_combined.npy", "no such file"),
        ({"labels": np.zeros(4)}, "shapes", "_combined.npy", "labels (4,)"),
        ({"labels": np.full(5, 4)}, "4 answers", "'subtask_00/0'", "4"),
        ({"labels": np.full(5, np.nan)}, "position", "labels", "nan"),
        ({"correctness": np.zeros((3, 4), bool)}, "shapes", "_combined.npy", "(3, 4)"),
        ({"correctness": np.full((3, 5), 2)}, "[0, 1]", "model 'model_000', item 'subtask_00/0'", "2"),
        ({"correctness": b""}, "empty", "_models-by-correctness_combined.npy", "0 bytes"),
        ({"correctness": LFS_POINTER}, "Git LFS", "_models-by-correctness_combined.npy", None),
        ({"correctness": b"\x93NUMPY\x01\x00"}, "truncated", "_models-by-correctness_combined.npy", None),
        ({"correctness": np.array([[object()]])}, "pickled", "_models-by-correctness_combined.npy", None),
        ({"confidence": np.zeros((3, 5))}, "shapes", "_combined.npy", "(3, 5)"),
        ({"confidence": np.full((3, 5, 4), 1.5)}, "probability", "answers of model 'model_000'", "1.5"),
        ({"ranges": None}, "JSON", "_subtask-idx-ranges.json", None),
        ({"ranges": b"[[0, 2], [2"}, "JSON", "_subtask-idx-ranges.json", None),
        ({"ranges": [0, 5]}, "[start, end]", "_subtask-idx-ranges.json", None),
        ({"ranges": [[0, 3], [2, 5]]}, "overlap", "_subtask-idx-ranges.json", "[2, 5)"),
        ({"ranges": [[0, 2], [3, 5]]}, "leave out items", "_subtask-idx-ranges.json", "[3, 5)"),
        ({"ranges": [[0, 2], [2, 4]]}, "leave out items", "_subtask-idx-ranges.json", "4 to 5"),
        ({"ranges": [[0, 2], [2, 6]]}, "past the items", "_subtask-idx-ranges.json", "[2, 6)"),
        ({"ranges": [[0, 2], [2, 2], [2, 5]]}, "empty", "_subtask-idx-ranges.json", "[2, 2)"),
        ({"ranges": []}, "leave out items", "_subtask-idx-ranges.json", "0 to 5"),
    ],
)
def test_invalid_releases_are_reported(release: Release, change: dict[str, Any], word: str, where: str, got: str | None) -> None:
    prefix = release(**change)
    with refuses(DataError, word, where=str(prefix), got=got) as caught:
        read_release(prefix)
    assert where in str(caught.value.where)


def test_truncated(release: Release) -> None:
    path = Path(f"{release()}_models-by-confidence_combined.npy")
    path.write_bytes(path.read_bytes()[:-8])
    with refuses(DataError, "truncated", where=str(path)):
        read_release(path.parent)
