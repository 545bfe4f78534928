"""What tests build on: ASGI conversations driven by hand, and data directories filled through the real way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pxl_audit import AuditMiddleware
from pxl_audit.agent.client import append_and_wait
from pxl_audit.asgi_types import ASGIApp, Message, Receive, Scope, Send
from pxl_audit.directory import DataDirectory
from pxl_audit.event import make_event
from pxl_audit.recorder import close_recorder
from pxl_audit.vault.query import rows
from pxl_audit.vault.row import Row


class User:
    """An authenticated user as Starlette's authentication leaves it in the scope."""

    is_authenticated = True

    def __init__(self, identity: str) -> None:
        self.identity = identity


def http_scope(path: str = "/", method: str = "GET", **members: Any) -> dict[str, Any]:
    """An HTTP scope with what servers set."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "backslashreplace"),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(b"host", b"test"), (b"user-agent", b"test/1")],
        "client": ("192.0.2.7", 40000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    } | members


class Client:
    """The server's and client's side of one exchange."""

    def __init__(
        self, messages: Sequence[Message] = ({"type": "http.request", "body": b"", "more_body": False},)
    ) -> None:
        self.incoming = list(messages)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        await asyncio.sleep(0)
        return self.incoming.pop(0) if self.incoming else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await asyncio.sleep(0)
        self.sent.append(message)


def answering(status: int = 200, body: bytes = b"ok", user: str | None = None) -> ASGIApp:
    """An application that answers every request alike."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if user is not None:
            scope["user"] = User(user)
        await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


async def exchange(app: ASGIApp, scope: Scope | None = None, client: Client | None = None) -> Client:
    """Run one exchange through `app`."""
    client = client or Client()
    await app(scope or http_scope(), client.receive, client.send)
    return client


def record_exchanges(
    directory: Path, conversations: Iterable[Callable[[AuditMiddleware], Any]], app: ASGIApp
) -> list[Row]:
    """Drive `app` behind the middleware, drain everything into log and vault, and return the records of requests."""
    middleware = AuditMiddleware(app, service="test", directory=directory, embedded_agent=False)

    async def drive() -> None:
        for conversation in conversations:
            await conversation(middleware)

    asyncio.run(drive())
    return drained(directory)


def drained(directory: Path) -> list[Row]:
    """Close this process's recorder, let an agent take everything over, and return the records of requests."""
    close_recorder(directory)
    data = DataDirectory.open(directory)
    append_and_wait(data, [make_event("test.drained")])
    return [row for row in rows(data, 0, 1 << 40) if row.event == "http.request"]


def fill(directory: Path, count: int, user: Callable[[int], str] = lambda i: f"user-{i % 7}") -> DataDirectory:
    """`count` requests of several users, in log and vault."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["user"] = User(scope["state"]["who"])
        await answering()(scope, receive, send)

    def one(i: int) -> Callable[[AuditMiddleware], Any]:
        return lambda wrapped: exchange(wrapped, http_scope(f"/v1/users/{user(i)}", state={"who": user(i)}))

    record_exchanges(directory, [one(i) for i in range(count)], app)
    return DataDirectory.open(directory)
