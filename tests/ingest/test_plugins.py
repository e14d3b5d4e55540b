"""Readers of installed packages: by name like built-in ones; broken, clashing and unknown names give one message."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.plugins import registered
from microbench_ray.ingest import plugins
from microbench_ray.ingest.reader_checks import READER_CHECKS, Check
from microbench_ray.ingest.registry import READERS, get_reader
from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers.errors import refuses

Install = Callable[..., None]
READER = """
from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import ModelLog, Sample, matches
from microbench_ray.ingest.documents import find_logs, has_fields
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.values import parse_score, value_at


class VotesReader:
    def find(self, path, options, tally):
        def logs_of(file, document):
            if not has_fields(document, "voter"):
                return None
            return [ModelLog(model=value_at(document, str, str(file), "voter"), files=(file,))]

        return find_logs(path, ("*.json",), "votes", options, tally, logs_of)

    def read(self, log, options, tally):
        (file,) = log.files
        for name, vote in value_at(json_file(file, options.max_line_bytes), dict, str(file), "votes").items():
            yield Sample(name, "all", parse_score(vote, tally, file=file, item=name, metric="vote"))


votes = VotesReader()
broken = 3
"""


@pytest.fixture
def install(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a package `strangers-readers` with these entry points and this module, for this process."""
    site = tmp_path_factory.mktemp("site")
    monkeypatch.syspath_prepend(site)

    def forget() -> None:
        registered.cache_clear()
        plugins.load.cache_clear()
        sys.modules.pop("strangers_readers", None)

    def install(entry_points: Mapping[str, str], module: str = READER, package: str = "strangers-readers") -> None:
        about = site / f"{package.replace('-', '_')}-0.3.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.3\n")
        lines = [f"[{plugins.GROUP}]", *(f"{name} = {value}" for name, value in entry_points.items())]
        (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (site / "strangers_readers.py").write_text(module)
        forget()

    forget()
    yield install
    forget()


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for number, voter in enumerate(("ann", "bob")):
        file = tmp_path / "logs" / f"{voter}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"voter": voter, "votes": {"q1": number, "q2": 1}}))
    return tmp_path / "logs"


@pytest.mark.parametrize("value", ["strangers_readers:VotesReader", "strangers_readers:votes"])
def test_a_reader_of_another_package(install: Install, logs: Path, tmp_path: Path, value: str) -> None:
    install({"votes": value})
    summary = run_ingest(IngestJob(source="votes", path=str(logs), out=tmp_path / "board"))
    assert (summary.added, summary.items) == (["ann", "bob"], {"q1", "q2"})
    assert "strangers_readers" in sys.modules


@pytest.mark.parametrize("check", READER_CHECKS, ids=lambda check: check.__name__)
def test_it_passes_the_checks(install: Install, logs: Path, check: Check) -> None:
    install({"votes": "strangers_readers:VotesReader"})
    check(get_reader("votes"), logs)


def test_nothing_is_imported_before_it_is_asked_for(install: Install) -> None:
    install({"votes": "strangers_readers:VotesReader"}, "raise RuntimeError('imported')")
    assert get_reader("helm") is READERS["helm"]
    with refuses(ConfigError, "format", where="source", got="vote", hint="votes"):
        get_reader("vote")


@pytest.mark.parametrize(
    ("value", "module", "got"),
    [
        ("strangers_readers:VotesReader", "import a_package_that_is_missing", "a_package_that_is_missing"),
        ("strangers_readers:VotesReader", "def f(:", "SyntaxError"),
        ("strangers_readers:Another", READER, "Another"),
        ("strangers_readers:broken", READER, "int"),
        ("strangers_readers:VotesReader", "class VotesReader:\n    def __init__(self, key): ...", "key"),
        ("strangers_readers:VotesReader", "class VotesReader:\n    def find(self): ...", "VotesReader"),
    ],
)
def test_broken_entry_points(install: Install, value: str, module: str, got: str) -> None:
    install({"votes": value}, module)
    with refuses(ConfigError, "reader", where="entry point votes", got=got):
        get_reader("votes")
    assert get_reader("helm") is READERS["helm"]


def test_the_name_of_a_built_in_reader_is_refused(install: Install) -> None:
    install({"helm": "strangers_readers:VotesReader"}, READER)
    with refuses(ConfigError, "built-in", where="entry point helm", got="strangers-readers 0.3", hint="another name"):
        get_reader("helm")
    assert get_reader("lighteval") is READERS["lighteval"]


def test_a_name_that_two_packages_register_is_refused(install: Install) -> None:
    install({"votes": "strangers_readers:VotesReader"})
    install({"votes": "strangers_readers:votes"}, READER, "more-readers")
    with refuses(ConfigError, "several packages", where="entry point votes", got="more-readers 0.3", hint="uninstall"):
        get_reader("votes")
