"""The writing side of the spool: one writer a process, one segment at a time, written by one thread."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pxl_audit.files import (
    FILE_MODE,
    make_directory,
    open_lock_file,
    sync_directory,
    try_lock,
    write_all,
    write_new,
)
from pxl_audit.spool.frames import CLOSE, EVENT, HEADER, MAGIC, SegmentClose, SegmentHeader, encode_frame
from pxl_audit.spool.state import NAME as STATE
from pxl_audit.spool.state import StatePage

SEGMENT_SECONDS = 5.0
SEGMENT_BYTES = 16 << 20
LOCK = "lock"
ASK = "ask"
STARTING = "."
"""Before the id in the name of a directory whose writer is not ready yet."""


class SpoolFileLostError(OSError):
    """The segment was unlinked or replaced under us: what it held may be gone."""


def segment_name(number: int) -> str:
    """File name of a segment."""
    return f"{number:012d}.spool"


class SpoolWriter:
    """Appends events to `spool/<writer id>/`; `append` returns only when they are durable."""

    def __init__(self, spool: Path, service: str, *, ask: bytes | None = None) -> None:
        self.id = os.urandom(8).hex()
        self.path = spool / f"{STARTING}{self.id}"
        self._service = service
        self._segment = 0
        self._fd = -1
        self._size = 0
        self._inode = 0
        self._first_event_at = 0.0
        self._last_seq = 0
        make_directory(self.path)
        self._lock_fd = open_lock_file(self.path / LOCK)
        if not try_lock(self._lock_fd, exclusive=True):
            raise OSError(f"{self.path}: a new writer's lock is held already")
        self.state = StatePage(self.path / STATE, service)
        if ask is not None:
            write_new(self.path / ASK, ask)
        sync_directory(self.path)
        # The agent sees the directory only now, whole: locked, and with what it is asked.
        self.path = self.path.rename(spool / self.id)
        sync_directory(spool)

    def append(self, first_seq: int, payloads: Sequence[bytes]) -> None:
        """Write events numbered from `first_seq` and wait until they are durable.

        Raises:
            OSError: nothing may be assumed about these events. The segment is given up: its fsync is never tried
                again; append them again, and they go to a new segment under the same numbers.
        """
        try:
            if self._fd < 0:
                self._open_segment(first_seq)
            data = b"".join([encode_frame(first_seq + i, EVENT, payload) for i, payload in enumerate(payloads)])
            write_all(self._fd, data)
            os.fdatasync(self._fd)
            self._size += len(data)
            self._check_identity()
        except OSError:
            self._abandon_segment()
            raise
        self._last_seq = first_seq + len(payloads) - 1
        self.state.set_durable(self._last_seq)
        if not self._first_event_at:
            self._first_event_at = time.monotonic()

    def seconds_until_rotation(self) -> float | None:
        """Seconds until the segment is due to be closed; None when there is nothing to close."""
        if self._fd < 0 or not self._first_event_at:
            return None
        if self._size >= SEGMENT_BYTES:
            return 0.0
        return max(0.0, self._first_event_at + SEGMENT_SECONDS - time.monotonic())

    def rotate(self, *, final: bool = False) -> None:
        """Close the segment in order; the next event opens a new one."""
        if self._fd < 0:
            if not final:
                return
            self._open_segment(self._last_seq + 1)
        try:
            write_all(self._fd, encode_frame(self._last_seq, CLOSE, msgspec.json.encode(SegmentClose(final=final))))
            os.fdatasync(self._fd)
        finally:
            self._abandon_segment()

    def close(self) -> None:
        """End in order: the agent will know that nothing is missing."""
        try:
            self.rotate(final=True)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of every descriptor without writing: also right in a forked child, whose parent goes on."""
        self._abandon_segment()
        self.state.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _open_segment(self, first_seq: int) -> None:
        self._segment += 1
        path = self.path / segment_name(self._segment)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        header = SegmentHeader(self.id, self._segment, self._service, os.getpid(), first_seq)
        data = MAGIC + encode_frame(0, HEADER, msgspec.json.encode(header))
        write_all(self._fd, data)
        os.fsync(self._fd)
        sync_directory(self.path)
        self._size = len(data)
        self._inode = os.fstat(self._fd).st_ino
        self._first_event_at = 0.0

    def _check_identity(self) -> None:
        """Raise if the file we wrote to is no longer the one that the agent will read."""
        mine = os.fstat(self._fd)
        if mine.st_nlink == 0 or mine.st_size != self._size:
            raise SpoolFileLostError(f"{self.path / segment_name(self._segment)}: unlinked or truncated while in use")
        if (self.path / segment_name(self._segment)).stat().st_ino != self._inode:
            raise SpoolFileLostError(f"{self.path / segment_name(self._segment)}: replaced while in use")

    def _abandon_segment(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
        self._first_event_at = 0.0
