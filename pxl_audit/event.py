"""The event: what a service process writes to its spool (docs/format.md, section 2).

The writer gives the personal parts their canonical form (RFC 8785) once; from then on their bytes are only copied.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

import msgspec

from pxl_audit.errors import UsageError

MAX_SAFE_INTEGER = 2**53 - 1
MAX_EVENT_BYTES = 1_000_000
BEGUN = "http.request.begun"
"""Event name of an intent: durable before the application is called."""

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]


class ActorPart(msgspec.Struct, omit_defaults=True, gc=False):
    """Who, from where, exactly when. Members stand in RFC 8785 order of their encoded names."""

    client_address: str | None = msgspec.field(default=None, name="client.address")
    network_peer_address: str | None = msgspec.field(default=None, name="network.peer.address")
    attempted_user_id: str | None = msgspec.field(default=None, name="pxl.attempted_user.id")
    auth_method: str | None = msgspec.field(default=None, name="pxl.auth.method")
    client_source: str | None = msgspec.field(default=None, name="pxl.client.source")
    on_behalf_of: str | None = msgspec.field(default=None, name="pxl.on_behalf_of.id")
    request_id: str | None = msgspec.field(default=None, name="pxl.request.id")
    tenant_id: str | None = msgspec.field(default=None, name="pxl.tenant.id")
    time_us: int | None = msgspec.field(default=None, name="pxl.time_us")
    session_id: str | None = msgspec.field(default=None, name="session.id")
    span_id: str | None = None
    trace_id: str | None = None
    user_id: str | None = msgspec.field(default=None, name="user.id")
    user_roles: list[str] | None = msgspec.field(default=None, name="user.roles")
    user_agent: str | None = msgspec.field(default=None, name="user_agent.original")


class TargetPart(msgspec.Struct, omit_defaults=True, gc=False):
    """What was acted upon. Members stand in RFC 8785 order of their encoded names."""

    target_id: str | None = msgspec.field(default=None, name="audit.target.id")
    method_original: str | None = msgspec.field(default=None, name="http.request.method_original")
    url_path: str | None = msgspec.field(default=None, name="url.path")
    url_query: str | None = msgspec.field(default=None, name="url.query")


class ExchangeEvent(msgspec.Struct, omit_defaults=True, gc=False):
    """An HTTP exchange or a WebSocket. `t`, `d`, `h`, `w` in microseconds; letters as in docs/format.md section 3."""

    actor: ActorPart
    target: TargetPart
    c: int | None = None
    d: int | None = None
    e: str = "http.request"
    f: dict[str, int | str] | None = None
    g: str | None = None
    h: int | None = None
    i: int = 0
    k: str = "anonymous"
    m: str | None = None
    n: str = "complete"
    o: str = "success"
    p: str = "access"
    r: str | None = None
    s: str = ""
    t: int = 0
    u: int = 0
    w: int | None = None
    x: int | None = None
    """Sequence number of the intent that this completes; not part of the leaf."""


class StoredEvent(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Any event as it is read back: the parts stay the bytes that were written."""

    actor: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    target: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    c: int | None = None
    d: int | None = None
    e: str = "http.request"
    f: dict[str, int | str] | None = None
    g: str | None = None
    h: int | None = None
    i: int = 0
    k: str = "anonymous"
    m: str | None = None
    n: str = "complete"
    o: str = "success"
    p: str = "access"
    r: str | None = None
    s: str = ""
    t: int = 0
    u: int = 0
    v: int = 1
    w: int | None = None
    x: int | None = None


_encoder = msgspec.json.Encoder()
_canonical_encoder = msgspec.json.Encoder(order="sorted")
encode_event = _encoder.encode
decode_event = msgspec.json.Decoder(StoredEvent).decode

