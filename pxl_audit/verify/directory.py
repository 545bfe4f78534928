"""One run over a data directory: what it is, its key, the newest checkpoint, and all that this checkpoint promises."""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pxl_audit.errors import DirectoryError, UnavailableError
from pxl_audit.verify.note import Head, LogKey, NoteError, open_checkpoint, parse_vkey
from pxl_audit.verify.paths import right_edge
from pxl_audit.verify.report import Findings

FORMAT = 1
MARKER = "pxl-audit.json"
CHECKPOINT = "log/checkpoint"
PUBLIC_KEY = "keys/log.vkey"
_MAX_CHECKPOINTS = 20
"""How often the checkpoint is taken again because its partial tiles were gone when they were read."""


class _Marker(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    log_id: str


def read_marker(root: Path, findings: Findings) -> str | None:
    """The log id; None (reported) if the marker is damaged.

    Raises:
        DirectoryError: no data directory, or one of a newer format.
    """
    if not root.is_dir():
        raise DirectoryError(f"{root}: no such directory; name a data directory, the one that holds log/ and vault/")
    try:
        raw = (root / MARKER).read_bytes()
    except FileNotFoundError:
        raise DirectoryError(
            f"{root}: not a data directory (no {MARKER}); name the one that holds log/ and vault/"
        ) from None
    try:
        members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        version = msgspec.json.decode(members.get("format", b"0"), type=int)
        if version > FORMAT:
            raise DirectoryError(
                f"{root}: format {version} is newer than this version knows ({FORMAT}); update pxl-audit"
            )
        marker = msgspec.json.decode(raw, type=_Marker)
        if marker.format == FORMAT and re.fullmatch(r"[0-9a-f]{16}", marker.log_id):
            return marker.log_id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    findings.add("marker", MARKER, "format 1 and a log_id of 16 hex digits", f"{len(raw)} other bytes")
    return None


def read_key(root: Path, given: str | None, findings: Findings) -> LogKey | None:
    """The key to verify with: the one given, which the directory's own must equal, else the directory's own.

    Raises:
        DirectoryError: there is no key at all.
        UnavailableError: the given key is none.
    """
    try:
        # One newline at the end, as a line of text has; nothing else is trimmed.
        own = (root / PUBLIC_KEY).read_bytes().decode("utf-8", "replace").removesuffix("\n")
    except FileNotFoundError:
        own = None
    if given is None and own is None:
        raise DirectoryError(
            f"{root / PUBLIC_KEY}: no key to verify with; restore the file, or give the log's key with --key"
        )
    if given is not None:
        try:
            key = parse_vkey(given)
        except NoteError as error:
            raise UnavailableError(f"--key: {error}; expected NAME+ID+KEY, as `pxl-audit key show` prints it") from None
        if own is not None and own != given:
            findings.add("key", PUBLIC_KEY, "the key given with --key", "another key")
        return key
    try:
        return parse_vkey(own or "")
    except NoteError as error:
        findings.add("key", PUBLIC_KEY, "a verifier key", str(error))
        return None


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint with the partial resources of its tree, taken while the agent may go on."""

    head: Head
    edge: dict[str, bytes]


def take_snapshot(root: Path, key: LogKey, findings: Findings) -> Snapshot | None:
    """The newest checkpoint and its right edge; None (reported) if the checkpoint cannot be trusted.

    A partial tile may be removed as soon as a wider one exists, so if one is gone, the checkpoint is read again. All
    other files of a tree stay as they are for ever.

    Raises:
        DirectoryError: there is no log yet.
    """
    note = read_checkpoint(root)
    if note is None:
        if not (root / "log" / "tile").exists() or agent_is_running(root):
            raise DirectoryError(
                f"{root / CHECKPOINT}: missing, the log has not begun; start the agent, then verify again"
            )
        findings.add("checkpoint", CHECKPOINT, "a checkpoint, since the log has tiles", "no such file")
        return None
    for _ in range(_MAX_CHECKPOINTS):
        try:
            head = open_checkpoint(note, key)
        except NoteError as error:
            findings.add("checkpoint", CHECKPOINT, f"a checkpoint signed by {key.name}", str(error))
            return None
        edge = {resource.path: _read_edge(root / "log", resource.path) for resource in right_edge(head.size)}
        newer = read_checkpoint(root)
        if newer in (None, note) or None not in edge.values():
            break
        note = newer
    return Snapshot(head, {path: data for path, data in edge.items() if data is not None})


def read_checkpoint(root: Path) -> bytes | None:
    """The signed note as it lies there now; None if there is none."""
    try:
        return (root / CHECKPOINT).read_bytes()
    except FileNotFoundError:
        return None


def _read_edge(log: Path, path: str) -> bytes | None:
    try:
        return (log / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def agent_is_running(root: Path) -> bool:
    """Whether somebody holds agent.lock. It is tried shared, on a descriptor that cannot write, and let go at once."""
    try:
        fd = os.open(root / "agent.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
