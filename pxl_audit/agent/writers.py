"""All writers of a spool: follow them, tell those that ended from those that were killed, clean up after both."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pxl_audit.event import make_event
from pxl_audit.files import sync_directory, write_atomically
from pxl_audit.spool.reader import Reading, SpoolReader
from pxl_audit.spool.writer import ASK, STARTING
from pxl_audit.vault.journal import FINISHED

_log = logging.getLogger("pxl_audit.agent")

ANSWER = "answer"
STARTING_SECONDS = 60.0
"""A directory whose writer is not ready after this long is one whose writer died while it started."""


class Ask(msgspec.Struct):
    """What a command wants to know when its events are in the log."""

    seal: bool = False


class Answer(msgspec.Struct):
    """Leaf indexes of its events (None: recorded, but not known here), and the published size that covers them."""

    indexes: list[int] | None
    size: int


@dataclass
class Gathered:
    """Events for one batch and what must be done once they are durable."""

    payloads: list[bytes] = field(default_factory=list)
    cursors: dict[str, int] = field(default_factory=dict)
    done_segments: list[Path] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    origins: list[tuple[str, int]] = field(default_factory=list)
    """Writer id and sequence number of each payload; empty and 0 for the agent's own."""
    services: dict[str, str] = field(default_factory=dict)
    """Service of each finished writer."""


