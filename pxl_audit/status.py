"""How a data directory stands, read from its files without locking anybody out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pxl_audit.directory import DataDirectory
from pxl_audit.files import is_locked
from pxl_audit.log.keys import load_vkey
from pxl_audit.log.reader import LogReader


@dataclass(frozen=True)
class Status:
    """`records`: covered by the published checkpoint; times are UTC with offset."""

    data: str
    log_id: str
    origin: str | None = None
    records: int = 0
    checkpoint_time: str | None = None
    agent_running: bool = False
    writers: int = 0
    spool_bytes: int = 0
    sealed_files: int = 0
    open_bytes: int = 0
    sinks: dict[str, int] = field(default_factory=dict)


class _Cursor(msgspec.Struct):
    sink: str
    next: int


def read_status(root: Path) -> Status:
    """Read the status.

    Raises:
        DirectoryError: not a data directory. LogError, NoteError: the checkpoint cannot be read.
    """
    directory = DataDirectory.open(root)
    checkpoint_file = directory.log / "checkpoint"
    origin, records, moment = None, 0, None
    if checkpoint_file.exists():
        checkpoint = LogReader(directory.log).checkpoint(load_vkey(directory))
        origin, records = checkpoint.origin, checkpoint.size
        moment = datetime.fromtimestamp(checkpoint_file.stat().st_mtime, UTC).isoformat(timespec="seconds")
    writers = [path for path in directory.spool.glob("*") if path.is_dir()] if directory.spool.exists() else []
    return Status(
        data=str(root),
        log_id=directory.log_id,
        origin=origin,
        records=records,
        checkpoint_time=moment,
        agent_running=is_locked(directory.agent_lock),
        writers=sum(is_locked(path / "lock") for path in writers),
        spool_bytes=_bytes_of(path for writer in writers for path in writer.glob("*.spool")),
        sealed_files=sum(1 for _ in directory.sealed.glob("*.parquet")),
        open_bytes=_bytes_of(directory.open_vault.glob("*.jsonl")),
        sinks=_sinks(directory),
    )


def _bytes_of(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _sinks(directory: DataDirectory) -> dict[str, int]:
    cursors = {}
    for path in sorted(directory.sinks.glob("*.json")):
        with contextlib.suppress(msgspec.MsgspecError, FileNotFoundError):
            cursor = msgspec.json.decode(path.read_bytes(), type=_Cursor)
            cursors[cursor.sink] = cursor.next
    return cursors
