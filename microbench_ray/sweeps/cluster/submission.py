"""`microbench submit`: submit a sweep to a Ray cluster, follow its log, and return its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from microbench_ray.core.errors import ConfigError, EngineError, first_line
from microbench_ray.core.plain import plain
from microbench_ray.sweeps.cluster.job_client import Cluster

logger = logging.getLogger(__name__)


DEFAULT_ADDRESS = "http://127.0.0.1:8265"
UPLOADED = ("jobs", "conf", "microbench_ray")
"""The parts of `working_dir` that are uploaded."""
UPLOAD_LIMIT = 100 * 2**20
"""Ray's limit for uploads over REST, in bytes."""
QUIET_SECONDS = 30.0
"""Seconds without output after which the log is reopened; a driver reports its progress every ten seconds."""
DONE, INTERRUPTED = 0, 130


@dataclass(frozen=True)
class SubmitJob:
    """A sweep to submit to a cluster.

    Attributes
    ----------
    arguments
        The arguments of `microbench sweep`.
    content
        Plain values that determine the sweep's results and its output folder. Equal content on the same day is the same job.
    address
        The URL of the cluster's dashboard; None takes it from the environment.
    follow, stop_on_interrupt
        Whether to wait for the job and print its log, and whether Ctrl-C then stops the job.
    timeout
        Seconds that a request may take.
    reconnect
        Seconds for which to retry an unresponsive cluster while following a job.
    working_dir
        A checkout to upload for the job; None for the package installed in the cluster's image.
    """

    arguments: tuple[str, ...]
    content: Mapping[str, Any]
    address: str | None = None
    follow: bool = True
    stop_on_interrupt: bool = False
    timeout: float = 10.0
    reconnect: float = 60.0
    working_dir: Path | None = None

    def __post_init__(self) -> None:
        for key in ("timeout", "reconnect"):
            if not 0 < getattr(self, key) < float("inf"):
                raise ConfigError(
                    f"submit.{key} must be greater than 0 and finite.",
                    where=f"submit.{key}",
                    got=str(getattr(self, key)),
                    hint="give a number of seconds",
                )

    @property
    def command(self) -> tuple[str, ...]:
        """The argument vector that runs on the cluster."""
        program = ("microbench", "sweep") if self.working_dir is None else ("python", "jobs/sweep.py")
        return (*program, *self.arguments)

    @property
    def entrypoint(self) -> str:
        """The command, quoted for the shell through which Ray runs it."""
        return shlex.join(self.command)

    def job_id(self, day: str) -> str:
        """The job's id on a day: the day, and a hash of the content and of the uploaded code."""
        code = {name: _digest(path.read_bytes()) for name, path in self._files().items()}
        text = json.dumps([plain(self.content, "submit"), version("microbench-ray"), code], sort_keys=True)
        return f"microbench-{day}-{_digest(text.encode())[:10]}"

    def upload_bytes(self) -> int:
        """Uncompressed size of the upload; ConfigError if it exceeds Ray's limit or `working_dir` is not a checkout."""
        if self.working_dir is None:
            return 0
        missing = [part for part in (*UPLOADED, "jobs/sweep.py") if not (self.working_dir / part).exists()]
        if missing:
            raise ConfigError(
                "submit.working_dir is not a checkout of microbench_ray.",
                where="submit.working_dir",
                got=f"no {', '.join(missing)} in {self.working_dir}",
                hint="submit.working_dir=CHECKOUT, or null to use the package in the cluster's image",
            )
        sizes = {name: path.stat().st_size for name, path in self._files().items()}
        if sum(sizes.values()) >= UPLOAD_LIMIT:
            largest = max(sizes, key=lambda name: sizes[name])
            raise ConfigError(
                f"The upload exceeds Ray's limit of {megabytes(UPLOAD_LIMIT)}.",
                where=str(self.working_dir),
                got=f"{megabytes(sum(sizes.values()))}; the largest file is {largest}",
                hint=f"keep data out of {', '.join(UPLOADED)}; the job can read it from a path or URL visible to the cluster",
            )
        return sum(sizes.values())

    @contextlib.contextmanager
    def runtime_env(self) -> Iterator[dict[str, Any]]:
        """Ray's runtime environment with a copy of the upload. It contains no token: the job uses that of its node."""
        if self.working_dir is None:
            yield {}
            return
        with tempfile.TemporaryDirectory() as folder:
            for name, path in self._files().items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, Path(folder) / name)
            yield {"working_dir": folder}

    def _files(self) -> dict[str, Path]:
        folder = self.working_dir
        if folder is None:
            return {}
        paths = sorted(path for part in UPLOADED for path in (folder / part).rglob("*"))
        return {str(path.relative_to(folder)): path for path in paths if path.is_file() and "__pycache__" not in path.parts}


