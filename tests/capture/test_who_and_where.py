"""User, client, route template, identifiers; and hostile input that must neither break nor leak."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from pxl_audit.asgi_types import ASGIApp
from pxl_audit.vault.row import Opening, Row
from tests.builders import answering, exchange, http_scope, record_exchanges


def one(directory: Path, app: ASGIApp, **scope: Any) -> Row:
    """The record of one request."""
    (row,) = record_exchanges(directory, [lambda wrapped: exchange(wrapped, http_scope(**scope))], app)
    return row


def members(opening: Opening) -> dict[str, Any]:
    """A part's members."""
    decoded: dict[str, Any] = json.loads(opening.text or "null")
    return decoded


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


class Backend(AuthenticationBackend):
    """Everybody is alice."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        return AuthCredentials(["authenticated", "proofs"]), SimpleUser("alice")


def starlette_app() -> Starlette:
    return Starlette(
        routes=[
            Route("/v1/users/{user_id}", page),
            Mount("/t/{tenant}", routes=[Route("/items/{item:int}", page)]),
        ],
        middleware=[Middleware(AuthenticationMiddleware, backend=Backend())],
    )


def fastapi_app() -> FastAPI:
    app = FastAPI()
    inner = APIRouter(prefix="/inner")

    @inner.get("/leaf/{leaf}")
    def leaf(leaf: str) -> str:
        return leaf

    outer = APIRouter(prefix="/outer/{name}")
    outer.include_router(inner)
    app.include_router(outer, prefix="/api")
    return app


@pytest.mark.parametrize(
    ("app", "path", "route"),
    [
        (starlette_app(), "/v1/users/alice", "/v1/users/{user_id}"),
        (starlette_app(), "/t/acme/items/5", "/t/{tenant}/items/{item}"),
        (starlette_app(), "/nowhere/alice", None),
        (fastapi_app(), "/api/outer/bob/inner/leaf/7", "/api/outer/{name}/inner/leaf/{leaf}"),
        (answering(), "/raw/alice", None),
    ],
    ids=["route", "mount", "unknown", "fastapi prefixes", "raw ASGI"],
)
def test_route_template(tmp_path: Path, app: ASGIApp, path: str, route: str | None) -> None:
    """The template, never the path; the path is in the erasable part."""
    row = one(tmp_path / "d", app, path=path)
    assert row.route == route
    assert members(row.target)["url.path"] == path


def test_authenticated_user(tmp_path: Path) -> None:
    """User id and roles as Starlette's authentication leaves them; address and agent of the client."""
    row = one(tmp_path / "d", starlette_app(), path="/v1/users/bob")
    actor = members(row.actor)
    assert row.actor_kind == "user"
    assert actor["user.id"] == "alice"
    assert actor["user.roles"] == ["authenticated", "proofs"]
    assert actor["client.address"] == actor["network.peer.address"] == "192.0.2.7"
    assert actor["user_agent.original"] == "test/1"
    assert row.time == actor["pxl.time_us"] // 1_000_000


def test_anonymous_and_denied(tmp_path: Path) -> None:
    """Nobody is signed in: no user id; a denial is kept in class `security`."""
    row = one(tmp_path / "d", answering(401))
    assert (row.actor_kind, row.retention, row.status) == ("anonymous", "security", 401)
    assert "user.id" not in members(row.actor)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        (b"req-1.ABC_9", True),
        (b"a" * 128, True),
        (b"a" * 129, False),
        (b"bad id", False),
        (b"x\ny", False),
        (b"", False),
    ],
)
def test_request_id(tmp_path: Path, header: bytes, taken: bool) -> None:
    """A harmless id is taken over, anything else is replaced."""
    row = one(tmp_path / "d", answering(), headers=[(b"x-request-id", header)])
    recorded = members(row.actor)["pxl.request.id"]
    assert (recorded == header.decode()) is taken
    assert taken or len(recorded) == 32


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        (b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c"),
        (b"00-00000000000000000000000000000000-b7ad6b7169203331-01", None),
        (b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None),
        (b"garbage", None),
    ],
)
def test_trace_context(tmp_path: Path, traceparent: bytes, trace: str | None) -> None:
    """W3C trace context is kept when valid, in the erasable part."""
    row = one(tmp_path / "d", answering(), headers=[(b"traceparent", traceparent)])
    assert members(row.actor).get("trace_id") == trace


HOSTILE = ["/\x00\x1f\x7f", "/" + "a" * 5000, "/\ud800", "/\u202e\u2028é😀", '/"\\\u0000<script>', "/{user}"]


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_path(tmp_path: Path, path: str) -> None:
    """Any path is recorded, bounded, and stays out of the skeleton."""
    row = one(tmp_path / "d", answering(), path=path, raw_path=b"/")
    recorded = members(row.target)["url.path"]
    assert recorded.startswith("/")
    assert len(recorded) < 2100
    assert row.route is None
    assert (len(path) <= 2048) or recorded.endswith(" more]")


@pytest.mark.parametrize("agent", [b"\xff\xfe\x00", b"a" * 100_000, "é".encode()])
def test_hostile_user_agent(tmp_path: Path, agent: bytes) -> None:
    """Any user agent is recorded as valid, bounded text."""
    row = one(tmp_path / "d", answering(), headers=[(b"user-agent", agent)])
    assert 0 < len(members(row.actor)["user_agent.original"]) < 600


def test_unregistered_method(tmp_path: Path) -> None:
    """A client's own method name never reaches the skeleton."""
    row = one(tmp_path / "d", answering(), method="ALICE@EXAMPLE.ORG")
    assert row.method == "_OTHER"
    assert members(row.target)["http.request.method_original"] == "ALICE@EXAMPLE.ORG"


def test_no_client_address(tmp_path: Path) -> None:
    """A Unix socket has no peer address."""
    row = one(tmp_path / "d", answering(), client=None)
    assert "client.address" not in members(row.actor)
