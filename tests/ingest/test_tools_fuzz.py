"""Logs in which a value was replaced: read, left out, or a DataError, whatever the value."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.fold import fold
from microbench_ray.ingest.registry import get_reader
from tests.helpers import tool_logs

JUNK: tuple[Any, ...] = (None, True, 7, -1, 0.5, float("nan"), 10**400, "", "x", [], [1], ["a", {}], {}, {"a": 1}, {"score": "x"})
ROUNDS = 60


def places(value: Any) -> list[tuple[Any, Any]]:
    """All containers in a document with the keys of their values."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def damage(text: str, rng: random.Random) -> str:
    """Replace or remove one value of one document in the text."""
    lines = text.splitlines()
    number = rng.randrange(len(lines))
    document = json.loads(lines[number])
    container, key = rng.choice(places(document))
    if isinstance(container, dict) and rng.random() < 0.2:
        del container[key]
    else:
        container[key] = rng.choice(JUNK)
    lines[number] = json.dumps(document)
    return "".join(f"{line}\n" for line in lines)


def check(layout: str, folder: Path, rounds: int) -> None:
    source, write = tool_logs.WRITERS[layout]
    write(folder, 2, 3)
    reader, rng = get_reader(source), random.Random(f"{layout} {rounds}")
    files = sorted(path for path in folder.rglob("*.json*"))
    for _ in range(rounds):
        file = rng.choice(files)
        text = file.read_text(encoding="utf-8")
        file.write_text(damage(text, rng), encoding="utf-8")
        tally = Tally()
        try:
            for log in reader.find(folder, Options(), tally):
                fold(reader.read(log, Options(), tally), log.model)
        except DataError as error:
            assert error.where  # noqa: PT017
        assert not [error for error in tally.failed.values() if "cannot be read" in str(error)], "an exception other than DataError"
        file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("layout", sorted(set(tool_logs.WRITERS) - {"vlmevalkit"}))
def test_a_replaced_value(layout: str, tmp_path: Path) -> None:
    check(layout, tmp_path, ROUNDS)


@pytest.mark.slow
@pytest.mark.parametrize("layout", sorted(set(tool_logs.WRITERS) - {"vlmevalkit"}))
def test_many_replaced_values(layout: str, tmp_path: Path) -> None:
    check(layout, tmp_path, 5 * ROUNDS)
