"""Records as the core makes them: leaf, commitments, openings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import msgspec

from pxl_audit.leaf import Leaf, commit, commitment_text
from pxl_audit.vault.row import Opening, Part, Row

LOG_ID = "00112233445566ff"
TIME = 1_795_465_800  # 2026-11-23T20:30:00Z


def opening(members: dict[str, object] | None) -> Opening:
    """An open part with these members, or an absent one."""
    if members is None:
        return Opening("absent")
    return Opening("open", msgspec.json.encode(members, order="deterministic").decode(), os.urandom(32))


def row(index: int, *, user: str | None = "u-1", path: str = "/v1/proofs", retention: str = "access") -> Row:
    """An HTTP exchange by `user`; every optional member has a value."""
    actor: dict[str, object] = {
        "client.address": f"192.0.2.{index % 250}",
        "network.peer.address": "10.0.0.1",
        "pxl.request.id": f"req-{index}",
        "pxl.time_us": (TIME + index) * 1_000_000 + 123_456,
        "session.id": f"s-{user}",
        "span_id": f"{index + 1:016x}",
        "trace_id": f"{index + 1:032x}",
        "user_agent.original": "test/1.0 (äöü)",
    }
    if user is not None:
        actor |= {"user.id": user, "user.roles": ["reader", "writer"]}
    return Row(
        index=index,
        time=TIME + index,
        service="gateway",
        event="http.request",
        method="POST",
        route="/v1/proofs",
        status=200,
        actor_kind="anonymous" if user is None else "user",
        retention=retention,
        duration_us=1500 + index,
        first_byte_us=1200,
        application_us=1600,
        request_bytes=10,
        response_bytes=20,
        actor=opening(actor),
        target=opening({"url.path": path}),
    )


def event_row(index: int, name: str, facts: dict[str, int | str], *, retention: str = "control") -> Row:
    """A record of the log's own, without parts."""
    return Row(
        index=index,
        time=TIME + index,
        service="pxl-audit",
        event=name,
        actor_kind="system",
        retention=retention,
        facts=facts,
        actor=Opening("absent"),
        target=Opening("absent"),
    )


def leaf(of: Row) -> Leaf:
    """The leaf that the log has of a row, with the commitments of its open parts."""
    return Leaf(
        a=_commitment("actor", of.actor),
        b=_commitment("target", of.target),
        c=of.status,
        d=of.duration_us,
        e=of.event,
        f=of.facts,
        g=of.error_type,
        h=of.first_byte_us,
        i=of.request_bytes,
        k=of.actor_kind,
        m=of.method,
        n=of.ending,
        o=of.outcome,
        p=of.retention,
        r=of.route,
        s=of.service,
        t=of.time,
        u=of.response_bytes,
        w=of.application_us,
    )


def closed(of: Row, part: Part, *, by: int) -> Row:
    """The row after an erasure of one part."""
    gone = Opening("erased", by=by)
    return msgspec.structs.replace(of, actor=gone) if part == "actor" else msgspec.structs.replace(of, target=gone)


def _commitment(name: Part, part: Opening) -> str:
    if part.text is None or part.salt is None:
        return commitment_text(os.urandom(32))
    return commitment_text(commit(name.encode(), part.salt, part.text.encode()))


@dataclass
class FakeRecords:
    """Published records in memory."""

    published: list[Row] = field(default_factory=list)

    def held_still(self) -> AbstractContextManager[None]:
        return nullcontext()

    def size(self) -> int:
        return len(self.published)

    def rows(self, start: int, end: int) -> Iterator[Row]:
        return iter(self.published[start:end])


def rows(count: int, *, users: Sequence[str | None] = ("u-1", "u-2", None)) -> list[Row]:
    """`count` exchanges, from the users in turn."""
    return [row(index, user=users[index % len(users)]) for index in range(count)]
