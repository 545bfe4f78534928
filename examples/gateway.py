"""The public gateway: knows the users, forwards proofs to the core, shows a user their own profile.

Run it:    PXL_CORE_URL=http://127.0.0.1:8080 python -m uvicorn --app-dir examples --no-proxy-headers gateway:app
Ask it:    curl -s localhost:8000/v1/proofs -H 'Authorization: Bearer demo-token-01' -d '{"sequent": "p, p -> q |- q"}'
Look at:   the last line of this file, which is all that auditing takes; then `pxl-audit verify var/gateway`.

The audit log learns the user from Starlette's own AuthenticationMiddleware, and the route from its router. Identifiers
of the request and of the trace are taken over from the caller or made here, and go on to the core, so that the records
of both services can be put together as long as the parts that hold them are not erased.

Environment: PXL_AUDIT_DATA (data directory), PXL_CORE_URL, PXL_CORE_KEY (presented to the core, which then believes for
whom we ask), GATEWAY_TOKENS (JSON file: {"<token>": {"id": "...", "name": "...", "roles": ["..."]}}; without it there
are twenty users with the tokens demo-token-01 to demo-token-20).
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pxl_audit import AuditMiddleware, current_request_id

CORE_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
PASSED_ON = ("content-type", "content-length", "user-agent")
HANDED_BACK = ("content-type", "content-length", "retry-after")

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True)
class User(BaseUser):
    """Somebody who holds a token."""

    id: str
    name: str
    roles: tuple[str, ...] = ()

    @property
    def is_authenticated(self) -> bool:
        """Always: whoever holds no token is Starlette's UnauthenticatedUser."""
        return True

    @property
    def identity(self) -> str:
        """What audit records take over."""
        return self.id


class Users:
    """Who may call, by token and by id. Tokens are kept as digests, so that a dump of memory gives none away."""

    def __init__(self, tokens: Mapping[str, User]) -> None:
        self._by_digest = {_digest(token): user for token, user in tokens.items()}
        self._by_id = {user.id: user for user in tokens.values()}

    @classmethod
    def from_file(cls, path: Path) -> Users:
        """Read GATEWAY_TOKENS; the form is in the docstring of this module."""
        entries = json.loads(path.read_text(encoding="utf-8"))
        return cls({t: User(e["id"], e.get("name", e["id"]), tuple(e.get("roles", ()))) for t, e in entries.items()})

    @classmethod
    def built_in(cls) -> Users:
        """Twenty users, for trying it out only: their tokens stand in this file."""
        return cls({f"demo-token-{n:02}": User(f"user-{n:02}", f"Demo user {n}", ("prover",)) for n in range(1, 21)})

    def of_token(self, token: str) -> User | None:
        """Who holds the token. A look-up by digest takes no longer for a token that is nearly right."""
        return self._by_digest.get(_digest(token))

    def of_id(self, user_id: str) -> User | None:
        """The user with this id."""
        return self._by_id.get(user_id)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


