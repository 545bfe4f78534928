"""Personal parts: commitments, canonical form, and what the vault repeats of them. Texts never leave this module."""

from __future__ import annotations

import json
import re
from binascii import b2a_base64
from collections.abc import Callable, Iterable
from hashlib import sha256

import msgspec

PREFIX = {part: b"pxl-audit/commit/v1\0" + part.encode() + b"\0" for part in ("actor", "target")}
SALT = 32
_encode = msgspec.json.Encoder().encode
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e[+-][0-9]+)?")


class Actor(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """The members that the format names, in RFC 8785 order: the quick way to read nearly all parts."""

    client_address: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="client.address")
    peer_address: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="network.peer.address")
    attempted_user: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="pxl.attempted_user.id")
    auth_method: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="pxl.auth.method")
    client_source: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="pxl.client.source")
    on_behalf_of: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="pxl.on_behalf_of.id")
    request_id: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="pxl.request.id")
    tenant: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="pxl.tenant.id")
    time_us: int | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="pxl.time_us")
    session_id: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="session.id")
    span_id: str | msgspec.UnsetType = msgspec.UNSET
    trace_id: str | msgspec.UnsetType = msgspec.UNSET
    user_id: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="user.id")
    user_roles: list[str] | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="user.roles")
    user_agent: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="user_agent.original")


class _Target(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    target_id: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="audit.target.id")
    method: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="http.request.method_original")
    url_path: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="url.path")
    url_query: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="url.query")


_decode_actor: Callable[[bytes], Actor] = msgspec.json.Decoder(Actor).decode
_decode_target: Callable[[bytes], _Target] = msgspec.json.Decoder(_Target).decode


def commitments(part: str, openings: Iterable[bytes]) -> list[bytes]:
    """Commitments to `openings` (salt, then canonical bytes) as they stand in leaves: 43 characters each."""
    prefix = PREFIX[part]
    return [b2a_base64(sha256(prefix + opening).digest(), newline=False)[:43] for opening in openings]


def persons(texts: list[bytes]) -> list[tuple[str | None, str | None]]:
    """`user.id` and `client.address` of canonical actor parts.

    Raises:
        ValueError: one of them is not a JSON object in RFC 8785 form.
    """
    try:
        actors = [_decode_actor(text) for text in texts]
        if [_encode(actor) for actor in actors] == texts:
            return [(actor.user_id or None, actor.client_address or None) for actor in actors]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    return [person(text) for text in texts]


def person(text: bytes) -> tuple[str | None, str | None]:
    """As `persons`, for one part that may have any member."""
    members = canonical_object(text)
    return _as_text(members.get("user.id")), _as_text(members.get("client.address"))


def _as_text(value: object) -> str | None:
    """A member as a column of text has it: text as it is, null as NULL, anything else as its JSON."""
    return value if value is None or (isinstance(value, str) and not isinstance(value, _Float)) else _write(value)


def are_canonical(texts: list[bytes]) -> bool:
    """Whether all are JSON objects in RFC 8785 form."""
    decoders: tuple[Callable[[bytes], Actor | _Target], ...] = (_decode_target, _decode_actor)
    for decode in decoders:
        try:
            if [_encode(decode(text)) for text in texts] == texts:
                return True
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
    try:
        for text in texts:
            canonical_object(text)
    except ValueError:
        return False
    return True


def canonical_object(text: bytes) -> dict[str, object]:
    """The members of a JSON object in RFC 8785 form.

    Raises:
        ValueError: it is none; the message does not quote it.
    """
    try:
        value: object = json.loads(text.decode("utf-8"), parse_float=_canonical_float, parse_constant=_refuse)
        if not isinstance(value, dict) or _write(value).encode("utf-8") != text:
            raise ValueError("not in canonical form")
    except (ValueError, RecursionError):
        raise ValueError("not a JSON object in RFC 8785 form") from None
    return value


class _Float(str):
    """A number with fraction or exponent, kept as it was written."""


def _refuse(_constant: str) -> object:
    raise ValueError("not a JSON number")


def _canonical_float(text: str) -> object:
    # RFC 8785 section 3.2.2.3 writes numbers as ECMAScript does; Python's repr has the same shortest digits,
    # and another rule for when to use an exponent and how to write it.
    number = float(text)
    digits = repr(number)
    if number and not 1e-6 <= abs(number) < 1e21:
        mantissa, _, exponent = f"{digits}e0".partition("e") if "e" not in digits else digits.partition("e")
        digits = f"{mantissa.removesuffix('.0')}e{int(exponent):+d}"
    elif "e" in digits:
        digits = f"{number:.20f}".rstrip("0").rstrip(".") if abs(number) < 1 else str(int(number))
    else:
        digits = digits.removesuffix(".0")
    if digits != text or not _NUMBER.fullmatch(text):
        raise ValueError("a number in another form")
    return _Float(text)


def _write(value: object) -> str:
    if isinstance(value, _Float):
        return str(value)
    if isinstance(value, dict):
        # Members are ordered by UTF-16 code units (RFC 8785 section 3.2.3).
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_write(name)}:{_write(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_write, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        raise ValueError("an integer that is no exact double")
    return json.dumps(value, ensure_ascii=False)
