"""`python jobs/nightly.py MANIFEST`: create the night's RayJob from a manifest, wait for it, and report how it went.

jobs/k8s/cronjob.yaml runs it in the project's image. It uses the pod's service account, so it needs neither kubectl nor a shell.
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
"""The environment variable of the head that names the run; the entry point's `out` ends with it."""
POLL_SECONDS = 30.0
REQUEST_SECONDS = 30.0
DONE, FAILED = 0, 1


@dataclass(frozen=True)
class Api:
    """The API server as a pod sees it.

    Attributes
    ----------
    url
        Where it is.
    account
        The folder with the service account's `token`, `ca.crt` and `namespace`.
    """

    url: str
    account: Path = ACCOUNT

    @classmethod
    def of_the_pod(cls, environment: Mapping[str, str], account: Path = ACCOUNT) -> Api:
        """The API server of the cluster that this runs in; ConfigError where it runs in none."""
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (account / "token").exists():
            raise ConfigError(
                "This is no pod with a service account.",
                where=str(account / "token"),
                got="no KUBERNETES_SERVICE_HOST" if not host else "no such file",
                hint="it is run by jobs/k8s/cronjob.yaml; by hand: kubectl create job --from=cronjob/microbench NAME",
            )
        return cls(f"https://{f'[{host}]' if ':' in host else host}:{port}", account)

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return (self.account / "namespace").read_text().strip()

    def request(self, method: str, name: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask for a RayJob, or create one. HTTPError and OSError are the caller's."""
        url = f"{self.url}/apis/ray.io/v1/namespaces/{self.namespace}/rayjobs{name and '/' + name}"
        token = (self.account / "token").read_text().strip()  # read each time: it is renewed while the pod runs
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        authority = self.account / "ca.crt"
        context = ssl.create_default_context(cafile=str(authority)) if url.startswith("https:") else None
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS, context=context) as answer:
            found = json.load(answer)
        assert isinstance(found, dict)
        return found


def night_of(job: str, now: datetime) -> str:
    """The day of a night, as `20261124` in UTC: the one for which a CronJob made the Job, or today where somebody else did.

    A CronJob's Jobs end with the minute that they were due, counted from 1970: however late a pod starts, the night stays the same.
    """
    found = re.fullmatch(r".+-(\d{8})", job)
    return (datetime.fromtimestamp(int(found[1]) * 60, UTC) if found else now).strftime("%Y%m%d")


def rayjob_of(manifest: Path, night: str, owner: tuple[str, str] | None) -> dict[str, Any]:
    """The RayJob of a night: the manifest with the night in its name and in the head's `RUN`.

    Parameters
    ----------
    manifest
        A file with one RayJob.
    night
        What is appended to its name.
    owner
        Name and uid of the Job that it goes away with; None for none.
    """
    try:
        rayjob = yaml.safe_load(manifest.read_text())
        name = f"{rayjob['metadata']['name']}-{night}"
        variables = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
        run = next(variable for variable in variables if variable["name"] == RUN)
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, StopIteration) as error:
        raise ConfigError(
            f"The manifest is no RayJob whose head has the variable {RUN}.",
            where=str(manifest),
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            hint="jobs/k8s/rayjob.yaml is one",
        ) from None
    run["value"] = night
    rayjob["metadata"]["name"] = name
    if owner is not None:
        job, uid = owner
        rayjob["metadata"]["ownerReferences"] = [{"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": uid}]
    assert isinstance(rayjob, dict)
    return rayjob


def run_night(api: Api, rayjob: Mapping[str, Any], *, poll: float = POLL_SECONDS) -> int:
    """Create a RayJob, unless there is one of its name, and wait until it is over.

    Returns
    -------
    0 where the job succeeded, 1 where it did not. What limits the wait is the CronJob's `activeDeadlineSeconds`.

    Raises
    ------
    EngineError
        The API server refuses.
    """
    name = rayjob["metadata"]["name"]
    try:
        api.request("POST", "", rayjob)
        logger.info("Created RayJob %s", name)
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise _refused(name, error) from None
        logger.info("RayJob %s already exists; the night is not run twice", name)
    told = None
    while True:
        try:
            status = api.request("GET", name).get("status") or {}
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise _refused(name, error) from None
            status = {"jobDeploymentStatus": f"not known (the API server answers {error.code})"}
        except OSError as error:  # the API server is away for a while, as in an upgrade
            status = {"jobDeploymentStatus": f"not known ({error})"}
        phase = status.get("jobDeploymentStatus") or "not begun"
        if phase != told:
            logger.info("RayJob %s: %s", name, phase)
            told = phase
        if phase in ("Complete", "Failed", "ValidationFailed"):
            outcome = status.get("jobStatus") or phase
            logger.info("RayJob %s: %s. %s", name, outcome, status.get("message") or status.get("reason") or "")
            return DONE if phase == "Complete" and outcome == "SUCCEEDED" else FAILED
        time.sleep(poll)


def main(arguments: list[str]) -> int:
    """Run the night of the CronJob that this pod belongs to. `arguments` are the manifest's path alone."""
    if len(arguments) != 1:
        raise ConfigError("One argument is needed: the manifest of a RayJob.", got=" ".join(arguments) or "nothing")
    api = Api.of_the_pod(os.environ)
    job, uid = os.environ.get("JOB_NAME", ""), os.environ.get("JOB_UID", "")
    rayjob = rayjob_of(Path(arguments[0]), night_of(job, datetime.now(UTC)), (job, uid) if job and uid else None)
    return run_night(api, rayjob)


def _refused(name: str, error: urllib.error.HTTPError) -> EngineError:
    try:
        said = json.load(error).get("message")
    except (OSError, ValueError, AttributeError):
        said = None
    return EngineError(
        "The API server refuses.",
        where=f"RayJob {name}",
        got=f"{error.code} {said or error.reason}",
        hint="403: the Role in jobs/k8s/cronjob.yaml allows what is needed; 404: KubeRay is not installed, or the RayJob deleted",
    )


if __name__ == "__main__":
    try:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
        sys.exit(main(sys.argv[1:]))
    except MicrobenchError as error:
        sys.exit(str(error))
