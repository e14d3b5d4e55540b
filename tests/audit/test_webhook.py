"""The webhook: every failure is one message, no message shows the URL, and the exit code stays that of the night."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from microbench_ray.audit import run as audit_run
from microbench_ray.audit.findings import DEFAULT_ACTIONS, HistoryRow, assign_severities
from microbench_ray.audit.history import night_table
from microbench_ray.audit.verdict import BenchmarkShape, group_findings, headline
from microbench_ray.audit.webhook import Webhook, send_verdict, slack_text
from microbench_ray.cli.main import main
from microbench_ray.cli.settings.audit import WebhookConf
from microbench_ray.core.errors import ConfigError, EngineError
from microbench_ray.core.masking import mask_secrets, mask_text, mask_url
from microbench_ray.report.page.provenance import provenance_section
from tests.audit.test_audit_command import SCORES, write_table
from tests.helpers import nights
from tests.helpers.errors import refuses

SECRET = "T0SECRET"
Answer = bytes | Callable[[socket.socket], None]
Serve = Callable[[Answer], tuple[str, list[bytes]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that answers every request in the same way; its URL, and the requests that it has received."""
    servers: list[socket.socket] = []

    def start(answer: Answer) -> tuple[str, list[bytes]]:
        server = socket.create_server(("127.0.0.1", 0))
        received: list[bytes] = []
        servers.append(server)

        def respond(connection: socket.socket) -> None:
            with connection:
                received.append(connection.recv(65536))
                with suppress(OSError):  # the client may have closed the connection
                    answer(connection) if callable(answer) else connection.sendall(answer)

        def run() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=respond, args=(connection,), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}", received

    yield start
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def send(url: str, timeout: float = 5.0) -> None:
    send_verdict(Webhook(url), {"status": "ok"}, "", sleep=lambda seconds: None, timeout=timeout)


@pytest.mark.parametrize(
    "answer",
    [
        b"no HTTP at all\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: y\r\n" % k for k in range(150)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"\xff\xfe\x00",
    ],
)
def test_an_answer_that_is_not_http_is_one_message(answer: bytes, serve: Serve) -> None:
    url, received = serve(answer)
    with refuses(EngineError, "webhook", where="127.0.0.1") as caught:
        send(url)
    assert SECRET not in str(caught.value)
    assert caught.value.got
    assert len(received) == 3


def test_an_answer_that_drips_is_bounded(serve: Serve) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for k in range(60):
            connection.sendall(b"x%d: y\r\n" % k)
            time.sleep(0.1)

    url, received = serve(drip)
    start = time.monotonic()
    with refuses(EngineError, "webhook", got="0.3 s"):
        send(url, timeout=0.3)
    assert time.monotonic() - start < 3
    assert len(received) == 3


def test_a_body_that_drips_is_not_waited_for(serve: Serve) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(60):
            connection.sendall(b"x")
            time.sleep(0.1)

    url, _ = serve(drip)
    start = time.monotonic()
    send(url)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused(status: int, serve: Serve) -> None:
    elsewhere, received = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    url, asked = serve(f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode())
    with refuses(EngineError, "redirect", got=str(status)) as caught:
        send(url)
    assert (len(asked), received) == (1, [])
    assert SECRET not in str(caught.value)


def test_the_reason_of_a_server_is_escaped(serve: Serve) -> None:
    url, _ = serve(b"HTTP/1.1 404 \x1b[31m" + b"x" * 5000 + b"\r\n\r\n")
    with refuses(EngineError, "404") as caught:
        send(url)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 600


MALFORMED = [
    f"https://example.org/{SECRET} x",
    f"https://example.org/{SECRET}\x1b",
    f"https://example.org/{SECRET}\n",
    f"https://example.org/{SECRET}é",
    f"https://example.org:0x1/{SECRET}",
    f"https://example.org:99999/{SECRET}",
    f"https://example.org:/{SECRET}",
    f"http://[::1/{SECRET}",
    f"https://{SECRET * 40}/",
    f"https://{'a.' * 200}org/{SECRET}",
    f"https:///{SECRET}",
    f"ftp://user:{SECRET}@example.org/{SECRET}",
    f"https://user:{SECRET}@example.org/",
    f"example.org/{SECRET}",
    f"env:https://example.org/{SECRET}",
]


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_refused_and_not_shown(url: str) -> None:
    with refuses(ConfigError, "webhook", where="webhook.url") as caught:
        WebhookConf(url).webhook()
    assert SECRET not in str(caught.value)
    assert str(caught.value).isprintable() or str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize("url", [url for url in MALFORMED if "env:" not in url])
