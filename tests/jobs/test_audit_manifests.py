"""The nightly audit in jobs/k8s/ and jobs/systemd/: its commands run, a finding fails the job, and no secret is in a manifest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from microbench_ray.cli.main import main
from microbench_ray.data import read_ingested
from tests.helpers.manifests import AUDIT, OBJECTS, TEMPLATES, unit, unit_command
from tests.helpers.small_sweep import columns

AUDITS = {
    "systemd": unit_command("microbench-audit.service")[1:],
    "kubernetes": TEMPLATES["audit"]["spec"]["containers"][0]["args"],
}


def write_logs(folder: Path) -> None:
    """Write the small score table as logs of lm-evaluation-harness, one folder per model."""
    table = {name: values for name, values in columns().items() if name not in ("item_id", "subtask")}
    for model, scores in table.items():
        (folder / model).mkdir(parents=True)
        lines = [
            {"doc_id": k, "doc": {"q": k}, "doc_hash": f"{k:064x}", "filter": "none", "metrics": ["acc"], "acc": float(score)}
            for k, score in enumerate(scores)
        ]
        text = "".join(json.dumps(each) + "\n" for each in lines)
        (folder / model / "samples_task_2026-01-01T00-00-00.000000.jsonl").write_text(text)


@pytest.mark.parametrize("name", AUDITS)
def test_the_audit_commands_run_and_accept_runs_after_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of the manifests, with a temporary folder as the volume; WEBHOOK is not set, so the verdict cannot be sent."""
    write_logs(tmp_path / "logs")
    main(["ingest", "source=lm_eval", f"path={tmp_path / 'logs'}", f"out={tmp_path / 'board'}"])
    items = read_ingested(tmp_path / "board").item_ids[:20]
    (tmp_path / "tiny.txt").write_text("\n".join(items))
    arguments = [re.sub(r"([=\s])(/data|/var/lib/microbench)/", rf"\1{tmp_path}/", each) for each in AUDITS[name]]
    monkeypatch.delenv("WEBHOOK", raising=False)
    capsys.readouterr()
    assert main([*arguments, "figures=false", "n_resamples=100", "drift.n_resamples=300"]) == 2
    captured = capsys.readouterr()
    assert "tiny, 20 items" in captured.out
    assert "WEBHOOK" in captured.err
    (night,) = (tmp_path / "audit/nights").iterdir()
    assert (night / "report.html").exists()
    accept = [each.replace("/data/", f"{tmp_path}/") for each in TEMPLATES["accept"]["spec"]["containers"][0]["args"]]
    assert main(accept) == 0


def test_both_schedulers_run_the_same_audit() -> None:
    commands = {re.sub(r"/data|/var/lib/microbench", "", " ".join(each)) for each in AUDITS.values()}
    assert len(commands) == 1


def test_a_finding_fails_the_job_and_is_not_retried() -> None:
    """Exit code 1 may be a network failure and is retried; codes 2 and 3 come with a verdict, which a retry would not change."""
    service = dict(unit("microbench-audit.service")["Service"])
    assert not {"SuccessExitStatus", "Restart"} & set(service), "a finding must leave the service failed, without a restart"
    assert service["EnvironmentFile"].startswith("/"), "a leading - would hide a missing file"
    rules = AUDIT["podFailurePolicy"]["rules"]
    not_retried = [rule["onExitCodes"] for rule in rules if rule["action"] == "FailJob"]
    assert [(each["operator"], each["values"]) for each in not_retried] == [("In", [2, 3])]
    assert not_retried[0]["containerName"] == TEMPLATES["audit"]["spec"]["containers"][0]["name"]
    assert TEMPLATES["audit"]["spec"]["restartPolicy"] == "Never"
    assert AUDIT["backoffLimit"] > 0


def test_an_audit_finishes_before_its_day_ends() -> None:
    """A night is named after the day in UTC: a retry on the next day would be a different night."""
    cron = OBJECTS["CronJob-microbench-audit"]["spec"]
    assert (cron["concurrencyPolicy"], cron["timeZone"]) == ("Forbid", "Etc/UTC")
    minute, hour = map(int, cron["schedule"].split()[:2])
    assert hour * 3600 + minute * 60 + cron["startingDeadlineSeconds"] + AUDIT["activeDeadlineSeconds"] < 24 * 3600
    timer = dict(unit("microbench-audit.timer")["Timer"])
    assert timer["Persistent"] == "true"
    assert timer["OnCalendar"] == f"*-*-* {hour:02}:{minute:02}:00 UTC"


def test_the_audit_service_is_hardened_and_opens_no_port() -> None:
    audit, sweep = (dict(unit(f"{name}.service")["Service"]) for name in ("microbench-audit", "microbench"))
    shared = {key for key in sweep if key not in ("ExecStart", "Environment", "PrivateNetwork")}
    assert {key: audit[key] for key in shared} == {key: sweep[key] for key in shared}
    assert sweep["Environment"] in audit["Environment"]
    assert all("engine=serial" in arguments for arguments in AUDITS.values())


def test_the_secrets_of_the_audit_are_not_in_the_manifests() -> None:
    for each in TEMPLATES["audit"]["spec"]["containers"][0]["env"]:
        assert set(each) == {"name", "valueFrom"}
        assert set(each["valueFrom"]) == {"secretKeyRef"}
    assert "webhook.url=env:WEBHOOK" in AUDITS["systemd"]
    assert "WEBHOOK" not in dict(unit("microbench-audit.service")["Service"])["Environment"]
