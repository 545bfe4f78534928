"""Verify a whole data directory: one pass over log and vault side by side, then what only the whole can tell.

The directory may be in use. The checkpoint is taken first, and everything up to its size is verified; what lies beyond
is judged by the newest checkpoint. If something is found while files of the vault were being replaced, it may be the
mixture of two states that we saw, and so the run is repeated.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import UNSET

from pxl_audit.verify.directory import (
    CHECKPOINT,
    Snapshot,
    agent_is_running,
    read_checkpoint,
    read_key,
    read_marker,
    take_snapshot,
)
from pxl_audit.verify.erasures import EventBook
from pxl_audit.verify.ledger import Ledger
from pxl_audit.verify.log_walk import LogFiles, walk
from pxl_audit.verify.note import Head, LogKey, NoteError, open_checkpoint
from pxl_audit.verify.open_vault import OpenFile
from pxl_audit.verify.openings import Openings
from pxl_audit.verify.paths import WIDTH
from pxl_audit.verify.report import Findings, Report
from pxl_audit.verify.sealed import Engine, SealedFile
from pxl_audit.verify.second_look import check_overlaps, name_differences
from pxl_audit.verify.strays import check_log_files, check_vault_files
from pxl_audit.verify.vault_rows import VaultRows, list_vault

Progress = Callable[[int, int], None]
_RUNS = 3
_PROGRESS_RECORDS = 64 * WIDTH


def verify_directory(
    root: Path,
    *,
    key: str | None = None,
    held: Mapping[str, bytes] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Verify log, vault and ledger of a data directory.

    Args:
        root: the data directory; only read, and it may be in use.
        key: the log's verifier key as an auditor holds it; else the directory's own is believed.
        held: checkpoints of this log that were kept elsewhere, by a name for messages: the log must contain each.
        progress: called with (records done, records in all) now and then.

    Raises:
        DirectoryError: it cannot be judged: no data directory, a newer format, no key, no log yet.
        UnavailableError: `key` is no key, or the vault moves faster than it can be read.
        OSError: a file cannot be read.
    """
    report = Report(ok=False)
    for _ in range(_RUNS):
        before = _fingerprint(root)
        report = _Run(root, key, held or {}, progress).report()
        # Only files that were replaced make two reads of a good directory disagree.
        if not report.findings_total or _fingerprint(root) == before:
            break
    return report


def _fingerprint(root: Path) -> list[tuple[str, int]]:
    sealed, opened = list_vault(root / "vault")
    files: list[SealedFile | OpenFile] = [*sealed, *opened]
    found = []
    for file in files:
        try:
            found.append((file.name, file.path.stat().st_ino))
        except FileNotFoundError:
            found.append((file.name, 0))
    return found


class _Run:
    """One run; holds what its steps share."""

    def __init__(self, root: Path, key: str | None, held: Mapping[str, bytes], progress: Progress | None) -> None:
        self._root = root
        self._key = key
        self._held = held
        self._progress = progress
        self._findings = Findings()
        self._engine = Engine()

    def report(self) -> Report:
        """Run all checks."""
        findings = self._findings
        log_id = read_marker(self._root, findings)
        key = read_key(self._root, self._key, findings)
        if log_id is None or key is None:
            return _stopped(findings, log_id)
        snapshot = take_snapshot(self._root, key, findings)
        if snapshot is None:
            return _stopped(findings, log_id)
        files = LogFiles(self._root / "log", snapshot.head, snapshot.edge, findings)
        events = EventBook(findings, snapshot.head.size, files.entry)
        openings = Openings(findings, events)
        records = self._read_all(files, openings, events, self._heads(key))
        published, busy = self._newest(snapshot, key)
        ledger = Ledger(self._root, log_id, snapshot.head.size, findings)
        erasures, differences = events.finish(ledger, published=published)
        for difference in differences:
            name_differences(self._root / "vault", difference, ledger, self._engine, findings)
        check_overlaps(self._root / "vault", self._engine, findings)
        check_log_files(self._root / "log", published, busy=busy, findings=findings)
        check_vault_files(self._root / "vault", published, busy=busy, findings=findings)
        return Report(
            ok=not findings.total and not findings.unjudged,
            log_id=log_id,
            origin=snapshot.head.origin,
            size=snapshot.head.size,
            root=b64encode(snapshot.head.root).decode("ascii"),
            checkpoint=snapshot.head.note.decode("utf-8"),
            records=records,
            openings=openings.totals(),
            erasures=erasures,
            findings=findings.kept,
            findings_total=findings.total,
            unjudged=findings.unjudged,
        )

    def _read_all(self, files: LogFiles, openings: Openings, events: EventBook, held: dict[str, Head]) -> int:
        """Read log and vault side by side; the number of entries that are well-formed."""
        size = files.head.size
        rows = VaultRows(
            self._root / "vault",
            size,
            self._engine,
            self._findings,
            missing=openings.missing,
            busy=lambda: agent_is_running(self._root),
        )
        records = 0
        for number, bundle in enumerate(walk(files, self._findings, held)):
            end = min((number + 1) * WIDTH, size)
            chunks = rows.take(end)
            if bundle is not None:
                for i, entry in enumerate(bundle.entries):
                    if entry is not None:
                        records += 1
                        if entry.e is not UNSET:
                            events.see(bundle.start + i, entry)
                openings.check(bundle, chunks)
            if self._progress is not None and (end % _PROGRESS_RECORDS == 0 or end == size):
                self._progress(end, size)
        rows.finish()
        return records

    def _heads(self, key: LogKey) -> dict[str, Head]:
        heads = {}
        for name, note in self._held.items():
            try:
                heads[name] = open_checkpoint(note, key)
            except NoteError as error:
                self._findings.add("held-checkpoint", name, f"a checkpoint signed by {key.name}", str(error))
        return heads

    def _newest(self, snapshot: Snapshot, key: LogKey) -> tuple[int, bool]:
        """Size of the newest checkpoint, and whether an agent may be preparing the next one."""
        busy = agent_is_running(self._root)  # first: an agent that ends now has published what it wrote
        note = read_checkpoint(self._root)
        if note == snapshot.head.note:
            return snapshot.head.size, busy
        try:
            newest = open_checkpoint(note or b"", key)
        except NoteError as error:
            self._findings.add("checkpoint", CHECKPOINT, "a newer checkpoint of this log", str(error))
            return snapshot.head.size, busy
        if newest.size < snapshot.head.size:
            self._findings.add(
                "checkpoint", CHECKPOINT, f"a size of at least {snapshot.head.size}", f"size {newest.size}"
            )
        return max(newest.size, snapshot.head.size), busy


def _stopped(findings: Findings, log_id: str | None) -> Report:
    return Report(ok=False, log_id=log_id, findings=findings.kept, findings_total=findings.total)
