"""A vault row as the pieces of an OpenTelemetry log record, without OpenTelemetry.

Names: OpenTelemetry semantic conventions 1.44 where they exist, else the draft audit signal (`audit.*`), else `pxl.*`.
An entry is a function of the row alone, so the same record always gives the same document. That holds for the times
too: the exact one is personal (a rare moment singles a person out), so it is there only as long as the actor is open.

An open part carries its salt and its canonical text: with them anybody recomputes the commitment in the leaf, and a
document proves itself against the log.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Literal

import msgspec

from pxl_audit.vault.row import Opening, Part, Row

AttributeValue = str | int | list[str]
Kind = Literal["keyword", "long", "text"]
"""How an attribute is indexed; `text`: kept in the document only, neither indexed nor analysed."""

ACTOR_MEMBERS = {
    "client.address": "client.address",
    "network.peer.address": "network.peer.address",
    "pxl.request.id": "pxl.request.id",
    "pxl.time_us": "pxl.time_us",
    "session.id": "session.id",
    "user.id": "user.id",
    "user.roles": "user.roles",
    "user_agent.original": "user_agent.original",
}
TARGET_MEMBERS = {
    "audit.target.id": "audit.target.id",
    "http.request.method_original": "http.request.method_original",
    "url.path": "url.path",
    "url.query": "url.query",
}
"""Member of a part (docs/format.md, section 2) -> attribute. Others stand in the part's text only."""

PART_ATTRIBUTES: dict[Part, frozenset[str]] = {
    "actor": frozenset({*ACTOR_MEMBERS.values(), "audit.actor.id", "pxl.actor.salt", "pxl.actor.text"}),
    "target": frozenset({*TARGET_MEMBERS.values(), "pxl.target.salt", "pxl.target.text"}),
}
"""All attributes that must be gone when a part is."""

PART_FIELDS: dict[Part, frozenset[str]] = {"actor": frozenset({"trace_id", "span_id"}), "target": frozenset()}
"""The same for fields of the document that are not attributes."""

KINDS: dict[str, Kind] = {
    **dict.fromkeys((*ACTOR_MEMBERS.values(), *TARGET_MEMBERS.values()), "keyword"),
    **dict.fromkeys(
        (
            "audit.record.id",
            "audit.actor.id",
            "audit.actor.type",
            "audit.action",
            "audit.outcome",
            "error.type",
            "http.request.method",
            "http.route",
            "pxl.actor.state",
            "pxl.ending",
            "pxl.log.id",
            "pxl.retention",
            "pxl.target.state",
        ),
        "keyword",
    ),
    **dict.fromkeys(
        (
            "audit.sequence.number",
            "http.request.body.size",
            "http.response.body.size",
            "http.response.status_code",
            "pxl.actor.by",
            "pxl.application_us",
            "pxl.duration_us",
            "pxl.first_byte_us",
            "pxl.log.index",
            "pxl.target.by",
            "pxl.time_s",
            "pxl.time_us",
        ),
        "long",
    ),
    **dict.fromkeys(("pxl.actor.salt", "pxl.actor.text", "pxl.facts", "pxl.target.salt", "pxl.target.text"), "text"),
}
"""Every attribute that an entry can have."""

_decode_members = msgspec.json.Decoder(dict[str, object]).decode
_encode_facts = msgspec.json.Encoder(order="deterministic").encode
_HEX = {32: re.compile(r"[0-9a-f]{32}"), 16: re.compile(r"[0-9a-f]{16}")}
_DATASET = re.compile(r"[a-z0-9_]{1,40}")


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a log record says of one row. Times in nanoseconds since 1970."""

    document_id: str
    dataset: str
    """Without the `.otel` that the OTel mapping layout appends: `pxl_audit.<retention class>`."""
    service: str
    event_name: str
    time_ns: int
    observed_ns: int
    severity_text: str
    severity_number: int
    trace_id: str | None
    """32 lower-case hex digits."""
    span_id: str | None
    """16 lower-case hex digits."""
    attributes: dict[str, AttributeValue]


def document_id(log_id: str, index: int) -> str:
    """`_id` of a record's document: it names the log and the leaf, nobody else."""
    return f"{log_id}-{index}"


def dataset_of(retention: str) -> str:
    """The data set of a retention class; one that cannot be part of a data stream's name goes to `pxl_audit.other`."""
    return f"pxl_audit.{retention if _DATASET.fullmatch(retention) else 'other'}"


