"""One log as a report reads it: its checkpoint, its key, its records, and the verifier's verdict."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compliance.checks.integrity import Integrity, check_integrity
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import UsageError

if TYPE_CHECKING:
    import duckdb

Say = Callable[[str], None]


@dataclass(frozen=True)
class LogSource:
    """What a report needs of one log. `connection` has the view `records`, cut at `size`."""

    id: str
    origin: str
    vkey: str
    size: int
    root: str
    """Base64."""
    checkpoint: bytes
    connection: duckdb.DuckDBPyConnection
    integrity: Integrity
    spool_pending: bool


def open_source(root: Path, say: Say, *, spool_pending: bool = False) -> LogSource:
    """Open a data directory for reading and verify it.

    `spool_pending`: records could not be moved out of the spool before, so that they are not in the log.

    Raises:
        DirectoryError: it is no data directory. LogError: nothing was published yet, or its vault does not fit.
    """
    from pxl_audit.log.checkpoint import parse_checkpoint  # noqa: PLC0415  # only for this command
    from pxl_audit.log.keys import load_vkey  # noqa: PLC0415
    from pxl_audit.log.note import NoteVerifier, open_note  # noqa: PLC0415
    from pxl_audit.log.reader import LogReader  # noqa: PLC0415
    from pxl_audit.vault.query import connect  # noqa: PLC0415

    directory = DataDirectory.open(root)
    vkey = load_vkey(directory)
    note = LogReader(directory.log).note()
    checkpoint = parse_checkpoint(open_note(note, [NoteVerifier(vkey)]))
    say(f"{root}: {checkpoint.size} records; verifying")
    integrity = check_integrity(root, progress=lambda done, total: say(f"{root}: verified {done} of {total}"))
    connection = connect(directory)
    cut_at(connection, checkpoint.size)
    return LogSource(
        id=directory.log_id,
        origin=checkpoint.origin,
        vkey=vkey,
        size=checkpoint.size,
        root=b64encode(checkpoint.root).decode(),
        checkpoint=note,
        connection=connection,
        integrity=integrity,
        spool_pending=spool_pending,
    )


def cut_at(connection: duckdb.DuckDBPyConnection, size: int) -> None:
    """Hide what was published after the checkpoint that the pack holds: every number of a report is of one moment."""
    connection.execute("ALTER VIEW records RENAME TO all_records")
    connection.execute(f"CREATE TEMP VIEW records AS SELECT * FROM all_records WHERE index < {int(size)}")  # noqa: S608


def refuse_doubles(directories: Sequence[DataDirectory]) -> None:
    """A log that is named twice would be counted twice.

    Raises:
        UsageError: two directories are the same log.
    """
    seen: set[str] = set()
    for directory in directories:
        if directory.log_id in seen:
            raise UsageError(
                f"--data {directory.root}: log {directory.log_id} is named twice; name each directory once"
            )
        seen.add(directory.log_id)