class BearerTokens(AuthenticationBackend):
    """`Authorization: Bearer <token>` (RFC 6750). No token: anonymous; a wrong one: refused."""

    def __init__(self, users: Users) -> None:
        self.users = users

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """The credentials and the user. Raises `AuthenticationError` for a token that nobody holds."""
        presented = conn.headers.get("authorization")
        if presented is None:
            return None
        scheme, _, token = presented.partition(" ")
        user = self.users.of_token(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise AuthenticationError("this token is not known")
        return AuthCredentials(["authenticated", *user.roles]), user


def unauthorised(_conn: HTTPConnection, error: Exception) -> Response:
    """401, with the header that RFC 9110 section 11.6.1 asks for."""
    return refusal(401, "unauthorised", str(error), {"WWW-Authenticate": 'Bearer realm="pxl"'})


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as JSON, in the form that the core uses too."""
    return JSONResponse({"error": code, "message": message}, status, headers)


class Gateway:
    """The endpoints, and the connection pool to the core."""

    def __init__(self, users: Users, core: httpx.AsyncClient, core_key: str = "") -> None:
        self.users, self.core, self.core_key = users, core, core_key

    @asynccontextmanager
    async def running(self, _app: Starlette) -> AsyncIterator[None]:
        """Lifespan of the application: the pool is closed at its end."""
        async with self.core:
            yield

    async def health(self, _request: Request) -> Response:
        """`GET /v1/health`: this process answers. Whether the core does is for the core's own check."""
        return JSONResponse({"status": "ok"})

    async def profile(self, request: Request) -> Response:
        """`GET /v1/users/{user_id}`: your own profile."""
        if not request.user.is_authenticated:
            return unauthorised(request, AuthenticationError("a token is needed"))
        user = self.users.of_id(request.path_params["user_id"])
        if user is None:
            return refusal(404, "unknown_user", "there is no such user")
        if user != request.user:
            return refusal(403, "not_yours", "this is another user's profile")
        return JSONResponse({"id": user.id, "name": user.name, "roles": list(user.roles)})

    async def proofs(self, request: Request) -> Response:
        """`POST /v1/proofs`: forwarded to the core; neither body is ever held here as a whole."""
        if not request.user.is_authenticated:
            return unauthorised(request, AuthenticationError("a token is needed"))
        headers = self._headers_for_core(request)
        forwarded = self.core.build_request("POST", "/v1/proofs", headers=headers, content=request.stream())
        try:
            answer = await self.core.send(forwarded, stream=True)
        except ClientDisconnect:
            return refusal(400, "incomplete", "the body ended early")  # nobody reads this; the record has the status
        except httpx.TimeoutException:
            return refusal(504, "core_timeout", "the proof engine did not answer in time")
        except httpx.TransportError:
            return refusal(502, "core_unreachable", "the proof engine cannot be reached")
        kept = {name: answer.headers[name] for name in HANDED_BACK if name in answer.headers}
        kept["X-Request-ID"] = headers["X-Request-ID"]
        return StreamingResponse(answer.aiter_raw(), answer.status_code, kept, background=BackgroundTask(answer.aclose))

    def _headers_for_core(self, request: Request) -> dict[str, str]:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        headers["X-Request-ID"] = current_request_id() or secrets.token_hex(16)  # the id that our own record will have
        traceparent, new = request.headers.get("traceparent", ""), f"{secrets.token_hex(16)}-{secrets.token_hex(8)}"
        headers["traceparent"] = traceparent if _TRACEPARENT.fullmatch(traceparent) else f"00-{new}-01"
        if self.core_key:
            headers |= {"Authorization": f"Bearer {self.core_key}", "X-PXL-User": request.user.identity}
        return headers


def create_app(users: Users, core: httpx.AsyncClient, core_key: str = "") -> Starlette:
    """The application without auditing."""
    gateway = Gateway(users, core, core_key)
    return Starlette(
        routes=[
            Route("/v1/health", gateway.health),
            Route("/v1/proofs", gateway.proofs, methods=["POST"]),
            Route("/v1/users/{user_id}", gateway.profile),
        ],
        middleware=[Middleware(AuthenticationMiddleware, backend=BearerTokens(users), on_error=unauthorised)],
        lifespan=gateway.running,
    )


def _from_environment() -> Starlette:
    tokens, url = os.environ.get("GATEWAY_TOKENS"), os.environ.get("PXL_CORE_URL", "http://127.0.0.1:8080")
    # The core drops idle connections after 5 s: let go of them before, or a proof meets a closed one.
    limits = httpx.Limits(keepalive_expiry=2.0)
    core = httpx.AsyncClient(base_url=url, timeout=CORE_TIMEOUT, limits=limits, trust_env=False)
    users = Users.from_file(Path(tokens)) if tokens else Users.built_in()
    return create_app(users, core, os.environ.get("PXL_CORE_KEY", ""))


app = AuditMiddleware(_from_environment(), service="gateway", directory=os.environ.get("PXL_AUDIT_DATA", "var/gateway"))
