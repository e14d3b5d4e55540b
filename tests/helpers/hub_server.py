"""A server on loopback that speaks as much of the Hugging Face hub's API as fetching a dataset repository takes."""

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
"""Entries in an answer that lists; the rest is on the next page, as on the hub."""


@dataclass
class Hub:
    """What the server holds, how it misbehaves, and what it was asked.

    Attributes
    ----------
    repositories
        Content of files by path, by `org/name`.
    refusals
        Status, and the hub's own code for the error, by `org/name`.
    token
        What requests must carry, where it is not None.
    breaks
        Bytes of a file after which the connection is closed, once, by path.
    stalls
        Bytes of a file after which the server falls silent, once, by path; `stalled` tells that it has.
    asked
        Every request for a file's content: path, and the range that was asked for.
    tokens
        Every `Authorization` that came.
    """

    repositories: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    refusals: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    token: str | None = None
    breaks: dict[str, int] = field(default_factory=dict)
    stalls: dict[str, int] = field(default_factory=dict)
    stalled: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    url: str = ""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve it at `hub.url` meanwhile."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
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
            entries = [{"type": "directory", "path": "folder", "oid": "0" * 40}]
            entries += [
                {"type": "file", "path": name, "size": len(content), "oid": _tag(content)} for name, content in files.items()
            ]
            return self._page(entries, query)
        return self._file("/".join(rest[2:]), files["/".join(rest[2:])])

    def _file(self, path: str, content: bytes) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        body = content[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{_tag(content)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.hub.asked.append((path, wanted))
        for until, misdeed in ((self.hub.breaks.pop(path, None), None), (self.hub.stalls.pop(path, None), self.hub.stalled)):
            if until is not None:
                self.wfile.write(body[:until])
                self.wfile.flush()
                if misdeed is not None:
                    misdeed.set()
                    self.hub.released.wait(60)
                self.close_connection = True
                return
        self.wfile.write(body)

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
