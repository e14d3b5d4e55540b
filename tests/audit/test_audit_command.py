"""`microbench audit` and `microbench accept` as typed: exit codes, files, messages, and the webhook."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from microbench_ray.audit.webhook import Webhook, send_verdict, slack_text
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, EngineError
from tests.helpers import nights
from tests.helpers.errors import refuses

SCORES = nights.responses()


class WebhookServer:
    """A local server that records what it receives, and answers with the given status codes, then with 200."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.statuses: list[int] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(owner.statuses.pop(0) if owner.statuses else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/secret"


@pytest.fixture
def webhook() -> Iterator[WebhookServer]:
    webhook = WebhookServer()
    thread = threading.Thread(target=webhook.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield webhook
    webhook.server.shutdown()
    thread.join()
    webhook.server.server_close()


def write_table(path: Path, scores: NDArray[np.float64]) -> None:
    columns: dict[str, Any] = {
        "item_id": [f"i{k:03}" for k in range(scores.shape[1])],
        "subtask": [f"s{k % 4}" for k in range(scores.shape[1])],
    }
    pq.write_table(pa.table(columns | {f"m{k:03}": row for k, row in enumerate(scores)}), path)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    write_table(tmp_path / "board.parquet", SCORES[:80])
    (tmp_path / "tiny.txt").write_text("\n".join(f"i{k:03}" for k in range(0, 320, 5)))
    return [
        "audit",
        "benchmark=scores",
        f"benchmark.path={tmp_path / 'board.parquet'}",
        f"lists={{tiny: {tmp_path / 'tiny.txt'}}}",
        f"out={tmp_path / 'audit'}",
        "engine=serial",
        "n_resamples=100",
        "drift.n_resamples=300",
    ]


def without_pages(arguments: list[str]) -> list[str]:
    return [*arguments, "report=false", "figures=false"]


def verdict_of(tmp_path: Path, night: str) -> dict[str, Any]:
    verdict: dict[str, Any] = json.loads((tmp_path / f"audit/nights/{night}/verdict.json").read_text())
    return verdict


def test_a_first_night_writes_its_files_and_prints_its_verdict(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "night=2026-01-01", "figures=false"]) == 0
    printed = capsys.readouterr().out
    mdad = verdict_of(tmp_path, "2026-01-01")["subjects"][0]["mdad"]
    for fact in ("OK", "board: 80 models, 320 items", "tiny, 64 items", f"{100 * mdad:.1f} points"):
        assert fact in printed
    folder = tmp_path / "audit/nights/2026-01-01"
    for name in ("verdict.json", "report.html", "mdad.parquet"):
        assert name in printed
    assert str(folder) in printed
    assert {"verdict.json", "report.html", "mdad.parquet", "leaderboard.parquet"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "figures").exists()


@pytest.mark.slow
def test_static_figures_are_drawn_unless_turned_off(tmp_path: Path, arguments: list[str]) -> None:
    assert main([*arguments, "night=2026-01-01", "report=false"]) == 0
    folder = tmp_path / "audit/nights/2026-01-01"
    assert any((folder / "figures").iterdir())
    assert not (folder / "report.html").exists()


