"""Legal and illegal ASGI message orders: the middleware never raises, hangs, swallows or alters, and records once."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pxl_audit import AuditMiddleware
from pxl_audit.asgi_types import ASGIApp, Message, Receive, Scope, Send
from pxl_audit.event import decode_event
from tests.builders import http_scope

MESSAGES = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("http.response.start"), "status": st.integers(100, 599)},
        optional={"headers": st.just([]), "trailers": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"type": st.just("http.response.body")},
        optional={"body": st.one_of(st.binary(max_size=9), st.none()), "more_body": st.booleans()},
    ),
    st.fixed_dictionaries({"type": st.just("http.response.trailers")}, optional={"more_trailers": st.booleans()}),
    st.just({"type": "http.response.pathsend", "path": "/x"}),
    st.just({"type": "http.response.early_hint", "links": []}),
    st.just({"type": "http.response.start"}),
    st.just({"type": "http.response.start", "status": "200"}),
    st.just({"type": "websocket.accept"}),
    st.just({"type": "websocket.send", "text": "é"}),
    st.just({"type": "websocket.close"}),
    st.just({"type": "unheard.of"}),
    st.just({}),
)
STEPS = st.lists(
    st.one_of(MESSAGES, st.just("receive"), st.just("raise"), st.just("server refuses"), st.just("yield")), max_size=8
)
INCOMING = st.lists(
    st.sampled_from(
        [
            {"type": "http.request", "body": b"abc", "more_body": True},
            {"type": "http.request"},
            {"type": "http.request", "body": None},
            {"type": "http.disconnect"},
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "bytes": b"x"},
            {"type": "websocket.disconnect", "code": 1000},
            {},
        ]
    ),
    max_size=4,
)


class BoomError(Exception):
    """What the application raises."""


class Recorded:
    """Stands for the recorder; keeps what it is given."""

    closed = False

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.begun = self.ended = 0
        self.gaps = 0

    def begin(self) -> None:
        self.begun += 1

    def append(self, payload: bytes, now_us: int, *, ends_request: bool = False) -> int:
        self.payloads.append(payload)
        self.ended += ends_request
        return len(self.payloads)

    def report_gap(self, cause: str, count: int, from_us: int) -> None:
        self.gaps += 1


def run(app: ASGIApp, kind: str, steps: list[Any], incoming: list[Message]) -> tuple[list[Any], str]:
    """What passed in each direction, and how it ended."""
    passed: list[Any] = []
    waiting = copy.deepcopy(incoming)
    refusing = [step == "server refuses" for step in steps]

    async def receive() -> Message:
        message = waiting.pop(0) if waiting else {"type": "http.disconnect"}
        passed.append(("in", copy.deepcopy(message)))
        return message

    async def send(message: Message) -> None:
        passed.append(("out", copy.deepcopy(message)))
        if any(refusing):
            raise OSError("gone")

    async def limited() -> str:
        try:
            await asyncio.wait_for(app({**http_scope("/p"), "type": kind}, receive, send), 5)
        except (BoomError, OSError) as error:
            return type(error).__name__
        return "returned"

    return passed, asyncio.run(limited())


def application(steps: list[Any]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for step in steps:
            if step == "receive":
                await receive()
            elif step == "raise":
                raise BoomError
            elif step == "yield":
                await asyncio.sleep(0)
            elif isinstance(step, dict):
                await send(copy.deepcopy(step))

    return app


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["http", "websocket"]), STEPS, INCOMING)
def test_any_order(kind: str, steps: list[Any], incoming: list[Message]) -> None:
    """With and without us the same messages pass and the same exception comes out; one last record each time."""
    app = application(steps)
    recorded = Recorded()
    middleware = AuditMiddleware(app, service="test", directory=Path("/nonexistent"))
    middleware._recorder = recorded  # type: ignore[assignment]  # takes what a recorder takes
    assert run(middleware, kind, steps, incoming) == run(app, kind, steps, incoming)
    assert (recorded.begun, recorded.ended, recorded.gaps) == (1, 1, 0)
    for payload in recorded.payloads:
        event = decode_event(payload)
        assert event.o in ("success", "failure", "unknown")
        assert event.c is None or 100 <= event.c <= 599
        assert isinstance(msgspec.json.decode(payload)["actor"], dict)
    if kind == "http":
        assert len(recorded.payloads) == 1
