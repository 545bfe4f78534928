"""The route template of a request, from what the router left in the scope; never the raw path.

Works from attributes alone, so that no framework is imported. Starlette from 1.7 and every FastAPI leave
`scope["route"]`; older Starlette leaves `scope["endpoint"]`, and the router's table is searched for it. A mount
leaves concrete values in `root_path`; they are put back into braces. FastAPI's included routers keep the whole
template in `scope["fastapi"]["effective_route_context"]`.
"""

from __future__ import annotations

from typing import Any

from pxl_audit.asgi_types import Scope


def template_of(scope: Scope) -> str | None:
    """Template such as `/v1/users/{user_id}`, or None when no route matched. Read it after the application has run."""
    route = scope.get("route") or _route_of_endpoint(scope)
    if route is None:
        return None
    fastapi = scope.get("fastapi")
    context = fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None
    source = context if context is not None and getattr(context, "original_route", None) is route else route
    is_mount = type(route).__name__ == "Mount"
    own = "" if is_mount else getattr(source, "path_format", None) or getattr(source, "path", None)
    if not isinstance(own, str):
        return None
    return _prefix(scope, route, is_mount=is_mount) + own + ("/{path}" if is_mount else "")


def _prefix(scope: Scope, route: Any, *, is_mount: bool) -> str:  # noqa: ANN401  # a route of any framework
    base = scope.get("app_root_path")
    if base is None:
        return ""
    own_parameters = set() if is_mount else set(getattr(route, "param_convertors", ()))
    names = {str(value): name for name, value in (scope.get("path_params") or {}).items() if name not in own_parameters}
    steps = scope.get("root_path", "")[len(base) :].split("/")
    return "/".join(f"{{{names[step]}}}" if step in names else step for step in steps)


def _route_of_endpoint(scope: Scope) -> object | None:
    endpoint = scope.get("endpoint")
    routes = getattr(scope.get("router"), "routes", None)
    if endpoint is None or not routes:
        return None
    for route in routes:
        if getattr(route, "endpoint", None) is endpoint:
            return route  # type: ignore[no-any-return]  # the router's routes have no type here
    return None