def test_a_malformed_url_in_the_environment_is_refused_before_any_work(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_HOOK", url)
    with refuses(ConfigError, "webhook", where="OUR_HOOK") as caught:
        nights.run(tmp_path / "audit", "2026-01-01", nights.board(SCORES), webhook=Webhook("env:OUR_HOOK"))
    assert SECRET not in str(caught.value)
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize(
    "url", ["http://localhost", "https://example.org:8443/x?y=z", "http://[::1]:80/x", "http://10.0.0.1/", "http://my_host/x"]
)
def test_valid_urls_are_accepted(url: str) -> None:
    assert Webhook(url).resolve_url() == url
    assert url not in repr(Webhook(url))


def test_a_violated_night_keeps_its_exit_code_and_its_findings(
    tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = serve(b"no HTTP at all\r\n\r\n")
    monkeypatch.setattr(audit_run, "send_verdict", lambda *arguments: send_verdict(*arguments, sleep=lambda seconds: None))
    (tmp_path / "tiny.txt").write_text("\n".join(f"i{k:03}" for k in range(0, 320, 5)))
    command = [
        "audit",
        "benchmark=scores",
        f"benchmark.path={tmp_path / 'board.parquet'}",
        f"lists={{tiny: {tmp_path / 'tiny.txt'}}}",
        f"out={tmp_path / 'audit'}",
        f"webhook.url={url}",
        "engine=serial",
        "n_resamples=100",
        "figures=false",
        "max_mdad={tiny: 0.0001}",
    ]
    write_table(tmp_path / "board.parquet", SCORES[:60])
    assert main([*command, "night=2026-01-01"]) == 3
    printed = capsys.readouterr()
    assert "fail:" in printed.out
    assert "webhook" in printed.err
    assert SECRET not in printed.out + printed.err
    for path in (tmp_path / "audit").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    assert "http://127.0.0.1/…" in (tmp_path / "audit/nights/2026-01-01/report.html").read_text()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://example.org/{SECRET}", "https://example.org/…"),
        (f"https://example.org?{SECRET}", "https://example.org/…"),
        (f"ftp://user:{SECRET}@example.org", "ftp://…@example.org"),
        ("https://example.org", "https://example.org"),
        ("env:WEBHOOK", "env:WEBHOOK"),
        (SECRET, "…"),
        (f"http://[::1/{SECRET}", "…"),
        (f"https://a {SECRET}/", "…"),
    ],
)
def test_urls_are_masked(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_configurations_are_masked() -> None:
    content = {
        "webhook": {"url": f"https://example.org/{SECRET}", "shape": "slack"},
        "hub": {"token": SECRET, "api_key": f"{SECRET}", "other_token": "env:HF_TOKEN"},
        "paths": [f"https://example.org/a?key={SECRET}", f"s3://user:{SECRET}@bucket/x", "s3://bucket/x?region=eu"],
        "top_k": 10,
    }
    masked = mask_secrets(content)
    assert SECRET not in str(masked)
    assert masked["webhook"]["shape"] == "slack"
    assert masked["hub"]["other_token"] == "env:HF_TOKEN"
    assert masked["paths"] == ["https://example.org/a?…", "s3://…@bucket/x", "s3://bucket/x?region=eu"]
    assert masked["top_k"] == 10
    assert mask_text("a@b: no URL") == "a@b: no URL"


def test_the_page_masks_the_configuration() -> None:
    section = provenance_section({"config": {"webhook": {"url": f"https://example.org/{SECRET}"}}}, None)
    assert SECRET not in str(section)
    assert "https://example.org/…" in str(section)


def test_a_line_break_in_a_name_forges_no_finding() -> None:
    forged = "x\n  fail: forged\x1b[31m"
    row = HistoryRow(kind="model_rescored", text=f"The scores of '{forged}' changed.", name=forged)
    table = night_table("2026-01-01", assign_severities([row], DEFAULT_ACTIONS))
    findings = group_findings(table.to_pylist())
    assert "truth" not in headline("ok", [], BenchmarkShape("b", 1, 1), 0)
    line = headline("attention", findings, BenchmarkShape(name=forged, n_models=1, n_items=1), 0)
    for text in (findings[0]["text"], line):
        assert text.isprintable()
    raw = [{"severity": "warn", "text": forged}]
    text = slack_text({"status": "attention", "headline": forged, "findings": raw}, forged)
    assert not any(part.strip().startswith("fail") for part in text.splitlines())
    assert "\x1b" not in text


@pytest.mark.parametrize(
    "argument",
    ["webhook.url={}{{", "webhook.url=[{}]", "webhook={}", "webhook.url={},b"],
)
def test_a_url_in_an_argument_that_cannot_be_read_is_not_shown(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "out=x", "benchmark.path=x", argument.format("https://example.org/T0/secret42")]) == 1
    printed = capsys.readouterr()
    assert "webhook" in printed.err
    assert "secret42" not in printed.out + printed.err


def test_the_printed_configuration_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "out=x", "webhook.url=https://example.org/T0/secret42", "--cfg"]) == 0
    printed = capsys.readouterr()
    assert "https://example.org/…" in printed.out
    assert "secret42" not in printed.out + printed.err
