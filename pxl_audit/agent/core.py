"""The agent's work, one step at a time: spools → open vault → log → sealed vault.

Order of durability: rows get their index in the open vault (one fdatasync); only then are spool segments unlinked;
log files are written from the rows, and the checkpoint last. After a kill at any point the next agent finds rows that
are not in the log yet and integrates them again: the bytes are the same.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pxl_audit.agent.intents import Intents
from pxl_audit.agent.sequencer import UnreadableEventError, decode, sequence
from pxl_audit.agent.writers import Gathered, Writers
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import BusyError, LogError
from pxl_audit.event import BEGUN, StoredEvent, make_event
from pxl_audit.files import locked, make_directory, unlink_durably
from pxl_audit.log.keys import load_or_create
from pxl_audit.log.writer import LogWriter
from pxl_audit.vault.journal import OpenVault, RowLine, read_rows
from pxl_audit.vault.sealed import list_sealed, seal

_log = logging.getLogger("pxl_audit.agent")

BATCH_EVENTS = 4096
INTEGRATE_ROWS = 50_000


@dataclass(frozen=True)
class AgentSettings:
    """How the agent paces itself."""

    origin: str = ""
    """Name of a new log; `pxl-audit.local/<log id>` if empty."""
    publish_seconds: float = 1.0
    """At most this long after it became durable a record is covered by a checkpoint."""
    seal_seconds: float = 3600.0
    """The open vault is sealed when it is this old."""
    seal_rows: int = 500_000
    """... or has this many rows."""


class Agent:
    """Single-threaded; the caller holds the agent's lock."""

    def __init__(self, directory: DataDirectory, settings: AgentSettings | None = None) -> None:
        self.directory = directory
        self.settings = settings or AgentSettings()
        for folder in (directory.log, directory.vault, directory.open_vault, directory.sealed, directory.spool):
            make_directory(folder)
        signer = load_or_create(directory, self.settings.origin or f"pxl-audit.local/{directory.log_id}")
        self._writer = LogWriter(directory.log, signer)
        self._remove_left_overs()
        sealed = list_sealed(directory.sealed)
        self._sealed_end = sealed[-1].end if sealed else 0
        self._open = OpenVault.recover(directory.open_vault, self._sealed_end)
        self._opened_at = time.monotonic()
        self._published_at = 0.0
        self._unpublished: list[RowLine] = []
        if self._writer.size > self._open.end:
            raise LogError(
                f"{directory.vault}: ends at record {self._open.end}, but the log has published {self._writer.size}; "
                "it was restored from an older backup than the log. Restore a vault that is as new"
            )
        self._integrate_backlog()
        self._intents = Intents(self._open.intents)
        self.writers = Writers(directory.spool, self._open.cursors)
        if self._open.end == 0:
            self._commit(_own(make_event("audit.log.created", facts={"origin": signer.name})))

    @property
    def published(self) -> int:
        """Number of records that the checkpoint covers."""
        return self._writer.size

    def step(self) -> bool:
        """One round; whether there was anything to do."""
        gathered = self.writers.gather(BATCH_EVENTS)
        if gathered.payloads or gathered.finished or gathered.done_segments:
            self._commit(gathered)
        asking = self.writers.asking()
        if asking or self._publish_is_due():
            self.publish()
        if any(ask.seal for ask in asking.values()) or self._seal_is_due():
            self.seal()
        for name in asking:
            self.writers.answer(name, self.published)
        return bool(gathered.payloads or gathered.finished or asking)

    def publish(self) -> None:
        """Bring the log up to the open vault: tiles, then the checkpoint."""
        if self._unpublished:
            self._writer.append([row.leaf.encode("ascii") for row in self._unpublished])
            self._unpublished.clear()
        self._published_at = time.monotonic()

    def seal(self) -> None:
        """Turn the open vault into a sealed file and begin a new one."""
        self.publish()
        old = self._open
        self._opened_at = time.monotonic()
        if old.end == old.first:
            return
        with locked(self.directory.vault_lock, exclusive=True, timeout_seconds=120.0):
            sealed = seal(old.path, self.directory.sealed, old.first, old.end)
            self._sealed_end = sealed.end
            self._open = OpenVault.create(self.directory.open_vault, old.end, old.cursors, old.intents)
            old.close()
            unlink_durably(old.path)

    def close(self) -> None:
        """Publish what is durable and let go."""
        self.publish()
        self.writers.close()
        self._open.close()

    def _commit(self, gathered: Gathered) -> None:
        first = self._open.end
        rows = self._sequence(gathered, first)
        for writer in gathered.finished:
            closing = decode(self._intents.unfinished(writer, gathered.services[writer]))
            rows += sequence(closing, first + len(rows))
        self._open.append(rows, gathered.cursors or self._open.cursors, self._intents.copy())
        self._unpublished += rows
        self.writers.committed(gathered, first)

    def _sequence(self, gathered: Gathered, first: int) -> list[RowLine]:
        """Rows of the batch; an event that nobody can read becomes a gap in its place, so that nothing shifts."""
        while True:
            try:
                events = decode(gathered.payloads)
                rows = sequence(self._paired(events, gathered.origins, first), first)
            except UnreadableEventError as error:
                position = error.args[0]
                _log.error("unreadable event of writer %s: a gap is recorded", gathered.origins[position][0] or "agent")
                now = int(time.time())
                gathered.payloads[position] = make_event(
                    "audit.gap",
                    outcome="failure",
                    facts={
                        "cause": "unreadable_event",
                        "count": 1,
                        "from": now,
                        "to": now,
                        "writer": gathered.origins[position][0],
                    },
                )
            else:
                return rows

    def _paired(
        self, events: Sequence[StoredEvent], origins: Sequence[tuple[str, int]], first: int
    ) -> list[StoredEvent]:
        """The events, each completion with the leaf index of its intent among its facts."""
        intents = Intents(self._intents.copy())
        paired = []
        for i, (event, (writer, seq)) in enumerate(zip(events, origins, strict=True)):
            whole = event
            if event.e == BEGUN:
                intents.begun(writer, seq, first + i)
            elif event.x is not None and (index := intents.completed(writer, event.x)) is not None:
                whole = msgspec.structs.replace(event, f={**(event.f or {}), "intent": index})
            paired.append(whole)
        self._intents = intents
        return paired

    def _publish_is_due(self) -> bool:
        return bool(self._unpublished) and (
            time.monotonic() - self._published_at >= self.settings.publish_seconds
            or len(self._unpublished) >= INTEGRATE_ROWS
        )

    def _seal_is_due(self) -> bool:
        rows = self._open.end - self._open.first
        return rows > 0 and (
            rows >= self.settings.seal_rows or time.monotonic() - self._opened_at >= self.settings.seal_seconds
        )

    def _remove_left_overs(self) -> None:
        """Files of an agent or command that was killed while it wrote a sealed file: they may hold openings."""
        with (
            contextlib.suppress(BusyError),  # a command is writing one just now; the next agent looks again
            locked(self.directory.vault_lock, exclusive=True, timeout_seconds=0.0),
        ):
            for left_over in self.directory.sealed.glob(".*.tmp"):
                unlink_durably(left_over)

    def _integrate_backlog(self) -> None:
        """Rows that became durable before the last agent ended, and were not published."""
        backlog: list[bytes] = []
        for row in read_rows(self._open.path, self._writer.size, self._open.end):
            backlog.append(row.leaf.encode("ascii"))
            if len(backlog) == INTEGRATE_ROWS:
                self._writer.append(backlog)
                backlog.clear()
        if backlog:
            self._writer.append(backlog)
        if self._writer.size != self._open.end:
            raise LogError(
                f"{self._open.path}: rows are missing before record {self._open.end}; run `pxl-audit verify`"
            )


def _own(payload: bytes) -> Gathered:
    return Gathered(payloads=[payload], origins=[("", 0)])