def test_nights_and_their_exit_codes(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = without_pages(arguments)
    assert main([*arguments, "night=2026-01-01"]) == 0
    assert main([*arguments, "night=2026-01-01"]) == 0
    repeated = capsys.readouterr().err
    assert "2026-01-01" in repeated
    assert "history" in repeated
    scores = SCORES[:84].copy()
    scores[80:, ::4] = 0.0
    write_table(tmp_path / "board.parquet", scores)
    assert main([*arguments, "night=2026-01-02"]) == 3
    assert "VIOLATED" in capsys.readouterr().out
    assert main([*arguments, "night=2026-01-02"]) == 3  # a rerun reports the same status
    assert main([*arguments, "night=2026-01-02", "target_difference=0.01"]) == 1
    refused = capsys.readouterr().err
    assert "night 2026-01-02" in refused
    assert "configuration" in refused
    assert main(["accept", f"out={tmp_path / 'audit'}"]) == 1
    refused = capsys.readouterr().err
    for fact in ("VIOLATED", "night 2026-01-02", "violated=true"):
        assert fact in refused
    assert main(["accept", f"out={tmp_path / 'audit'}", "violated=true"]) == 0
    accepted = capsys.readouterr().err
    for fact in ("84 models", "2026-01-02", "baseline", "pool"):
        assert fact in accepted
    assert main([*arguments, "night=2026-01-03"]) == 0


@pytest.mark.slow
def test_names_from_data_are_escaped_on_the_page(tmp_path: Path, arguments: list[str]) -> None:
    hostile = "<script>alert(1)</script>"
    table = pq.read_table(tmp_path / "board.parquet")
    names = [hostile if name == "m003" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), tmp_path / "board.parquet")
    assert main([*arguments, "night=2026-01-01", "figures=false"]) == 0
    page = (tmp_path / "audit/nights/2026-01-01/report.html").read_text()
    assert hostile not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page or "\\u003cscript\\u003ealert(1)" in page


def test_unreadable_logs_are_a_finding_and_the_night_is_complete(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "logs"
    for number, row in enumerate(SCORES[:40]):
        folder = logs / f"m{number:03}"
        folder.mkdir(parents=True)
        lines = [
            json.dumps({"doc_id": k, "doc": {"q": k}, "doc_hash": f"{k:064x}", "filter": "none", "metrics": ["acc"], "acc": score})
            for k, score in enumerate(row)
        ]
        (folder / "samples_task_2026-01-01T00-00-00.000000.jsonl").write_text("\n".join(lines) + "\n")
    board = [f"ingest={{source: lm_eval, path: {logs}}}", "benchmark=ingested", f"benchmark.path={tmp_path / 'board'}"]
    swept = ["methods=[random]", "grid.sizes=[20]", "grid.n_source=[10]", "grid.n_target=10", "grid.runs=2"]
    arguments = without_pages([arguments[0], *board, *swept, *arguments[4:]])
    assert main([*arguments, "night=2026-01-01"]) == 0
    capsys.readouterr()
    broken = logs / "m999"
    broken.mkdir()
    (broken / "samples_task_2026-01-01T00-00-00.000000.jsonl").write_text('{"doc_id": 0, "doc": {')
    assert main([*arguments, "night=2026-01-02"]) == 2
    assert "m999" in capsys.readouterr().out
    (finding,) = [each for each in verdict_of(tmp_path, "2026-01-02")["findings"] if each["kind"] == "log_failed"]
    assert (finding["severity"], finding["name"]) == ("warn", "m999")


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ("lists={}", ("lists, methods",)),
        ("out=s3://bucket/audit", ("out", "s3://bucket/audit")),
        ("policy.drift=shout", ("policy.drift", "shout", "ignore")),
        ("+policy.drfit=warn", ("policy", "drfit", "model_new")),
        ("max_mdad={other: 0.1}", ("max_mdad", "other", "tiny")),
        ("max_mdad={tiny: 3}", ("max_mdad.tiny", "3")),
        ("drift.rules=[{metric: bias_new, night: 2}]", ("drift.rules", "night", "nights")),
        ("drift.rules=[nothing]", ("drift rules, metric", "nothing", "bias_new")),
        ("target_difference=0", ("target_difference", "0")),
        ("max_missing_share=-0.1", ("max_missing_share", "-0.1")),
        ("top_k=0", ("top_k", "0")),
        ("night=../x", ("night", "../x")),
        ("methods=[{method: random, label: 'x\n  fail: forged'}]", ("lists, methods", "x\\n  fail")),
        ("webhook.url=ftp://x", ("webhook.url", "ftp://x", "http")),
        ("webhook={url: 'https://x', shape: discord}", ("webhook.shape", "discord", "slack")),
        ("ingest={source: lm_eval, path: logs}", ("ingest", "benchmark=scores")),
    ],
)
def test_bad_input_is_reported_before_any_work(
    tmp_path: Path, arguments: list[str], change: str, facts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    key = change.lstrip("+").split("=")[0]
    kept = [each for each in arguments if not each.startswith(f"{key}=")]
    assert main([*kept, change]) == 1
    message = capsys.readouterr().err
    for fact in facts:
        assert fact in message
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize(("old", "new"), [("wanted=0", "target_difference"), ("limits={other: 0.1}", "max_mdad")])
def test_the_old_names_of_keys_are_understood(arguments: list[str], old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, old]) == 1
    assert f"where: {new}" in capsys.readouterr().err


