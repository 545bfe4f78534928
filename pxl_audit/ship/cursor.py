"""How far a sink has been delivered: `DIR/sinks/<name>.json`, and what was given up: `<name>.quarantine.jsonl`.

Neither file names anybody: there are leaf indexes and types of errors in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from pxl_audit.errors import DirectoryError
from pxl_audit.files import append_durably, make_directory, write_atomically


class _State(msgspec.Struct):
    sink: str
    next: int


class Quarantined(msgspec.Struct, frozen=True):
    """A record that a sink will never take. It is in the log and the vault as before."""

    index: int
    reason: str
    """Type of the error."""
    status: int


class Cursor:
    """The first index that a sink has not confirmed; everything before it was confirmed or quarantined."""

    def __init__(self, directory: Path, sink: str) -> None:
        self._path = directory / f"{sink}.json"
        self._quarantine = directory / f"{sink}.quarantine.jsonl"
        self._sink = sink

    def read(self) -> int:
        """The next index to deliver; 0 before the first delivery.

        Raises:
            DirectoryError: the file is damaged, or another sink's.
        """
        try:
            state = msgspec.json.decode(self._path.read_bytes(), type=_State)
        except FileNotFoundError:
            return 0
        except msgspec.MsgspecError:
            raise self._damaged("not readable as JSON with `sink` and `next`") from None
        if state.sink != self._sink or state.next < 0:
            raise self._damaged(f"expected sink {self._sink!r} and next >= 0")
        return state.next

    def write(self, index: int) -> None:
        """Make `index` the next to deliver, durably."""
        make_directory(self._path.parent)
        write_atomically(self._path, msgspec.json.encode(_State(self._sink, index)) + b"\n")

    def quarantine(self, records: Sequence[Quarantined]) -> None:
        """Note records that were given up, durably. Call it before the cursor passes them."""
        make_directory(self._path.parent)
        append_durably(self._quarantine, b"".join(msgspec.json.encode(record) + b"\n" for record in records))

    def quarantined(self) -> list[Quarantined]:
        """All records that were given up, each index once, ascending (a crash may have noted one twice)."""
        try:
            lines = self._quarantine.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        noted = {record.index: record for record in (msgspec.json.decode(line, type=Quarantined) for line in lines)}
        return [noted[index] for index in sorted(noted)]

    def _damaged(self, how: str) -> DirectoryError:
        return DirectoryError(
            f"{self._path}: damaged ({how}); remove the file: all records are offered again then, none is stored twice"
        )
