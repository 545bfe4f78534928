"""A WebSocket leaves a record when it opens or is denied, and one when it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pxl_audit import AuditMiddleware
from pxl_audit.asgi_types import ASGIApp, Message, Receive, Scope, Send
from pxl_audit.directory import DataDirectory
from pxl_audit.vault.query import rows
from pxl_audit.vault.row import Row
from tests.builders import Client, User, drained, http_scope

CONNECT: Message = {"type": "websocket.connect"}


def socket_scope() -> dict[str, Any]:
    return {**http_scope("/ws/alice"), "type": "websocket", "scheme": "ws"}


def records_of(
    directory: Path, app: ASGIApp, *messages: Message, raises: type[BaseException] | None = None
) -> list[Row]:
    """Records of one socket whose client sends `messages`."""
    middleware = AuditMiddleware(app, service="test", directory=directory, embedded_agent=False)
    client = Client([CONNECT, *messages])
    if raises is None:
        asyncio.run(middleware(socket_scope(), client.receive, client.send))
    else:
        with pytest.raises(raises):
            asyncio.run(middleware(socket_scope(), client.receive, client.send))
    drained(directory)
    everything = rows(DataDirectory.open(directory), 0, 1 << 40)
    return [row for row in everything if row.event.startswith("websocket.")]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    scope["user"] = User("alice")
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"] * 2})


async def closes(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4001, "reason": "bye"})


async def denies(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close"})


async def denies_with_status(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"no"})


async def raises_early(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError


async def raises_late(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    raise ValueError


async def leaves_early(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await receive()


def test_a_whole_socket(tmp_path: Path) -> None:
    """Opening at once with the user; end with who closed, the code, messages and bytes each way."""
    opened, closed = records_of(
        tmp_path / "d",
        echo,
        {"type": "websocket.receive", "text": "héy"},
        {"type": "websocket.receive", "text": "ab"},
        {"type": "websocket.disconnect", "code": 1001},
    )
    assert (opened.event, opened.status, opened.outcome, opened.actor_kind) == (
        "websocket.open",
        101,
        "success",
        "user",
    )
    assert (closed.event, closed.ending, closed.request_bytes, closed.response_bytes) == (
        "websocket.close",
        "complete",
        6,
        12,
    )
    assert closed.facts == {"closed_by": "client", "code": 1001, "messages_in": 2, "messages_out": 2}
    assert '"user.id":"alice"' in (closed.actor.text or "")
    assert closed.route is None


@pytest.mark.parametrize(
    ("app", "status", "ending", "retention", "raises"),
    [
        (denies, 403, "complete", "security", None),
        (denies_with_status, 401, "complete", "security", None),
        (raises_early, 500, "exception", "access", ValueError),
        (leaves_early, None, "disconnect", "access", None),
    ],
)
def test_never_opened(
    tmp_path: Path, app: ASGIApp, status: int | None, ending: str, retention: str, raises: type[BaseException] | None
) -> None:
    """A denial has its real status; one record, because nothing was opened."""
    (row,) = records_of(tmp_path / "d", app, {"type": "websocket.disconnect", "code": 1006}, raises=raises)
    assert (row.event, row.status, row.ending, row.retention) == ("websocket.open", status, ending, retention)


def test_closed_by_the_server(tmp_path: Path) -> None:
    _, closed = records_of(tmp_path / "d", closes)
    assert closed.facts == {"closed_by": "server", "code": 4001, "messages_in": 0, "messages_out": 0}


def test_exception_after_opening(tmp_path: Path) -> None:
    _, closed = records_of(tmp_path / "d", raises_late, raises=ValueError)
    assert (closed.ending, closed.outcome, closed.error_type) == ("exception", "failure", "ValueError")
