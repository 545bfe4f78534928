"""One frame of a spool segment: encode, and read back strictly. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import msgspec

MAGIC = b"PXLSPL1\n"
HEADER, EVENT, CLOSE = 0, 1, 2
MAX_PAYLOAD = 1 << 24
_PREFIX = Struct("<II")
_COVERED = Struct("<IQB")
_HEAD = Struct("<IIQB")
HEAD_BYTES = _HEAD.size


class SegmentHeader(msgspec.Struct):
    """Payload of the first frame of a segment."""

    writer: str
    segment: int
    service: str
    pid: int
    first_seq: int


class SegmentClose(msgspec.Struct):
    """Payload of the last frame of a segment that ended in order."""

    final: bool


class Frame(NamedTuple):
    """A whole, valid frame and where the next one begins."""

    seq: int
    kind: int
    payload: bytes
    end: int


def encode_frame(seq: int, kind: int, payload: bytes) -> bytes:
    """`length | crc | seq | kind | payload`."""
    covered = _COVERED.pack(len(payload), seq, kind)
    return _HEAD.pack(len(payload), crc32(payload, crc32(covered)), seq, kind) + payload


def frame_at(data: bytes | memoryview, position: int) -> Frame | None:
    """The whole frame that begins at `position`, or None."""
    body = position + HEAD_BYTES
    if body > len(data):
        return None
    length, crc, seq, kind = _HEAD.unpack_from(data, position)
    end = body + length
    if length > MAX_PAYLOAD or kind > CLOSE or end > len(data):
        return None
    payload = bytes(data[body:end])
    if crc32(payload, crc32(_COVERED.pack(length, seq, kind))) != crc:
        return None
    return Frame(seq, kind, payload, end)


def frames(data: bytes | memoryview, position: int) -> Iterator[Frame]:
    """Whole frames from `position` to the first place that holds none."""
    while (frame := frame_at(data, position)) is not None:
        yield frame
        position = frame.end


def any_frame_after(data: bytes, position: int) -> bool:
    """Whether a whole frame begins anywhere behind `position`: then what stands there is corrupt, not torn."""
    view = memoryview(data)
    return any(frame_at(view, start) is not None for start in range(position + 1, len(data) - HEAD_BYTES + 1))
