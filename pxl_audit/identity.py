"""Who made the request, from what the application leaves in the scope."""

from __future__ import annotations

from pxl_audit.asgi_types import Scope

MAX_ROLES = 32


def user_of(scope: Scope) -> tuple[str, str | None, list[str] | None]:
    """Kind of actor, user id, roles. Reads `scope["user"]` and `scope["auth"]` as Starlette's authentication sets them.

    Read it after the application has run: authentication happens inside.
    """
    user = scope.get("user")
    if user is None or not getattr(user, "is_authenticated", False):
        return "anonymous", None, None
    identity = _first_text(user, ("identity", "id", "user_id", "username", "display_name"))
    scopes = getattr(scope.get("auth"), "scopes", None)
    roles = [str(role)[:64] for role in list(scopes)[:MAX_ROLES]] if scopes else None
    return "user", identity if identity is not None else type(user).__name__, roles


def _first_text(user: object, names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            value = getattr(user, name)
        except (AttributeError, NotImplementedError):  # Starlette's BaseUser raises the latter for what is not set
            continue
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value):
            return str(value)
    return None
