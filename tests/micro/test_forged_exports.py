"""Every field of an exported folder changed: `score` gives the same answer or refuses by name, in one message."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microbench_ray.cli.main import main
from microbench_ray.core.errors import DataError
from microbench_ray.data import synthetic
from microbench_ray.methods import build_method
from microbench_ray.micro.artifact import MicroBenchmark, from_content, load
from microbench_ray.micro.build import build
from microbench_ray.micro.content import content_of
from microbench_ray.micro.json_values import checksum
from microbench_ray.micro.report import Report
from microbench_ray.micro.score import score
from tests.helpers.rotation import share, share_or_all
from tests.micro.conftest import responses_to

Content = dict[str, Any]
Place = tuple[str | int, ...]

NO_TEXT: list[Any] = [None, 3, True, [], {}, math.nan, "\ud800", "", ["a"]]
NO_NUMBER: list[Any] = ["0.5", True, [], {}, math.nan, math.inf, -math.inf, 10**400, 1e300, [[0]]]
NO_CONTAINER: list[Any] = [3, "x", True, math.nan, [[]]]
NULLABLE = (
    "accuracy",
    "estimate_held_out",
    "responses",
    "mdad",
    "mdad_monotone",
    "ci_lo",
    "ci_hi",
    "better_from",
    "novelty",
    "variance",
    "irt",
)
DELETE = object()


@cache
def exported() -> tuple[MicroBenchmark, np.ndarray]:
    """A micro-benchmark and the answers of four models, made when a test first asks for them."""
    world = synthetic(n_models=60, n_items=80)
    micro = build(world, build_method("auto", {"name": "auto"}, {"name": "auto", "signal": "correctness"}), 6)
    answers = responses_to(micro.all_item_ids, world, slice(0, 4))
    answers[0, 0] = math.nan
    return micro, answers


@cache
def original() -> Content:
    return content_of(exported()[0])


def answer(content: Content) -> tuple[str, Content]:
    """What `score` prints, as a table and as JSON."""
    micro = from_content(content, "forged.json")
    written, answers = exported()
    scored = score(micro, answers, written.all_item_ids, ["a", "b", "c", "d"])
    return Report(micro, scored, []).table(), Report(micro, scored, []).to_json()


@cache
def expected() -> tuple[str, Content]:
    return answer(original())


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """The places of all values below one; of long lists, the first two entries."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(min(2, len(value))):
            yield (*place, key)
            yield from places(value[key], (*place, key))


def at(content: Any, place: Place) -> Any:
    for key in place:
        content = content[key]
    return content


def changes_of(place: Place) -> list[Any]:
    """Values that are of another kind than the one at this place."""
    value = at(original(), place)
    if isinstance(value, dict | list):
        return [*NO_CONTAINER, DELETE, *([] if place[-1] in ("extrapolation", "irt", "beyond") else [None])]
    if isinstance(value, str):
        return [*NO_TEXT, DELETE]
    nullable = place[-1] in NULLABLE or (len(place) > 1 and place[-2] == "responses")
    return [*NO_NUMBER, DELETE, *([] if nullable else [None])]


@cache
def changes() -> list[tuple[Place, Any]]:
    return [(place, change) for place in places(original()) if place != ("checksum",) for change in changes_of(place)]


ANY_CHANGE = st.deferred(lambda: st.sampled_from(changes()))


def changed(place: Place, change: Any) -> Content:
    forged = copy.deepcopy(original())
    holder = at(forged, place[:-1])
    if change is DELETE:
        del holder[place[-1]]
    else:
        holder[place[-1]] = change
    return forged


def assert_same_or_refused(content: Content) -> bool:
    """Check one changed content; whether it was refused."""
    try:
        found: tuple[str, Content] | DataError = answer(content)
    except DataError as error:
        found = error
    if not isinstance(found, DataError):
        assert found == expected()
        return False
    assert "forged.json" in str(found.where)
    assert found.got
    assert all(line.isprintable() for line in str(found).split("\n"))
    return True


@pytest.mark.slow
@pytest.mark.parametrize("one_in", share_or_all(8))
def test_every_field_of_another_kind_with_a_right_checksum(one_in: int) -> None:
    """Refused wherever `score` reads the field; others, such as the method's parameters, change no answer."""
    read = {"benchmark", "readout", "items", "models", "reserve", "size", "signal"}
    n_refused, silent = 0, []
    for place, change in share(changes(), one_in):
        forged = changed(place, change)
        try:
            forged["checksum"] = checksum(forged)
        except (TypeError, ValueError):
            continue
        refused = assert_same_or_refused(forged)
        n_refused += refused
        if not refused and place[0] in read:
            silent.append((place, change))
    print(f"1 in {one_in} of {len(changes())} changes, {n_refused} refused, 0 other answers")
    assert not silent
    assert n_refused > 500 // one_in


@settings(max_examples=3 * settings().max_examples)
@given(
    change=ANY_CHANGE,
    other=ANY_CHANGE,
    extra=st.booleans(),
)
def test_any_changes_with_the_old_checksum(change: tuple[Place, Any], other: tuple[Place, Any], extra: bool) -> None:
    forged = changed(*change)
    try:
        holder = at(forged, other[0][:-1])
        holder[other[0][-1]] = at(original(), change[0])
    except (KeyError, IndexError, TypeError):
        pass
    if extra:
        forged["more"] = 1
    assert assert_same_or_refused(forged) or forged == original()


@pytest.mark.parametrize("key", ["items", "reserve", "models", "agreement"])
@pytest.mark.parametrize("kind", ["one less", "one twice", "extra key"])
def test_lists_that_are_changed_with_a_right_checksum(key: str, kind: str) -> None:
    forged = copy.deepcopy(original())
    if kind == "one less":
        forged[key].pop()
    elif kind == "one twice":
        forged[key].append(copy.deepcopy(forged[key][0]))
    else:
        forged[key][0]["more"] = 1
    forged["checksum"] = checksum(forged)
    assert_same_or_refused(forged)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "micro"
    exported()[0].save(folder)
    return folder


@settings(max_examples=3 * settings().max_examples)
@given(place=st.integers(0, 100_000), byte=st.integers(0, 255), cut=st.booleans())
def test_bytes_of_the_main_file(folder: Path, place: int, byte: int, cut: bool) -> None:
    content = bytearray((folder / "microbench.json").read_bytes())
    content[place % len(content)] = byte
    other = folder.parent / "changed.json"
    other.write_bytes(content[: place % len(content)] if cut else content)
    try:
        found = content_of(load(other))
    except DataError as error:
        found = {"refused": error.where}
    assert found in (original(), {"refused": str(other)})


@pytest.mark.parametrize("damage", ["removed", "emptied", "binary"])
def test_the_other_files_are_not_read_by_score(
    folder: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "new.csv"
    micro, answers = exported()
    rows = (",".join([f'"{item}"', *map(str, answers[1:, k])]) for k, item in enumerate(micro.all_item_ids))
    table.write_text("\n".join(["item_id,a,b,c", *rows]) + "\n")
    command = ["score", f"responses={table}", "source=scores"]
    assert main([*command, f"micro={folder}"]) == 0
    printed = capsys.readouterr().out
    copied = tmp_path / "micro"
    shutil.copytree(folder, copied)
    for path in copied.iterdir():
        if path.name != "microbench.json":
            path.unlink()
            if damage != "removed":
                path.write_bytes(b"" if damage == "emptied" else b"\xff\x00\xfe")
    assert main([*command, f"micro={copied}"]) == 0
    assert capsys.readouterr().out == printed
