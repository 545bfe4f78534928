"""The reading side of the spool: follow one writer's segments, tell torn from corrupt, never skip silently."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pxl_audit.errors import LogError
from pxl_audit.files import try_lock
from pxl_audit.spool.frames import (
    CLOSE,
    EVENT,
    HEAD_BYTES,
    MAGIC,
    MAX_PAYLOAD,
    Frame,
    SegmentClose,
    SegmentHeader,
    any_frame_after,
    frame_at,
    frames,
)
from pxl_audit.spool.state import NAME as STATE
from pxl_audit.spool.state import Counters, read_counters
from pxl_audit.spool.writer import LOCK, segment_name

CHUNK_BYTES = 4 << 20


@dataclass
class Reading:
    """What one look at a writer's spool gave."""

    events: list[tuple[int, bytes]] = field(default_factory=list)
    """Sequence number and payload, ascending, never one that was taken before."""
    gaps: list[tuple[str, int]] = field(default_factory=list)
    """Cause and count of numbers that are missing."""
    done_segments: list[Path] = field(default_factory=list)
    """Segments read to their end; to be unlinked once `events` are durable elsewhere."""


class SpoolReader:
    """Follows the spool of one writer from the number after `cursor`."""

    def __init__(self, path: Path, cursor: int) -> None:
        self.path = path
        self.writer = path.name
        self.cursor = cursor
        counters = read_counters(path / STATE)
        self.service = counters.service if counters is not None else ""
        self.ended = False
        """The writer closed its last segment in order."""
        self._segment = 0
        self._fd = -1
        self._position = 0
        self._lock_fd = -1

    def read(self, limit: int = 4096) -> Reading:
        """Up to about `limit` new events; empty when there is nothing new."""
        reading = Reading()
        while len(reading.events) < limit:
            if self._fd < 0 and not self._open_next():
                break
            # Asked before reading: once a next segment exists, nothing is added to this one.
            superseded = self._has_next()
            data = os.pread(self._fd, CHUNK_BYTES, self._position)
            closed = self._take(data, reading)
            if closed or (superseded and not data):
                self._finish_segment(reading)
            elif self._position_is_stuck(data):
                if not self._skip_damage(reading):
                    break
            elif len(data) < CHUNK_BYTES and not superseded:
                break
        return reading

    def writer_is_dead(self) -> bool:
        """Whether the writer's lock is free; it is then held by us, so that the answer stays true."""
        if self._lock_fd >= 0:
            return True
        try:
            fd = os.open(self.path / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            # Between mkdir and the lock file a writer may just be starting; or it died there, with nothing written.
            return False
        if not try_lock(fd, exclusive=True):
            os.close(fd)
            return False
        self._lock_fd = fd
        return True

    def counters(self) -> Counters | None:
        """What the writer last knew about itself."""
        return read_counters(self.path / STATE)

    def close(self) -> None:
        """Let go of descriptors."""
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self.path.glob("*.spool"))

    def _has_next(self) -> bool:
        return any(number > self._segment for number in self._numbers())

    def _open_next(self) -> bool:
        following = [number for number in self._numbers() if number > self._segment]
        if not following or self.ended:
            return False
        path = self.path / segment_name(following[0])
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        data = os.pread(fd, 65_536, 0)
        header = frame_at(data, len(MAGIC)) if data.startswith(MAGIC) else None
        if header is None:
            os.close(fd)
            if len(following) > 1 or self.writer_is_dead():
                # Killed while it began this segment: nothing was acknowledged in it.
                self._segment = following[0]
                return self._open_next()
            return False
        self._segment, self._fd, self._position = following[0], fd, header.end
        try:
            self.service = msgspec.json.decode(header.payload, type=SegmentHeader).service
        except msgspec.MsgspecError:
            raise LogError(
                f"{path}: its header is not what this version writes; keep the file and update pxl-audit"
            ) from None
        return True

    def _take(self, data: bytes, reading: Reading) -> bool:
        """Take the whole frames of a chunk; True when the segment was closed in order."""
        start = self._position
        for frame in frames(data, 0):
            self._position = start + frame.end
            if frame.kind == CLOSE:
                self.ended = msgspec.json.decode(frame.payload, type=SegmentClose).final
                return True
            if frame.kind == EVENT:
                self._take_event(frame, reading)
        return False

    def _take_event(self, frame: Frame, reading: Reading) -> None:
        if frame.seq <= self.cursor:
            return  # written again after a failed fsync, or taken before a crash of ours
        if frame.seq > self.cursor + 1:
            reading.gaps.append(("spool_sequence", frame.seq - self.cursor - 1))
        self.cursor = frame.seq
        reading.events.append((frame.seq, frame.payload))

    def _position_is_stuck(self, data: bytes) -> bool:
        """Whether bytes stand at our position that will never become a frame by waiting."""
        if not data or frame_at(data, 0) is not None:
            return False
        if self._has_next() or self.writer_is_dead():
            # Looked at again now that nobody writes here any more.
            return frame_at(os.pread(self._fd, MAX_PAYLOAD + HEAD_BYTES, self._position), 0) is None
        return False

    def _skip_damage(self, reading: Reading) -> bool:
        """Past a torn tail to the next segment, or past corruption to the next whole frame; False at the very end."""
        rest = os.pread(self._fd, os.fstat(self._fd).st_size - self._position, self._position)
        if any_frame_after(rest, 0):
            step = next(i for i in range(1, len(rest)) if frame_at(rest, i) is not None)
            self._position += step
            reading.gaps.append(("spool_corrupt", 0))
            return True
        if self._has_next():
            self._finish_segment(reading)
            return True
        return False

    def _finish_segment(self, reading: Reading) -> None:
        reading.done_segments.append(self.path / segment_name(self._segment))
        os.close(self._fd)
        self._fd = -1
