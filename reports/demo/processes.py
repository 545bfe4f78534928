"""The services as child processes: uvicorn with two workers each, in process groups of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pxl_audit.errors import UnavailableError

HOST = "127.0.0.1"
WORKERS = 2
READY_SECONDS = 60.0
RESTART_SECONDS = 20.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
READY_LINE = b"Application startup complete."

_WORKER = b"multiprocessing.spawn"


def services_directory() -> Path:
    """Where gateway.py and pxl_core.py are: below us in an installed package, else examples/ of the checkout."""
    installed = Path(__file__).parent / "services"
    return installed if (installed / "gateway.py").exists() else Path(__file__).parents[2] / "examples"


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


class Service:
    """One service. `module` is gateway or pxl_core; its output goes to `log`."""

    def __init__(self, module: str, environment: Mapping[str, str], log: Path) -> None:
        self.module = module
        self.port = free_port()
        self._environment = dict(environment)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it; returns at once."""
        options = [
            *("--app-dir", str(services_directory()), "--host", HOST, "--port", str(self.port)),
            *("--workers", str(WORKERS), "--timeout-graceful-shutdown", "10"),
            *("--no-proxy-headers", "--no-access-log", "--no-use-colors"),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", f"{self.module}:app", *options],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, *, starts: int = WORKERS) -> None:
        """Wait until workers have come up `starts` times in all, and somebody listens.

        Raises:
            UnavailableError: it ended, or that took too long; the message names its log.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not (self._starts() >= starts and self._listens()):
            if self._process is None or self._process.poll() is not None:
                raise UnavailableError(f"the service {self.module} ended while it started; see {self._log}")
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"the service {self.module} did not start in {READY_SECONDS:.0f} s; see {self._log}"
                )
            time.sleep(POLL_SECONDS)

    def workers(self) -> list[int]:
        """Process ids of the workers: children of the supervisor that multiprocessing started."""
        if self._process is None:
            return []
        return sorted(pid for pid in _children(self._process.pid) if _WORKER in _command_line(pid))

    def kill_worker(self) -> int:
        """SIGKILL one worker; its process id."""
        worker = self.workers()[0]
        os.kill(worker, signal.SIGKILL)
        return worker

    def wait_restarted(self, killed: int) -> bool:
        """Whether the supervisor has put a new worker in the place of the killed one; if not, restart the service."""
        deadline = time.monotonic() + RESTART_SECONDS
        while time.monotonic() < deadline:
            workers = self.workers()
            if len(workers) == WORKERS and killed not in workers and self._starts() > WORKERS:
                return True
            time.sleep(POLL_SECONDS)
        before = self._starts()
        self.stop()
        self.start()
        self.wait_ready(starts=before + WORKERS)
        return False

    def stop(self) -> None:
        """SIGTERM, so that requests end and spools are closed; after a while SIGKILL to whatever is left."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._process = None

    def _starts(self) -> int:
        return self._log.read_bytes().count(READY_LINE) if self._log.exists() else 0

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1.0):
            return True
        return False


def _children(parent: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # The name, in parentheses, may hold spaces; state and parent follow it: proc_pid_stat(5).
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    yield int(entry.name)


def _command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@contextlib.contextmanager
def stopped_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does: through every `finally`."""

    def end(_number: int, _frame: object) -> None:
        signal.raise_signal(signal.SIGINT)  # which asyncio knows how to end by

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
