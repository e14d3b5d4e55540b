"""Files of an audit that were edited by hand, truncated or left behind: one message each, or another start."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.audit.accepting import run_accept
from microbench_ray.audit.files import read_inputs, read_verdict
from microbench_ray.audit.job import AcceptJob
from microbench_ray.audit.webhook import slack_text
from microbench_ray.core.errors import MicrobenchError, StoreError
from microbench_ray.core.storage.store import Store
from microbench_ray.report.terminal import verdict_lines
from tests.helpers import nights
from tests.helpers.errors import refuses

SCORES = nights.responses()
NIGHT = "2026-01-01"
WRONG: tuple[Any, ...] = (None, 3, -1.5, "", "x", "../../x", [], [1], {}, {"x": 1}, True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "audit"
    nights.run(out, NIGHT, nights.board(SCORES[:40]), max_mdad={"tiny": 0.0001})
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "audit"))


def variants(text: str) -> Iterator[str]:
    """Truncated, of other types, with missing keys, and no JSON."""
    yield from ("", "null", "[]", "3", '"text"', "{}", "not JSON", "\ufeff" + text, "[" * 100_000, '{"a": ' * 50_000)
    rng = random.Random(0)
    yield from (text[: rng.randrange(len(text))] for _ in range(10))
    content = json.loads(text)
    for path in paths(content):
        yield json.dumps(changed(content, path, delete=True))
        for value in WRONG:
            yield json.dumps(changed(content, path, value))


def paths(content: Any) -> Iterator[tuple[Any, ...]]:
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (key,)
        yield from ((key, *rest) for rest in paths(value))


def changed(content: Any, path: tuple[Any, ...], value: Any = None, *, delete: bool = False) -> Any:
    copy = json.loads(json.dumps(content))
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    if delete:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return copy


def refusal(call: Callable[[], object]) -> MicrobenchError | None:
    """The error of the project that a call raises; any other error fails the test."""
    try:
        call()
    except MicrobenchError as error:
        return error
    return None


def test_a_damaged_verdict_is_refused_or_can_be_shown(out: Path) -> None:
    path, store = out / f"nights/{NIGHT}/verdict.json", Store(out)

    def show() -> None:
        verdict = read_verdict(store, NIGHT)
        assert list(verdict_lines(verdict))
        assert slack_text(verdict, "")

    refused = []
    for variant in variants(path.read_text()):
        path.write_text(variant)
        refused.append(refusal(show))
    errors = [error for error in refused if error is not None]
    assert len(errors) > 100
    assert all("verdict.json" in (error.where or "") for error in errors)


def test_damaged_inputs_are_refused(out: Path) -> None:
    path, store = out / f"nights/{NIGHT}/inputs.json", Store(out)
    refused = []
    for variant in variants(path.read_text()):
        path.write_text(variant)
        refused.append(refusal(lambda: read_inputs(store, NIGHT)))
    errors = [error for error in refused if error is not None]
    assert len(errors) > 50
    assert all("inputs.json" in (error.where or "") for error in errors)


@pytest.mark.parametrize("name", ["baseline.json", f"nights/{NIGHT}/inputs.json", f"nights/{NIGHT}/verdict.json"])
def test_accept_ends_with_one_message_whatever_is_damaged(name: str, out: Path) -> None:
    rng = random.Random(1)
    originals = nights.files(out)
    cases = list(variants(originals[name].decode()))
    contents = [b"\xff\xfe", *(case.encode() for case in (*cases[:10], *rng.sample(cases[10:], 20)))]
    refused = []
    for content in contents:
        (out / name).write_bytes(content)
        refused.append(refusal(lambda: run_accept(AcceptJob(out, ("baseline", "pool")))))
        (out / "baseline.json").write_bytes(originals["baseline.json"])
    assert all(refused[:11])


@pytest.mark.parametrize("text", ["[]", '{"benchmark": "../../x"}', "{"])
def test_damaged_inputs_of_the_last_night_are_one_message(text: str, out: Path) -> None:
    (out / f"nights/{NIGHT}/inputs.json").write_text(text)
    with refuses(StoreError, "read", where="inputs.json"):
        nights.run(out, "2026-01-02", nights.board(SCORES[:41]))


@pytest.mark.parametrize("part", ["baseline", "pool"])
@pytest.mark.parametrize("value", WRONG)
def test_a_damaged_baseline_is_refused(out: Path, part: str, value: Any) -> None:
    path = out / "baseline.json"
    content = json.loads(path.read_text())
    for key in (None, "night", "digest"):
        if (key, value) == ("night", "x"):
            continue
        path.write_text(json.dumps(changed(content, (part,) if key is None else (part, key), value)))
        with refuses(StoreError, "damaged", where="baseline.json"):
            nights.run(out, "2026-01-02", nights.board(SCORES[:40]))


def test_a_night_with_a_damaged_verdict_is_recomputed(out: Path) -> None:
    before = nights.files(out)
    for text in ("[]", '{"status": "ok"}', "{"):
        (out / f"nights/{NIGHT}/verdict.json").write_text(text)
        outcome = nights.run(out, NIGHT, nights.board(SCORES[:40]), max_mdad={"tiny": 0.0001})
        assert not outcome.already_done
        assert nights.files(out) == before


def test_temporary_files_of_a_killed_audit_are_removed(out: Path) -> None:
    left = [out / f"nights/{NIGHT}/figures/.board_tiny.png.0123abcd.tmp", out / f"nights/{NIGHT}/.verdict.json.89abcdef.tmp"]
    kept = out / f"nights/{NIGHT}/.notes"
    for path in (*left, kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    nights.run(out, NIGHT, nights.board(SCORES[:40]), max_mdad={"tiny": 0.0001})
    assert [path for path in left if path.exists()] == []
    assert kept.exists()
