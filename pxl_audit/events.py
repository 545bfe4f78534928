"""Domain events: documented names, typed arguments, and the retention class of each.

::

    from pxl_audit import events

    await events.signed_in("alice", method="webauthn")
    await events.role_changed("bob", before=["reader"], after=["reader", "admin"], approval="CHG-7")
    events.key_used.sync("signing-2026", purpose="sign")      # in code without an event loop

Common arguments:

* `actor`: who did it, a user id or an `Actor`; inside a request the request's own user if left out.
* `outcome`: `success` (it was done), `failure` (it was refused or did not work), `unknown` (it may have been done).
* `durable`: return only when the event is on the disk.

Ids of people and everything else that is passed goes into the erasable parts of the record; only the event's name,
its outcome and its class stand in the log for good. Never pass secrets: not the key, not the new password.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pxl_audit.actor import Actor
from pxl_audit.domain_event import DomainEvent, Facets, Outcome, Retention, domain_event

__all__ = [
    "DomainEvent",
    "Outcome",
    "Retention",
    "access_granted",
    "access_revoked",
    "administered",
    "all_events",
    "config_changed",
    "credentials_changed",
    "deployed",
    "exported",
    "key_used",
    "reviewed",
    "role_changed",
    "sign_in_failed",
    "signed_in",
    "signed_out",
]


@domain_event("auth.login", "security")
def signed_in(user: str | Actor, *, method: str | None = None, durable: bool = False) -> Facets:
    """Somebody has signed in: `user` is who it is from now on.

    `method`: how it was proved, such as `password`, `webauthn`, `oidc`.
    """
    return Facets(_id(user), user, durable=durable, attributes={"method": method})


@domain_event("auth.login_failed", "security")
def sign_in_failed(
    claimed: str | None, *, reason: str | None = None, method: str | None = None, durable: bool = False
) -> Facets:
    """A sign-in was refused; outcome `failure`. Nobody is signed in, so nobody is the record's user.

    Args:
        claimed: the user id that was claimed; None if there was none. Kept apart from ids that were proved.
        reason: such as `wrong_password`, `locked`, `unknown_user`.
        method: what was tried, such as `password`.
        durable: return only when the event is on the disk.
    """
    actor = Actor(claimed, kind="anonymous", attempted=claimed is not None)
    return Facets(claimed, actor, "failure", durable, {"method": method, "reason": reason})


@domain_event("auth.logout", "security")
def signed_out(
    user: str | Actor, *, reason: Literal["user", "expired", "revoked"] = "user", durable: bool = False
) -> Facets:
    """A session has ended: by its user, by time, or because somebody revoked it."""
    return Facets(_id(user), user, durable=durable, attributes={"reason": reason})


@domain_event("auth.credentials_changed", "security")
def credentials_changed(  # the facets of the event, all but the user by keyword
    user: str,
    *,
    what: str,
    change: Literal["added", "replaced", "removed"] = "replaced",
    actor: str | Actor | None = None,
    outcome: Outcome = "success",
    durable: bool = False,
) -> Facets:
    """A credential of `user` was added, replaced or removed; `what`: such as `password`, `passkey`, `api_token`."""
    return Facets(user, actor, outcome, durable, {"change": change, "what": what})


@domain_event("access.granted", "security")
def access_granted(  # as credentials_changed()
    user: str,
    *,
    permission: str,
    resource: str | None = None,
    approval: str | None = None,
    actor: str | Actor | None = None,
    durable: bool = False,
) -> Facets:
    """`user` may do more from now on. The record shows whether somebody granted it to himself.

    Args:
        user: id of the person or service that got the access.
        permission: what it may do, such as `proofs:write`.
        resource: id of the thing it may do it to, if not to all.
        approval: reference of the decision behind it, such as a ticket.
        actor: who granted it.
        durable: return only when the event is on the disk.
    """
    return Facets(
        user,
        actor,
        durable=durable,
        attributes={"approval": approval, "permission": permission, "resource": resource},
    )


@domain_event("access.revoked", "security")
def access_revoked(  # as access_granted()
    user: str,
    *,
    permission: str,
    resource: str | None = None,
    reason: str | None = None,
    actor: str | Actor | None = None,
    durable: bool = False,
) -> Facets:
    """`user` may do less from now on; `reason`: such as `left`, `review`, `expired`. Else as `access_granted`."""
    return Facets(
        user,
        actor,
        durable=durable,
        attributes={"permission": permission, "reason": reason, "resource": resource},
    )


@domain_event("access.role_changed", "security")
def role_changed(  # as access_granted()
    user: str,
    *,
    before: Sequence[str],
    after: Sequence[str],
    approval: str | None = None,
    actor: str | Actor | None = None,
    durable: bool = False,
) -> Facets:
    """The roles of `user` were `before` and are `after`; `approval`: reference of the decision, such as a ticket."""
    return Facets(
        user,
        actor,
        durable=durable,
        attributes={"after": list(after), "approval": approval, "before": list(before)},
    )


@domain_event("admin.action", "security")
def administered(  # as credentials_changed()
    action: str,
    target: str | None = None,
    *,
    reason: str | None = None,
    actor: str | Actor | None = None,
    outcome: Outcome = "success",
    durable: bool = False,
) -> Facets:
    """An administrator did what users cannot: `action`, such as `impersonate` or `queue.purge`, to `target`."""
    return Facets(target, actor, outcome, durable, {"action": action, "reason": reason})


@domain_event("config.changed", "control")
def config_changed(  # as credentials_changed()
    setting: str,
    *,
    before: str | int | bool | None = None,
    after: str | int | bool | None = None,
    change: str | None = None,
    actor: str | Actor | None = None,
    durable: bool = False,
) -> Facets:
    """A setting has another value. Leave `before` and `after` out where the setting is a secret.

    Args:
        setting: its name.
        before: value until now; None if there was none.
        after: value from now on; None if there is none.
        change: reference of the approved change, such as a ticket.
        actor: who changed it.
        durable: return only when the event is on the disk.
    """
    return Facets(setting, actor, durable=durable, attributes={"after": after, "before": before, "change": change})


@domain_event("deploy.finished", "control")
def deployed(  # as credentials_changed()
    version: str,
    *,
    digest: str | None = None,
    change: str | None = None,
    approved_by: str | None = None,
    actor: str | Actor | None = None,
    outcome: Outcome = "success",
    durable: bool = False,
) -> Facets:
    """A version went into service; `failure`: it was rolled back or did not start.

    Args:
        version: what was deployed.
        digest: of the image or package, so that what ran can be compared with what was approved.
        change: reference of the approved change, such as a ticket.
        approved_by: who approved it; the record shows whether that is who deployed it.
        actor: who or what deployed it: often `Actor("ci", kind="service")`.
        outcome: how it ended.
        durable: return only when the event is on the disk.
    """
    return Facets(version, actor, outcome, durable, {"approved_by": approved_by, "change": change, "digest": digest})


@domain_event("key.used", "security")
def key_used(  # as credentials_changed()
    key: str,
    *,
    purpose: Literal["sign", "verify", "encrypt", "decrypt", "derive", "export", "rotate", "destroy"],
    target: str | None = None,
    actor: str | Actor | None = None,
    outcome: Outcome = "success",
    durable: bool = False,
) -> Facets:
    """A cryptographic key was used; `key` is its name or id, `target` the id of what it was used on."""
    return Facets(key, actor, outcome, durable, {"purpose": purpose, "used_on": target})


@domain_event("data.exported", "security")
def exported(  # as credentials_changed()
    what: str,
    *,
    records: int | None = None,
    destination: str | None = None,
    purpose: str | None = None,
    actor: str | Actor | None = None,
    outcome: Outcome = "success",
    durable: bool = False,
) -> Facets:
    """Data left the service in bulk.

    Args:
        what: the data set, such as `users`.
        records: how many records went out.
        destination: where to, such as a bucket or `download`.
        purpose: what for.
        actor: who took it out.
        outcome: how it ended; `unknown` if some may have gone out.
        durable: return only when the event is on the disk.
    """
    return Facets(what, actor, outcome, durable, {"destination": destination, "purpose": purpose, "records": records})


@domain_event("review.completed", "control")
def reviewed(  # as credentials_changed()
    what: str,
    *,
    decision: Literal["kept", "changed", "revoked", "approved", "rejected"],
    population: int | None = None,
    reference: str | None = None,
    actor: str | Actor | None = None,
    durable: bool = False,
) -> Facets:
    """A reviewer decided: on somebody's access, a change, an exception.

    Args:
        what: id of what was reviewed.
        decision: what came of it. `revoked` says what was decided; record `access_revoked` when it is done.
        population: of how many this was one, so that a review can be shown to be complete.
        reference: of the campaign or minutes.
        actor: the reviewer.
        durable: return only when the event is on the disk.
    """
    return Facets(
        what,
        actor,
        durable=durable,
        attributes={"decision": decision, "population": population, "reference": reference},
    )


def all_events() -> dict[str, DomainEvent[...]]:
    """Every event of this module by its name, in alphabetical order."""
    found = [value for value in globals().values() if isinstance(value, DomainEvent)]
    return {event.name: event for event in sorted(found, key=lambda event: event.name)}


def _id(user: str | Actor) -> str | None:
    return user if isinstance(user, str) else user.id
