"""Addresses of files that are not on this machine: which are taken, what opens them, and what is said where that fails."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from microbench_ray.core.errors import ConfigError

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "s3": ("endpoint_override", "region", "scheme", "tls_ca_file_path"),
    "gs": ("endpoint_override", "scheme"),
    "gcs": ("endpoint_override", "scheme"),
    "abfs": ("blob_storage_authority", "blob_storage_scheme", "dfs_storage_authority", "dfs_storage_scheme", "enable_tls"),
    "abfss": ("blob_storage_authority", "blob_storage_scheme", "dfs_storage_authority", "dfs_storage_scheme", "enable_tls"),
}
"""What may stand in the query of a URL, by scheme: nothing that is secret, since addresses are printed and kept in the manifest."""
ATTEMPTS, CONNECT_SECONDS, REQUEST_SECONDS = 3, 5, 20
"""Of one request to an object store: tries, and seconds without an answer, so that silence is told of in a minute at most."""
TROUBLES = (
    (
        ("no_such_bucket", "bucket does not exist", "containernotfound"),
        "There is no such bucket.",
        "make the bucket first, or give the name of one that there is",
    ),
    (
        ("access_denied", "invalid_access", "signature", "status 403", "status 401", "credential", "token"),
        "The object store refuses these credentials.",
        "see that AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the client's own files, are those of one who may write there",
    ),
    (
        ("network_connection", "timeout", "timed out", "resolve host", "connect", "unavailable"),
        "The object store cannot be reached.",
        "see that its address (AWS_ENDPOINT_URL, or endpoint_override in the URL) and the network are right",
    ),
)
"""Words in an error of an object store, what they mean, and how to mend it."""
ELSEWHERE = "give credentials in the environment (for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) or in the client's own files"


def is_url(path: object) -> bool:
    """Whether a path is a URL of something that is not a file on this machine."""
    found = SCHEME.match(str(path)) if isinstance(path, str) else None
    return found is not None and found[1].lower() != "file"


def local_path(path: str | Path) -> Path:
    """A path on this machine; `file:///…` is one too."""
    text = str(path)
    return Path(unquote(text[len("file://") :])) if text.lower().startswith("file:///") else Path(path)


def check_url(url: str, where: str | None = None) -> str:
    """The URL itself; ConfigError where it holds credentials, names no place, or has a query that is not known.

    Parameters
    ----------
    url
        A URL, as `is_url` has it.
    where
        The configuration key that it came from.
    """
    try:
        parts = urlsplit(url)
        host, password = parts.hostname, parts.password
    except ValueError as error:
        raise ConfigError("This is no URL.", where=where, got=str(error), hint="such as s3://bucket/prefix") from None
    scheme, user = parts.scheme.lower(), parts.username
    shown = f"{parts.scheme}://{'…@' if '@' in parts.netloc else ''}{host or ''}{parts.path}"
    if password is not None or (user is not None and scheme == "s3"):
        raise ConfigError("A URL may not hold credentials: it is printed and kept.", where=where, got=shown, hint=ELSEWHERE)
    if parts.netloc == "" and scheme in OPTIONS:
        raise ConfigError("The URL names no bucket.", where=where, got=shown, hint=f"{scheme}://bucket/prefix")
    known = OPTIONS.get(scheme, ())
    for key, _ in parse_qsl(parts.query, keep_blank_values=True):
        if key not in known:
            raise ConfigError(
                "A URL may not hold this option: it is printed and kept.",
                where=where,
                got=f"{key} in the query of {shown}",
                hint=(f"valid: {', '.join(known)}; " if known else "leave it out; ") + ELSEWHERE,
            )
    if any(part == ".." for part in parts.path.split("/")):
        raise ConfigError("A URL may not go up.", where=where, got=shown, hint="leave .. out")
    return url


def below(url: str, name: str) -> str:
    """The URL of a name below a URL, before its query."""
    place, _, query = url.partition("?")
    joined = f"{place.rstrip('/')}/{name}" if name else place
    return f"{joined}?{query}" if query else joined


def parent_and_name(url: str) -> tuple[str, str]:
    """The URL of the folder, and the last part."""
    place, _, query = url.partition("?")
    folder, _, name = place.rstrip("/").rpartition("/")
    return (f"{folder}?{query}" if query else folder), name


def connect(url: str) -> tuple[Any, str]:
    """What opens a URL.

    Returns
    -------
    filesystem, path
        A `pyarrow.fs.FileSystem`, and the path in it. No request is made yet, but for a bucket of S3 whose region is not given.

    Raises
    ------
    ConfigError
        The URL holds credentials, or nothing that is installed opens it.
    OSError
        The region of a bucket cannot be found.
    """
    from pyarrow import fs  # which a sweep on this machine does without

    check_url(url)
    parts = urlsplit(url)
    scheme, options = parts.scheme.lower(), dict(parse_qsl(parts.query))
    path = f"{parts.netloc}{parts.path}".rstrip("/")
    try:
        if scheme == "s3":
            return _s3(fs, parts.netloc, options), path
        if scheme in ("gs", "gcs"):
            return fs.GcsFileSystem(**options, retry_time_limit=timedelta(seconds=REQUEST_SECONDS)), path
        if scheme in ("abfs", "abfss", "hdfs", "viewfs"):
            filesystem, path = fs.FileSystem.from_uri(url)
            return filesystem, path.rstrip("/")
    except (ValueError, TypeError, NotImplementedError, AttributeError) as error:  # Arrow's errors are such
        raise ConfigError(
            "The URL cannot be opened.", where=shown(url), got=_first(error), hint="such as s3://bucket/prefix"
        ) from None
    return _by_fsspec(fs, url, scheme)


def _s3(fs: Any, bucket: str, options: Mapping[str, str]) -> Any:
    endpoint = options.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    given: dict[str, Any] = {key: value for key, value in options.items() if key != "endpoint_override"}
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        given |= {"endpoint_override": host.rstrip("/")} | ({"scheme": scheme} if scheme else {})
    region = given.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None and not endpoint:
        region = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        **(given | ({"region": region} if region else {})),
        allow_delayed_open=True,  # one request for a small object
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
    )


def _by_fsspec(fs: Any, url: str, scheme: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise ConfigError(
            f"Nothing that is installed opens {scheme}://.",
            where=shown(url),
            got="no package fsspec",
            hint="pip install fsspec and what it wants for this scheme; s3://, gs:// and abfss:// need nothing more",
        ) from None
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"Nothing that is installed opens {scheme}://.",
            where=shown(url),
            got=_first(error),
            hint="pip install the package that it names"
            if isinstance(error, ImportError)
            else "s3://, gs://, abfss://, or a local path",
        ) from None
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), str(path).rstrip("/")


def shown(url: str) -> str:
    """A URL without its query, for messages."""
    return url.partition("?")[0]


def explained(error: Exception) -> tuple[str, str]:
    """What went wrong with an object store in one sentence, and how to mend it."""
    text = str(error).lower()
    for words, what, hint in TROUBLES:
        if any(word in text for word in words):
            return what, hint
    return "The object store did not do what was asked.", "try again, or another place"


def reason(error: Exception) -> str:
    """The error in a line: the system's own words where it has some."""
    return getattr(error, "strerror", None) or _first(error)


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
