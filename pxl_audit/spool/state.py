"""Counters of a writer in a memory-mapped page, so that they outlive a `kill -9` of the process."""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from pxl_audit.files import FILE_MODE, write_all

NAME = "state"
MAGIC = b"PXLSTAT1"
PAGE_BYTES = 4096
_COUNTERS = Struct("<8sQQQQQQ")
_U64 = Struct("<Q")
_pack_u64 = _U64.pack_into


class Counters(NamedTuple):
    """What a writer last knew about itself; times in microseconds since 1970."""

    begun: int
    """Requests begun."""
    ended: int
    """Requests whose event was handed over."""
    handed_out: int
    durable: int
    changed_us: int
    started_us: int
    service: str


class StatePage:
    """The writer's side of the page."""

    def __init__(self, path: Path, service: str) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            now = time.time_ns() // 1000
            start = _COUNTERS.pack(MAGIC, 0, 0, 0, 0, now, now) + service.encode("ascii") + b"\0"
            write_all(fd, start.ljust(PAGE_BYTES, b"\0"))
            self._page = mmap.mmap(fd, PAGE_BYTES)
        finally:
            os.close(fd)

    def set_begun(self, count: int) -> None:
        """Requests begun so far."""
        _pack_u64(self._page, 8, count)

    def set_ended(self, count: int) -> None:
        """Requests whose event was handed over so far."""
        _pack_u64(self._page, 16, count)

    def set_handed_out(self, seq: int, now_us: int) -> None:
        """Highest sequence number handed out, and when."""
        _pack_u64(self._page, 24, seq)
        _pack_u64(self._page, 40, now_us)

    def set_durable(self, seq: int) -> None:
        """Highest sequence number known to be durable."""
        _pack_u64(self._page, 32, seq)

    def close(self) -> None:
        """Unmap."""
        self._page.close()


def read_counters(path: Path) -> Counters | None:
    """The counters of a writer, also of a dead one; None if the page was never written."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(raw) < _COUNTERS.size or not raw.startswith(MAGIC):
        return None
    _, begun, ended, handed_out, durable, changed_us, started_us = _COUNTERS.unpack_from(raw)
    service = raw[_COUNTERS.size :].partition(b"\0")[0].decode("ascii", "replace")
    return Counters(begun, ended, handed_out, durable, changed_us, started_us, service)
