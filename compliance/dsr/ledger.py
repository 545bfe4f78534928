"""`ledger/erasures.jsonl`: which parts were destroyed, and by which event. It names nobody.

It is kept apart from the vault, because a vault that is restored from a backup has to be erased again from it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from compliance.dsr.parts import PartSet, Range
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import DirectoryError
from pxl_audit.files import append_durably, locked, make_directory

LOCK_SECONDS = 10.0


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line; members stand in the order of docs/format.md, section 6."""

    actor: list[Range]
    event: int
    """Leaf index of the record that announced the destruction."""
    log: str
    """Log id: an event's index means nothing without it."""
    target: list[Range]

    def parts(self) -> PartSet:
        """The parts that were destroyed."""
        return PartSet.from_ranges(self.actor, self.target)


def ledger_path(directory: DataDirectory) -> Path:
    """Where the ledger is."""
    return directory.ledger / "erasures.jsonl"


def entries(directory: DataDirectory) -> list[Entry]:
    """All whole lines; half a line at the end is an append that did not happen.

    Raises:
        DirectoryError: a line is damaged.
    """
    path = ledger_path(directory)
    lines = _read(path).split(b"\n")[:-1]
    try:
        return [msgspec.json.decode(line, type=Entry) for line in lines]
    except msgspec.MsgspecError:
        raise DirectoryError(f"{path}: a line is damaged; restore the ledger from its own backup") from None


def append_once(directory: DataDirectory, event: int, parts: PartSet) -> None:
    """Append the line of `event` durably, unless it stands there.

    A torn line of an earlier try is completed, so that nothing that was written is ever taken back.

    Raises:
        DirectoryError: the ledger ends in a torn line of something else.
    """
    entry = Entry(parts.actor_ranges(), event, directory.log_id, parts.target_ranges())
    line = msgspec.json.encode(entry) + b"\n"
    path = ledger_path(directory)
    make_directory(path.parent)
    with locked(path.parent / "lock", exclusive=True, timeout_seconds=LOCK_SECONDS):
        if entry in entries(directory):
            return
        torn = _read(path).rpartition(b"\n")[2]
        if not line.startswith(torn):
            raise DirectoryError(
                f"{path}: ends in half a line of another erasure; execute that request again first (pxl-audit dsr list)"
            )
        append_durably(path, line[len(torn) :])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