def test_a_verdict_is_sent_to_the_webhook_once_a_night(tmp_path: Path, arguments: list[str], webhook: WebhookServer) -> None:
    command = [*without_pages(arguments), "night=2026-01-01", f"webhook.url={webhook.url}"]
    assert main(command) == 0
    assert main(command) == 0
    (received,) = webhook.received
    assert received == verdict_of(tmp_path, "2026-01-01")


def test_a_failing_webhook_fails_the_command_and_not_the_night(
    tmp_path: Path,
    arguments: list[str],
    webhook: WebhookServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OUR_HOOK", webhook.url)
    webhook.statuses = [404]
    command = [*without_pages(arguments), "night=2026-01-01", "webhook={url: 'env:OUR_HOOK', shape: slack}"]
    assert main(command) == 2
    message = capsys.readouterr().err
    for fact in ("webhook", "127.0.0.1", "404"):
        assert fact in message
    assert "secret" not in message
    assert (tmp_path / "audit/history/2026-01-01.parquet").exists()
    assert main(command) == 0  # a rerun sends the verdict
    text = webhook.received[-1]["text"]
    assert text.startswith("\N{WHITE HEAVY CHECK MARK} *")
    assert "board: 80 models, 320 items" in text


def test_server_errors_are_retried_and_client_errors_are_not(webhook: WebhookServer) -> None:
    webhook.statuses = [503, 429]
    waits: list[float] = []
    send_verdict(Webhook(webhook.url), {"status": "ok"}, "", sleep=waits.append)
    assert len(webhook.received) == 3
    assert waits == [1.0, 2.0]
    webhook.statuses = [500] * 3
    with refuses(EngineError, "webhook", where="127.0.0.1", got="500"):
        send_verdict(Webhook(webhook.url), {"status": "ok"}, "", sleep=waits.append)
    assert len(webhook.received) == 6
    webhook.statuses = [404]
    with refuses(EngineError, "webhook", got="404"):
        send_verdict(Webhook(webhook.url), {"status": "ok"}, "", sleep=waits.append)
    assert len(webhook.received) == 7


@pytest.mark.parametrize(("value", "got"), [(None, "not set"), ("mailto:someone", "scheme")])
def test_an_environment_variable_without_a_url_is_refused(monkeypatch: pytest.MonkeyPatch, value: str | None, got: str) -> None:
    if value is None:
        monkeypatch.delenv("OUR_HOOK", raising=False)
    else:
        monkeypatch.setenv("OUR_HOOK", value)
    with refuses(ConfigError, "http", where="OUR_HOOK", got=got):
        send_verdict(Webhook("env:OUR_HOOK"), {}, "")


def test_names_are_escaped_for_slack() -> None:
    finding = {"severity": "warn", "text": "Model '<!channel> & *co*' is new"}
    text = slack_text({"status": "attention", "headline": "<b>", "findings": [finding] * 12}, "report.html")
    assert "<" not in text
    assert text.count("&lt;!channel&gt; &amp; *co*") == 10
    assert "2 more" in text


def test_only_existing_files_are_listed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*without_pages(arguments), "night=1"]) == 0
    printed = capsys.readouterr().out
    assert "/nights/1/verdict.json, mdad.parquet" in printed
    assert "report.html" not in printed
