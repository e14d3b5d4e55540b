"""`microbench run_submit`: hands a sweep to a Ray cluster, follows its log, and returns its exit code."""

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
from typing import Any
from urllib.parse import urlsplit

from microbench_ray.core.errors import ConfigError, EngineError
from microbench_ray.sweeps.cluster.job_client import Cluster, first_line

logger = logging.getLogger(__name__)


DEFAULT_ADDRESS = "http://127.0.0.1:8265"
UPLOADED = ("jobs", "conf", "microbench_ray")
"""What of `working_dir` a job needs; all else stays where it is."""
UPLOAD_LIMIT = 100 * 2**20
"""Bytes that Ray takes over REST."""
QUIET_SECONDS = 30.0
"""A driver tells its progress every ten seconds: after a longer silence the connection is made anew."""
DONE, INTERRUPTED = 0, 130


@dataclass(frozen=True)
class SubmitJob:
    """A sweep to be run by a cluster, and how to hand it over.

    Attributes
    ----------
    arguments
        `key=value` of `microbench sweep`.
    content
        What the sweep's numbers and its place depend on, as plain values: the same content on the same day is the same job.
    address
        The URL of the cluster's dashboard; None takes it from the environment.
    follow, stop_on_interrupt
        Whether to wait for the job and print its log, and whether Ctrl-C then stops the job.
    timeout
        Seconds that a request may take.
    reconnect
        Seconds for which a cluster that does not answer is asked again while its job is followed.
    working_dir
        A checkout whose code the job is to use; None for the package that the cluster's image has.
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
            if not getattr(self, key) > 0:
                raise ConfigError("Seconds are more than 0.", where=f"submit.{key}", got=str(getattr(self, key)))

    @property
    def command(self) -> tuple[str, ...]:
        """The argument vector that the cluster runs."""
        program = ("microbench", "sweep") if self.working_dir is None else ("python", "jobs/sweep.py")
        return (*program, *self.arguments)

    @property
    def entrypoint(self) -> str:
        """The same for the shell through which Ray runs it."""
        return shlex.join(self.command)

    def job_id(self, day: str) -> str:
        """The name of the job on a day: the day, and a hash of the content and of the code that is uploaded."""
        code = {name: _digest(path.read_bytes()) for name, path in self._files().items()}
        text = json.dumps([self.content, version("microbench-ray"), code], sort_keys=True, default=repr)
        return f"microbench-{day}-{_digest(text.encode())[:10]}"

    def upload_bytes(self) -> int:
        """Bytes of the files that are uploaded, before they are compressed; ConfigError where there are too many, or none."""
        if self.working_dir is None:
            return 0
        missing = [part for part in (*UPLOADED, "jobs/sweep.py") if not (self.working_dir / part).exists()]
        if missing:
            raise ConfigError(
                "The folder to upload is no checkout.",
                where="submit.working_dir",
                got=f"no {', '.join(missing)} in {self.working_dir}",
                hint="submit.working_dir=CHECKOUT, or null to run what the cluster's image has",
            )
        sizes = {name: path.stat().st_size for name, path in self._files().items()}
        if sum(sizes.values()) >= UPLOAD_LIMIT:
            largest = max(sizes, key=lambda name: sizes[name])
            raise ConfigError(
                f"The upload is larger than the {megabytes(UPLOAD_LIMIT)} that Ray takes.",
                where=str(self.working_dir),
                got=f"{megabytes(sum(sizes.values()))}; the largest file is {largest}",
                hint=f"keep data out of {', '.join(UPLOADED)}; the job reads it from a path or URL that the cluster sees",
            )
        return sum(sizes.values())

    @contextlib.contextmanager
    def runtime_env(self) -> Iterator[dict[str, Any]]:
        """What Ray is to bring to the cluster: a copy of what is uploaded. There is no token in it: a job has its node's."""
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
        found = sorted(path for part in UPLOADED for path in (folder / part).rglob("*"))
        return {str(path.relative_to(folder)): path for path in found if path.is_file() and "__pycache__" not in path.parts}


