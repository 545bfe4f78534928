"""One HTTP exchange as it passes through the middleware: all per-request state, and the record made of it.

Clocks: wall clock once at the start, a monotonic clock for everything measured. Three times are kept apart: first
byte (`http.response.start`), end of the response (last body message), end of the application, so that background
tasks neither lengthen the duration nor change the outcome.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pxl_audit.actor import Actor, actor_of_scope
from pxl_audit.asgi_types import Message, Receive, Scope, Send
from pxl_audit.event import ActorPart, ExchangeEvent, TargetPart
from pxl_audit.request_ids import request_id_of, trace_of
from pxl_audit.routes import template_of
from pxl_audit.spans import current_span_ids

if TYPE_CHECKING:
    from pxl_audit.capture import Capture
    from pxl_audit.recorder import Recorder

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
MAX_PATH = 2048
MAX_TEXT = 512
SAME_US = 1000
"""Times closer to the duration than this are left out of the leaf, which is kept for 13 months."""


def limited(text: str, most: int) -> str:
    """`text` with at most `most` characters and a visible mark where it was cut; always valid Unicode."""
    if len(text) > most:
        text = f"{text[:most]}…[{len(text) - most} more]"
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Conversation:
    """What HTTP exchanges and WebSockets have in common: who, from where, when, on which route."""

    __slots__ = (
        "_app_receive",
        "_app_send",
        "_capture",
        "_clock",
        "_disconnected",
        "_linked",
        "_service",
        "_user_agent",
        "actor",
        "cancelled",
        "error_type",
        "recorder",
        "request_id",
        "scope",
        "span_id",
        "time_us",
        "trace_id",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, capture: Capture, recorder: Recorder | None, service: str
    ) -> None:
        self.time_us = time.time_ns() // 1000
        self._clock = time.perf_counter_ns()
        self.scope = scope
        self.recorder = recorder
        self._capture = capture
        self._service = service
        self._app_receive = receive
        self._app_send = send
        self._disconnected = False
        self._linked = False
        self.actor: Actor | None = None
        """What `set_actor` was told."""
        self.cancelled = False
        self.error_type: str | None = None
        request_id = traceparent = self._user_agent = None
        for name, value in scope["headers"]:
            if name == b"user-agent":
                self._user_agent = value
            elif name == b"x-request-id":
                request_id = value
            elif name == b"traceparent":
                traceparent = value
        self.request_id = request_id_of(request_id)
        self.trace_id, self.span_id = trace_of(traceparent)

    def who(self) -> Actor:
        """The actor, as far as it is known by now."""
        if self.actor is not None:
            return self.actor
        resolver = self._capture.actor_resolver
        return (resolver(self.scope) if resolver is not None else None) or actor_of_scope(self.scope)

    def route(self) -> str | None:
        """The route template, as far as it is known by now."""
        resolver = self._capture.route_resolver
        return ascii_text((resolver(self.scope) if resolver is not None else None) or template_of(self.scope))

    def actor_part(self, actor: Actor, time_us: int) -> ActorPart:
        """The part `actor` of a record."""
        peer = self.scope.get("client")
        address, source = self._capture.address_of(peer, self.scope["headers"])
        part = ActorPart(
            client_address=address,
            network_peer_address=self._capture.shown(str(peer[0])) if peer and source != "server" else None,
            auth_method=actor.auth_method,
            client_source=source if source != "peer" else None,
            request_id=self.request_id,
            tenant_id=limited(actor.tenant, MAX_TEXT) if actor.tenant is not None else None,
            time_us=time_us,
            span_id=self.span_id,
            trace_id=self.trace_id,
            user_agent=_agent_text(self._user_agent),
        )
        if actor.id is not None:
            if actor.attempted:
                part.attempted_user_id = limited(actor.id, MAX_TEXT)
            else:
                part.user_id = limited(actor.id, MAX_TEXT)
        if actor.on_behalf_of is not None:
            part.on_behalf_of = limited(actor.on_behalf_of, MAX_TEXT)
        if actor.roles:
            part.user_roles = [limited(str(role), 64) for role in actor.roles]
        return part

    def link_span(self, trace_id: str | None, span_id: str | None) -> None:
        """Take over the ids of the span that serves this request; without one, those of `traceparent` stay.

        The first span stays: a response may start inside a span of the application, below the server's.
        """
        if trace_id is not None and not self._linked:
            self._linked = True
            self.trace_id, self.span_id = trace_id, span_id

    def elapsed_us(self) -> int:
        """Microseconds since the request came in."""
        return (time.perf_counter_ns() - self._clock) // 1000


class Exchange(Conversation):
    """Wraps `receive` and `send` of one request and watches what passes; changes nothing."""

    __slots__ = ("_finished_us", "_started_us", "_trailers", "request_bytes", "response_bytes", "status")

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, capture: Capture, recorder: Recorder | None, service: str
    ) -> None:
        super().__init__(scope, receive, send, capture, recorder, service)
        self._started_us = -1
        self._finished_us = -1
        self._trailers = False
        self.status: int | None = None
        self.request_bytes = 0
        self.response_bytes = 0

    async def receive(self) -> Message:
        """Pass a message of the client on; count it."""
        message = await self._app_receive()
        kind = message.get("type")
        if kind == "http.request":
            self.request_bytes += len(message.get("body") or b"")
        elif kind == "http.disconnect" and self._finished_us < 0:
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message of the application on; note status, sizes and times once the server has taken it."""
        try:
            await self._app_send(message)
        except OSError:
            # ASGI 2.4: the server says that the client is gone.
            self._disconnected = self._disconnected or self._finished_us < 0
            raise
        self._note_sent(message)

    def _note_sent(self, message: Message) -> None:
        # What is malformed is the server's to refuse, not ours: nothing here may raise.
        kind = message.get("type")
        if kind == "http.response.body":
            self.response_bytes += len(message.get("body") or b"")
            if not message.get("more_body", False) and not self._trailers:
                self._finish()
        elif kind == "http.response.start":
            status = message.get("status")
            self.status = status if isinstance(status, int) else None
            self._started_us = self.elapsed_us()
            # The response starts inside the server's span, whichever middleware stands outside of the other.
            self.link_span(*current_span_ids())
            self._trailers = bool(message.get("trailers", False))
        elif kind == "http.response.pathsend" or (
            kind == "http.response.trailers" and not message.get("more_trailers", False)
        ):
            self._finish()

    def _finish(self) -> None:
        if self._finished_us < 0:
            self._finished_us = self.elapsed_us()

    def event(self) -> ExchangeEvent:
        """The record of this exchange; call it when the application has returned or raised."""
        whole = self.elapsed_us()
        duration = self._finished_us if self._finished_us >= 0 else whole
        scope = self.scope
        ending, status, outcome = self._verdict()
        actor = self.who()
        method = scope["method"]
        known = method in METHODS
        return ExchangeEvent(
            actor=self.actor_part(actor, self.time_us),
            target=TargetPart(
                method_original=None if known else limited(method, 64),
                url_path=limited(scope["path"], MAX_PATH),
            ),
            c=status,
            d=duration,
            g=ascii_text(self.error_type),
            h=self._started_us if 0 <= self._started_us <= duration - SAME_US else None,
            i=self.request_bytes,
            k=actor.kind,
            m=method if known else "_OTHER",
            n=ending,
            o=outcome,
            p="security" if status in (401, 403) else "access",
            r=self.route(),
            s=self._service,
            t=self.time_us,
            u=self.response_bytes,
            w=whole if whole - duration >= SAME_US else None,
        )

    def _verdict(self) -> tuple[str, int | None, str]:
        """How it ended, the status, the outcome. A status that nobody sent is inferred: servers answer 500 then."""
        status = self.status
        if self._finished_us >= 0 and status is not None:
            return "complete", status, "success" if status < 400 else "failure"
        if self.cancelled:
            return "cancelled", status, "unknown"
        if self._disconnected:
            return "disconnect", status, "unknown"
        if status is not None:
            return "incomplete", status, "failure"
        return ("exception" if self.error_type else "no_response"), 500, "failure"


def _agent_text(value: bytes | None) -> str | None:
    return limited(value.decode("utf-8", "backslashreplace"), MAX_TEXT) if value is not None else None


def ascii_text(text: str | None) -> str | None:
    """Skeleton text: printable ASCII, at most 200 characters."""
    if text is None or (len(text) <= 200 and text.isascii() and text.isprintable()):
        return text
    clean = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if c.isprintable() else "?" for c in clean)[:200]
