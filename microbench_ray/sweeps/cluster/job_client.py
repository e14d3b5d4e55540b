"""What is asked of a Ray cluster's job server: every answer in bounded time, every trouble as an EngineError."""

from __future__ import annotations

import os
import queue
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from microbench_ray.core.errors import EngineError
from microbench_ray.sweeps.engine.ray_engine import OWN_ENVIRONMENT, import_ray

Value = TypeVar("Value")

UPLOAD_SECONDS = 120.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Cluster:
    """A job server.

    Attributes
    ----------
    client
        Ray's client.
    address
        The URL of the cluster's dashboard.
    timeout
        Seconds that an answer may take.
    """

    client: Any
    address: str
    timeout: float

    @classmethod
    def connect(cls, address: str, timeout: float) -> Cluster:
        """Reach the cluster."""
        import_ray(OWN_ENVIRONMENT)  # with a token, if there is one; a cluster that asks for none is as well
        from ray.job_submission import JobSubmissionClient

        def client() -> Any:
            os.environ["RAY_API_SERVER_ADDRESS"] = address  # which Ray prefers to its argument
            return JobSubmissionClient(address)

        before = os.environ.get("RAY_API_SERVER_ADDRESS")
        try:
            return cls(cls(None, address, timeout).ask(client), address, timeout)
        finally:
            if before is None:
                os.environ.pop("RAY_API_SERVER_ADDRESS", None)
            else:
                os.environ["RAY_API_SERVER_ADDRESS"] = before

    def ask(self, call: Callable[[], Value], seconds: float | None = None) -> Value:
        """The answer of a call, within `timeout` seconds."""
        limit = self.timeout if seconds is None else seconds
        try:
            return within(limit, call)
        except Exception as error:
            raise self._explained(error, limit) from None

    def jobs(self) -> dict[str, str]:
        """The statuses of submitted jobs, by name."""
        return {job.submission_id: str(job.status) for job in self.ask(self.client.list_jobs) if job.submission_id}

    def start(self, job: str, entrypoint: str, runtime_env: Mapping[str, Any]) -> None:
        """Submit a job; where another one has just submitted the same, leave it at that."""
        try:
            self.ask(
                lambda: self.client.submit_job(entrypoint=entrypoint, submission_id=job, runtime_env=dict(runtime_env)),
                UPLOAD_SECONDS,
            )
        except EngineError:
            if job not in self.jobs():
                raise

    @property
    def option(self) -> str:
        """What `ray job …` is to be told."""
        return f"--address {shlex.quote(self.address)}"

    def info(self, job: str) -> Any:
        """Ray's details of a job."""
        return self.ask(lambda: self.client.get_job_info(job))

    def stop(self, job: str) -> None:
        """Stop a job, and wait until it is."""
        self.ask(lambda: self.client.stop_job(job))
        deadline = time.monotonic() + STOP_SECONDS
        while not self.info(job).status.is_terminal():
            if time.monotonic() > deadline:
                raise EngineError("The job does not stop.", where=job, hint=f"ray job stop {self.option} {job}")
            time.sleep(0.2)

    def _explained(self, error: Exception, seconds: float) -> EngineError:
        if type(error).__name__ == "AuthenticationError":
            return EngineError(
                "The cluster does not let us in: it wants its token.",
                where=self.address,
                got="a wrong token, or none",
                hint="RAY_AUTH_TOKEN_PATH=FILE (or RAY_AUTH_TOKEN, or ~/.ray/auth_token) with the token of the cluster, which "
                "its operator has; `ray get-auth-token` prints it on the head",
            )
        if isinstance(error, TimeoutError | OSError):
            got = f"no answer in {seconds:g} s" if isinstance(error, TimeoutError) else first_line(error)
            hint = "submit.address=http://HOST:8265, the dashboard of a cluster that runs; submit.timeout=SECONDS to wait longer"
            return EngineError("The cluster cannot be reached.", where=self.address, got=got, hint=hint)
        return EngineError("The cluster refused.", where=self.address, got=first_line(error))


def within(seconds: float, call: Callable[[], Value]) -> Value:
    """A call's value; TimeoutError where it takes longer: Ray's requests have no limit of their own."""
    answer: queue.Queue[tuple[Value | None, BaseException | None]] = queue.Queue(1)

    def run() -> None:
        try:
            answer.put((call(), None))
        except BaseException as error:
            answer.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def first_line(error: object) -> str:
    """The first line of a message; the error's name where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
