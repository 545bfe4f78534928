"""The erasure ledger (docs/format.md section 6): per event, which parts of which indexes were destroyed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

import msgspec

from pxl_audit.verify.report import Findings
from pxl_audit.verify.tree import set_root

Ranges = list[tuple[int, int]]


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    actor: Ranges
    event: int
    log: str
    target: Ranges


@dataclass(frozen=True)
class LedgerLine:
    """The set of one event, by its size and root."""

    counts: dict[str, int]
    root: bytes


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


class Ledger:
    """Reads the ledger line by line; of each line it keeps the counts and the root."""

    name = "ledger/erasures.jsonl"

    def __init__(self, root: Path, log_id: str, size: int, findings: Findings) -> None:
        """`size`: of the log; the sets of events beyond it are not looked at."""
        self._path = root / self.name
        self._log_id = log_id
        self._lines: dict[int, LedgerLine] = {}
        for number, raw in enumerate(self._raw_lines(), 1):
            line = self._parse(raw)
            if line is None:
                found = f"{len(raw)} other bytes in line {number}"
                findings.add("ledger-line", self.name, "a canonical line of this log with ascending ranges", found)
                continue
            read = LedgerLine(_counts(line), set_root(_members(line)) if line.event < size else b"")
            if self._lines.setdefault(line.event, read) != read:
                findings.add(
                    "ledger-line", self.name, "one set an event", f"another one in line {number}", index=line.event
                )

    def _raw_lines(self) -> Iterator[bytes]:
        try:
            stream = self._path.open("rb")
        except FileNotFoundError:
            return
        with stream:
            # A last line without its end is being written, or was torn before it said anything.
            yield from (line for line in stream if line.endswith(b"\n"))

    def _parse(self, raw: bytes) -> _Line | None:
        try:
            line = _decode(raw)
        except msgspec.MsgspecError:
            return None
        if (
            line.log != self._log_id
            or not _ascending(line.actor, line.event)
            or not _ascending(line.target, line.event)
        ):
            return None
        return line if _encode(line) + b"\n" == raw else None

    def events(self) -> list[int]:
        """Indexes of the events that have a line."""
        return sorted(self._lines)

    def line(self, event: int) -> LedgerLine | None:
        """The line of an event."""
        return self._lines.get(event)

    def members(self, event: int) -> Iterator[tuple[int, str]]:
        """(index, part) of an event's set in ascending order, read again from the file."""
        for raw in self._raw_lines():
            line = self._parse(raw)
            if line is not None and line.event == event:
                yield from _members(line)
                return


def _ascending(ranges: Ranges, event: int) -> bool:
    """Whether ranges ascend without overlap and lie before the event, which can only announce what is in the log."""
    previous = 0
    for start, end in ranges:
        if start < previous or end <= start:
            return False
        previous = end
    return previous <= event


def _counts(line: _Line) -> dict[str, int]:
    return {
        "actor": sum(end - start for start, end in line.actor),
        "target": sum(end - start for start, end in line.target),
    }


def _members(line: _Line) -> Iterator[tuple[int, str]]:
    def one(ranges: Ranges, part: str) -> Iterator[tuple[int, str]]:
        return ((index, part) for start, end in ranges for index in range(start, end))

    return merge(one(line.actor, "actor"), one(line.target, "target"))
