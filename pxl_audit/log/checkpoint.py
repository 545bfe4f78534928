"""The checkpoint: size and root of the log as a signed text (C2SP tlog-checkpoint v1.0.0)."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from pxl_audit.log.note import NoteError, strict_base64

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """`root` is the 32-byte RFC 6962 hash of the first `size` leaves of the log called `origin`."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Parse the text of a note strictly; extension lines are refused, because our logs have none.

    Raises:
        NoteError: any of the three lines is not what the format says.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise NoteError(f"not a checkpoint: expected 3 lines (origin, size, root), found {len(lines) - 1}")
    origin, size, root = lines[:3]
    if not origin or not _SIZE.fullmatch(size):
        raise NoteError("not a checkpoint: empty origin, or the size is not a plain decimal number")
    try:
        digest = strict_base64(root)
    except ValueError as error:
        raise NoteError(f"not a checkpoint: root hash: {error}") from None
    if len(digest) != 32:
        raise NoteError(f"not a checkpoint: root hash of {len(digest)} bytes instead of 32")
    return Checkpoint(origin, int(size), digest)