def run_submit(submission: SubmitJob, write: Callable[[str], object], *, today: str | None = None) -> int:
    """Run a sweep on a cluster, unless it is running or done there already.

    Parameters
    ----------
    submission
        What to run, and how.
    write
        Receives the job's log, piece by piece.
    today
        The day in the job's name; None for today, in UTC.

    Returns
    -------
    The driver's exit code; 0 where the job is not followed, and 130 where following was interrupted.

    Raises
    ------
    ConfigError
        The address or the folder to upload cannot be.
    EngineError
        The cluster does not answer, refuses, or lost the job.
    """
    size = submission.upload_bytes()
    cluster = Cluster.connect(dashboard(submission.address, os.environ), submission.timeout)
    base = submission.job_id(today or time.strftime("%Y%m%d", time.gmtime()))
    job, status = chosen(base, cluster.jobs())
    if status == "SUCCEEDED":
        logger.info("Job %s has already succeeded today and is not run again; another out=… makes it a new job", job)
        return DONE
    if status is None:
        if submission.working_dir is not None:
            logger.info("Uploading %s from %s", megabytes(size), submission.working_dir)
        with submission.runtime_env() as runtime_env:
            cluster.start(job, submission.entrypoint, runtime_env)
        logger.info("Submitted job %s to %s", job, cluster.address)
    else:
        logger.info("Job %s is already %s there; it is not submitted again", job, status.lower())
    if not submission.follow:
        logger.info("%s", _how_to(cluster, job))
        return DONE
    try:
        return exit_code(job, follow(cluster, job, write, submission.reconnect))
    except KeyboardInterrupt:
        if not submission.stop_on_interrupt:
            logger.info("The job keeps running. %s", _how_to(cluster, job))
            return INTERRUPTED
        cluster.stop(job)
        logger.info("Stopped job %s. Finished work is saved; rerun the command to resume.", job)
        return INTERRUPTED


def chosen(base: str, jobs: Mapping[str, str]) -> tuple[str, str | None]:
    """The name under which a job runs, ran or is to run, and its status; None for one that is to be submitted.

    Parameters
    ----------
    base
        The job's name at its first attempt; further ones are `-2`, `-3` and so on.
    jobs
        The statuses of the cluster's jobs, by name.
    """
    job, attempt = base, 1
    while jobs.get(job) in ("FAILED", "STOPPED"):
        attempt += 1
        job = f"{base}-{attempt}"
    return job, jobs.get(job)


def dashboard(configured: str | None, environment: Mapping[str, str]) -> str:
    """The URL of the cluster's dashboard, from the configuration, the environment, or this machine; ConfigError if it is none."""
    given = {"submit.address": configured} | {key: environment.get(key) for key in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")}
    where, address = next(((key, value) for key, value in given.items() if value), ("submit.address", DEFAULT_ADDRESS))
    url = address if "://" in address or where == "RAY_ADDRESS" else f"http://{address}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ConfigError(
            "The URL of the cluster's dashboard is needed.",
            where=where,
            got="a URL with a user name" if parts.username is not None else address,
            hint="submit.address=http://HOST:8265",
        )
    return url.rstrip("/")


class JobLog:
    """A job's log as far as it is written: a connection made anew begins at the log's beginning."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write, self._written = write, 0

    def add(self, start: int, text: str) -> None:
        """Write what is new of the piece that begins at the log's character `start`."""
        fresh = text[max(0, self._written - start) :]
        if fresh:
            self._write(fresh)
            self._written = start + len(text)

    async def tail(self, pieces: Any) -> None:
        """Add pieces until there are no more; TimeoutError after a silence."""
        start = 0
        while (text := await asyncio.wait_for(anext(pieces, None), QUIET_SECONDS)) is not None:
            self.add(start, text)
            start += len(text)


def follow(cluster: Cluster, job: str, write: Callable[[str], object], reconnect: float) -> Any:
    """Write a job's log as it comes until the job is over, and return Ray's details of it.

    A dropped connection is made again; EngineError where the cluster does not answer for `reconnect` seconds.
    """
    log, answered = JobLog(write), time.monotonic()
    while True:
        try:
            asyncio.run(log.tail(cluster.client.tail_job_logs(job)))
        except Exception as error:  # whatever ended the stream, the job's status decides what is next
            logger.debug("The log stream of job %s ended: %s", job, first_line(error))
        try:
            info = cluster.info(job)
            answered = time.monotonic()
        except EngineError as error:
            if time.monotonic() - answered > reconnect:
                raise EngineError(
                    "The job is lost sight of.",
                    where=f"{job} on {cluster.address}",
                    got=error.got,
                    hint="the same command follows it again, or goes on from what is done",
                ) from None
        else:
            if info.status.is_terminal():
                try:
                    log.add(0, cluster.ask(lambda: cluster.client.get_job_logs(job)))
                except EngineError as error:
                    logger.warning("The end of the log of job %s could not be read: %s", job, error.got)
                return info
        time.sleep(0.5)


def exit_code(job: str, info: Any) -> int:
    """The driver's exit code; EngineError where it has none."""
    code, status = info.driver_exit_code, str(info.status)
    if status == "SUCCEEDED":
        return DONE
    if status == "FAILED" and code is not None and code > 0:
        return int(code)
    raise EngineError(
        "The job was stopped." if status == "STOPPED" else "The job did not come to its end.",
        where=job,
        got=first_line(info.message) if info.message else status,
        hint="the same command goes on from what is done",
    )


def megabytes(size: int) -> str:
    """A number of bytes, for people."""
    return f"{size / 2**20:.1f} MB"


def _how_to(cluster: Cluster, job: str) -> str:
    return f"The same command follows it again; to stop it: ray job stop {cluster.option} {job}"


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
