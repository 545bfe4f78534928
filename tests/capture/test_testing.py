"""`pxl_audit.testing`: everything is captured in memory, and a failed assertion shows what was recorded instead."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from pathlib import Path
from typing import Any, get_type_hints

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from pxl_audit import AuditMiddleware, record, record_sync, set_actor
from pxl_audit.errors import UnavailableError
from pxl_audit.testing import Recorded, Records, Wanted, recorded
from pxl_audit.vault.row import Row
from tests.builders import Client, answering, exchange, http_scope, record_exchanges


async def user_page(request: Request) -> PlainTextResponse:
    if request.headers.get("authorization") != "alice":
        return PlainTextResponse("who are you?", 401)
    set_actor("alice", roles=("reader",))
    if request.path_params["id"] != "alice":
        return PlainTextResponse("not yours", 403)
    await record(
        "profile.read", target=request.path_params["id"], attributes={"fields": ["name"], "n": 1}, durable=True
    )
    return PlainTextResponse("alice")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close(1000)


def service(directory: Path | str = "never-made") -> AuditMiddleware:
    app = Starlette(routes=[Route("/v1/users/{id}", user_page), WebSocketRoute("/echo", echo)])
    return AuditMiddleware(app, service="gateway", directory=directory)


def get(app: AuditMiddleware, *requests: tuple[str, dict[str, str]]) -> None:
    async def drive() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            for path, headers in requests:
                await client.get(path, headers=headers)

    asyncio.run(drive())


def test_a_services_test_reads_like_this(tmp_path: Path) -> None:
    with recorded() as records:
        get(
            service(tmp_path / "d"),
            ("/v1/users/bob", {"authorization": "alice"}),
            ("/v1/users/alice", {"authorization": "alice", "x-request-id": "r-2"}),
        )
    denied = records.one(event="http.request", status=403, route="/v1/users/{id}", user="alice")
    assert denied.retention == "security"
    assert denied.path == "/v1/users/bob"
    read = records.one(event="profile.read", target_id="alice", attributes={"n": 1}, request_id="r-2")
    assert read.attributes == {"fields": ["name"], "n": 1}
    records.none(event="data.exported")
    assert [r.event for r in records] == ["http.request", "profile.read", "http.request"]
    assert not list(tmp_path.iterdir())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("pxl-audit")]


def test_websockets_and_facts() -> None:
    scope = http_scope("/echo", type="websocket", scheme="ws", subprotocols=[])
    messages = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
    with recorded() as records:
        asyncio.run(exchange(service(), scope, Client(messages)))
    records.one(event="websocket.open", status=101, path="/echo")
    records.one(event="websocket.close", facts={"closed_by": "server"}, request_bytes=5, response_bytes=5)


def test_members_are_those_of_the_vault(tmp_path: Path) -> None:
    """The same request, through memory and through log and vault."""
    app = answering(403, b"no", user="alice")
    scope: dict[str, Any] = {"path": "/x", "headers": [(b"x-request-id", b"r-1"), (b"user-agent", b"a")]}
    with recorded() as records:
        asyncio.run(exchange(AuditMiddleware(app, service="test", directory="never-made"), http_scope(**scope)))
    (row,) = record_exchanges(tmp_path / "d", [lambda wrapped: exchange(wrapped, http_scope(**scope))], app)
    mine = records.one()
    columns = {field for field in Row.__struct_fields__ if field not in {"index", "time", "actor", "target", "facts"}}
    assert columns <= {field.name for field in dataclasses.fields(Recorded)}
    measured = {"duration_us", "first_byte_us", "application_us"}
    assert {c: getattr(mine, c) for c in columns - measured} == {c: getattr(row, c) for c in columns - measured}
    assert mine.actor.keys() == {
        "client.address", "network.peer.address", "pxl.request.id", "pxl.time_us", "user.id", "user_agent.original",
    }  # fmt: skip
    assert mine.actor["pxl.time_us"] == mine.time_us


def test_a_record_cannot_be_changed() -> None:
    with recorded() as records:
        record_sync("a.b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        records.one().status = 200  # type: ignore[misc]


def test_everything_that_may_be_asked_for_is_there() -> None:
    with recorded() as records:
        record_sync("a.b")
    for name in get_type_hints(Wanted):
        assert hasattr(records.one(), name)


def test_the_real_recorder_comes_back(tmp_path: Path) -> None:
    """A middleware that had opened its recorder is captured too, and afterwards writes to the disk again."""

    async def drive(wrapped: AuditMiddleware) -> None:
        await exchange(wrapped, http_scope("/before"))
        with recorded() as records:
            await exchange(wrapped, http_scope("/inside"))
        assert [r.path for r in records] == ["/inside"]
        with pytest.raises(UnavailableError, match="has ended"):
            records.recorder_of("test").append(b"{}", 0)
        await exchange(wrapped, http_scope("/after"))

    rows = record_exchanges(tmp_path / "d", [drive], answering())
    # Two recorders are two writers, whose order in the log is not promised.
    assert sorted(json.loads(row.target.text or "")["url.path"] for row in rows) == ["/after", "/before"]


def test_blocks_nest_and_services_keep_their_names() -> None:
    with recorded() as outer:
        record_sync("a.b")
        with recorded() as inner:
            record_sync("c.d")
        record_sync("e.f")
        asyncio.run(exchange(AuditMiddleware(answering(), service="core", directory="never-made")))
    assert [r.event for r in outer] == ["a.b", "e.f", "http.request"]
    assert [r.event for r in inner] == ["c.d"]
    outer.one(service="core")
    outer.one(service="test", event="e.f")


def test_a_gap_is_seen() -> None:
    """What the middleware could not make a record of does not vanish from a test."""

    def broken(scope: object) -> None:
        raise RuntimeError("resolver")

    with recorded() as records:
        asyncio.run(exchange(AuditMiddleware(answering(), service="s", directory="never-made", actor_resolver=broken)))
    records.one(event="audit.gap", facts={"cause": "unrecordable", "count": 1})


def three() -> Records:
    with recorded() as records:
        get(service(), ("/v1/users/bob", {}), ("/v1/users/bob", {"authorization": "alice"}), ("/nowhere", {}))
    return records


def test_missing_shows_the_nearest() -> None:
    with pytest.raises(AssertionError) as caught:
        three().one(event="http.request", status=403, route="/v1/users/{id}", user="bob")
    assert str(caught.value).splitlines() == [
        "expected one record with event='http.request', status=403, route='/v1/users/{id}', user='bob'; "
        "none of the 3 matches",
        "nearest is number 2 of 3:",
        "    event   'http.request'",
        "    status  403",
        "    route   '/v1/users/{id}'",
        "  ! user    'alice', wanted 'bob'",
    ]


def test_nearest_prefers_the_same_event() -> None:
    with recorded() as records:
        record_sync("a.b", outcome="failure", target="t")
        record_sync("c.d", outcome="success", target="t")
    with pytest.raises(AssertionError, match="nearest is number 1 of 2"):
        records.one(event="a.b", outcome="success", target_id="t", user="x")


def test_nearest_is_the_latest_of_equals() -> None:
    with recorded() as records:
        record_sync("a.b", target="first")
        record_sync("a.b", target="second")
    with pytest.raises(AssertionError, match=r"nearest is number 2 of 2:[^!]*! target_id  'second', wanted 'third'"):
        records.one(event="a.b", target_id="third")


def test_several_are_shown() -> None:
    with recorded() as records:
        for _ in range(7):
            record_sync("a.b")
    with pytest.raises(AssertionError) as caught:
        records.one(event="a.b")
    text = str(caught.value)
    assert text.startswith("expected one record with event='a.b'; found 7:\n  Recorded(service='test', event='a.b'")
    assert text.endswith("\n  and 2 more")


def test_nothing_recorded_and_nothing_expected() -> None:
    with recorded() as records:
        records.none()
        with pytest.raises(AssertionError, match=r"expected one record in all; nothing was recorded"):
            records.one()
        record_sync("a.b")
        with pytest.raises(AssertionError, match=r"expected no record with event='a.b'; found 1:"):
            records.none(event="a.b")
        records.clear()
        assert len(records) == 0


def test_none_means_that_there_must_be_none() -> None:
    records = three()
    assert records.one(status=401, user=None).path == "/v1/users/bob"
    assert records.all(route=None) == tuple(r for r in records if r.path == "/nowhere")
    assert len(records.all()) == 3
    assert records.one(target={"url.path": "/nowhere"}).status == 404
    records.none(actor={"user.id": "nobody"})


def test_a_wrong_word_is_told() -> None:
    with pytest.raises(TypeError, match=r"'state' is nothing that a record can be asked for: .*status"):
        three().one(state=403)  # type: ignore[call-arg]
