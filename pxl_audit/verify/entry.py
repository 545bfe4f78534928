"""Entries of the log: the leaf of docs/format.md section 3, read strictly.

An entry must be its own RFC 8785 form: decoding and encoding again gives the same bytes, or the entry is malformed.
A member may state what leaving it out would mean; the writer does not, and a reader need not care.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pxl_audit.verify.report import Findings

Integer = Annotated[int, msgspec.Meta(ge=-(2**53) + 1, le=2**53 - 1)]
Ending = Literal["complete", "exception", "no_response", "incomplete", "disconnect", "cancelled", "refused"]
Commitment = Annotated[str, msgspec.Meta(min_length=43, max_length=43)]
_COMMITMENT = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]", re.ASCII)
"""32 bytes in base64 without padding; the last character carries four bits, so 16 letters are possible."""
VERSION = 1
HTTP_REQUEST = "http.request"
_LEFT_OUT: dict[str, object] = {
    "e": HTTP_REQUEST, "i": 0, "k": "anonymous", "n": "complete", "o": "success", "p": "access", "u": 0, "v": VERSION,
}  # fmt: skip


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One leaf as it stands; members in RFC 8785 order. `value` gives what a member means."""

    a: Commitment
    b: Commitment
    c: Integer | UnsetType = UNSET
    d: Integer | UnsetType = UNSET
    e: str | UnsetType = UNSET
    f: dict[str, Integer | str] | UnsetType = UNSET
    g: str | UnsetType = UNSET
    h: Integer | UnsetType = UNSET
    i: Integer | UnsetType = UNSET
    k: Literal["anonymous", "user", "service", "system"] | UnsetType = UNSET
    m: str | UnsetType = UNSET
    n: Ending | UnsetType = UNSET

    o: Literal["success", "failure", "unknown"] | UnsetType = UNSET
    p: Literal["access", "security", "control"] | UnsetType = UNSET
    r: str | UnsetType = UNSET
    s: str | UnsetType = UNSET
    t: Integer | UnsetType = UNSET
    u: Integer | UnsetType = UNSET
    v: Annotated[int, msgspec.Meta(ge=1, le=VERSION)] | UnsetType = UNSET
    w: Integer | UnsetType = UNSET

    @property
    def event(self) -> str:
        """Name of the event."""
        return HTTP_REQUEST if isinstance(self.e, UnsetType) else self.e

    @property
    def facts(self) -> dict[str, int | str]:
        """What the event says in public."""
        return {} if isinstance(self.f, UnsetType) else self.f


def value(entry: Entry, member: str) -> object:
    """What a member says, or what it means that it was left out."""
    stated = getattr(entry, member)
    return _LEFT_OUT.get(member) if stated is UNSET else stated


_decode = msgspec.json.Decoder(Entry).decode
_encode = msgspec.json.Encoder(order="deterministic").encode


def read_entries(entries: list[bytes], start: int, file: str, findings: Findings) -> list[Entry | None]:
    """The entries of a bundle, None for each that is malformed or newer (and reported)."""
    try:
        read = [_decode(entry) for entry in entries]
        if [_encode(entry) for entry in read] == entries and b"".join(entries).isascii() and all(map(_whole, read)):
            return list(read)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    return [_read_one(entry, start + i, file, findings) for i, entry in enumerate(entries)]


def _whole(entry: Entry) -> bool:
    return (
        entry.s is not UNSET
        and entry.t is not UNSET
        and _COMMITMENT.fullmatch(entry.a) is not None
        and _COMMITMENT.fullmatch(entry.b) is not None
    )


def _read_one(raw: bytes, index: int, file: str, findings: Findings) -> Entry | None:
    reason = "bytes that are their own canonical form"
    try:
        entry = _decode(raw)
        if _encode(entry) == raw and raw.isascii():
            if _whole(entry):
                return entry
            reason = "members `s` and `t`, and commitments of 32 bytes"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        reason = "known members with values of their types"
    version = _version(raw)
    if version is not None and version > VERSION:
        findings.cannot_judge(
            f"log/{file}: entry {index} is of version {version}, newer than this version of pxl-audit knows ({VERSION})"
        )
    else:
        findings.add("entry-malformed", f"log/{file}", reason, f"{len(raw)} bytes that are not", index=index)
    return None


def _version(raw: bytes) -> int | None:
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    version = entry.get("v") if isinstance(entry, dict) else None
    return version if isinstance(version, int) and not isinstance(version, bool) else None
