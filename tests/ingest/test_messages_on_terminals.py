"""Names from logs reach the terminal escaped, and skipped paths have a log line."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.hub import _File, _latest_runs
from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import TIME, line, write, write_results

CLEAR = "\x1b[2J"


def test_names_in_summaries_and_errors_are_escaped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logs = tmp_path / "logs"
    write(logs / "good", f"t{CLEAR}\n", [line(0)])
    write(logs / f"bad{CLEAR}", "t", [line(0, acc=None, metrics=[f"m{CLEAR}"]) | {f"m{CLEAR}": 7}])
    write(logs / f"bad{CLEAR}", "u", ["text"])
    with caplog.at_level(logging.DEBUG):
        summary = run_ingest(IngestJob(source="lm_eval", path=str(logs), out=tmp_path / "out"))
    assert summary.failed
    shown = [*summary.lines(), *(part for error in summary.failed.values() for part in str(error).splitlines())]
    assert any("\\x1b[2J" in each for each in summary.lines())
    assert all(each.isprintable() for each in shown)
    assert "\x1b" not in caplog.text


def test_the_only_error_is_escaped(tmp_path: Path) -> None:
    write(tmp_path, "t", [line(0)])
    write_results(tmp_path, f"org/{CLEAR}").write_text(json.dumps({"results": {}})[:-3])
    (tmp_path / f"samples_{CLEAR}_{TIME}.jsonl").write_text("{")
    (tmp_path / f"results_{TIME}.json").unlink()
    (tmp_path / f"samples_t_{TIME}.jsonl").unlink()
    with refuses(DataError, "truncated", where="\\x1b[2J") as caught:
        run_ingest(IngestJob(source="lm_eval", path=str(tmp_path), out=tmp_path / "out"))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("path", [f"/etc/samples_t_{TIME}.jsonl", f"a/../../samples_t_{TIME}.jsonl", f"../x{CLEAR}.json"])
def test_unsafe_paths_of_a_repository_are_logged(path: str, caplog: pytest.LogCaptureFixture) -> None:
    safe = _File(path=f"a/samples_t_{TIME}.jsonl", size=1)
    with caplog.at_level(logging.WARNING):
        assert _latest_runs([_File(path=path, size=1), safe], Options()) == [safe]
    assert "was skipped" in caplog.text
    assert "\x1b" not in caplog.text
