"""URLs of remote files: which URLs are valid, and how they are opened."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from microbench_ray.core.errors import ConfigError, first_line
from microbench_ray.core.masking import mask_text

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "s3": ("endpoint_override", "region", "scheme", "tls_ca_file_path"),
    "gs": ("endpoint_override", "scheme"),
    "gcs": ("endpoint_override", "scheme"),
    "abfs": ("blob_storage_authority", "blob_storage_scheme", "dfs_storage_authority", "dfs_storage_scheme", "enable_tls"),
    "abfss": ("blob_storage_authority", "blob_storage_scheme", "dfs_storage_authority", "dfs_storage_scheme", "enable_tls"),
}
"""Options allowed in the query of a URL, by scheme. None of them is secret, because URLs are printed and stored in the manifest."""
MAX_NAME, MAX_PATH = 255, 4095
"""Bytes of a name and of a path on the file systems in use."""
ATTEMPTS, CONNECT_SECONDS, REQUEST_SECONDS = 3, 5, 20
"""Attempts and timeouts of one request, so that a silent object store is reported within a minute."""


CREDENTIALS_HINT = (
    "give credentials in environment variables (for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) or in the client's "
    "configuration files"
)


def is_url(path: object) -> bool:
    """Whether a path is a URL that does not point to a local file."""
    match = SCHEME.match(path) if isinstance(path, str) else None
    return match is not None and match[1].lower() != "file"


def local_path(path: str | Path) -> Path:
    """A local path, also from a URL `file:///…`. A leading `~` is the home folder: shells do not expand it in `key=~/…`."""
    text = str(path)
    if text.lower().startswith("file:///"):
        return Path(unquote(text[len("file://") :]))
    return Path(os.path.expanduser(path))  # noqa: PTH111 - leaves an unknown `~user`, where Path.expanduser raises


def check_url(url: str, where: str | None = None) -> str:
    """Return a URL after checking it.

    Parameters
    ----------
    url
        A URL that `is_url` accepts.
    where
        The configuration key that holds it.

    Raises
    ------
    ConfigError
        The URL is malformed, contains credentials, `..` or an unknown option, or lacks a bucket.
    """
    try:
        parts = urlsplit(url)
        host, password = parts.hostname, parts.password
    except ValueError as error:
        raise ConfigError("This is not a valid URL.", where=where, got=str(error), hint="for example s3://bucket/prefix") from None
    scheme, user = parts.scheme.lower(), parts.username
    redacted = f"{parts.scheme}://{'…@' if '@' in parts.netloc else ''}{host or ''}{parts.path}"
    if password is not None or (user is not None and scheme == "s3"):
        raise ConfigError(
            "A URL must not contain credentials, because it is printed and stored.",
            where=where,
            got=redacted,
            hint=CREDENTIALS_HINT,
        )
    if parts.netloc == "" and scheme in OPTIONS:
        raise ConfigError("The URL has no bucket.", where=where, got=redacted, hint=f"for example {scheme}://bucket/prefix")
    known = OPTIONS.get(scheme, ())
    for key, _ in parse_qsl(parts.query, keep_blank_values=True):
        if key not in known:
            raise ConfigError(
                "Unknown option in a URL.",
                where=where,
                got=f"{key} in the query of {redacted}",
                hint=(f"valid: {', '.join(known)}; " if known else "remove it; ") + CREDENTIALS_HINT,
            )
    if any(part == ".." for part in parts.path.split("/")):
        raise ConfigError("A URL must not contain `..`.", where=where, got=redacted, hint="give the resolved URL")
    return url


def check_place(place: str | Path, where: str | None = None) -> None:
    """Raise ConfigError for a path or URL that cannot name a file: malformed, too long, or with a NUL character.

    Parameters
    ----------
    place
        A local path, or a URL as for `check_url`.
    where
        The configuration key that holds it.
    """
    text = str(place)
    if is_url(text):
        check_url(text, where)
        return
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        raise ConfigError("The path is not valid text.", where=where, got=ascii(text)[:80], hint="give another path") from None
    longest = max(encoded.split(b"/"), key=len)
    if b"\0" in encoded:
        what, got = "A path must not contain a NUL character.", ascii(text)[1:41]
    elif len(longest) > MAX_NAME:
        what, got = f"A name in the path is longer than {MAX_NAME} bytes.", f"{ascii(os.fsdecode(longest))[1:41]}…"
    elif len(encoded) > MAX_PATH:
        what, got = f"The path is longer than {MAX_PATH:,} bytes.", f"{ascii(text)[1:41]}…"
    else:
        return
    raise ConfigError(what, where=where, got=got, hint="give the path of a file or folder")


def check_address(address: str, where: str) -> None:
    """Raise ConfigError for the address of a server that is malformed: `http://[::1`, or a port that is no number."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        valid = parts.hostname is not None and (parts.port or 1) > 0 and address.isprintable() and " " not in address
    except ValueError:
        valid = False
    if not valid:
        got = ascii(mask_text(address)[:80])[1:-1]
        example = "HOST:PORT" if where == "engine.address" else "http://HOST:8265"
        raise ConfigError("This is not the address of a server.", where=where, got=got, hint=f"{where}={example}")


def join_url(url: str, name: str) -> str:
    """Append a name to the path of a URL and keep the query."""
    base, _, query = url.partition("?")
    joined = f"{base.rstrip('/')}/{name}" if name else base
    return f"{joined}?{query}" if query else joined


def parent_and_name(url: str) -> tuple[str, str]:
    """Split a URL into the URL of its folder, with the query, and its last part."""
    base, _, query = url.partition("?")
    folder, _, name = base.rstrip("/").rpartition("/")
    return (f"{folder}?{query}" if query else folder), name


def open_filesystem(url: str) -> tuple[Any, str]:
    """Create the file system of a URL.

    Returns
    -------
    filesystem, path
        A `pyarrow.fs.FileSystem`, and the path in it. This makes no request, except to find the region of an S3 bucket if it is
        not given.

    Raises
    ------
    ConfigError
        The URL is invalid, or no installed package supports its scheme.
    OSError
        The region of a bucket cannot be found.
    """
    from pyarrow import fs  # not needed by local sweeps

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
    except (ValueError, TypeError, NotImplementedError, AttributeError) as error:  # Arrow's errors are subclasses of these
        raise ConfigError(
            "The URL cannot be opened.", where=without_query(url), got=first_line(error), hint="for example s3://bucket/prefix"
        ) from None
    return _by_fsspec(fs, url, scheme)


def _s3(fs: Any, bucket: str, options: Mapping[str, str]) -> Any:
    endpoint = options.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    arguments: dict[str, Any] = {key: value for key, value in options.items() if key != "endpoint_override"}
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        arguments |= {"endpoint_override": host.rstrip("/")} | ({"scheme": scheme} if scheme else {})
    region = arguments.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None and not endpoint:
        region = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        **(arguments | ({"region": region} if region else {})),
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
            f"No installed package supports {scheme}://.",
            where=without_query(url),
            got="no package fsspec",
            hint="pip install fsspec and its package for this scheme; s3://, gs:// and abfss:// need no further package",
        ) from None
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"No installed package supports {scheme}://.",
            where=without_query(url),
            got=first_line(error),
            hint="pip install the package named above"
            if isinstance(error, ImportError)
            else "use s3://, gs://, abfss://, or a local path",
        ) from None
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), str(path).rstrip("/")


def without_query(url: str) -> str:
    """A URL without its query, for messages."""
    return url.partition("?")[0]
