"""One HTTP exchange as it passes through the middleware: all per-request state, and the record made of it.

Clocks: wall clock once at the start, a monotonic clock for everything measured. Three times are kept apart: first
byte (`http.response.start`), end of the response (last body message), end of the application, so that background
tasks neither lengthen the duration nor change the outcome.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pxl_audit.asgi_types import Message, Receive, Scope, Send
from pxl_audit.event import ActorPart, HttpEvent, TargetPart
from pxl_audit.identity import user_of
from pxl_audit.request_ids import request_id_of, trace_of
from pxl_audit.routes import template_of

if TYPE_CHECKING:
    from pxl_audit.recorder import Recorder

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
MAX_PATH = 2048
SAME_US = 1000
"""Times closer to the duration than this are left out of the leaf, which is kept for 13 months."""
MAX_TEXT = 512


def limited(text: str, most: int) -> str:
    """`text` with at most `most` characters and a visible mark where it was cut; always valid Unicode."""
    if len(text) > most:
        text = f"{text[:most]}…[{len(text) - most} more]"
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Exchange:
    """Wraps `receive` and `send` of one request and watches what passes; changes nothing."""

    __slots__ = (
        "_app_receive",
        "_app_send",
        "_clock",
        "_disconnected",
        "_finished_at",
        "_started_at",
        "_trailers",
        "cancelled",
        "error_type",
        "recorder",
        "request_bytes",
        "request_id",
        "response_bytes",
        "scope",
        "span_id",
        "status",
        "time_us",
        "trace_id",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, recorder: Recorder | None) -> None:
        self.time_us = time.time_ns() // 1000
        self._clock = time.perf_counter_ns()
        self.scope = scope
        self.recorder = recorder
        self._app_receive = receive
        self._app_send = send
        self._started_at = 0
        self._finished_at = 0
        self._trailers = False
        self._disconnected = False
        self.cancelled = False
        self.error_type: str | None = None
        self.status: int | None = None
        self.request_bytes = 0
        self.response_bytes = 0
        headers = scope["headers"]
        self.request_id = request_id_of(headers)
        self.trace_id, self.span_id = trace_of(headers)

    async def receive(self) -> Message:
        """Pass a message of the client on; count it."""
        message = await self._app_receive()
        if message["type"] == "http.request":
            self.request_bytes += len(message.get("body", b""))
        elif not self._finished_at:
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message of the application on; note status, sizes and times once the server has taken it."""
        try:
            await self._app_send(message)
        except OSError:
            # ASGI 2.4: the server says that the client is gone.
            self._disconnected = self._disconnected or not self._finished_at
            raise
        self._note_sent(message)

    def _note_sent(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            self.response_bytes += len(message.get("body", b""))
            if not message.get("more_body", False) and not self._trailers:
                self._finish()
        elif kind == "http.response.start":
            self.status = message["status"]
            self._started_at = time.perf_counter_ns()
            self._trailers = bool(message.get("trailers", False))
        elif kind == "http.response.pathsend" or (
            kind == "http.response.trailers" and not message.get("more_trailers", False)
        ):
            self._finish()

    def _finish(self) -> None:
        if not self._finished_at:
            self._finished_at = time.perf_counter_ns()

    def event(self, service: str) -> HttpEvent:
        """The record of this exchange; call it when the application has returned or raised."""
        whole = (time.perf_counter_ns() - self._clock) // 1000
        duration = (self._finished_at - self._clock) // 1000 if self._finished_at else whole
        first_byte = (self._started_at - self._clock) // 1000
        scope = self.scope
        ending, status, outcome = self._verdict()
        kind, user_id, roles = user_of(scope)
        method = scope["method"]
        known = method in METHODS
        peer = scope.get("client")
        address = limited(str(peer[0]), 64) if peer else None
        return HttpEvent(
            actor=ActorPart(
                client_address=address,
                network_peer_address=address,
                request_id=self.request_id,
                time_us=self.time_us,
                span_id=self.span_id,
                trace_id=self.trace_id,
                user_id=limited(user_id, MAX_TEXT) if user_id is not None else None,
                user_roles=roles,
                user_agent=_user_agent(scope),
            ),
            target=TargetPart(
                method_original=None if known else limited(method, 64),
                url_path=limited(scope["path"], MAX_PATH),
            ),
            c=status,
            d=duration,
            g=_ascii(self.error_type),
            h=first_byte if self._started_at and duration - first_byte >= SAME_US else None,
            i=self.request_bytes,
            k=kind,
            m=method if known else "_OTHER",
            n=ending,
            o=outcome,
            p="security" if status in (401, 403) else "access",
            r=_ascii(template_of(scope)),
            s=service,
            t=self.time_us,
            u=self.response_bytes,
            w=whole if whole - duration >= SAME_US else None,
        )

    def _verdict(self) -> tuple[str, int | None, str]:
        """How it ended, the status, the outcome. A status that nobody sent is inferred: servers answer 500 then."""
        status = self.status
        if self._finished_at and status is not None:
            return "complete", status, "success" if status < 400 else "failure"
        if self.cancelled:
            return "cancelled", status, "unknown"
        if self._disconnected:
            return "disconnect", status, "unknown"
        if status is not None:
            return "incomplete", status, "failure"
        return ("exception" if self.error_type else "no_response"), 500, "failure"


def _user_agent(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"user-agent":
            return limited(value.decode("utf-8", "backslashreplace"), MAX_TEXT)
    return None


def _ascii(text: str | None) -> str | None:
    """Skeleton text: printable ASCII, at most 200 characters."""
    if text is None or (len(text) <= 200 and text.isascii() and text.isprintable()):
        return text
    clean = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if c.isprintable() else "?" for c in clean)[:200]
