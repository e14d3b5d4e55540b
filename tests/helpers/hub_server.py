"""A local server that implements the part of the Hugging Face Hub API needed to download a dataset repository."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c" * 40
PAGE = 2
"""Entries per page of a listing."""


@dataclass
class Hub:
    """The repositories that the server holds, its faults, and a record of the requests.

    Attributes
    ----------
    repositories
        File contents by path, by `org/name`.
    refusals
        HTTP status and the Hub's error code, by `org/name`.
    token
        The token that requests must carry; None requires no token.
    breaks
        By path: the number of bytes after which the connection is closed, once.
    stalls
        By path: the number of bytes after which the server stops sending, once.
    stalled, released
        Set when the server has stopped sending; set to let it close the connection.
    requests
        Path and range of every request for a file's content.
    tokens
        Every `Authorization` header received.
    """

    repositories: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    refusals: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    token: str | None = None
    breaks: dict[str, int] = field(default_factory=dict)
    stalls: dict[str, int] = field(default_factory=dict)
    stalled: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    url: str = ""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve the repositories at `hub.url` inside the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        self.hub.tokens.add(self.headers.get("Authorization"))
        if self.hub.token is not None and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._send(401, b"{}")
        if path == "/api/datasets":
            org = query["author"][0]
            return self._page([{"id": name} for name in self.hub.repositories if name.startswith(f"{org}/")], query)
        words = path.removeprefix("/api").removeprefix("/datasets/").split("/")
        repo, rest = "/".join(words[:2]), words[2:]
        if repo in self.hub.refusals:
            status, code = self.hub.refusals[repo]
            return self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": "no"} if code else {})
        files = self.hub.repositories.get(repo)
        if files is None:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if rest[:1] in ([], ["revision"]):
            if rest[1:] not in ([], ["main"], [COMMIT]):
                return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return self._json({"id": repo, "sha": COMMIT, "siblings": []})
        if rest[0] == "tree":
            entries: list[dict[str, object]] = [{"type": "directory", "path": "folder", "oid": "0" * 40}]
            entries += [
                {"type": "file", "path": name, "size": len(content), "oid": _tag(content)} for name, content in files.items()
            ]
            return self._page(entries, query)
        return self._file("/".join(rest[2:]), files["/".join(rest[2:])])

    def _file(self, path: str, content: bytes) -> None:
        byte_range = self.headers.get("Range")
        start = int(byte_range.removeprefix("bytes=").split("-")[0]) if byte_range else 0
        body = content[start:]
        self.send_response(206 if byte_range else 200)
        self.send_header("Content-Length", str(len(body)))
        if byte_range:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{_tag(content)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.hub.requests.append((path, byte_range))
        break_at, stall_at = self.hub.breaks.pop(path, None), self.hub.stalls.pop(path, None)
        cut = stall_at if break_at is None else break_at
        if cut is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[:cut])
        self.wfile.flush()
        if stall_at is not None:
            self.hub.stalled.set()
            self.hub.released.wait(60)
        self.close_connection = True

    def _page(self, entries: list[dict[str, object]], query: Mapping[str, list[str]]) -> None:
        start = int(query.get("cursor", ["0"])[0])
        rest = self.path.split("&cursor")[0]
        link = {"Link": f'<{self.hub.url}{rest}&cursor={start + PAGE}>; rel="next"'} if start + PAGE < len(entries) else {}
        self._json(entries[start : start + PAGE], link)

    def _json(self, content: object, headers: Mapping[str, str] | None = None) -> None:
        self._send(200, json.dumps(content).encode(), headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
