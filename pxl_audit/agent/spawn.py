"""Start an agent where none runs. Standard library only: service processes import this."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from pxl_audit.files import is_locked

if TYPE_CHECKING:
    import subprocess

    from pxl_audit.directory import DataDirectory

_log = logging.getLogger("pxl_audit")

LOG_LIMIT_BYTES = 1 << 20
GRACE_SECONDS = 10.0
"""How long a started agent may take to get its lock, and how long to wait after one that failed."""


class AgentKeeper:
    """Sees to it that some process is the agent: whichever worker looks first starts it, the lock decides."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._reaped = False

    def keep(self) -> None:
        """Start an agent if none holds the lock; reap one that ended, and say so if it failed."""
        child = self._child
        if child is not None and not self._reaped and child.poll() is not None:
            self._reaped = True
            if child.returncode:
                _log.error("the agent ended with code %d, see %s", child.returncode, self._directory.agent_log)
        if is_locked(self._directory.agent_lock):
            return
        if child is not None and (child.returncode != 0 and time.monotonic() - self._started_at < GRACE_SECONDS):
            return
        self._child = start_agent(self._directory)
        self._started_at = time.monotonic()
        self._reaped = False


def start_agent(directory: DataDirectory) -> subprocess.Popen[bytes]:
    """Start an embedded agent: it drains all writers, and ends by itself when none is left."""
    import subprocess  # noqa: PLC0415  # kept out of the import of the middleware

    log = directory.agent_log
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "pxl_audit.agent", "--data", str(directory.root)],
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            start_new_session=True,  # a signal to the service's group must not stop it before it has drained
            close_fds=True,
        )
    finally:
        os.close(fd)
