"""An S3 server on loopback, in its own process."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
BUCKET_NUMBERS = itertools.count()


class ObjectStore:
    """The server's address and a client for tests."""

    def __init__(self, port: int) -> None:
        self.port, self.endpoint = port, f"http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for clients of the server."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL": self.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}

    @property
    def client(self) -> Any:
        """A `pyarrow.fs.S3FileSystem` of the server."""
        from pyarrow import fs

        return fs.S3FileSystem(
            access_key="somebody",
            secret_key="secret",
            endpoint_override=self.endpoint.split("//")[1],
            scheme="http",
            allow_bucket_creation=True,
        )

    def bucket(self) -> str:
        """Create a bucket and return its name."""
        name = f"bucket-{next(BUCKET_NUMBERS)}"
        self.client.create_dir(name)
        return name

    def write(self, path: str, content: bytes) -> None:
        with self.client.open_output_stream(path) as sink:
            sink.write(content)

    def read(self, path: str) -> bytes:
        with self.client.open_input_file(path) as source:
            content: bytes = source.read()
        return content

    def names(self, path: str) -> list[str]:
        """Names of all objects below a path, relative to it."""
        from pyarrow.fs import FileSelector

        infos = self.client.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
        return sorted(info.path.removeprefix(path + "/") for info in infos if info.is_file)


@contextmanager
def serving(**environment: str) -> Iterator[ObjectStore]:
    """Start a server with these environment variables, and stop it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | environment)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield ObjectStore(port)
    finally:
        process.kill()
        process.wait(timeout=10)