_EVENT_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", re.ASCII)
_OUTCOMES = frozenset({"success", "failure", "unknown"})
_RETENTION = frozenset({"access", "security", "control"})
_ACTOR_KINDS = frozenset({"anonymous", "user", "service", "system"})
_PRINTABLE = re.compile(r"[\x20-\x7e]*", re.ASCII)


def canonical(part: Mapping[str, Json], where: str) -> bytes:
    """RFC 8785 form of a part.

    Our rules keep us inside the subset where sorted msgspec JSON *is* RFC 8785: ASCII keys, no floats, integers
    below 2**53, no unpaired surrogates.

    Raises:
        UsageError: a value cannot be written in that form; names the member, never the value.
    """
    _check(part, where)
    try:
        return _canonical_encoder.encode(part)
    except UnicodeEncodeError:
        raise UsageError(f"{where}: holds text that is not valid Unicode (an unpaired surrogate)") from None


def _check(value: object, where: str) -> None:
    if value is None or isinstance(value, (bool, str)):
        return
    if isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise UsageError(f"{where}: integers must be below 2**53; pass a larger one as text")
        return
    if isinstance(value, Mapping):
        for key, member in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise UsageError(f"{where}: names of members must be ASCII text")
            _check(member, f"{where}.{key}")
        return
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        for member in value:
            _check(member, f"{where}[]")
        return
    raise UsageError(f"{where}: expected text, an integer, a boolean, a list or an object, not {type(value).__name__}")


def check_service(service: str) -> str:
    """A service name: 1 to 64 printable ASCII characters without spaces."""
    if not re.fullmatch(r"[\x21-\x7e]{1,64}", service, re.ASCII):
        raise UsageError(f"service={service!r}: expected 1 to 64 printable ASCII characters without spaces")
    return service


def make_event(  # noqa: PLR0913  # a record has this many facets, all by keyword
    name: str,
    *,
    service: str = "pxl-audit",
    time_us: int | None = None,
    actor: Mapping[str, Json] | None = None,
    target: Mapping[str, Json] | None = None,
    retention: str = "control",
    outcome: str = "success",
    actor_kind: str = "system",
    facts: Mapping[str, int | str] | None = None,
) -> bytes:
    """Encode a domain event as a spool payload. `time_us`: microseconds since 1970, now if left out.

    Raises:
        UsageError: a name or value is outside what the format allows.
    """
    for given, allowed, what in (
        (retention, _RETENTION, "retention"),
        (outcome, _OUTCOMES, "outcome"),
        (actor_kind, _ACTOR_KINDS, "actor_kind"),
    ):
        if given not in allowed:
            raise UsageError(f"{what}={given!r}: expected one of {', '.join(sorted(allowed))}")
    if not _EVENT_NAME.fullmatch(name) or len(name) > 64:
        raise UsageError(f"event name {name!r}: expected lower-case words joined by dots, such as proof.verified")
    event = StoredEvent(
        actor=msgspec.Raw(canonical(actor, "actor")) if actor else msgspec.UNSET,
        target=msgspec.Raw(canonical(target, "target")) if target else msgspec.UNSET,
        e=name,
        f=_check_facts(facts),
        k=actor_kind,
        o=outcome,
        p=retention,
        s=check_service(service),
        t=time.time_ns() // 1000 if time_us is None else time_us,
    )
    payload = encode_event(event)
    if len(payload) > MAX_EVENT_BYTES:
        raise UsageError(
            f"event {name}: {len(payload)} bytes, at most {MAX_EVENT_BYTES} are recorded; keep bodies elsewhere"
        )
    return payload


def _check_facts(facts: Mapping[str, int | str] | None) -> dict[str, int | str] | None:
    if not facts:
        return None
    for key, value in facts.items():
        _check(value, f"facts.{key}")
        if isinstance(value, str) and (len(value) > 512 or not _PRINTABLE.fullmatch(value)):
            raise UsageError(
                f"facts.{key}: expected at most 512 printable ASCII characters; personal text belongs in a part"
            )
    return dict(sorted(facts.items()))
