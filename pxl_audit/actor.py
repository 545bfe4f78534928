"""Who acts: what the application leaves in the scope, what a resolver says, or what `set_actor` was told.

The order of trust: `set_actor` from inside the request, then the service's resolver, then `scope["user"]`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

import msgspec

from pxl_audit.asgi_types import Scope
from pxl_audit.errors import UsageError

if TYPE_CHECKING:
    from pxl_audit.exchange import Conversation

ActorKind = Literal["anonymous", "user", "service"]
MAX_ROLES = 32

current_exchange: ContextVar[Conversation | None] = ContextVar("pxl_audit_exchange", default=None)
"""Set unconditionally at entry: servers let a pipelined request inherit the context of the one before it."""


class Actor(msgspec.Struct, frozen=True, gc=False):
    """Somebody or something that acts."""

    id: str | None = None
    kind: ActorKind = "user"
    roles: tuple[str, ...] = ()
    auth_method: str | None = None
    """How the sign-in was proved: `password`, `bearer`, `mtls`, ..."""
    tenant: str | None = None
    on_behalf_of: str | None = None
    """Id of the person for whom a service or an administrator acts."""
    attempted: bool = False
    """A sign-in as `id` was tried and failed: the id is what was claimed, not who it was."""


ANONYMOUS = Actor(kind="anonymous")
ActorResolver = Callable[[Scope], Actor | None]


def current_request_id() -> str | None:
    """Id of the request that this code serves, as its record will have it; None outside of one."""
    exchange = current_exchange.get()
    return exchange.request_id if exchange is not None else None


def set_actor(  # the members of an actor, all but the id by keyword
    id: str,  # noqa: A002  # reads as it is meant: set_actor(id=...)
    *,
    kind: ActorKind = "user",
    roles: tuple[str, ...] = (),
    auth_method: str | None = None,
    tenant: str | None = None,
    on_behalf_of: str | None = None,
    attempted: bool = False,
) -> None:
    """Say from inside a request who acts, where nothing in the scope does (FastAPI dependencies, own sign-in).

    Outside a request, or under another middleware, it does nothing: there is no record to put it into.

    Raises:
        UsageError: `kind` is none of the three.
    """
    if kind not in ("anonymous", "user", "service"):
        raise UsageError(f"set_actor: kind={kind!r}: expected user, service or anonymous")
    exchange = current_exchange.get()
    if exchange is not None:
        exchange.actor = Actor(str(id), kind, tuple(roles), auth_method, tenant, on_behalf_of, attempted)


def actor_of_scope(scope: Scope) -> Actor:
    """The actor as Starlette's authentication leaves it: `scope["user"]` and `scope["auth"]`.

    Read it after the application has run: authentication happens inside.
    """
    user = scope.get("user")
    if user is None or not getattr(user, "is_authenticated", False):
        return ANONYMOUS
    identity = _first_text(user, ("identity", "id", "user_id", "username", "display_name"))
    scopes = getattr(scope.get("auth"), "scopes", None)
    roles = tuple(str(role)[:64] for role in list(scopes)[:MAX_ROLES]) if scopes else ()
    return Actor(identity if identity is not None else type(user).__name__, roles=roles)


def _first_text(user: object, names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            value = getattr(user, name)
        except (AttributeError, NotImplementedError):  # Starlette's BaseUser raises the latter for what is not set
            continue
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value):
            return str(value)
    return None
