"""From the request to the spool: one recorder a process and data directory, one thread that writes in groups.

The request hands over finished bytes and goes on. The thread writes all that has gathered and syncs once; while it
waits for the disk the next group gathers. Whoever needs to know waits on `durable`.

Nothing starts at import or construction: threads, files and the agent begin with the first use in a process, so
that forked and pre-loaded workers each get their own.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pxl_audit.agent.spawn import AgentKeeper
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import AuditError, UnavailableError
from pxl_audit.event import make_event
from pxl_audit.spool.writer import SpoolFileLostError, SpoolWriter

_log = logging.getLogger("pxl_audit")

MAX_PENDING_BYTES = 64 << 20
RETRY_SECONDS = 0.5
KEEPER_SECONDS = 2.0
GROUP_EVENTS = 4096
UNRECORDED_SECONDS = 60.0


class Recorder:
    """Takes events from any thread of this process. Get one with `recorder_for`."""

    def __init__(self, directory: DataDirectory, service: str, *, embedded_agent: bool = True) -> None:
        self.directory = directory
        self.service = service
        self.pid = os.getpid()
        self._writer = SpoolWriter(directory.spool, service)
        self._keeper = AgentKeeper(directory) if embedded_agent else None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._waiters: list[tuple[int, Callable[[], None]]] = []
        self._seq = 0
        self._begun = 0
        self._ended = 0
        self._durable = 0
        self._dropped = 0
        self._dropped_from_us = 0
        self._unrecorded: dict[str, int] = {}
        self._unrecorded_at = time.monotonic()
        self._failing = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="pxl-audit-spool", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Count a request that has begun, so that one cut off by a kill is known to be missing."""
        with self._lock:
            if not self._closing:
                self._begun += 1
                self._writer.state.set_begun(self._begun)

    def end_unrecorded(self) -> None:
        """Count a request that `begin` counted and that a rule leaves without a record."""
        with self._lock:
            if not self._closing:
                self._ended += 1
                self._writer.state.set_ended(self._ended)

    @property
    def healthy(self) -> bool:
        """Whether an event handed over now can be expected on the disk soon."""
        return not (self._closing or self._failing or self._pending_bytes > MAX_PENDING_BYTES // 2)

    def count_unrecorded(self, rule: str) -> None:
        """A policy rule left a request out; how many each rule did becomes a record once a minute, and at the end."""
        with self._lock:
            self._unrecorded[rule] = self._unrecorded.get(rule, 0) + 1

    def append(self, payload: bytes, now_us: int, *, ends_request: bool = False) -> int:
        """Hand over an event; its sequence number, or 0 when memory for waiting events is used up (a gap is recorded).

        `ends_request`: the event is the record of a request that `begin` counted.
        """
        with self._lock:
            if self._closing:
                raise UnavailableError("the recorder of this process was closed")
            if ends_request:
                self._ended += 1
                self._writer.state.set_ended(self._ended)
            if self._pending_bytes + len(payload) > MAX_PENDING_BYTES:
                self._dropped += 1
                self._dropped_from_us = self._dropped_from_us or now_us
                return 0
            self._seq += 1
            seq = self._seq
            self._pending.append(payload)
            self._pending_bytes += len(payload)
            self._writer.state.set_handed_out(seq, now_us)
        if not self._wake.is_set():
            self._wake.set()
        return seq

    async def durable(self, seq: int) -> None:
        """Wait until the event is on the disk, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def settle() -> None:
            if not done.done():
                done.set_result(None)

        def resolve() -> None:
            loop.call_soon_threadsafe(settle)

        if self._wait_for(seq, resolve):
            await done

    def wait_durable(self, seq: int, timeout_seconds: float) -> bool:
        """Wait in this thread until the event is on the disk; False when it took longer."""
        done = threading.Event()
        return not self._wait_for(seq, done.set) or done.wait(timeout_seconds)

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Write what is left, close the segment in order, end the thread. Safe to call twice."""
        with self._lock:
            self._closing = True
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_seconds)

    @property
    def closed(self) -> bool:
        """Whether this recorder takes no more events."""
        return self._closing

    def abandon_in_child(self) -> None:
        """After a fork: let go of the parent's descriptors; its thread does not exist here."""
        self._closing = True
        self._writer.abandon()

    def _wait_for(self, seq: int, resolve: Callable[[], None]) -> bool:
        with self._lock:
            if seq <= self._durable:
                return False
            self._waiters.append((seq, resolve))
            return True

    def _run(self) -> None:
        try:
            self._loop()
        finally:
            try:
                self._writer.close()
            except OSError as error:
                _log.error("spool not closed in order: %s", error.strerror)

    def _loop(self) -> None:
        next_keeper = 0.0
        while True:
            self._wake.wait(self._patience(next_keeper))
            self._wake.clear()
            self._report_unrecorded()
            self._drain()
            if self._writer.seconds_until_rotation() == 0.0:
                self._rotate()
            if self._keeper and time.monotonic() >= next_keeper:
                self._keep_agent(self._keeper)
                next_keeper = time.monotonic() + KEEPER_SECONDS
            if self._closing and not self._pending and not self._unrecorded:
                return
            if self._closing:
                self._wake.set()

    @staticmethod
    def _keep_agent(keeper: AgentKeeper) -> None:
        try:
            keeper.keep()
        except OSError as error:
            # Events stay safe in the spool; the next look may find memory, processes or disk again.
            _log.error("no agent could be started: %s", error.strerror)

    def _patience(self, next_keeper: float) -> float:
        rotation = self._writer.seconds_until_rotation()
        keeper = max(0.0, next_keeper - time.monotonic()) if self._keeper else 60.0
        return keeper if rotation is None else min(rotation, keeper)

    def _rotate(self) -> None:
        try:
            self._writer.rotate()
        except OSError as error:
            _log.error("spool segment not closed in order: %s", error.strerror)

    def _drain(self) -> None:
        while self._pending:
            with self._lock:
                group = self._pending[:GROUP_EVENTS]
                first = self._seq - len(self._pending) + 1
            if not self._write(first, group):
                return
            self._forget(group, first + len(group) - 1)
            self._report_dropped()

    def _write(self, first: int, group: list[bytes]) -> bool:
        """Make a group durable. On failure it stays pending and is written again, to a new segment."""
        try:
            self._writer.append(first, group)
        except SpoolFileLostError as error:
            _log.error("spool file lost: %s", error)
            self.report_gap("spool_file_lost", 0, time.time_ns() // 1000)
            return self._write(first, group)
        except OSError as error:
            self._failing = True
            _log.error("spool write failed, %d events wait: %s", len(self._pending), error.strerror)
            if self._closing:
                # Nothing more can be done before the process ends; the agent sees the numbers that are missing.
                with self._lock:
                    self._pending.clear()
                return False
            self._wake.wait(RETRY_SECONDS)
            self._wake.set()
            return False
        self._failing = False
        return True

    def _forget(self, group: list[bytes], durable: int) -> None:
        with self._lock:
            del self._pending[: len(group)]
            self._pending_bytes -= sum(map(len, group))
            self._durable = durable
            ready = [resolve for seq, resolve in self._waiters if seq <= durable]
            self._waiters = [waiter for waiter in self._waiters if waiter[0] > durable]
        for resolve in ready:
            try:
                resolve()
            except RuntimeError:  # the waiter's event loop is closed: nobody waits any more
                continue

    def _report_dropped(self) -> None:
        if self._dropped and self._pending_bytes < MAX_PENDING_BYTES // 2:
            with self._lock:
                count, since = self._dropped, self._dropped_from_us
                self._dropped = self._dropped_from_us = 0
            self.report_gap("queue_full", count, since)

    def _report_unrecorded(self) -> None:
        now = time.monotonic()
        if not self._unrecorded or (now - self._unrecorded_at < UNRECORDED_SECONDS and not self._closing):
            return
        with self._lock:
            counts, self._unrecorded = self._unrecorded, {}
            self._unrecorded_at = now
        facts: dict[str, int | str] = {**counts, "writer": self._writer.id}
        self._queue(make_event("audit.policy.unrecorded", service=self.service, facts=facts))

    def _queue(self, payload: bytes) -> None:
        with self._lock:
            self._seq += 1
            self._pending.append(payload)
            self._pending_bytes += len(payload)
        self._wake.set()

    def report_gap(self, cause: str, count: int, from_us: int) -> None:
        """Record that `count` events since `from_us` (microseconds since 1970) are missing, and why."""
        now_us = time.time_ns() // 1000
        facts: dict[str, int | str] = {
            "cause": cause,
            "count": count,
            "from": from_us // 1_000_000,
            "to": now_us // 1_000_000,
            "writer": self._writer.id,
        }
        self._queue(make_event("audit.gap", outcome="failure", facts=facts))


_recorders: dict[tuple[int, str], Recorder] = {}
_override: Callable[[str], Recorder] | None = None
_registry_lock = threading.Lock()


def recorder_for(directory: Path, service: str, *, embedded_agent: bool = True) -> Recorder:
    """The recorder of this process for a data directory; made on first use, and again after it was closed.

    Raises:
        AuditError: the directory cannot be used.
    """
    if _override is not None:
        return _override(service)
    key = (os.getpid(), str(directory.absolute()))
    recorder = _recorders.get(key)
    if recorder is not None and not recorder.closed:
        return recorder
    with _registry_lock:
        recorder = _recorders.get(key)
        if recorder is None or recorder.closed:
            opened = DataDirectory.open_or_create(directory)
            try:
                recorder = _recorders[key] = Recorder(opened, service, embedded_agent=embedded_agent)
            except OSError as error:
                raise UnavailableError(f"{opened.spool}: {error.strerror}; events cannot be recorded") from None
    return recorder


def close_recorder(directory: Path) -> None:
    """Close this process's recorder for a data directory, if it has one: everything handed over is durable then."""
    recorder = _recorders.get((os.getpid(), str(directory.absolute())))
    if recorder is not None:
        recorder.close()


def default_recorder() -> Recorder:
    """The recorder that this process opened first.

    Raises:
        UnavailableError: there is none.
    """
    if _override is not None:
        return _override("")
    for (pid, _), recorder in _recorders.items():
        if pid == os.getpid() and not recorder.closed:
            return recorder
    raise UnavailableError("no audit log in this process: wrap the application in AuditMiddleware first")


def is_overridden() -> bool:
    """Whether a test takes the place of every recorder of this process."""
    return _override is not None


@contextlib.contextmanager
def overridden(make: Callable[[str], Recorder]) -> Iterator[None]:
    """Within the block every recorder is the one that `make` gives for a service (for `pxl_audit.testing`)."""
    global _override  # noqa: PLW0603  # one seam for the whole process, for tests of services
    before, _override = _override, make
    try:
        yield
    finally:
        _override = before


@atexit.register
def _close_all() -> None:
    for recorder in list(_recorders.values()):
        if recorder.pid == os.getpid():
            try:
                recorder.close(5.0)
            except AuditError as error:
                _log.error("recorder not closed: %s", error)


def _after_fork_in_child() -> None:
    global _registry_lock  # noqa: PLW0603  # the parent's lock may be held by a thread that does not exist here
    _registry_lock = threading.Lock()
    for recorder in _recorders.values():
        recorder.abandon_in_child()
    _recorders.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