def run_submit(job: SubmitJob, write: Callable[[str], object], *, today: str | None = None) -> int:
    """Run a sweep on a cluster, unless the same job is already running or done there.

    Parameters
    ----------
    job
        The job to submit.
    write
        Receives the job's log, piece by piece.
    today
        The day in the job's id; None for today in UTC.

    Returns
    -------
    The driver's exit code; 0 if the job is not followed, 130 if following was interrupted.

    Raises
    ------
    ConfigError
        The address or the folder to upload is invalid.
    EngineError
        The cluster does not respond, rejects a request, or lost the job.
    """
    size = job.upload_bytes()
    cluster = Cluster.connect(dashboard_url(job.address, os.environ), job.timeout)
    attempt = latest_attempt(job.job_id(today or time.strftime("%Y%m%d", time.gmtime())), cluster.jobs())
    if attempt.status == "SUCCEEDED":
        logger.info("Job %s already succeeded today and is not run again; use another out=… for a new job", attempt.id)
        return DONE
    if attempt.status is None:
        if job.working_dir is not None:
            logger.info("Uploading %s from %s", megabytes(size), job.working_dir)
        with job.runtime_env() as runtime_env:
            cluster.start(attempt.id, job.entrypoint, runtime_env)
        logger.info("Submitted job %s to %s", attempt.id, cluster.address)
    else:
        logger.info("Job %s is already %s on the cluster and is not submitted again", attempt.id, attempt.status.lower())
    if not job.follow:
        logger.info("%s", _next_steps(cluster, attempt.id))
        return DONE
    try:
        return exit_code(attempt.id, follow(cluster, attempt.id, write, job.reconnect))
    except KeyboardInterrupt:
        if not job.stop_on_interrupt:
            logger.info("Job %s keeps running. %s", attempt.id, _next_steps(cluster, attempt.id))
            return INTERRUPTED
        cluster.stop(attempt.id)
        logger.info("Stopped job %s. Finished work is saved; rerun the command to resume.", attempt.id)
        return INTERRUPTED


class Attempt(NamedTuple):
    """A job's id on the cluster, and its status; None if it is not submitted yet."""

    id: str
    status: str | None


def latest_attempt(base: str, jobs: Mapping[str, str]) -> Attempt:
    """The latest attempt at a job; a new one if all earlier ones failed or were stopped.

    Parameters
    ----------
    base
        The id of the first attempt; further ones are `-2`, `-3` and so on.
    jobs
        The status of every job on the cluster, by id.
    """
    job_id, number = base, 1
    while jobs.get(job_id) in ("FAILED", "STOPPED"):
        number += 1
        job_id = f"{base}-{number}"
    return Attempt(id=job_id, status=jobs.get(job_id))


def dashboard_url(configured: str | None, environment: Mapping[str, str]) -> str:
    """The URL of the cluster's dashboard from the configuration, the environment, or the default; ConfigError if it is invalid."""
    sources = {"submit.address": configured} | {key: environment.get(key) for key in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")}
    where, address = next(((key, value) for key, value in sources.items() if value), ("submit.address", DEFAULT_ADDRESS))
    url = address if "://" in address or where == "RAY_ADDRESS" else f"http://{address}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ConfigError(
            "Not the URL of a cluster's dashboard.",
            where=where,
            got="a URL with a user name" if parts.username is not None else address,
            hint="submit.address=http://HOST:8265",
        )
    return url.rstrip("/")


class JobLog:
    """Writes a job's log once, although every new connection starts at the log's beginning."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write, self._written = write, 0

    def add(self, start: int, text: str) -> None:
        """Write the new part of a piece that begins at character `start` of the log."""
        new = text[max(0, self._written - start) :]
        if new:
            self._write(new)
            self._written = start + len(text)

    async def tail(self, pieces: Any) -> None:
        """Add pieces until the stream ends; TimeoutError after QUIET_SECONDS without output."""
        start = 0
        while (text := await asyncio.wait_for(anext(pieces, None), QUIET_SECONDS)) is not None:
            self.add(start, text)
            start += len(text)


POLL_SECONDS = 2.0
"""Between two readings of the log of a job whose stream failed."""


def follow(cluster: Cluster, job: str, write: Callable[[str], object], reconnect: float) -> Any:
    """Write a job's log until the job ends, and return Ray's details of the job.

    A stream without output is reopened. One that fails is reported once, and from then on the log is read at intervals. EngineError
    if the cluster does not respond for `reconnect` seconds.
    """
    log, last_response, streaming = JobLog(write), time.monotonic(), True
    while True:
        try:
            if streaming:
                asyncio.run(log.tail(cluster.client.tail_job_logs(job)))
            else:
                log.add(0, cluster.request(lambda: cluster.client.get_job_logs(job)))
        except TimeoutError:
            logger.debug("Job %s has written nothing for %g s", job, QUIET_SECONDS)
        except EngineError as error:  # of a request: the status below decides how to continue
            logger.debug("The log of job %s could not be read: %s", job, error.got)
        except Exception as error:
            logger.warning(
                "The log stream of job %s failed: %s. The log is read every few seconds instead.", job, first_line(error)
            )
            streaming = False
        try:
            info = cluster.info(job)
            last_response = time.monotonic()
        except EngineError as error:
            if time.monotonic() - last_response > reconnect:
                raise EngineError(
                    "Lost contact with the job.",
                    where=f"{job} on {cluster.address}",
                    got=error.got,
                    hint="rerun the command to follow the job again or to resume it",
                ) from None
            logger.debug("Job %s: %s %s; retrying", job, error.what, error.got)
        else:
            if info.status.is_terminal():
                try:
                    log.add(0, cluster.request(lambda: cluster.client.get_job_logs(job)))
                except EngineError as error:
                    logger.warning("The end of the log of job %s could not be read: %s", job, error.got)
                return info
        time.sleep(0.5 if streaming else POLL_SECONDS)


def exit_code(job: str, info: Any) -> int:
    """The exit code of a job's driver; EngineError if the driver did not exit by itself."""
    code, status = info.driver_exit_code, str(info.status)
    if status == "SUCCEEDED":
        return DONE
    if status == "FAILED" and code is not None and code > 0:
        return int(code)
    raise EngineError(
        "The job was stopped." if status == "STOPPED" else "The job ended without an exit code.",
        where=job,
        got=first_line(info.message) if info.message else status,
        hint="finished work is saved; rerun the command to resume",
    )


def megabytes(size: int) -> str:
    """A number of bytes as text, in MB."""
    return f"{size / 2**20:.1f} MB"


def _next_steps(cluster: Cluster, job: str) -> str:
    return f"Rerun the command to follow it; to stop it: ray job stop {cluster.option} {job}"


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
