"""Import Ray, start it on this machine, and reach a cluster; the only module that imports ray, apart from the job client."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import EngineError
from microbench_ray.core.extras import require_extra

logger = logging.getLogger(__name__)

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run`, Ray would copy the folder and start its workers by `uv run` there; ours must match the driver.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""Environment variables for Ray, which reads them on import."""
OWN_ENVIRONMENT = {"RAY_AUTH_MODE": "token"}
"""Further variables for a Ray that we start; on a cluster its operator decides."""
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
START_WAITS = (30.0, 90.0)
"""Seconds allowed for each attempt to start Ray on this machine. Ray itself allows 30, which is too few on a busy machine."""
POLL_SECONDS = 0.1
OBJECT_STORE_SLACK = 256 * 2**20
UNUSED_PROCESSES = ("start_api_server", "start_monitor", "start_log_monitor")
"""Methods of Ray's node that start the dashboard, the autoscaler's monitor and the reader of the workers' logs."""
DASHBOARD_IMPORTS = "ray.dashboard.optional_deps"


class RayStartError(EngineError):
    """Ray could not be started on this machine; nothing has been computed."""


def start_ray(ray: Any, *, workers: int, input_bytes: int) -> None:
    """Start Ray on this machine.

    Parameters
    ----------
    ray
        The module.
    workers
        Number of tasks at a time.
    input_bytes
        Bytes of the matrices that its object store will hold.

    Raises
    ------
    RayStartError
        Its node did not come up in the last of `START_WAITS`.
    """
    provide_token()
    for attempt, seconds in enumerate(START_WAITS, 1):
        try:
            with without_unused_processes(ray._private.node.Node), patient(ray._private.services, seconds):
                ray.init(
                    address="local",
                    num_cpus=workers,
                    object_store_memory=2 * input_bytes + OBJECT_STORE_SLACK,
                    include_dashboard=False,
                    **QUIET,
                )
            return
        except Exception as error:  # Ray has no specific class for a node that starts too slowly
            got = f"{type(error).__name__}: {error}".splitlines()[0]
            ray.shutdown()
            if attempt == len(START_WAITS):
                raise RayStartError(
                    "Ray could not be started on this machine.",
                    got=got,
                    hint="engine=serial computes without Ray; `ray stop` ends a previous Ray that may be in the way",
                ) from error
            logger.warning("Ray did not start (attempt %d of %d): %s", attempt, len(START_WAITS), got)


@contextlib.contextmanager
def without_unused_processes(node: Any) -> Iterator[None]:
    """Let Ray start only the processes that a sweep on one machine needs.

    The dashboard, the autoscaler's monitor, the reader of the workers' logs and the agent's dashboard modules take most of the
    time of a start, and nothing here uses them. Ray has no option for it. A release of Ray that names its methods otherwise
    starts all of its processes: only slower.

    Parameters
    ----------
    node
        Ray's class of a node.
    """
    replaced = {name: getattr(node, name) for name in UNUSED_PROCESSES if hasattr(node, name)}
    imported = sys.modules.get(DASHBOARD_IMPORTS)
    for name in replaced:
        setattr(node, name, _start_nothing)
    if imported is None:
        sys.modules[DASHBOARD_IMPORTS] = None  # type: ignore[assignment]  # its import fails, as in an installation without it
    try:
        yield
    finally:
        for name, method in replaced.items():
            setattr(node, name, method)
        if imported is None:
            del sys.modules[DASHBOARD_IMPORTS]


@contextlib.contextmanager
def patient(services: Any, seconds: float) -> Iterator[None]:
    """Let Ray wait for its node for `seconds`; for its own 30 s where a release of Ray names the function otherwise.

    Parameters
    ----------
    services
        Ray's module of services.
    seconds
        Time allowed from the start of the node's processes.
    """
    get_node = getattr(services, "get_node", None)
    if get_node is None:
        yield
        return
    ends_at = time.monotonic() + seconds

    def waiting(*arguments: object) -> object:
        while True:
            try:
                return get_node(*arguments)
            except RuntimeError as error:  # not yet registered
                if time.monotonic() > ends_at:
                    raise TimeoutError(f"its node did not come up within {seconds:g} s") from error
            time.sleep(POLL_SECONDS)

    services.get_node = waiting
    try:
        yield
    finally:
        services.get_node = get_node


def _start_nothing(node: Any, **options: object) -> None:
    """In place of a method that starts a process. A node without a dashboard has an empty address of it."""
    node._webui_url = ""


def import_ray(environment: Mapping[str, str] | None = None) -> Any:
    """Import Ray, which is slow, with these environment variables besides `ENVIRONMENT`; return the module.

    Raises
    ------
    EngineError
        It is not installed.
    """
    require_extra("ray", "Computing by Ray", kind=EngineError)
    if "ray" not in sys.modules:
        for name, value in {**ENVIRONMENT, **(environment or {})}.items():
            os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


def provide_token() -> None:
    """Set a token for a Ray that we start where there is none and Ray, which keeps its own in `~/.ray`, could not write one."""
    folder = Path("~/.ray").expanduser()
    if any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")) or (folder / "auth_token").exists():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return
    except OSError as error:
        logger.debug("Ray cannot keep a token in the home folder: %s", error)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def check_reachable(address: str, timeout: float) -> None:
    """Raise EngineError if nothing listens at `HOST:PORT`; Ray itself would retry for many minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "://" in address:
        raise EngineError(
            "The address of the cluster must be HOST:PORT.",
            where="engine.address",
            got=address,
            hint="engine.address=HOST:PORT; from outside the cluster use microbench submit",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()
    except (OSError, OverflowError) as error:
        raise EngineError(
            "Could not connect to the cluster.",
            where=address,
            got=str(error),
            hint="start the cluster, or set engine.address=HOST:PORT (or RAY_ADDRESS) to its head node; "
            "engine.timeout=SECONDS waits longer",
        ) from None


def within(seconds: float, call: Callable[[], object]) -> BaseException | None:
    """Run a call in a thread for at most `seconds` and return what it raised, or None. A call that takes longer is abandoned."""
    raised: list[BaseException] = [TimeoutError(f"no response within {seconds:g} s")]

    def target() -> None:
        try:
            call()
        except BaseException as error:  # returned to the caller
            raised[0] = error
        else:
            raised.clear()

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    return raised[0] if raised else None
