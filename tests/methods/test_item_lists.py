"""Lists of item ids: every id that a benchmark can have is read back as it was written, and a bad file is one message."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method
from microbench_ray.methods.estimators.means import Mean
from microbench_ray.methods.item_lists import id_lines, read_list
from microbench_ray.methods.selectors.fixed import Fixed
from microbench_ray.micro.build import build
from tests.helpers.errors import refuses
from tests.micro.conftest import method

AWKWARD = [
    "a\nb",
    "a\rb",
    "a\u2028b",
    "a\x85b",
    "a\x0cb",
    " a",
    "a ",
    '"a"',
    '"a',
    "\ufeffa",
    "a\\nb",
    "\x1b[2J",
    "a,b",
    "#a",
    "\n",
]
NOTHING_SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
IDS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=5, unique=True)


@NOTHING_SHARED
@given(IDS)
def test_any_ids_are_read_back(tmp_path: Path, ids: list[str]) -> None:
    path = tmp_path / "items.txt"
    path.write_text(id_lines(ids), encoding="utf-8", newline="")
    assert read_list(path) == (tuple(ids), None)
    assert path.read_text(encoding="utf-8").count("\n") == len(ids)


def test_a_plain_id_is_a_plain_line_and_others_are_json() -> None:
    assert id_lines(["task/12", "ü b", "a\nb", '"a"']) == 'task/12\nü b\n"a\\nb"\n"\\"a\\""\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\n", ("a", "b")),
        ("\ufeffa\r\nb\r\n\r\n", ("a", "b")),
        ("a\rb", ("a", "b")),
        (" a \n\tb\n", ("a", "b")),
        ('"a" or "b"\n"\n', ('"a" or "b"', '"')),
        ('"a\\tb"\n', ("a\tb",)),
        ("a\u2028b\n", ("a\u2028b",)),
    ],
)
def test_lists_written_by_hand(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(text.encode())
    assert read_list(path).items == expected


def awkward_board() -> Benchmark:
    rng = np.random.default_rng(0)
    n_models = 25  # with twice as many as items, the two would seem to be exchanged
    latent = rng.normal(size=n_models)[:, None] - rng.normal(size=len(AWKWARD)) + rng.logistic(size=(n_models, len(AWKWARD)))
    return Benchmark.from_arrays("awkward", (latent > 0).astype(np.uint8), AWKWARD, [f"m{k}" for k in range(n_models)], units=1)


def test_an_exported_list_is_audited_as_the_same_list(tmp_path: Path) -> None:
    board = awkward_board()
    micro = build(board, method("anchor_points", "weighted_mean"), 10)
    micro.save(tmp_path / "micro")
    (tmp_path / "ids.json").write_text(json.dumps(micro.item_ids))
    assert read_list(tmp_path / "micro/items.txt").items == tuple(micro.item_ids)
    assert read_list(tmp_path / "micro/reserve.txt").items == tuple(item.id for item in micro.reserve)
    assert read_list(tmp_path / "micro/weights.csv") == (tuple(micro.item_ids), tuple(item.weight for item in micro.items))
    mdads = []
    for name in ("ids.json", "micro/items.txt", "micro/weights.csv"):
        again = build(board, Method("list", Fixed(path=str(tmp_path / name)), Mean()))
        mdads.append(again.held_out.mdad)
        assert again.item_ids == micro.item_ids
    assert mdads[0] == mdads[1] == mdads[2]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"\xff\xfe"),
        ("a.txt", b" \n\n"),
        ("a.csv", b"item_id,weight\na\n"),
        ("a.csv", b"weight\n1\n"),
        ("a.csv", b"weight,item_id\n1\n"),
        ("a.csv", b'item_id\n"' + b"x" * 200_000 + b'"\n'),
        ("a.json", b"[" * 100_000),
        ("a.json", b'{"a": 1' + b"0" * 400 + b"}"),
        ("a.json", b'{"a": [1]}'),
        ("a.json", b"3"),
    ],
)
def test_a_bad_file_is_one_message(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with refuses(DataError, "list of items", where=name):
        read_list(path)


@pytest.mark.parametrize(
    ("listed", "ids", "words"),
    [
        ("mmlu/12", "mmlu/0123456789abcdef", ("such as mmlu/0123456789abcdef", "has mmlu/12", "join=id")),
        ("mmlu/12", "mmlu/q12", ("such as mmlu/q12",)),
        ("0123456789abcdef", "mmlu/0123456789abcdef", ("such as mmlu/0123456789abcdef",)),
    ],
)
def test_the_message_shows_an_id_of_the_list_and_of_the_benchmark(listed: str, ids: str, words: tuple[str, ...]) -> None:
    with refuses(DataError, "not in the benchmark", got=listed) as caught:
        Fixed([listed]).positions([ids])
    hint = str(caught.value.hint)
    assert all(word in hint for word in words)
    assert ("join=id" in hint) == ("join=id" in words)


def test_weights_that_overflow_are_refused() -> None:
    with refuses(ConfigError, "weights"):
        Fixed(["a", "b"], [1e308, 1e308])


@NOTHING_SHARED
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255), name=st.sampled_from(["items.txt", "reserve.txt", "weights.csv"]))
def test_a_flipped_byte_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "flipped"
    if not folder.exists():
        build(awkward_board(), method("anchor_points", "weighted_mean"), 10).save(folder)
    content = bytearray((folder / name).read_bytes())
    content[place % len(content)] = byte
    path = folder.parent / name
    path.write_bytes(content)
    try:
        listed = Fixed(path=str(path))
    except (DataError, ConfigError):
        return
    assert all(isinstance(item, str) and item for item in listed.items)
