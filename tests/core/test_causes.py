"""Causes of object stores' errors are found by class, code and status; words only give a hint, and names give none."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from microbench_ray.core.storage.causes import UNKNOWN, diagnose, one_line
from microbench_ray.core.storage.folders import RemoteFolder, io_error


class NoCredentialsError(Exception):
    """Named like the one of botocore, which is not installed everywhere."""


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OSError("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload"), "bucket"),
        (OSError("AWS Error ACCESS_DENIED during PutObject operation: Access Denied"), "credentials"),
        (OSError("AWS Error UNKNOWN (HTTP status 403) during HeadObject operation: No response body."), "credentials"),
        (OSError("ExceptionName: ExpiredToken, Message: The provided token has expired."), "credentials"),
        (OSError("google::cloud::Status(PERMISSION_DENIED: x does not have storage.objects.create access)"), "credentials"),
        (OSError("AWS Error NETWORK_CONNECTION: curlCode: 28, Timeout was reached"), "reached"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "credentials"),
        (ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)), "reached"),
        (OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)), "reached"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "reached"),
        (NoCredentialsError("Unable to locate credentials"), "credentials"),
        (OSError("something else"), "failed"),
    ],
)
def test_causes_of_errors_are_found(error: Exception, word: str) -> None:
    cause = diagnose(error)
    assert word in cause.what
    assert cause.hint
    assert (cause == UNKNOWN) == (word == "failed")


@pytest.mark.parametrize(
    "text",
    [
        "When getting information for key 'tokens/connect' in bucket 'credential': AWS Error INTERNAL_FAILURE during HeadObject",
        "Invalid continuation token",
        "The number of connected parts is too large: 10403 parts",
        "cannot parse s3://NO_SUCH_BUCKET/status:403",
        "tokenizer.json has an unexpected end",
        "Unavailable",
        "status: 200, but only 403 bytes",
    ],
)
def test_a_word_or_a_name_is_no_cause(text: str) -> None:
    assert diagnose(OSError(text)) == UNKNOWN


def test_words_of_an_error_are_only_a_hint_beside_its_own_text() -> None:
    text = "Upload failed: failed to connect to proxy\nmore"
    folder = RemoteFolder("s3://bucket/x")
    error = io_error(folder, "table", OSError(text), "A result file cannot be written.", "out=DIR")
    assert error.got == "Upload failed: failed to connect to proxy"
    assert "reached" not in error.what
    assert "perhaps" in (error.hint or "")
    assert "reached" in (error.hint or "")


def test_an_error_has_one_line() -> None:
    assert one_line(OSError(errno.EIO, "Input/output error", "x")) == "Input/output error"
    assert one_line(OSError("\nfirst\nsecond")) == "first"
    assert one_line(OSError()) == "OSError"
