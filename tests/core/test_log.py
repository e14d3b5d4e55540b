"""The command line shows log records on standard error; a program that imports the package configures its own handlers."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from microbench_ray.core import log
from microbench_ray.core.errors import ConfigError
from tests.helpers.errors import refuses

logger = logging.getLogger("microbench_ray.somewhere")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Start each test with an unconfigured logger, and restore it afterwards."""
    root = logging.getLogger(log.ROOT)
    level, handlers = root.level, list(root.handlers)
    root.handlers = []
    yield
    root.setLevel(level)
    root.handlers = handlers


def log_at_all_levels() -> None:
    for level in log.LEVELS:
        getattr(logger, level)("a %s message", level)


@pytest.mark.parametrize("level", log.LEVELS)
def test_records_below_the_level_are_hidden(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(level)
    log_at_all_levels()
    output = capsys.readouterr()
    assert output.out == ""
    shown = [each for each in log.LEVELS if f"a {each} message" in output.err]
    assert shown == list(log.LEVELS[log.LEVELS.index(level) :])


def test_warnings_and_errors_show_their_level(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info")
    log_at_all_levels()
    assert capsys.readouterr().err.splitlines() == ["a info message", "warning: a warning message", "error: a error message"]


def test_at_debug_all_records_show_their_level_and_logger(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug")
    log_at_all_levels()
    assert capsys.readouterr().err.splitlines() == [f"{level}: somewhere: a {level} message" for level in log.LEVELS]


def test_long_lines_and_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info")
    text = "methods=[random] [bold]x[/bold] " + "y" * 300
    logger.info("%s", text)
    assert capsys.readouterr().err == text + "\n"


def test_a_traceback_is_shown_with_its_record(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info")
    try:
        raise ZeroDivisionError("nothing to divide by")
    except ZeroDivisionError:
        logger.exception("a division failed")
    error = capsys.readouterr().err
    assert error.startswith("error: a division failed\n")
    assert "ZeroDivisionError: nothing to divide by" in error


def test_configuring_twice_adds_one_handler_and_changes_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("error")
    log.configure("info")
    assert len(logging.getLogger(log.ROOT).handlers) == 1
    logger.info("once")
    assert capsys.readouterr().err == "once\n"


def test_an_unknown_level_is_refused() -> None:
    with refuses(ConfigError, "level", where="log_level", got="loud", hint="debug, info, warning, error"):
        log.configure("loud")
    assert logging.getLogger(log.ROOT).handlers == []


LIBRARY_USE = """
import logging
import microbench_ray as mb

mb.benchmark([[1, 0], [0, 1]])
logger = logging.getLogger("microbench_ray")
logger.warning("a hidden warning")
logging.basicConfig(format="%(name)s: %(message)s")
logger.warning("a shown warning")
print([type(handler).__name__ for handler in logger.handlers], logging.getLevelName(logger.level))
"""


def test_a_program_that_imports_the_package_decides_what_is_shown() -> None:
    done = subprocess.run([sys.executable, "-c", LIBRARY_USE], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "['NullHandler'] NOTSET\n"
    assert done.stderr == "microbench_ray: a shown warning\n"


def test_a_users_handler_gets_the_records(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger=log.ROOT)
    log_at_all_levels()
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "ERROR"]
    assert {record.name for record in caplog.records} == {"microbench_ray.somewhere"}
