"""Every way an exchange can end is told apart, and the application's own behaviour is not touched."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pxl_audit import AuditMiddleware
from pxl_audit.asgi_types import ASGIApp, Message, Receive, Scope, Send
from tests.builders import Client, answering, drained, exchange, http_scope, record_exchanges

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


class BoomError(Exception):
    """Raised by the applications below."""


async def raises_before(scope: Scope, receive: Receive, send: Send) -> None:
    raise BoomError


async def raises_after(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    raise BoomError


async def returns_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


async def never_ends(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"part", "more_body": True})


async def answers_500_and_raises(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": []})
    await send({"type": "http.response.body", "body": b"Internal Server Error"})
    raise BoomError


async def fails_in_background(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b"ok"})
    await asyncio.sleep(0.05)
    raise BoomError


async def client_leaves(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(START)
    if (await receive())["type"] == "http.disconnect":
        return


async def send_fails(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"x", "more_body": True})


async def with_trailers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({**START, "trailers": True})
    await send({"type": "http.response.body", "body": b"12345"})
    await send({"type": "http.response.trailers", "headers": [], "more_trailers": False})


async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.pathsend", "path": "/dev/null"})


@pytest.mark.parametrize(
    ("app", "ending", "status", "outcome", "error"),
    [
        (answering(200), "complete", 200, "success", None),
        (answering(404), "complete", 404, "failure", None),
        (raises_before, "exception", 500, "failure", "BoomError"),
        (raises_after, "incomplete", 200, "failure", "BoomError"),
        (returns_nothing, "no_response", 500, "failure", None),
        (never_ends, "incomplete", 200, "failure", None),
        (answers_500_and_raises, "complete", 500, "failure", "BoomError"),
        (fails_in_background, "complete", 200, "success", "BoomError"),
        (client_leaves, "disconnect", 200, "unknown", None),
        (with_trailers, "complete", 200, "success", None),
        (by_path, "complete", 200, "success", None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_ending(tmp_path: Path, app: ASGIApp, ending: str, status: int, outcome: str, error: str | None) -> None:
    """One record, with the right ending, status and outcome; the exception passes through unchanged."""

    async def conversation(wrapped: AuditMiddleware) -> None:
        if error is None:
            await exchange(wrapped)
        else:
            with pytest.raises(BoomError):
                await exchange(wrapped)

    (row,) = record_exchanges(tmp_path / "d", [conversation], app)
    assert (row.ending, row.status, row.outcome, row.error_type) == (ending, status, outcome, error)


def test_server_reports_the_client_gone(tmp_path: Path) -> None:
    """An OSError of `send` (ASGI 2.4) is the client's going, and reaches the application."""

    class Gone(Client):
        async def send(self, message: Message) -> None:
            if message["type"] == "http.response.body":
                raise OSError("client disconnected")

    async def conversation(wrapped: AuditMiddleware) -> None:
        with pytest.raises(OSError, match="client disconnected"):
            await exchange(wrapped, client=Gone())

    (row,) = record_exchanges(tmp_path / "d", [conversation], send_fails)
    assert (row.ending, row.outcome, row.response_bytes) == ("disconnect", "unknown", 0)


def test_cancelled_at_shutdown(tmp_path: Path) -> None:
    """A cancelled request is recorded, and stays cancelled."""

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    async def conversation(wrapped: AuditMiddleware) -> None:
        task = asyncio.create_task(exchange(wrapped))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    (row,) = record_exchanges(tmp_path / "d", [conversation], waits)
    assert (row.ending, row.status, row.outcome) == ("cancelled", None, "unknown")


def test_background_task_does_not_lengthen_the_duration(tmp_path: Path) -> None:
    """The response's end and the application's end are two numbers."""

    async def conversation(wrapped: AuditMiddleware) -> None:
        with pytest.raises(BoomError):
            await exchange(wrapped)

    (row,) = record_exchanges(tmp_path / "d", [conversation], fails_in_background)
    assert row.duration_us is not None
    assert row.application_us is not None
    assert row.first_byte_us is not None
    assert row.first_byte_us + 10_000 <= row.duration_us
    assert row.duration_us + 50_000 <= row.application_us


def test_sizes_are_counted_as_consumed_and_sent(tmp_path: Path) -> None:
    """Bytes that passed through, not what headers promise."""

    async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await answering(body=b"123")(scope, receive, send)

    client = Client(
        [{"type": "http.request", "body": b"a" * 10, "more_body": True}, {"type": "http.request", "body": b"b" * 5}]
    )
    (row,) = record_exchanges(tmp_path / "d", [lambda wrapped: exchange(wrapped, client=client)], reads_all)
    assert (row.request_bytes, row.response_bytes) == (15, 3)


def test_interleaved_requests_do_not_mix(tmp_path: Path) -> None:
    """Two requests at once, with different sizes and statuses: no state is shared."""
    gate = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        slow = scope["path"] == "/slow"
        await send({**START, "status": 201 if slow else 202})
        if slow:
            await gate.wait()
        else:
            gate.set()
        await send({"type": "http.response.body", "body": b"x" * (10 if slow else 9000)})

    async def conversation(wrapped: AuditMiddleware) -> None:
        await asyncio.gather(exchange(wrapped, http_scope("/slow")), exchange(wrapped, http_scope("/fast")))

    records = record_exchanges(tmp_path / "d", [conversation], app)
    assert {(row.status, row.response_bytes) for row in records} == {(201, 10), (202, 9000)}


def test_messages_pass_unchanged(tmp_path: Path) -> None:
    """Headers, chunks and order are bit-identical with and without us."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"in"
        await send({"type": "http.response.start", "status": 207, "headers": [(b"a", b"1"), (b"a", b"2")]})
        for chunk in (b"x", b"", b"yz"):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})

    def client() -> Client:
        return Client([{"type": "http.request", "body": b"in"}])

    wrapped = AuditMiddleware(app, service="test", directory=tmp_path / "d", embedded_agent=False)
    with_us = asyncio.run(exchange(wrapped, client=client()))
    without = asyncio.run(exchange(app, client=client()))
    assert with_us.sent == without.sent
    assert len(drained(tmp_path / "d")) == 1
