"""`python jobs/nightly.py MANIFEST`: create the night's RayJob from a manifest, wait until it finishes, and report the outcome.

jobs/k8s/cronjob.yaml runs this in the project's image. It uses the pod's service account, so it needs neither kubectl nor a shell.
"""

from __future__ import annotations

import json
import logging
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from microbench_ray.core.errors import ConfigError, EngineError, MicrobenchError

logger = logging.getLogger(__name__)

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
RUN = "RUN"
"""Environment variable of the Ray head that names the run; the entry point's `out` ends with it."""
POLL_SECONDS = 30.0
REQUEST_SECONDS = 30.0
DONE, FAILED = 0, 1
FINAL_PHASES = ("Complete", "Failed", "ValidationFailed")
"""Values of `jobDeploymentStatus` after which KubeRay changes nothing more."""


@dataclass(frozen=True)
class Api:
    """The Kubernetes API server, reached with the service account of a pod.

    Attributes
    ----------
    url
        Address of the API server.
    account
        Folder with the service account's `token`, `ca.crt` and `namespace`.
    """

    url: str
    account: Path = ACCOUNT

    @classmethod
    def of_the_pod(cls, environment: Mapping[str, str], account: Path = ACCOUNT) -> Api:
        """Return the API server of the cluster that this process runs in.

        Raises
        ------
        ConfigError
            The process does not run in a pod with a service account.
        """
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (account / "token").exists():
            raise ConfigError(
                "Not running in a pod with a service account.",
                where=str(account / "token"),
                got="KUBERNETES_SERVICE_HOST is not set" if not host else "no such file",
                hint="jobs/k8s/cronjob.yaml runs this script; to run it now: kubectl create job --from=cronjob/microbench NAME",
            )
        return cls(f"https://{f'[{host}]' if ':' in host else host}:{port}", account)

    @property
    def namespace(self) -> str:
        """Namespace of the pod."""
        return (self.account / "namespace").read_text().strip()

    def request(self, method: str, name: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read a RayJob (GET) or create one (POST); HTTPError and OSError are passed on to the caller."""
        url = f"{self.url}/apis/ray.io/v1/namespaces/{self.namespace}/rayjobs{name and '/' + name}"
        token = (self.account / "token").read_text().strip()  # read for each request: Kubernetes renews it while the pod runs
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        authority = self.account / "ca.crt"
        context = ssl.create_default_context(cafile=str(authority)) if url.startswith("https:") else None
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS, context=context) as response:
            rayjob = json.load(response)
        assert isinstance(rayjob, dict)
        return rayjob


def night_of(job: str, now: datetime) -> str:
    """Return the day of a night in UTC, as `20261124`: the scheduled day of a CronJob's Job, otherwise today.

    The name of a CronJob's Job ends with the scheduled minute, counted from 1970: the night does not depend on when its pod starts.
    """
    scheduled = re.fullmatch(r".+-(\d{8})", job)
    return (datetime.fromtimestamp(int(scheduled[1]) * 60, UTC) if scheduled else now).strftime("%Y%m%d")


def rayjob_of(manifest: Path, night: str, owner: tuple[str, str] | None) -> dict[str, Any]:
    """Return the RayJob of a night: the manifest with the night appended to its name and set as the head's `RUN`.

    Parameters
    ----------
    manifest
        File with one RayJob.
    night
        Day of the night, as `night_of` returns it.
    owner
        Name and uid of the Job whose deletion also deletes the RayJob; None if the RayJob has no owner.

    Raises
    ------
    ConfigError
        The manifest cannot be read, or is not a RayJob whose head has the variable `RUN`.
    """
    try:
        rayjob = yaml.safe_load(manifest.read_text())
        name = f"{rayjob['metadata']['name']}-{night}"
        variables = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
        run = next(variable for variable in variables if variable["name"] == RUN)
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, StopIteration) as error:
        raise ConfigError(
            f"The manifest is not a RayJob whose head has the environment variable {RUN}.",
            where=str(manifest),
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            hint="see jobs/k8s/rayjob.yaml for an example",
        ) from None
    run["value"] = night
    rayjob["metadata"]["name"] = name
    if owner is not None:
        job, uid = owner
        rayjob["metadata"]["ownerReferences"] = [{"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": uid}]
    assert isinstance(rayjob, dict)
    return rayjob


def run_night(api: Api, rayjob: Mapping[str, Any], *, poll: float = POLL_SECONDS) -> int:
    """Create a RayJob, unless one with this name exists, and wait until it finishes.

    Parameters
    ----------
    api
        API server of the cluster.
    rayjob
        Manifest of the RayJob, as `rayjob_of` returns it.
    poll
        Seconds between two requests for its status. The CronJob's `activeDeadlineSeconds` limits the total wait.

    Returns
    -------
    0 if the job succeeded, otherwise 1.

    Raises
    ------
    EngineError
        The API server refuses a request.
    """
    name = rayjob["metadata"]["name"]
    try:
        api.request("POST", "", rayjob)
        logger.info("Created RayJob %s", name)
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise _refused(name, error) from None
        logger.info("RayJob %s already exists; the night is not run twice", name)
    logged_phase = None
    while True:
        try:
            status = api.request("GET", name).get("status") or {}
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise _refused(name, error) from None
            status = {"jobDeploymentStatus": f"unknown (the API server responded with {error.code})"}
        except OSError as error:  # the API server is down for a while, for example during an upgrade
            status = {"jobDeploymentStatus": f"unknown ({error})"}
        phase = status.get("jobDeploymentStatus") or "not started"
        if phase != logged_phase:
            logger.info("RayJob %s: %s", name, phase)
            logged_phase = phase
        if phase in FINAL_PHASES:
            outcome = status.get("jobStatus") or phase
            details = status.get("message") or status.get("reason")
            logger.info("RayJob %s finished: %s%s", name, outcome, f" ({details})" if details else "")
            return DONE if phase == "Complete" and outcome == "SUCCEEDED" else FAILED
        time.sleep(poll)


def main(arguments: list[str]) -> int:
    """Run the night of the CronJob that this pod belongs to; `arguments` is the path of the manifest."""
    if len(arguments) != 1:
        raise ConfigError("Expected one argument: the manifest of a RayJob.", got=" ".join(arguments) or "nothing")
    api = Api.of_the_pod(os.environ)
    job, uid = os.environ.get("JOB_NAME", ""), os.environ.get("JOB_UID", "")
    rayjob = rayjob_of(Path(arguments[0]), night_of(job, datetime.now(UTC)), (job, uid) if job and uid else None)
    return run_night(api, rayjob)


def _refused(name: str, error: urllib.error.HTTPError) -> EngineError:
    try:
        message = json.load(error).get("message")
    except (OSError, ValueError, AttributeError):  # the body is not a Kubernetes Status: the reason below is enough
        message = None
    return EngineError(
        "The API server refused the request.",
        where=f"RayJob {name}",
        got=f"{error.code} {message or error.reason}",
        hint="403: apply the Role in jobs/k8s/cronjob.yaml; 404: install KubeRay, or check whether the RayJob was deleted",
    )


if __name__ == "__main__":
    try:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        sys.exit(main(sys.argv[1:]))
    except MicrobenchError as error:
        sys.exit(str(error))
