"""Open vault files (docs/format.md section 4): lines of JSON, in batches that a commit line makes valid.

What stands behind the last valid commit line is a batch that did not happen. If a valid commit line comes after bytes
that are no valid batch, those bytes were damaged later, and that is found.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple
from zlib import crc32

import msgspec

from pxl_audit.verify.parts import SALT
from pxl_audit.verify.report import Findings

_NAME = re.compile(r"([0-9]{12})\.jsonl", re.ASCII)
Count = Annotated[int, msgspec.Meta(ge=0)]
Sequence = Annotated[int, msgspec.Meta(ge=-1)]
FINISHED = -1
"""Cursor of a writer of which everything was taken."""
Writer = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]


class OpenRow(NamedTuple):
    """One row: the whole leaf, and salt with canonical bytes of each part that is not absent."""

    at: int
    """Leaf index."""
    leaf: bytes
    actor: bytes | None
    target: bytes | None


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    vault: int
    first: Count
    cursors: dict[Writer, Sequence]
    intents: dict[Writer, dict[str, Count]] = {}


class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    index: Count
    leaf: str
    actor: str | msgspec.UnsetType = msgspec.UNSET
    actor_salt: str | msgspec.UnsetType = msgspec.UNSET
    target: str | msgspec.UnsetType = msgspec.UNSET
    target_salt: str | msgspec.UnsetType = msgspec.UNSET


class _Commit(msgspec.Struct, forbid_unknown_fields=True):
    commit: Count
    cursors: dict[Writer, Sequence]
    crc: Count
    intents: dict[Writer, dict[str, Count]] = {}


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_row = msgspec.json.Decoder(_Row).decode
_decode_commit = msgspec.json.Decoder(_Commit).decode


@dataclass(frozen=True)
class OpenFile:
    """A file of vault/open, as its name describes it; where it ends is found by reading it."""

    path: Path
    first: int

    @property
    def name(self) -> str:
        """Relative to the data directory."""
        return f"vault/open/{self.path.name}"


def open_file(path: Path) -> OpenFile | None:
    """The file that a name stands for; None if it is no name of an open vault file."""
    match = _NAME.fullmatch(path.name)
    return OpenFile(path, int(match[1])) if match else None


def read_open(file: OpenFile, findings: Findings) -> Iterator[list[OpenRow]]:
    """The committed batches of a file. Rows of a damaged batch are left out, so they are missing.

    Raises:
        OSError: the file has gone (it was sealed), or cannot be read.
    """
    with file.path.open("rb") as stream:
        header = stream.readline()
        if not header.endswith(b"\n"):
            return  # a file that was just begun
        try:
            cursors = _check_header(_decode_header(header), file)
        except ValueError:
            findings.add(
                "open-vault",
                file.name,
                f"a header: version 1, first {file.first}, cursors",
                f"{len(header)} other bytes",
            )
            cursors = {}
        yield from _batches(stream, _Batch(file, findings, cursors, file.first, len(header)))


def _check_header(header: _Header, file: OpenFile) -> dict[str, int]:
    if header.vault != 1 or header.first != file.first:
        raise ValueError("another version or another first index")
    return header.cursors


@dataclass
class _Batch:
    file: OpenFile
    findings: Findings
    cursors: dict[str, int]
    end: int
    """Index behind the last valid batch."""
    offset: int
    """Byte at which the batch being read starts."""
    damaged: int | None = None
    """Byte at which the first batch since the last valid one starts that is not valid."""


def _batches(stream: Iterator[bytes], state: _Batch) -> Iterator[list[OpenRow]]:
    lines: list[bytes] = []
    length = 0
    for line in stream:
        length += len(line)
        if not line.startswith(b'{"commit":') or not line.endswith(b"\n"):
            lines.append(line)
            continue
        rows = _read_batch(lines, line, state)
        if rows is None:
            state.damaged = state.offset if state.damaged is None else state.damaged
        else:
            if state.damaged is not None:
                state.findings.add(
                    "open-vault",
                    state.file.name,
                    f"valid batches from byte {state.damaged} on",
                    f"damaged bytes up to byte {state.offset}, with a valid batch behind them",
                    index=state.end,
                )
                state.damaged = None
            if rows:
                state.end = rows[-1].at + 1
                yield rows
        state.offset += length
        lines, length = [], 0


def _read_batch(lines: list[bytes], line: bytes, state: _Batch) -> list[OpenRow] | None:
    try:
        commit = _decode_commit(line)
    except msgspec.MsgspecError:
        return None
    crc = 0
    for row in lines:
        crc = crc32(row, crc)
    if crc32(line.rpartition(b',"crc":')[0], crc) != commit.crc:
        return None
    try:
        rows = [_read_row(row) for row in lines]
    except ValueError:
        rows = None
    first = rows[0].at if rows else state.end
    if rows is None or [row.at for row in rows] != list(range(first, commit.commit)) or _backwards(commit, state):
        # The checksum is right, so these bytes were written like this.
        state.findings.add(
            "open-vault",
            state.file.name,
            f"consecutive rows and a commit line that fits them at byte {state.offset}",
            f"{len(lines)} lines that are not that",
            index=state.end,
        )
        return None
    state.cursors.update(commit.cursors)
    return rows


def _backwards(commit: _Commit, state: _Batch) -> bool:
    return any(seq != FINISHED and seq < state.cursors.get(writer, 0) for writer, seq in commit.cursors.items())


def _read_row(line: bytes) -> OpenRow:
    row = _decode_row(line)
    return OpenRow(
        row.index, row.leaf.encode(), _opening(row.actor, row.actor_salt), _opening(row.target, row.target_salt)
    )


def _opening(text: str | msgspec.UnsetType, salt: str | msgspec.UnsetType) -> bytes | None:
    if isinstance(text, str) and isinstance(salt, str):
        data = b64decode(salt, validate=True)
        if len(data) != SALT or b64encode(data) != salt.encode():
            raise ValueError("a salt that is not 32 bytes in base64")
        return data + text.encode()
    if text is msgspec.UNSET and salt is msgspec.UNSET:
        return None
    raise ValueError("a text without salt, or a salt without text")