class Writers:
    """The agent's view of `spool/`."""

    def __init__(self, spool: Path, cursors: Mapping[str, int]) -> None:
        self._spool = spool
        self._cursors = {writer: cursor for writer, cursor in cursors.items() if (spool / writer).exists()}
        self._readers: dict[str, SpoolReader] = {}
        self._waiting: dict[str, list[int]] = {}
        self._remove_stillborn()
        for writer, cursor in list(self._cursors.items()):
            if cursor == FINISHED:
                self._remove(writer)

    @property
    def empty(self) -> bool:
        """Whether no writer is left."""
        return not self._readers and not self._names()

    def gather(self, limit: int) -> Gathered:
        """New events of all writers, fairly: each gets a share of `limit`."""
        names = self._names()
        gathered = Gathered()
        share = max(64, limit // max(1, len(names)))
        for name in names:
            reader = self._reader(name)
            reading = reader.read(share)
            self._add(gathered, reader, reading)
            if not reading.events and not reading.done_segments and name not in gathered.finished:
                self._finish_if_over(gathered, reader)
        gathered.cursors = {**self._cursors}
        return gathered

    def committed(self, gathered: Gathered, first_index: int) -> None:
        """The batch is durable: unlink what was read to its end, note the indexes of those who asked."""
        for i, (origin, _) in enumerate(gathered.origins):
            if origin in self._waiting:
                self._waiting[origin].append(first_index + i)
        for path in gathered.done_segments:
            if path.parent.name not in self._waiting:  # kept until answered, so that a next agent sees how it ended
                path.unlink(missing_ok=True)
        for name in gathered.finished:
            self._remove(name)

    def asking(self) -> dict[str, Ask]:
        """Commands whose events are all in, and that wait for an answer."""
        asks = {}
        for name in list(self._waiting):
            reader = self._readers.get(name)
            if reader is not None and reader.ended and not (reader.path / ANSWER).exists():
                with contextlib.suppress(OSError, msgspec.MsgspecError):
                    asks[name] = msgspec.json.decode((reader.path / ASK).read_bytes(), type=Ask)
        return asks

    def answer(self, name: str, size: int) -> None:
        """Tell a command the indexes of its events."""
        reader = self._readers[name]
        indexes = self._waiting[name]
        # An agent before us took some of these events and ended before it answered: their indexes are not known here.
        answer = Answer(indexes=indexes if len(indexes) == reader.cursor else None, size=size)
        with contextlib.suppress(FileNotFoundError):  # it gave up waiting and went away
            write_atomically(self._spool / name / ANSWER, msgspec.json.encode(answer))

    def live(self) -> int:
        """Number of writers that have not ended."""
        return sum(1 for reader in self._readers.values() if not reader.ended)

    def close(self) -> None:
        """Let go of every descriptor."""
        for reader in self._readers.values():
            reader.close()

    def _names(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(path.name for path in self._spool.iterdir() if len(path.name) == 16)
        return []

    def _reader(self, name: str) -> SpoolReader:
        reader = self._readers.get(name)
        if reader is not None:
            return reader
        path = self._spool / name
        reader = self._readers[name] = SpoolReader(path, max(0, self._cursors.get(name, 0)))
        if (path / ASK).exists():
            self._waiting[name] = []
        return reader

    def _add(self, gathered: Gathered, reader: SpoolReader, reading: Reading) -> None:
        for cause, count in reading.gaps:
            _log.error("gap in the spool of writer %s: %s, %d events", reader.writer, cause, count)
            now = int(time.time())
            facts: dict[str, int | str] = {
                "cause": cause,
                "count": count,
                "from": now,
                "to": now,
                "writer": reader.writer,
            }
            gathered.payloads.append(make_event("audit.gap", outcome="failure", facts=facts))
            gathered.origins.append(("", 0))
        for seq, payload in reading.events:
            gathered.payloads.append(payload)
            gathered.origins.append((reader.writer, seq))
        if reading.events:
            self._cursors[reader.writer] = reader.cursor
        gathered.done_segments += reading.done_segments
        if reader.ended and reader.writer not in self._waiting:
            # In the same commit as its last events: the segments that say so are unlinked after it.
            self._finish(gathered, reader)

    def _finish_if_over(self, gathered: Gathered, reader: SpoolReader) -> None:
        """Nothing new from this writer: is it because it is no more?"""
        if not reader.writer_is_dead():
            return
        last = reader.read()
        if last.events or last.done_segments or last.gaps:
            self._add(gathered, reader, last)
            return
        if not reader.ended and reader.writer not in self._waiting:
            gathered.payloads.append(_unclean_stop(reader))
            gathered.origins.append(("", 0))
        self._finish(gathered, reader)

    def _finish(self, gathered: Gathered, reader: SpoolReader) -> None:
        self._cursors[reader.writer] = FINISHED
        gathered.finished.append(reader.writer)
        gathered.services[reader.writer] = reader.service

    def _remove_stillborn(self) -> None:
        for path in self._spool.glob(f"{STARTING}*"):
            with contextlib.suppress(FileNotFoundError):  # it has just become ready
                if time.time() - path.stat().st_mtime > STARTING_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)

    def _remove(self, name: str) -> None:
        reader = self._readers.pop(name, None)
        if reader is not None:
            reader.close()
        self._cursors.pop(name, None)
        self._waiting.pop(name, None)
        shutil.rmtree(self._spool / name, ignore_errors=True)
        sync_directory(self._spool)


def _unclean_stop(reader: SpoolReader) -> bytes:
    """What a killed writer is known to have lost: requests without an event, events that never reached the disk."""
    counters = reader.counters()
    now = int(time.time())
    begun = counters.begun if counters else 0
    in_flight = counters.begun - counters.ended if counters else 0
    handed_out = counters.handed_out if counters else reader.cursor
    facts: dict[str, int | str] = {
        "begun": begun,
        "from": counters.changed_us // 1_000_000 if counters else now,
        "handed_out": handed_out,
        "in_flight": max(0, in_flight),
        "lost": max(0, handed_out - reader.cursor),
        "recovered": reader.cursor,
        "service": reader.service or "unknown",
        "to": now,
        "writer": reader.writer,
    }
    _log.warning(
        "writer %s of %s was killed: %s in flight, %s lost",
        reader.writer,
        reader.service,
        facts["in_flight"],
        facts["lost"],
    )
    return make_event("audit.writer.unclean_stop", outcome="failure", facts=facts)