def log_entry(row: Row, log_id: str) -> LogEntry:
    """The log record of a vault row."""
    actor = _members(row.actor)
    target = _members(row.target)
    exact_us = actor.get("pxl.time_us")
    severity_text, severity_number = _severity(row)
    trace_id = _identifier(actor.get("trace_id"), 32)
    return LogEntry(
        document_id=document_id(log_id, row.index),
        dataset=dataset_of(row.retention),
        service=row.service,
        event_name=row.event,
        time_ns=exact_us * 1000 if isinstance(exact_us, int) else row.time * 1_000_000_000,
        observed_ns=row.time * 1_000_000_000,
        severity_text=severity_text,
        severity_number=severity_number,
        trace_id=trace_id,
        span_id=_identifier(actor.get("span_id"), 16) if trace_id else None,
        attributes=_attributes(row, log_id, actor, target),
    )


def _attributes(
    row: Row, log_id: str, actor: Mapping[str, object], target: Mapping[str, object]
) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "audit.record.id": document_id(log_id, row.index),
        "audit.sequence.number": row.index,
        "audit.action": row.method or row.event.rpartition(".")[2].upper(),
        "audit.actor.type": row.actor_kind,
        "audit.outcome": row.outcome,
        "http.request.body.size": row.request_bytes,
        "http.response.body.size": row.response_bytes,
        "pxl.ending": row.ending,
        "pxl.log.id": log_id,
        "pxl.log.index": row.index,
        "pxl.retention": row.retention,
        "pxl.time_s": row.time,
    }
    optional: tuple[tuple[str, AttributeValue | None], ...] = (
        ("http.request.method", row.method),
        ("http.route", row.route),
        ("http.response.status_code", row.status),
        ("error.type", row.error_type),
        ("pxl.duration_us", row.duration_us),
        ("pxl.first_byte_us", row.first_byte_us),
        ("pxl.application_us", row.application_us),
    )
    attributes.update((name, value) for name, value in optional if value is not None)
    if row.facts is not None:
        # One string: facts of different events may have one name and two types, which no mapping can hold.
        attributes["pxl.facts"] = _encode_facts(row.facts).decode()
    _add_part(attributes, "actor", row.actor, actor, ACTOR_MEMBERS)
    _add_part(attributes, "target", row.target, target, TARGET_MEMBERS)
    if "user.id" in attributes:
        attributes["audit.actor.id"] = attributes["user.id"]
    if "url.path" in attributes:
        attributes.setdefault("audit.target.id", attributes["url.path"])
    return attributes


def _add_part(
    attributes: dict[str, AttributeValue],
    part: Part,
    opening: Opening,
    members: Mapping[str, object],
    names: Mapping[str, str],
) -> None:
    attributes[f"pxl.{part}.state"] = opening.state
    if opening.by is not None:
        attributes[f"pxl.{part}.by"] = opening.by
    if opening.text is None or opening.salt is None:
        return
    attributes[f"pxl.{part}.text"] = opening.text
    attributes[f"pxl.{part}.salt"] = b64encode(opening.salt).decode("ascii")
    for member, value in members.items():
        name = names.get(member)
        if name is not None and _fits(name, value):
            attributes[name] = value  # type: ignore[assignment]  # narrowed by _fits, which mypy cannot see


def _fits(name: str, value: object) -> bool:
    """Whether a member has the type its mapping expects; one that has not stays in the part's text only."""
    if type(value) is str:  # nearly always
        return KINDS[name] != "long"
    if KINDS[name] == "long":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _members(opening: Opening) -> dict[str, object]:
    if opening.text is None:
        return {}
    return _decode_members(opening.text)


def _identifier(value: object, digits: Literal[32, 16]) -> str | None:
    """A trace or span id as OpenTelemetry takes it: lower-case hex, not all zeros."""
    if isinstance(value, str) and _HEX[digits].fullmatch(value) and value.strip("0"):
        return value
    return None


def _severity(row: Row) -> tuple[str, int]:
    """Severity text and number (OpenTelemetry logs data model) from the outcome."""
    if row.outcome == "success":
        return "INFO", 9
    if row.ending == "exception" or (row.status or 0) >= 500:
        return "ERROR", 17
    return "WARN", 13
