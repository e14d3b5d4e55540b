"""The parsed manifests of jobs/k8s/ and jobs/systemd/, for the tests of the sweep's and the audit's."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.kuberay_schema import SCHEMAS

ROOT = Path(__file__).parents[2]
K8S, SYSTEMD = ROOT / "jobs" / "k8s", ROOT / "jobs" / "systemd"


def documents() -> list[dict[str, Any]]:
    """All objects of jobs/k8s/."""
    files = sorted(K8S.glob("*.yaml"))
    return [each for path in files if path.stem != "kustomization" for each in yaml.safe_load_all(path.read_text())]


OBJECTS = {f"{each['kind']}-{each['metadata']['name']}": each for each in documents()}
RAY = {name: each for name, each in OBJECTS.items() if each["kind"] in SCHEMAS}
JOBS = {name: each["spec"].get("jobTemplate", each["spec"]) for name, each in RAY.items()}


def ray_templates() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and pod template of every head and worker group."""
    for name, job in JOBS.items():
        yield f"{name}-head", job["rayClusterSpec"]["headGroupSpec"]["template"]
        for group in job["rayClusterSpec"]["workerGroupSpecs"]:
            yield f"{name}-{group['groupName']}", group["template"]


AUDIT = OBJECTS["CronJob-microbench-audit"]["spec"]["jobTemplate"]["spec"]
TEMPLATES = dict(ray_templates()) | {
    "CronJob": OBJECTS["CronJob-microbench"]["spec"]["jobTemplate"]["spec"]["template"],
    "audit": AUDIT["template"],
    "accept": OBJECTS["Job-microbench-accept"]["spec"]["template"],
}


def unit(name: str) -> dict[str, list[tuple[str, str]]]:
    """Sections of a systemd unit, with continued lines joined."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for line in (SYSTEMD / name).read_text().replace("\\\n", " ").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            current.append((key, value))
    return sections


def unit_command(name: str = "microbench.service") -> list[str]:
    """Words of the command that systemd runs, with its escapes undone."""
    text = dict(unit(name)["Service"])["ExecStart"].replace("%%", "%").replace("$$", "$")
    return shlex.split(text)
