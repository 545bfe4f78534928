"""Who acts: from inside the request, from a resolver, from the scope; and that a broken resolver breaks nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI

from pxl_audit import Actor, AuditMiddleware, set_actor
from pxl_audit.asgi_types import ASGIApp, Receive, Scope, Send
from pxl_audit.client_address import TrustedProxies
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import UsageError
from pxl_audit.vault.query import rows
from pxl_audit.vault.row import Row
from tests.builders import answering, drained, exchange, http_scope


def one(directory: Path, app: ASGIApp, options: dict[str, Any], **scope: Any) -> tuple[Row, dict[str, Any]]:
    """The record of one request through a middleware with `options`, and its actor."""
    middleware = AuditMiddleware(app, service="test", directory=directory, embedded_agent=False, **options)
    asyncio.run(exchange(middleware, http_scope(**scope)))
    (row,) = drained(directory)
    actor: dict[str, Any] = json.loads(row.actor.text or "null")
    return row, actor


def test_fastapi_dependency(tmp_path: Path) -> None:
    """A dependency leaves nothing in the scope; `set_actor` says who it was."""

    async def sign_in() -> None:
        set_actor("carol", roles=("admin",), auth_method="bearer", tenant="acme", on_behalf_of="dave")

    app = FastAPI(dependencies=[Depends(sign_in)])

    @app.get("/x")
    async def x() -> str:
        return "ok"

    row, actor = one(tmp_path / "d", app, {}, path="/x")
    assert row.actor_kind == "user"
    expected = {
        "user.id": "carol",
        "user.roles": ["admin"],
        "pxl.auth.method": "bearer",
        "pxl.tenant.id": "acme",
        "pxl.on_behalf_of.id": "dave",
    }
    assert expected.items() <= actor.items()


def test_failed_sign_in_is_not_a_sign_in(tmp_path: Path) -> None:
    """Whom somebody claimed to be is kept apart from who somebody was."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        set_actor("alice", kind="anonymous", attempted=True)
        await answering(401)(scope, receive, send)

    row, actor = one(tmp_path / "d", app, {})
    assert row.actor_kind == "anonymous"
    assert "user.id" not in actor
    assert actor["pxl.attempted_user.id"] == "alice"


def test_resolver(tmp_path: Path) -> None:
    """The service's resolver goes before the scope; None falls back to it."""
    options = {"actor_resolver": lambda scope: Actor("batch", "service") if scope["path"] == "/batch" else None}
    row, actor = one(tmp_path / "a", answering(user="alice"), options, path="/batch")
    assert (row.actor_kind, actor["user.id"]) == ("service", "batch")
    row, actor = one(tmp_path / "b", answering(user="alice"), options, path="/other")
    assert (row.actor_kind, actor["user.id"]) == ("user", "alice")


def test_broken_resolver_is_a_gap_not_an_error(tmp_path: Path) -> None:
    """The client gets its response; that a record is missing is recorded."""

    def broken(scope: Scope) -> Actor:
        raise KeyError("secret")

    middleware = AuditMiddleware(
        answering(), service="t", directory=tmp_path / "d", embedded_agent=False, actor_resolver=broken
    )
    client = asyncio.run(exchange(middleware))
    assert client.sent[0]["status"] == 200
    assert drained(tmp_path / "d") == []
    gaps = [row.facts for row in rows(DataDirectory.open(tmp_path / "d"), 0, 99) if row.event == "audit.gap"]
    assert [(gap["cause"], gap["count"]) for gap in gaps if gap] == [("unrecordable", 1)]


def test_route_resolver(tmp_path: Path) -> None:
    row, _ = one(tmp_path / "d", answering(), {"route_resolver": lambda _: "/things/{id}"}, path="/things/9")
    assert row.route == "/things/{id}"


def test_trusted_proxy(tmp_path: Path) -> None:
    """Client and TCP peer are two addresses; where the client's was read is said."""
    _, actor = one(
        tmp_path / "d",
        answering(),
        {"trusted_proxies": TrustedProxies(["192.0.2.0/24"])},
        headers=[(b"x-forwarded-for", b"6.6.6.6, 203.0.113.7")],
    )
    assert actor["client.address"] == "203.0.113.7"
    assert actor["network.peer.address"] == "192.0.2.7"
    assert actor["pxl.client.source"] == "x-forwarded-for"


def test_server_replaced_the_peer(tmp_path: Path) -> None:
    """Where the server reads proxy headers itself, nobody pretends to know the TCP peer."""
    _, actor = one(tmp_path / "d", answering(), {}, client=("203.0.113.7", 0))
    assert actor["client.address"] == "203.0.113.7"
    assert actor["pxl.client.source"] == "server"
    assert "network.peer.address" not in actor


def test_truncated_addresses(tmp_path: Path) -> None:
    _, actor = one(tmp_path / "d", answering(), {"address_bits": (24, 48)})
    assert actor["client.address"] == actor["network.peer.address"] == "192.0.2.0/24"


def test_bad_choices() -> None:
    with pytest.raises(UsageError, match="address_bits"):
        AuditMiddleware(answering(), address_bits=(33, 0))
    with pytest.raises(UsageError, match="kind="):
        set_actor("x", kind="robot")  # type: ignore[arg-type]  # wrong on purpose
    set_actor("nobody is listening")
