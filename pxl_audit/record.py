"""`await record("proof.verified", ...)`: domain events, beside the records of requests."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pxl_audit.actor import Actor, current_exchange
from pxl_audit.errors import UnavailableError
from pxl_audit.event import Json, make_event
from pxl_audit.recorder import Recorder, default_recorder
from pxl_audit.spans import current_span_ids

DURABLE_SECONDS = 30.0


async def record(  # the facets of an event, all but the name by keyword
    name: str,
    *,
    actor: str | Actor | Mapping[str, Json] | None = None,
    target: str | Mapping[str, Json] | None = None,
    outcome: str = "success",
    attributes: Mapping[str, Json] | None = None,
    retention: str = "access",
    durable: bool = False,
) -> None:
    """Record a domain event.

    Args:
        name: lower-case words joined by dots, such as `proof.verified`.
        actor: a user id, an `Actor`, or members of the part `actor`; inside a request its own user if left out.
        target: the id of the thing acted upon, or members of the part `target`.
        outcome: `success`, `failure` or `unknown`.
        attributes: more about it; personal data is welcome here, because it goes into the erasable part `target`.
        retention: `access`, `security` or `control`.
        durable: return only when the event is on the disk.

    Raises:
        UsageError: a name or value is outside what the format allows.
        UnavailableError: there is no audit log in this process, or (`durable`) it cannot take the event now.
    """
    recorder, seq = _append(name, actor, target, outcome, attributes, retention)
    if not durable:
        return
    if not seq:
        raise UnavailableError(f"event {name} was not recorded: too many events wait for the disk")
    await recorder.durable(seq)


def record_sync(  # as record()
    name: str,
    *,
    actor: str | Actor | Mapping[str, Json] | None = None,
    target: str | Mapping[str, Json] | None = None,
    outcome: str = "success",
    attributes: Mapping[str, Json] | None = None,
    retention: str = "access",
    durable: bool = False,
) -> None:
    """`record` for code without an event loop; with `durable` it blocks this thread until the event is on the disk."""
    recorder, seq = _append(name, actor, target, outcome, attributes, retention)
    if durable and not (seq and recorder.wait_durable(seq, DURABLE_SECONDS)):
        raise UnavailableError(f"event {name} is not on the disk after {DURABLE_SECONDS:g} s")


def _append(  # as record()
    name: str,
    actor: str | Actor | Mapping[str, Json] | None,
    target: str | Mapping[str, Json] | None,
    outcome: str,
    attributes: Mapping[str, Json] | None,
    retention: str,
) -> tuple[Recorder, int]:
    exchange = current_exchange.get()
    recorder = exchange.recorder if exchange is not None and exchange.recorder is not None else default_recorder()
    now_us = time.time_ns() // 1000
    members: dict[str, Json] = {"pxl.time_us": now_us}
    trace_id, span_id = current_span_ids()
    if exchange is not None:
        members["pxl.request.id"] = exchange.request_id
        if trace_id is None:
            trace_id, span_id = exchange.trace_id, exchange.span_id
    if trace_id is not None:
        members |= {"span_id": span_id, "trace_id": trace_id}
    kind: str = "system"
    # Whoever is named takes the place of the request's own user as a whole: no tenant or role of one beside the other.
    who = actor if actor is not None else exchange.who() if exchange is not None else None
    if who is not None:
        kind, given = _members_of(who)
        members |= given
    whole_target: dict[str, Json] = {}
    if target is not None:
        whole_target |= {"audit.target.id": target} if isinstance(target, str) else dict(target)
    if attributes:
        whole_target["pxl.attributes"] = dict(attributes)
    payload = make_event(
        name,
        service=recorder.service,
        time_us=now_us,
        actor=members,
        target=whole_target,
        retention=retention,
        outcome=outcome,
        actor_kind=kind,
    )
    return recorder, recorder.append(payload, now_us)


def _members_of(actor: str | Actor | Mapping[str, Json]) -> tuple[str, dict[str, Json]]:
    """Kind of an actor, and the members of the part `actor` that say who it is."""
    if isinstance(actor, str):
        return "user", {"user.id": actor}
    if not isinstance(actor, Actor):
        return "user", dict(actor)
    named = {
        "pxl.attempted_user.id" if actor.attempted else "user.id": actor.id,
        "pxl.auth.method": actor.auth_method,
        "pxl.on_behalf_of.id": actor.on_behalf_of,
        "pxl.tenant.id": actor.tenant,
    }
    members: dict[str, Json] = {name: value for name, value in named.items() if value is not None}
    if actor.roles:
        members["user.roles"] = list(actor.roles)
    return actor.kind, members
