"""One row of the vault (docs/format.md, section 5): the skeleton with its defaults filled in, and the openings."""

from __future__ import annotations

from typing import Literal

import msgspec

Part = Literal["actor", "target"]
PartState = Literal["open", "absent", "erased", "expired", "withheld"]
PARTS: tuple[Part, Part] = ("actor", "target")


class Opening(msgspec.Struct, frozen=True):
    """One personal part of one record, and what has become of it."""

    state: PartState
    text: str | None = None
    """Canonical bytes (JSON) as text; only while `open`."""
    salt: bytes | None = None
    """32 bytes; only while `open`."""
    by: int | None = None
    """`erased`, `expired`: leaf index of the event that says so."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One record. `time` in seconds since 1970 (UTC)."""

    index: int
    time: int
    service: str
    event: str
    method: str | None = None
    route: str | None = None
    status: int | None = None
    outcome: str = "success"
    ending: str = "complete"
    actor_kind: str = "anonymous"
    retention: str = "access"
    error_type: str | None = None
    duration_us: int | None = None
    first_byte_us: int | None = None
    application_us: int | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    facts: dict[str, int | str] | None = None
    actor: Opening
    target: Opening
