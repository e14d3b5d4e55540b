"""Checks that every log reader must pass: for the authors of readers, inside this project and outside of it.

Each check takes a reader and a path with good logs of it, of at least two models, and raises AssertionError, with what is wrong::

    @pytest.mark.parametrize("check", READER_CHECKS)
    def test_my_reader(check, logs):
        check(MyReader(), logs)

`check_reader` runs all of them without pytest.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import storable
from microbench_ray.data.responses import LogRecord
from microbench_ray.ingest.base import ModelLog, Options, Reader, Sample, Tally
from microbench_ray.ingest.fold import fold
from microbench_ray.ingest.log_names import FoundLog, check_names, log_name

Check = Callable[[Reader, Path], None]
NO_MODEL = "no model has this name"
_OTHER_TEXTS = (b"", b"\xff\xfe\0", b"{}", b"[]", b"null", b"3", b'{"results": 3}\n', b"[" * 100_000)
"""What the damaged files hold."""


def check_reader(reader: Reader, path: Path) -> None:
    """Run all checks; AssertionError, with what is wrong, for the first that fails."""
    for check in READER_CHECKS:
        check(reader, path)


def check_logs_are_found(reader: Reader, path: Path) -> None:
    """`find` returns logs of at least two models, with names that can be stored, of files that exist, each log once."""
    logs = _find(reader, path)
    models = {log.model for log in logs}
    assert len(models) >= 2, f"give logs of at least two models: {len(models)} found"
    for log in logs:
        check_names(FoundLog(name=log_name(log), log=log, record=LogRecord({}, revision=log.revision)))
        assert log.files, f"the log of {log.model!r} has no files"
        assert all(file.is_file() for file in log.files), f"a file of the log of {log.model!r} does not exist"
    names = [log_name(log) for log in logs]
    assert len(set(names)) == len(names), "two logs have the same first file and part"


def check_samples(reader: Reader, path: Path) -> None:
    """Every log has samples with names that can be stored, scores and probabilities in [0, 1], and some have a score."""
    for log in _find(reader, path):
        samples = _read(reader, log)
        where = log_name(log)
        assert samples, f"{where}: no samples"
        assert any(sample.score is not None for sample in samples), f"{where}: no sample has a score"
        for sample in samples:
            assert isinstance(sample, Sample), f"{where}: not a Sample but {type(sample).__name__}"
            assert storable(sample.item_id), f"{where}: an item has the name {sample.item_id!r}"
            for value in (sample.score, sample.confidence, *(sample.answers or ())):
                assert value is None or 0 <= value <= 1, f"{where}: {value!r} is not in [0, 1]"
            if sample.label is not None:
                assert 0 <= sample.label < len(sample.answers or ()), f"{where}: label {sample.label} has no answer"
        fold(samples, where)


def check_items_join(reader: Reader, path: Path) -> None:
    """Two models share items, and most shared items have the same content: digests do not depend on the model."""
    by_model: dict[str, dict[str, str | None]] = {}
    for log in _find(reader, path):
        by_model.setdefault(log.model, {}).update((sample.item_id, sample.content) for sample in _read(reader, log))
    first, *others = by_model.values()
    assert any(first.keys() & other.keys() for other in others), "the first model shares no item with any other"
    shared = [(first[item], other[item]) for other in others for item in first.keys() & other.keys()]
    same = sum(one == two for one, two in shared)
    assert 2 * same > len(shared), f"{len(shared) - same} of {len(shared)} shared items have different contents"


def check_reading_repeats(reader: Reader, path: Path) -> None:
    """Finding and reading twice gives the same logs and samples, and leaves the files as they are."""
    before = _snapshot(path)
    once = [(log, _read(reader, log)) for log in _find(reader, path)]
    twice = [(log, _read(reader, log)) for log in _find(reader, path)]
    assert once == twice, "reading twice gives different samples"
    assert _snapshot(path) == before, "reading has changed the files"


def check_models_are_selected(reader: Reader, path: Path) -> None:
    """`models` selects logs by the model's name; if nothing is left, or nothing is there, a DataError says so."""
    models = sorted({log.model for log in _find(reader, path)})
    chosen = models[-1]
    found = {log.model for log in reader.find(path, Options(models=(_pattern(chosen),)), Tally())}
    assert found == {chosen}, f"models=[{chosen!r}] selects {sorted(found)}"
    _refuses(reader, path, Options(models=(NO_MODEL,)))
    _refuses(reader, path.with_name("there is no such file"), Options())
    with tempfile.TemporaryDirectory() as empty:
        _refuses(reader, Path(empty), Options())


def check_damaged_files(reader: Reader, path: Path) -> None:
    """A file that is cut, empty or of other content gives a DataError that names a file or folder of the logs, or is left out."""
    files = [file for log in _find(reader, path) for file in log.files]
    for file in dict.fromkeys((files[0], files[-1])):
        for damaged_text in (_halved(file.read_bytes()), *_OTHER_TEXTS):
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / path.name
                _copy(path, copy)
                damaged = copy / file.relative_to(path) if path.is_dir() else copy
                damaged.write_bytes(damaged_text)
                gc.collect(0)  # else garbage may be collected at the end of a deep recursion, where finalizers fail
                _reads_or_refuses(reader, copy, damaged)


READER_CHECKS: tuple[Check, ...] = (
    check_logs_are_found,
    check_samples,
    check_items_join,
    check_reading_repeats,
    check_models_are_selected,
    check_damaged_files,
)
"""All checks."""


def _halved(text: bytes) -> bytes:
    return text[: len(text) // 2]


def _find(reader: Reader, path: Path) -> Sequence[ModelLog]:
    tally = Tally()
    logs = reader.find(path, Options(), tally)
    assert not tally.failed, f"good logs could not be read: {next(iter(tally.failed.values()))}"
    return logs


def _read(reader: Reader, log: ModelLog) -> list[Sample]:
    return list(reader.read(log, Options(), Tally()))


def _pattern(name: str) -> str:
    """A pattern that matches the name alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _refuses(reader: Reader, path: Path, options: Options) -> None:
    where: str | None = None
    try:
        found = len(reader.find(path, options, Tally()))
    except DataError as error:
        found, where = 0, error.where
    assert not found, f"{found} logs were found where there are none"
    assert where, "the message that there are no logs does not say where"


def _reads_or_refuses(reader: Reader, path: Path, damaged: Path) -> None:
    tally = Tally()
    errors: list[DataError] = []
    try:
        logs = reader.find(path, Options(), tally)
    except DataError as error:
        errors, logs = [error], ()
    errors += tally.failed.values()
    for log in logs:
        try:
            fold(reader.read(log, Options(), tally), log_name(log))
        except DataError as error:
            errors.append(error)
    for told in errors:
        assert str(path.parent) in (told.where or ""), f"the message for {damaged.name} does not name a file: {told}"


def _copy(path: Path, copy: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, copy)
    else:
        shutil.copy(path, copy)


def _snapshot(path: Path) -> dict[str, tuple[int, int]]:
    def files() -> Iterator[Path]:
        yield path
        for folder, _, names in os.walk(path):
            yield from (Path(folder) / name for name in names)

    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in files()}


__all__ = ["READER_CHECKS", "Check", "check_reader", *(check.__name__ for check in READER_CHECKS)]
