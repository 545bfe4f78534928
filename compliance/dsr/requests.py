"""The request file `dsr/<request id>.json`: the one place where a request keeps what the person is known by.

::

    opened ──plan──► planned ──approve──► approved ──execute──► executing ──► completed
       └────────────────┴───────refuse──────┴──► refused          └─► partial ─┘

A later plan takes an approved request back to `planned`. `executing` and `partial` only go forward: something has been
announced in the log, and executing again goes on where it stopped. `completed` and `refused` hold no identifier and no
name of a member of staff any more.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import msgspec

from compliance.dsr.parts import PartSet, Range
from compliance.dsr.subject import Identifier
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import DirectoryError, UsageError
from pxl_audit.files import locked, make_directory, unlink_durably, write_atomically

VERSION = 1
LOCK_SECONDS = 10.0
State = Literal["opened", "planned", "approved", "executing", "partial", "completed", "refused"]
Ground = Literal["a", "b", "c", "d", "e", "f"]
FINAL: tuple[State, ...] = ("completed", "refused")
UNDERWAY: tuple[State, ...] = ("executing", "partial")

REASONS = {
    "17-3-a": "freedom of expression and information, Art. 17(3)(a)",
    "17-3-b": "a legal obligation or a task in the public interest, Art. 17(3)(b)",
    "17-3-c": "public interest in public health, Art. 17(3)(c)",
    "17-3-d": "archiving, research or statistics, Art. 17(3)(d)",
    "17-3-e": "legal claims, Art. 17(3)(e)",
    "unidentifiable": "the person cannot be identified in the data, Art. 11",
    "manifestly-unfounded": "manifestly unfounded or excessive, Art. 12(5)",
}

_REQUEST_ID = re.compile(r"dsr-[0-9a-f]{8}", re.ASCII)


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a plan selects, in numbers. Times in seconds since 1970; counts of parts, not of records."""

    by_retention: dict[str, int]
    by_event: dict[str, int]
    by_service: dict[str, int]
    by_identifier: list[tuple[str, int]]
    """For each identifier of the subject, in its order: its name, and the parts that it matches (withheld ones too)."""
    first: int | None
    last: int | None
    other_people: int
    """Other user ids that stand in the selected actor parts: they share an address, a browser or a session."""
    near: int
    """User ids in the log that differ from the subject's only in case or Unicode form, and are not selected."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parts to erase: leaf indexes, never their content."""

    digest: str
    made: datetime
    size: int
    """Published size of the log: records from here on are not covered."""
    root: str
    """Root hash of the log at that size, base64."""
    include_control: bool
    actor: list[Range]
    target: list[Range]
    withheld_actor: list[Range]
    withheld_target: list[Range]
    summary: Summary

    def parts(self) -> PartSet:
        """What is to be erased."""
        return PartSet.from_ranges(self.actor, self.target)

    def withheld(self) -> PartSet:
        """What also names the person, and stays until a person has reviewed it (Art. 17(3)(e))."""
        return PartSet.from_ranges(self.withheld_actor, self.withheld_target)


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step that is recorded in the log. `by` is emptied with the identifiers: the log's record keeps it."""

    at: datetime
    by: str | None
    event: int | None = None
    """Leaf index; None until the record is published."""


class Residue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the search for left-over values found, in numbers."""

    at: datetime
    files: int
    bytes: int
    control: bool
    """Planted values were found by the same search: without that, finding nothing means nothing."""
    found: int
    review: int
    newer: int
    withheld: int
    shared: int
    """Rows that still hold an address or a browser of the person: other people may have them too."""
    accepted: bool = False
    """The erasure was completed although something had been found, because a person decided so."""


class Sink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sink reported."""

    sink: str
    documents: int
    verified: bool
    detail: str


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request of one person."""

    version: int = VERSION
    id: str
    state: State
    received: date
    due: date
    ground: Ground
    """Letter of Art. 17(1)."""
    channel: str | None = None
    subject: list[Identifier] | None
    """None once it is not needed any more."""
    opened: Act
    plan: Plan | None = None
    approved: Act | None = None
    started: int | None = None
    """Leaf index of `dsr.erasure.started`."""
    sinks: list[Sink] = []
    newer: int | None = None
    """Parts that name the person in records newer than the plan, when it was executed."""
    residue: Residue | None = None
    completed: Act | None = None
    refused: Act | None = None
    reason: str | None = None

    def identifiers(self) -> tuple[Identifier, ...]:
        """The subject of a request that still has one."""
        if self.subject is None:
            raise UsageError(f"{self.id} is {self.state}: its identifiers are destroyed; open a new request")
        return tuple(self.subject)

    def forgotten(self) -> Request:
        """The same request with nothing in it that names anybody."""
        acts = {
            name: msgspec.structs.replace(act, by=None)
            for name in ("opened", "approved", "completed", "refused")
            if (act := getattr(self, name)) is not None
        }
        return msgspec.structs.replace(self, subject=None, **acts)


def now() -> datetime:
    """The time, to the second, UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def new_id() -> str:
    """An id for a request: random, so it tells nothing."""
    return f"dsr-{os.urandom(4).hex()}"


def request_path(directory: DataDirectory, request_id: str) -> Path:
    """Where the request file is; `UsageError` if that is no request id (the id is a file name)."""
    if not _REQUEST_ID.fullmatch(request_id):
        raise UsageError("not a request id; expected dsr- and 8 hexadecimal digits (see: pxl-audit dsr list)")
    return directory.dsr / f"{request_id}.json"


def load(directory: DataDirectory, request_id: str) -> Request:
    """One request; `UsageError` if there is none with this id, `DirectoryError` if its file is damaged."""
    path = request_path(directory, request_id)
    try:
        return _decode(path, path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{request_id}: no such request in {directory.root} (see: pxl-audit dsr list)") from None


def load_all(directory: DataDirectory) -> list[Request]:
    """All requests, the earliest due first."""
    found = [_decode(path, path.read_bytes()) for path in directory.dsr.glob("dsr-*.json")]
    return sorted(found, key=lambda request: (request.due, request.id))


def _decode(path: Path, data: bytes) -> Request:
    try:
        request = msgspec.json.decode(data, type=Request)
    except msgspec.MsgspecError:
        # The error's own text may quote the file, and the file names a person.
        raise DirectoryError(f"{path}: damaged or of a newer version; restore this file from a backup") from None
    if request.version != VERSION or f"{request.id}.json" != path.name:
        raise DirectoryError(f"{path}: of another version or renamed; expected version {VERSION} of {path.stem}")
    return request


def encode(request: Request) -> bytes:
    """The bytes of the request file."""
    return msgspec.json.encode(request) + b"\n"


def save(directory: DataDirectory, request: Request) -> Request:
    """Replace the request file as a whole, durably; returns the request. Call it under `working_on`."""
    write_atomically(request_path(directory, request.id), encode(request))
    return request


@contextlib.contextmanager
def working_on(directory: DataDirectory) -> Iterator[None]:
    """Hold the lock of all requests; half-written files of a killed command are removed, for they name people."""
    make_directory(directory.dsr)
    with locked(directory.dsr / "lock", exclusive=True, timeout_seconds=LOCK_SECONDS):
        for stale in directory.dsr.glob(".dsr-*.tmp"):
            unlink_durably(stale)
        yield
