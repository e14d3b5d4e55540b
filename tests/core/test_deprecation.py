"""A deprecated name is reported to the program that used it, or to the user of the command line."""

from __future__ import annotations

import logging
import warnings

import pytest

from microbench_ray.core.deprecation import REMOVED_IN, report_deprecated

LOGGER = logging.getLogger("microbench_ray.test")


def old_function() -> None:
    report_deprecated("old", "new", stacklevel=1)


def test_a_program_gets_a_warning_that_points_to_it() -> None:
    with pytest.warns(DeprecationWarning, match=rf"old .*{REMOVED_IN}.* new") as caught:
        old_function()
    (warning,) = caught
    assert warning.filename == __file__
    with open(__file__, encoding="utf-8") as source:  # noqa: PTH123
        assert "old_function()" in source.read().splitlines()[warning.lineno - 1]


def test_a_user_gets_a_log_line_and_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report_deprecated("The key old", "new", logger=LOGGER)
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, LOGGER.name)
    assert "The key old" in record.getMessage()
    assert "new" in record.getMessage()
