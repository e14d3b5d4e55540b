"""Standard output and standard error that neither stop a job nor lose its exit code, whatever becomes of their readers.

Results are in files; what is printed is a copy. A terminal that is closed, a full disk behind a redirection, or an encoding without
a dash must therefore not end a sweep.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import TextIO

PLAIN = {"–": "-", "—": "-", "−": "-", "×": "x", "…": "...", "≤": "<=", "≥": ">=", "’": "'", "“": '"', "”": '"', "·": "."}
"""Replacements for characters that an encoding lacks; any other is written as its escape, such as `\\u4f60`."""
ENCODING_ERRORS = "microbench_ray.plain"


class EnduringFile(io.FileIO):
    """A descriptor whose failed writes are remembered instead of raised.

    Attributes
    ----------
    failure
        The first error; None if everything was written.
    """

    failure: OSError | None = None

    def write(self, content: object) -> int:
        """Write bytes, and wait for a reader that is slow; return the number of bytes that were written or given up."""
        while True:
            try:
                written: int | None = super().write(content)  # type: ignore[arg-type]
            except OSError as error:
                self.failure = self.failure or error
                return memoryview(content).nbytes  # type: ignore[arg-type]
            if written is not None:
                return written
            select.select([], [self.fileno()], [])  # a pipe that does not block, and is full


def endure() -> None:
    """Replace the standard streams of this process, unless they are those of something else, such as a notebook."""
    codecs.register_error(ENCODING_ERRORS, _plain)
    _occupy_closed_descriptors()
    sys.stdout = _enduring(sys.stdout, 1)
    sys.stderr = _enduring(sys.stderr, 2)


def output_failure() -> str | None:
    """Flush standard output; the reason for which a part of it was not written, if there is one.

    A reader that has closed its pipe, such as `head`, is no failure.
    """
    try:
        sys.stdout.flush()
    except OSError as error:  # a stream that `endure` has not replaced
        failure: OSError | None = error
    else:
        failure = getattr(getattr(getattr(sys.stdout, "buffer", None), "raw", None), "failure", None)
    if failure is None or failure.errno == errno.EPIPE:
        return None
    return failure.strerror or str(failure)


def _enduring(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:  # closed before the start
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    try:
        if stream.fileno() != number:
            return stream
        stream.flush()
    except (OSError, ValueError):
        return stream
    lines = number == 2 or stream.isatty()
    file = io.BufferedWriter(EnduringFile(number, "w", closefd=False))
    return io.TextIOWrapper(file, encoding=stream.encoding, errors=ENCODING_ERRORS, line_buffering=lines, write_through=number == 2)


def _occupy_closed_descriptors() -> None:
    """Open the null device at every closed descriptor up to 2, so that no result file gets one to which libraries print."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in text), error.end
