"""From an event to a row: salts, commitments, leaf. No I/O but for randomness."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Sequence

import msgspec

from pxl_audit.event import StoredEvent, decode_event
from pxl_audit.leaf import SALT_BYTES, Leaf, commit, commitment_text, encode_leaf
from pxl_audit.log.tiles import MAX_ENTRY_BYTES
from pxl_audit.vault.journal import RowLine

LATEST_SECONDS = 2**41
# msgspec leaves a member out when its value *is* the default: equal text read from an event is another object.
_DEFAULTS = {name: getattr(Leaf("", ""), name) for name in "eknop"}


class UnreadableEventError(ValueError):
    """An event is not what this version writes."""


def decode(payloads: Sequence[bytes]) -> list[StoredEvent]:
    """Events of payloads.

    Raises:
        UnreadableEventError: one of them is not an event; its position is the first argument.
    """
    events = []
    for i, payload in enumerate(payloads):
        try:
            events.append(decode_event(payload))
        except msgspec.MsgspecError as error:
            raise UnreadableEventError(i, str(error)) from None
    return events


def sequence(events: Sequence[StoredEvent], first_index: int) -> list[RowLine]:
    """Rows for events, numbered from `first_index`.

    Raises:
        UnreadableEventError: a skeleton does not fit into a leaf; its position is the first argument.
    """
    noise = os.urandom(2 * SALT_BYTES * len(events))
    rows = []
    for i, event in enumerate(events):
        start = 2 * SALT_BYTES * i
        salts = noise[start : start + SALT_BYTES], noise[start + SALT_BYTES : start + 2 * SALT_BYTES]
        rows.append(_row(event, i, first_index, salts))
    return rows


def _row(event: StoredEvent, position: int, first_index: int, salts: tuple[bytes, bytes]) -> RowLine:
    actor_salt, target_salt = salts
    actor_commitment, actor, actor_text = _open(b"actor", event.actor, actor_salt)
    target_commitment, target, target_text = _open(b"target", event.target, target_salt)
    leaf = encode_leaf(
        Leaf(
            a=actor_commitment,
            b=target_commitment,
            c=event.c,
            d=event.d,
            e=_default("e", event.e),
            f=event.f,
            g=event.g,
            h=event.h,
            i=event.i,
            k=_default("k", event.k),
            m=event.m,
            n=_default("n", event.n),
            o=_default("o", event.o),
            p=_default("p", event.p),
            r=event.r,
            s=event.s,
            t=min(max(event.t // 1_000_000, 0), LATEST_SECONDS),
            u=event.u,
            v=event.v,
            w=event.w,
        )
    )
    if len(leaf) > MAX_ENTRY_BYTES or not leaf.isascii():
        raise UnreadableEventError(position, "its skeleton is too long or not ASCII")
    return RowLine(
        index=first_index + position,
        leaf=leaf.decode("ascii"),
        actor=actor,
        actor_salt=actor_text,
        target=target,
        target_salt=target_text,
    )


def _default(member: str, value: str) -> str:
    default: str = _DEFAULTS[member]
    return default if value == default else value


def _open(part: bytes, raw: msgspec.Raw | msgspec.UnsetType, salt: bytes) -> tuple[str, str | None, str | None]:
    """Commitment, canonical text and salt of a part; an absent part has the random bytes as its commitment."""
    if isinstance(raw, msgspec.UnsetType):
        return commitment_text(salt), None, None
    canonical = bytes(raw)
    return commitment_text(commit(part, salt, canonical)), canonical.decode("utf-8"), b64encode(salt).decode("ascii")
