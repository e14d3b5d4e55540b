"""jobs/k8s/ and jobs/systemd/: valid, with minimal rights, and with commands that run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import kubernetes_validate
import pyarrow.parquet as pq
import pytest
import yaml

from microbench_ray.cli.compose import Composer
from tests.helpers.kuberay_schema import SCHEMAS, strict
from tests.helpers.manifests import JOBS, K8S, OBJECTS, RAY, ROOT, SYSTEMD, TEMPLATES, unit, unit_command
from tests.helpers.processes import run_command
from tests.helpers.small_sweep import write_board

KUBERNETES = "1.32"
"""Oldest Kubernetes version whose schemas the manifests are checked against; the newest is checked as well."""
TINY = ["grid.sizes=[5,10]", "grid.n_source=[10]", "grid.n_target=15", "grid.runs=2", "n_resamples=100", "figures=false"]


def text_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_all_kinds_of_objects_exist() -> None:
    kinds = sorted(each["kind"] for each in OBJECTS.values())
    sweeps = ["CronJob", "NetworkPolicy", "PersistentVolumeClaim", "RayCronJob", "RayJob", "Role", "RoleBinding", "ServiceAccount"]
    audits = ["CronJob", "PersistentVolumeClaim", "Job"]
    assert kinds == sorted(sweeps + audits)


@pytest.mark.parametrize("version", [KUBERNETES, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", [name for name in OBJECTS if name not in RAY])
def test_core_objects_are_valid(name: str, version: str) -> None:
    kubernetes_validate.validate(OBJECTS[name], version, strict=True)


@pytest.mark.parametrize("version", [KUBERNETES, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", TEMPLATES)
def test_pod_templates_are_valid(name: str, version: str) -> None:
    template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": TEMPLATES[name]}
    kubernetes_validate.validate(template, version, strict=True)


@pytest.mark.parametrize("name", RAY)
def test_ray_objects_have_only_documented_fields(name: str) -> None:
    jsonschema.validate(RAY[name], SCHEMAS[RAY[name]["kind"]])


def test_the_schema_rejects_an_unknown_field() -> None:
    wrong = yaml.safe_load(yaml.safe_dump(OBJECTS["RayJob-microbench"]))
    wrong["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParam"] = {}
    with pytest.raises(jsonschema.ValidationError, match="rayStartParam"):
        jsonschema.validate(wrong, SCHEMAS["RayJob"])


@pytest.mark.parametrize("name", RAY)
def test_ray_objects_match_the_definitions_of_the_operator(name: str) -> None:
    folder = os.environ.get("MICROBENCH_KUBERAY_CRDS")
    if not folder:
        pytest.skip("MICROBENCH_KUBERAY_CRDS is not set: a folder with KubeRay's ray.io_rayjobs.yaml and ray.io_raycronjobs.yaml")
    text = (Path(folder) / f"ray.io_{RAY[name]['kind'].lower()}s.yaml").read_text()
    definition = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # megabytes
    version = next(each for each in definition["spec"]["versions"] if each["name"] == "v1")
    jsonschema.Draft7Validator(strict(version["schema"]["openAPIV3Schema"])).validate(RAY[name])


def test_versions_match_the_image() -> None:
    ray = re.search(r"^ray\[.*\]==(\S+)|^ray==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert ray is not None
    assert {job["rayClusterSpec"]["rayVersion"] for job in JOBS.values()} == {ray[1] or ray[2]}
    images = {container["image"] for template in TEMPLATES.values() for container in template["spec"]["containers"]}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert images == {f"registry.example.com/microbench-ray:{version}"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_pods_are_unprivileged(name: str) -> None:
    spec = TEMPLATES[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 1000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert not any("hostPath" in volume for volume in spec["volumes"])
    for container in spec["containers"]:
        locked = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["securityContext"] == locked
        assert set(container["resources"]) == {"requests", "limits"}


@pytest.mark.parametrize("name", JOBS)
def test_the_cluster_is_shut_down_and_requires_a_token(name: str) -> None:
    job, cluster = JOBS[name], JOBS[name]["rayClusterSpec"]
    assert job["shutdownAfterJobFinishes"] is True
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert cluster["autoscalerOptions"]["securityContext"]["readOnlyRootFilesystem"] is True
    group = cluster["workerGroupSpecs"][0]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_the_nightly_account_may_only_create_and_read_rayjobs() -> None:
    assert OBJECTS["Role-microbench-nightly"]["rules"] == [
        {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get"]}
    ]
    spec = TEMPLATES["CronJob"]["spec"]
    assert spec["serviceAccountName"] == OBJECTS["ServiceAccount-microbench-nightly"]["metadata"]["name"]


def test_a_night_outlasts_both_attempts_and_ends_before_the_next() -> None:
    cron, job = OBJECTS["CronJob-microbench"]["spec"], JOBS["RayJob-microbench"]
    assert cron["concurrencyPolicy"] == "Forbid"
    longest = cron["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert (1 + job["backoffLimit"]) * job["activeDeadlineSeconds"] < longest < 24 * 3600


def test_manifests_hold_no_secret_and_expose_nothing() -> None:
    for name, text in {**text_of(K8S), **text_of(SYSTEMD)}.items():
        assert "RAY_AUTH_TOKEN" not in text, name
        assert not re.search(r"LoadBalancer|NodePort|kind: (Secret|Ingress|Service)$", text, re.MULTILINE), name


def test_the_raycronjob_runs_the_rayjob() -> None:
    once, nightly = (yaml.safe_load(yaml.safe_dump(JOBS[name])) for name in ("RayJob-microbench", "RayCronJob-microbench"))
    assert nightly["entrypoint"] == once["entrypoint"].replace("$RUN", "$(date -u +%Y%m%d)")
    del once["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
    assert {**nightly, "entrypoint": ""} == {**once, "entrypoint": ""}


def test_referenced_volumes_and_configmaps_exist() -> None:
    kustomization = yaml.safe_load((K8S / "kustomization.yaml").read_text())
    maps = {each["name"]: each["files"] for each in kustomization["configMapGenerator"]}
    for template in TEMPLATES.values():
        for volume in template["spec"]["volumes"]:
            if "configMap" in volume:
                assert maps[volume["configMap"]["name"]] == ["rayjob.yaml"]
            if "persistentVolumeClaim" in volume:
                assert f"PersistentVolumeClaim-{volume['persistentVolumeClaim']['claimName']}" in OBJECTS
    assert all((K8S / name).exists() for name in kustomization["resources"])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_the_nightly_objects() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(K8S)], capture_output=True, text=True, check=True)
    documents = list(yaml.safe_load_all(done.stdout))
    built = {f"{each['kind']}-{each['metadata']['name']}": each for each in documents}
    (config,) = (each for each in documents if each["kind"] == "ConfigMap")
    assert yaml.safe_load(config["data"]["rayjob.yaml"]) == OBJECTS["RayJob-microbench"]
    spec = built["CronJob-microbench"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert spec["volumes"][0]["configMap"]["name"] == config["metadata"]["name"]
    assert built["CronJob-microbench-audit"] == OBJECTS["CronJob-microbench-audit"]
    assert built["PersistentVolumeClaim-microbench-audit"] == OBJECTS["PersistentVolumeClaim-microbench-audit"]
    assert not {"RayJob", "Job"} & {each["kind"] for each in documents}


def entrypoint_arguments(entrypoint: str) -> list[str]:
    """Arguments that the shell of the Ray head passes to microbench."""
    done = subprocess.run(
        ["sh", "-c", f"microbench() {{ printf '%s\\0' \"$@\"; }}; {entrypoint}"],
        env={"RUN": "first", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\0")[:-1]


COMMANDS = {name: entrypoint_arguments(job["entrypoint"]) for name, job in JOBS.items()}
COMMANDS["systemd"] = unit_command()[unit_command().index("/opt/microbench/bin/microbench") + 1 :]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_commands_compose(name: str) -> None:
    job, *overrides = COMMANDS[name]
    assert job == "sweep"
    assert Composer("submit", overrides).submit().arguments[0] == overrides[0]


def test_every_night_writes_to_its_own_folder() -> None:
    assert COMMANDS["RayJob-microbench"][-1] == "out=/data/results/first"
    assert re.fullmatch(r"out=/data/results/\d{8}", COMMANDS["RayCronJob-microbench"][-1])
    composer = Composer("sweep", COMMANDS["systemd"][1:])
    assert re.fullmatch(r"/var/lib/microbench/results/\d{4}-\d{2}-\d{2}", composer.compose(composer.overrides).out)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_commands_run(name: str, tmp_path: Path) -> None:
    """The commands of the manifests, with a temporary folder as the volume, a tiny grid, and the serial engine."""
    write_board(tmp_path / "leaderboard.parquet")
    places = [re.sub(r"=(/data|/var/lib/microbench)/", f"={tmp_path}/", each) for each in COMMANDS[name]]
    arguments = [re.sub(r"^engine=.*", "engine=serial", each) for each in places]
    done = run_command([*arguments, *TINY])
    assert done.returncode == 0, done.stderr
    (mdad,) = (tmp_path / "results").glob("*/mdad.parquet")
    methods = set(pq.read_table(mdad).column("method").to_pylist())
    assert methods == {"random", "stratified_confidence", "anchor_points"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for path in SYSTEMD.iterdir():
        text = path.read_text().replace("/opt/microbench/bin/microbench", str(Path(sys.executable).parent / "microbench"))
        (tmp_path / path.name).write_text(text.replace("User=microbench", "User=daemon"))
    units = [str(tmp_path / path.name) for path in sorted(SYSTEMD.iterdir())]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "microbench" in line]
    assert not complaints, done.stderr
    for path in SYSTEMD.glob("*.timer"):
        calendar = dict(unit(path.name)["Timer"])["OnCalendar"]
        subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)


KEYS = {
    "Unit": {"After", "Description", "Documentation", "Wants"},
    "Service": {
        "CacheDirectory",
        "CapabilityBoundingSet",
        "Environment",
        "EnvironmentFile",
        "ExecStart",
        "LockPersonality",
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateNetwork",
        "PrivateTmp",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "ProtectSystem",
        "RestrictAddressFamilies",
        "RestrictNamespaces",
        "RestrictSUIDSGID",
        "StateDirectory",
        "TimeoutStartSec",
        "TimeoutStopSec",
        "Type",
        "UMask",
        "User",
        "WorkingDirectory",
    },
    "Timer": {"OnCalendar", "Persistent", "RandomizedDelaySec"},
    "Install": {"WantedBy"},
}


@pytest.mark.parametrize("name", sorted(path.name for path in SYSTEMD.iterdir()))
def test_units_have_only_known_keys(name: str) -> None:
    """systemd ignores a misspelt key, and where it is not installed nothing else would notice."""
    for section, lines in unit(name).items():
        assert {key for key, _ in lines} <= KEYS[section]


def test_the_service_is_hardened_and_does_not_overlap() -> None:
    service = dict(unit("microbench.service")["Service"])
    hardening = {"NoNewPrivileges": "true", "ProtectSystem": "strict", "PrivateTmp": "true", "PrivateNetwork": "true"}
    assert hardening.items() <= service.items()
    assert service["Type"] == "oneshot"
    assert service["User"] != "root"
    assert unit_command()[:2] == ["/usr/bin/flock", "--nonblock"]
    assert dict(unit("microbench.timer")["Timer"])["Persistent"] == "true"
