"""The agent as a process: its lock, its loop, its end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from types import FrameType

from pxl_audit.agent.core import Agent, AgentSettings
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import AuditError, BusyError
from pxl_audit.files import open_lock_file, try_lock

_log = logging.getLogger("pxl_audit.agent")

IDLE_SECONDS = 0.05
IDLE_MOST_SECONDS = 0.2
LINGER_SECONDS = 2.0
"""An embedded agent ends when there has been no writer for this long."""
LOCK_TRIES_SECONDS = 1.0


@contextlib.contextmanager
def agent_lock(directory: DataDirectory, *, wait_seconds: float = LOCK_TRIES_SECONDS) -> Iterator[None]:
    """Be the agent of a data directory.

    Raises:
        BusyError: another process is.
    """
    fd = open_lock_file(directory.agent_lock)
    try:
        deadline = time.monotonic() + wait_seconds
        while not try_lock(fd, exclusive=True):
            if time.monotonic() >= deadline:
                raise BusyError(f"{directory.agent_lock}: another agent is running for this data directory")
            time.sleep(0.05)
        yield
    finally:
        os.close(fd)


def run_agent(
    directory: DataDirectory,
    *,
    settings: AgentSettings | None = None,
    environ: Mapping[str, str],
    embedded: bool,
) -> None:
    """Be the agent until told to stop (SIGTERM, SIGINT); `embedded`: or until no writer is left.

    Raises:
        BusyError: another process is the agent. AuditError: the log cannot be continued.
    """
    stop = threading.Event()

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    with agent_lock(directory):
        agent = Agent(directory, settings)
        shipper = _start_shipper(directory, environ, stop_shipping := threading.Event())
        try:
            _loop(agent, stop, embedded=embedded)
        finally:
            agent.close()
            stop_shipping.set()
            if shipper is not None:
                shipper.join(timeout=30.0)


def _loop(agent: Agent, stop: threading.Event, *, embedded: bool) -> None:
    idle = IDLE_SECONDS
    last_writer_at = time.monotonic()
    while not stop.is_set():
        busy = agent.step()
        now = time.monotonic()
        if busy or not agent.writers.empty:
            last_writer_at = now
        elif embedded and now - last_writer_at >= LINGER_SECONDS:
            return
        if not agent.directory.root.exists():
            return  # removed under us: nothing is left to keep
        idle = IDLE_SECONDS if busy else min(idle * 1.5, IDLE_MOST_SECONDS)
        if not busy:
            stop.wait(idle)


def _start_shipper(
    directory: DataDirectory, environ: Mapping[str, str], stop: threading.Event
) -> threading.Thread | None:
    if not environ.get("ELASTICSEARCH_URL") and not environ.get("ELASTICSEARCH_URL_FILE"):
        return None
    from pxl_audit.ship.shipper import run_shipper  # noqa: PLC0415  # an optional part, with heavy imports

    def ship() -> None:
        try:
            run_shipper(directory, environ, stop)
        except AuditError as error:
            _log.error("shipping stopped: %s", error)

    thread = threading.Thread(target=ship, name="pxl-audit-shipper", daemon=True)
    thread.start()
    return thread
