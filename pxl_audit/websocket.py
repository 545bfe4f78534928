"""A WebSocket as it passes through the middleware: one record when it opens (or is denied), one when it ends.

A socket may live for days, so its opening is recorded at once. Messages and bytes are counted each way, and who
closed it with which code (RFC 6455 section 7.4) stands among the facts of the last record.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from pxl_audit.asgi_types import Message, Receive, Scope, Send
from pxl_audit.capture import Capture
from pxl_audit.event import ExchangeEvent, TargetPart
from pxl_audit.exchange import MAX_PATH, Conversation, ascii_text, limited
from pxl_audit.recorder import Recorder
from pxl_audit.spans import current_span_ids

NO_CODE = 1005
ABNORMAL = 1006


class Emit(Protocol):
    """Makes and records an event; `last` for the last one of this socket. Never raises."""

    def __call__(self, make: Callable[[], ExchangeEvent], *, last: bool) -> None: ...


class WebSocket(Conversation):
    """Wraps `receive` and `send` of one socket; changes nothing."""

    __slots__ = (
        "_accepted",
        "_closed_by",
        "_code",
        "_denied",
        "_emit",
        "bytes_in",
        "bytes_out",
        "messages_in",
        "messages_out",
    )

    def __init__(  # the ASGI triple, and what the middleware knows
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        capture: Capture,
        recorder: Recorder | None,
        service: str,
        emit: Emit,
    ) -> None:
        super().__init__(scope, receive, send, capture, recorder, service)
        self._emit = emit
        self._accepted = False
        self._denied: int | None = None
        self._code: int | None = None
        self._closed_by: str | None = None
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0

    async def receive(self) -> Message:
        """Pass a message of the client on; count it."""
        message = await self._app_receive()
        kind = message.get("type")
        if kind == "websocket.receive":
            self.messages_in += 1
            self.bytes_in += _size(message)
        elif kind == "websocket.disconnect" and self._closed_by is None:
            self._closed_by = "client"
            self._code = message.get("code", NO_CODE)
        return message

    async def send(self, message: Message) -> None:
        """Pass a message of the application on; record an opening once the server has taken it."""
        try:
            await self._app_send(message)
        except OSError:
            if self._closed_by is None:
                self._closed_by, self._code = "client", ABNORMAL
            raise
        kind = message.get("type")
        if kind == "websocket.send":
            self.messages_out += 1
            self.bytes_out += _size(message)
        elif kind == "websocket.accept":
            self._accepted = True
            self.link_span(*current_span_ids())
            self._emit(partial(self._opening, "complete", 101, "success"), last=False)
        elif kind == "websocket.http.response.start":
            self._denied = message.get("status", 403)
            self.link_span(*current_span_ids())
        elif kind == "websocket.http.response.body":
            self.bytes_out += len(message.get("body") or b"")
        elif kind == "websocket.close" and self._closed_by is None:
            self._closed_by = "server"
            self._code = message.get("code", 1000)
            if not self._accepted:
                self._denied = 403  # what servers answer to a close before the handshake
                self.link_span(*current_span_ids())

    def end(self) -> None:
        """Record the end; call it when the application has returned or raised."""
        if self._accepted:
            self._emit(self._closing, last=True)
        elif self._denied is not None:
            self._emit(partial(self._opening, "complete", self._denied, "failure"), last=True)
        elif self.cancelled:
            self._emit(partial(self._opening, "cancelled", None, "unknown"), last=True)
        elif self._closed_by == "client":
            self._emit(partial(self._opening, "disconnect", None, "unknown"), last=True)
        else:
            self._emit(
                partial(self._opening, "exception" if self.error_type else "no_response", 500, "failure"), last=True
            )

    def _opening(self, ending: str, status: int | None, outcome: str) -> ExchangeEvent:
        event = self._event("websocket.open", self.time_us, ending, outcome)
        event.c = status
        event.p = "security" if status in (401, 403) else "access"
        return event

    def _closing(self) -> ExchangeEvent:
        if self.cancelled:
            ending, outcome = "cancelled", "unknown"
        elif self.error_type is not None:
            ending, outcome = "exception", "failure"
        elif self._closed_by is None:
            ending, outcome = "incomplete", "failure"
        else:
            ending, outcome = "complete", "success"
        event = self._event("websocket.close", time.time_ns() // 1000, ending, outcome)
        facts: dict[str, int | str] = {
            "closed_by": self._closed_by or "nobody",
            "messages_in": self.messages_in,
            "messages_out": self.messages_out,
        }
        if self._code is not None:
            facts["code"] = self._code
        event.f = dict(sorted(facts.items()))
        event.i, event.u = self.bytes_in, self.bytes_out
        return event

    def _event(self, name: str, time_us: int, ending: str, outcome: str) -> ExchangeEvent:
        actor = self.who()
        return ExchangeEvent(
            actor=self.actor_part(actor, time_us),
            target=TargetPart(url_path=limited(self.scope["path"], MAX_PATH)),
            d=self.elapsed_us(),
            e=name,
            g=ascii_text(self.error_type),
            k=actor.kind,
            n=ending,
            o=outcome,
            r=self.route(),
            s=self._service,
            t=time_us,
        )


def _size(message: Message) -> int:
    data = message.get("bytes")
    if data is not None:
        return len(data)
    text = message.get("text") or ""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
