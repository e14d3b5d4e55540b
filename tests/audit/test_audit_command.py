"""`microbench audit` and `microbench accept` as they are typed: exit codes, the folder, the webhook."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.audit.webhook import Webhook, slack_text, tell
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, EngineError
from tests.helpers import nights

SCORES = nights.responses()


class Hook:
    """A server that remembers what it was told, and answers what it is asked to."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.answers: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(hook.answers.pop(0) if hook.answers else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/secret"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def write_table(path: Path, scores: np.ndarray) -> None:
    columns = {"item_id": [f"i{k:03}" for k in range(scores.shape[1])], "subtask": [f"s{k % 4}" for k in range(scores.shape[1])]}
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


def test_nights_and_their_exit_codes(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "night=2026-01-01"]) == 0
    told = capsys.readouterr().out
    assert "OK: Nothing to worry about. board: 80 models, 320 items" in told
    assert "tiny, 64 items: MDAD" in told
    place = tmp_path / "audit/nights/2026-01-01"
    assert {"verdict.json", "report.html", "mdad.parquet", "leaderboard.parquet"} <= {path.name for path in place.iterdir()}
    assert any((place / "figures").iterdir())
    assert main([*arguments, "night=2026-01-01"]) == 0
    assert "in the history already" in capsys.readouterr().out
    scores = SCORES[:84].copy()
    scores[80:, ::4] = 0.0
    write_table(tmp_path / "board.parquet", scores)
    assert main([*arguments, "night=2026-01-02"]) == 3
    assert "VIOLATED: " in capsys.readouterr().out
    assert main([*arguments, "night=2026-01-02"]) == 3  # as often as it is asked for
    assert main([*arguments, "night=2026-01-02", "wanted=0.01"]) == 1
    assert "other inputs" in capsys.readouterr().err
    assert main(["accept", f"out={tmp_path / 'audit'}"]) == 0
    assert "Accepted as baseline and pool: the 84 models of night 2026-01-02" in capsys.readouterr().out
    assert main([*arguments, "night=2026-01-03"]) == 0


def test_names_from_data_are_texts_on_the_page(tmp_path: Path, arguments: list[str]) -> None:
    hostile = "<script>alert(1)</script>"
    table = pq.read_table(tmp_path / "board.parquet")
    names = [hostile if name == "m003" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), tmp_path / "board.parquet")
    assert main([*arguments, "night=2026-01-01"]) == 0
    page = (tmp_path / "audit/nights/2026-01-01/report.html").read_text()
    assert hostile not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page or "\\u003cscript\\u003ealert(1)" in page


def test_logs_that_cannot_be_read_are_told_and_the_night_goes_on(
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
    arguments = [arguments[0], *board, *swept, *arguments[4:]]
    assert main([*arguments, "night=2026-01-01"]) == 0
    capsys.readouterr()
    broken = logs / "m999"
    broken.mkdir()
    (broken / "samples_task_2026-01-01T00-00-00.000000.jsonl").write_text('{"doc_id": 0, "doc": {')
    assert main([*arguments, "night=2026-01-02"]) == 2
    told = capsys.readouterr().out
    assert "1 failed" in told
    assert "warn: The logs of 'm999' could not be read" in told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("lists={}", "There is nothing to audit."),
        ("out=s3://bucket/audit", "in a folder of this machine"),
        ("policy.drift=shout", "Unknown action."),
        ("+policy.drfit=warn", "Unknown kind of finding."),
        ("limits={other: 0.1}", "labels: tiny"),
        ("drift.rules=[{metric: bias_new, night: 2}]", "A rule of drift"),
        ("drift.rules=[nothing]", "Unknown metric"),
        ("wanted=0", "wanted is a fraction."),
        ("top_k=0", "top_k"),
        ("night=../x", "label of a night"),
        ("webhook.url=ftp://x", "http or https"),
        ("webhook={url: 'https://x', shape: discord}", "Unknown shape."),
        ("ingest={source: lm_eval, path: logs}", "ingested benchmark"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(
    tmp_path: Path, arguments: list[str], change: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = change.lstrip("+").split("=")[0]
    kept = [each for each in arguments if not each.startswith(f"{key}=")]
    assert main([*kept, change]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "audit").exists()


def test_a_webhook_is_told_once_a_night(tmp_path: Path, arguments: list[str], hook: Hook) -> None:
    asked = [*arguments, "night=2026-01-01", f"webhook.url={hook.url}", "report=false", "figures=false"]
    assert main(asked) == 0
    assert main(asked) == 0
    (told,) = hook.told
    assert told == json.loads((tmp_path / "audit/nights/2026-01-01/verdict.json").read_text())


def test_a_webhook_that_does_not_answer_fails_the_command_and_not_the_night(
    tmp_path: Path, arguments: list[str], hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUR_HOOK", hook.url)
    hook.answers = [404]
    asked = [*arguments, "night=2026-01-01", "webhook={url: 'env:OUR_HOOK', shape: slack}", "report=false", "figures=false"]
    assert main(asked) == 2
    told = capsys.readouterr().err
    assert "The webhook was not told." in told
    assert "secret" not in told
    assert (tmp_path / "audit/history/2026-01-01.parquet").exists()
    assert main(asked) == 0  # it is told now
    assert hook.told[-1]["text"].startswith("\N{WHITE HEAVY CHECK MARK} *Nothing to worry about.")


def test_a_server_that_stumbles_is_asked_again(hook: Hook) -> None:
    hook.answers = [503, 429]
    waited: list[float] = []
    tell(Webhook(hook.url), {"status": "ok"}, "", sleep=waited.append)
    assert len(hook.told) == 3
    assert waited == [1.0, 2.0]
    hook.answers = [500] * 3
    with pytest.raises(EngineError):
        tell(Webhook(hook.url), {"status": "ok"}, "", sleep=waited.append)


def test_a_variable_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUR_HOOK", raising=False)
    with pytest.raises(ConfigError, match="holds no http"):
        tell(Webhook("env:OUR_HOOK"), {}, "")
    assert "OUR_HOOK" not in os.environ


def test_names_are_no_markup_for_slack() -> None:
    finding = {"severity": "warn", "text": "Model '<!channel> & *co*' is new"}
    text = slack_text({"status": "attention", "headline": "<b>", "findings": [finding] * 12}, "report.html")
    assert "<" not in text
    assert "&lt;!channel&gt; &amp; *co*" in text
    assert "… and 2 more" in text


def test_only_files_that_are_there_are_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "night=1", "report=false", "figures=false"]) == 0
    assert "/nights/1/verdict.json, mdad.parquet; history" in capsys.readouterr().out
