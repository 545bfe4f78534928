"""The open vault: newest rows as lines in one file (docs/format.md, section 4).

This file is where a record gets its index for good: a batch is one write and one fdatasync, and counts from its
commit line on. Log and sealed vault are made from it, and can be made again after a crash.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec

from pxl_audit.errors import LogError
from pxl_audit.files import make_directory, unlink_durably, write_all, write_atomically

CRC_MEMBER = b',"crc":'
"""Ends what the checksum of a commit line covers."""

FINISHED = -1
"""Cursor of a writer that is finished with."""


class RowLine(msgspec.Struct, omit_defaults=True):
    """One record: its leaf, and the openings of its parts."""

    index: int
    leaf: str
    actor: str | None = None
    actor_salt: str | None = None
    target: str | None = None
    target_salt: str | None = None


Intents = Mapping[str, Mapping[str, int]]


class _Header(msgspec.Struct, omit_defaults=True):
    vault: int
    first: int
    cursors: dict[str, int]
    intents: dict[str, dict[str, int]] = {}


class _CommitStart(msgspec.Struct, omit_defaults=True):
    commit: int
    cursors: dict[str, int]
    intents: dict[str, dict[str, int]] = {}


class _Commit(_CommitStart, kw_only=True):
    crc: int


_encode = msgspec.json.Encoder().encode
_decode_row = msgspec.json.Decoder(RowLine).decode


@dataclass(frozen=True)
class Committed:
    """What an open vault file holds for good."""

    first: int
    end: int
    cursors: dict[str, int]
    valid_bytes: int
    intents: dict[str, dict[str, int]]


def open_file_name(first: int) -> str:
    """File name of the open vault whose first record has index `first`."""
    return f"{first:012d}.jsonl"


class OpenVault:
    """The one open vault file, for appending. Create it with `recover`."""

    def __init__(self, path: Path, committed: Committed) -> None:
        self.path = path
        self.first = committed.first
        self.end = committed.end
        self.cursors = dict(committed.cursors)
        self.intents: Intents = committed.intents
        self.bytes = committed.valid_bytes
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    @staticmethod
    def recover(folder: Path, sealed_end: int) -> OpenVault:
        """Open the newest file, cut off a batch that did not happen, drop what is sealed already.

        Raises:
            LogError: the file is damaged in a way that no crash explains.
        """
        make_directory(folder)
        paths = sorted(folder.glob("*.jsonl"))
        if not paths:
            return OpenVault.create(folder, sealed_end, {}, {})
        path = paths[-1]
        committed = read_committed(path)
        if path.stat().st_size > committed.valid_bytes:
            with path.open("r+b") as file:
                file.truncate(committed.valid_bytes)
                os.fsync(file.fileno())
        if committed.end <= sealed_end and committed.first < sealed_end:
            # Killed between sealing and beginning the next file.
            fresh = OpenVault.create(folder, sealed_end, committed.cursors, committed.intents)
            for old in paths:
                unlink_durably(old)
            return fresh
        for old in paths[:-1]:
            unlink_durably(old)  # sealed before the newest file was begun
        return OpenVault(path, committed)

    @staticmethod
    def create(folder: Path, first: int, cursors: Mapping[str, int], intents: Intents) -> OpenVault:
        """Begin a new file."""
        path = folder / open_file_name(first)
        still_open = {writer: dict(numbers) for writer, numbers in intents.items()}
        header = _encode(_Header(vault=1, first=first, cursors=dict(cursors), intents=still_open)) + b"\n"
        write_atomically(path, header)
        return OpenVault(path, Committed(first, first, dict(cursors), len(header), still_open))

    def append(self, rows: Sequence[RowLine], cursors: Mapping[str, int], intents: Intents | None = None) -> None:
        """Make a batch of rows, which follow the last one, and cursors and open intents durable together.

        Raises:
            OSError: nothing may be assumed; this object must be recovered anew.
        """
        lines = [_encode(row) for row in rows]
        lines.append(b"")
        body = b"\n".join(lines)
        end = self.end + len(rows)
        still_open = {writer: dict(numbers) for writer, numbers in (intents or {}).items()}
        body += _encode(_CommitStart(commit=end, cursors=dict(cursors), intents=still_open))[:-1]
        body += b"%s%d}\n" % (CRC_MEMBER, crc32(body))
        write_all(self._fd, body)
        os.fdatasync(self._fd)
        self.end = end
        self.cursors = dict(cursors)
        self.intents = still_open
        self.bytes += len(body)

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_committed(path: Path) -> Committed:
    """What is committed in an open vault file.

    Raises:
        LogError: the header is damaged, or something other than an unfinished batch stands behind the last commit.
    """
    with path.open("rb") as file:
        header_line = file.readline()
        try:
            header = msgspec.json.decode(header_line, type=_Header)
        except msgspec.MsgspecError:
            raise LogError(f"{path}: damaged header; restore the vault from a backup") from None
        if header.vault != 1:
            raise LogError(f"{path}: written by a newer version (vault {header.vault}); update pxl-audit")
        committed = Committed(header.first, header.first, header.cursors, len(header_line), header.intents)
        position, crc = len(header_line), 0
        for line in file:
            position += len(line)
            if line.startswith(b'{"commit":') and line.endswith(b"\n"):
                try:
                    commit = msgspec.json.decode(line, type=_Commit)
                except msgspec.MsgspecError:
                    break
                if commit.crc != crc32(line.rpartition(CRC_MEMBER)[0], crc) or commit.commit < committed.end:
                    break
                committed = Committed(header.first, commit.commit, commit.cursors, position, commit.intents)
                crc = 0
            else:
                crc = crc32(line, crc)
        else:
            return committed
    raise LogError(
        f"{path}: damaged behind byte {committed.valid_bytes} (a commit line that does not fit its rows); "
        "run `pxl-audit verify`"
    )


def read_rows(path: Path, start: int, end: int) -> Iterator[RowLine]:
    """Rows `start` to `end` (exclusive) of an open vault file, in order."""
    with path.open("rb") as file:
        for line in file:
            if not line.startswith(b'{"index":'):
                continue
            row = _decode_row(line)
            if row.index >= end:
                return
            if row.index >= start:
                yield row
