"""A client of a Ray cluster's job server: every request has a time limit, and every problem is an EngineError."""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from microbench_ray.core.deadline import Value, within
from microbench_ray.core.errors import EngineError, first_line
from microbench_ray.sweeps.engine.ray_start import OWN_ENVIRONMENT, import_ray

logger = logging.getLogger(__name__)


UPLOAD_SECONDS = 120.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Cluster:
    """A cluster's job server.

    Attributes
    ----------
    client
        Ray's client.
    address
        The URL of the cluster's dashboard.
    timeout
        Seconds that a response may take.
    """

    client: Any
    address: str
    timeout: float

    @classmethod
    def connect(cls, address: str, timeout: float) -> Cluster:
        """Connect to the cluster whose dashboard is at `address`."""
        import_ray(OWN_ENVIRONMENT)  # sends a token if there is one; a cluster without authentication ignores it
        from ray.job_submission import JobSubmissionClient

        def client() -> Any:
            os.environ["RAY_API_SERVER_ADDRESS"] = address  # takes precedence over the argument in Ray
            return JobSubmissionClient(address)

        previous = os.environ.get("RAY_API_SERVER_ADDRESS")
        try:
            return cls(client=cls(None, address, timeout).request(client), address=address, timeout=timeout)
        finally:
            if previous is None:
                os.environ.pop("RAY_API_SERVER_ADDRESS", None)
            else:
                os.environ["RAY_API_SERVER_ADDRESS"] = previous

    def request(self, call: Callable[[], Value], seconds: float | None = None) -> Value:
        """The result of a call to the cluster; EngineError if it fails or takes more than `seconds` (default: `timeout`)."""
        limit = self.timeout if seconds is None else seconds
        try:
            return within(limit, call)
        except Exception as error:
            raise self._explained(error, limit) from None

    def jobs(self) -> dict[str, str]:
        """The status of every submitted job, by its id."""
        return {job.submission_id: str(job.status) for job in self.request(self.client.list_jobs) if job.submission_id}

    def start(self, job: str, entrypoint: str, runtime_env: Mapping[str, Any]) -> None:
        """Submit a job, unless another process has just submitted it under the same id."""
        try:
            self.request(
                lambda: self.client.submit_job(entrypoint=entrypoint, submission_id=job, runtime_env=dict(runtime_env)),
                UPLOAD_SECONDS,
            )
        except EngineError as error:
            if job not in self.jobs():
                raise
            logger.debug("Job %s was already submitted: %s", job, error.got)

    @property
    def option(self) -> str:
        """The `--address` option of `ray job` for this cluster."""
        return f"--address {shlex.quote(self.address)}"

    def info(self, job: str) -> Any:
        """Ray's details of a job."""
        return self.request(lambda: self.client.get_job_info(job))

    def stop(self, job: str) -> None:
        """Stop a job and wait until it has stopped."""
        self.request(lambda: self.client.stop_job(job))
        deadline = time.monotonic() + STOP_SECONDS
        while not self.info(job).status.is_terminal():
            if time.monotonic() > deadline:
                raise EngineError(
                    "The job could not be stopped.",
                    where=job,
                    got=f"still running after {STOP_SECONDS:g} s",
                    hint=f"ray job stop {self.option} {job}",
                )
            time.sleep(0.2)

    def _explained(self, error: Exception, seconds: float) -> EngineError:
        if type(error).__name__ == "AuthenticationError":
            return EngineError(
                "Authentication failed: the cluster requires a token.",
                where=self.address,
                got="no token, or a wrong one",
                hint="set RAY_AUTH_TOKEN_PATH=FILE (or RAY_AUTH_TOKEN, or write ~/.ray/auth_token) to the cluster's token; "
                "`ray get-auth-token` prints it on the head node",
            )
        if isinstance(error, TimeoutError | OSError):
            got = f"no response within {seconds:g} s" if isinstance(error, TimeoutError) else first_line(error)
            hint = "submit.address=http://HOST:8265, the dashboard of a running cluster; submit.timeout=SECONDS waits longer"
            return EngineError("Could not reach the cluster.", where=self.address, got=got, hint=hint)
        return EngineError("The cluster rejected the request.", where=self.address, got=first_line(error))
