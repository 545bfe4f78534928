"""`AuditMiddleware`: pure ASGI; a record of every HTTP exchange and WebSocket, whatever becomes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pxl_audit.actor import ActorResolver, current_exchange
from pxl_audit.asgi_types import ASGIApp, Message, Receive, Scope, Send
from pxl_audit.capture import Capture, RouteResolver
from pxl_audit.errors import AuditError
from pxl_audit.event import ExchangeEvent, check_service, encode_event
from pxl_audit.exchange import Conversation, Exchange
from pxl_audit.recorder import Recorder, close_recorder, is_overridden, recorder_for
from pxl_audit.spans import current_span_ids
from pxl_audit.websocket import WebSocket

if TYPE_CHECKING:
    from pxl_audit.client_address import TrustedProxies
    from pxl_audit.policy import Policy

_log = logging.getLogger("pxl_audit")


class AuditMiddleware:
    """Records every HTTP exchange and WebSocket of `app` in the data directory `directory`.

    Wrap the whole application (`app = AuditMiddleware(app, service="gateway")`), so that nothing answers outside of
    it; `app.add_middleware(AuditMiddleware, service="gateway")` works too, and then does not see what outer
    middlewares answer by themselves.

    Args:
        app: any ASGI 3 application.
        service: name of the service in each record; printable ASCII without spaces, at most 64 characters.
        directory: data directory, made if it does not exist. One log a directory, for all worker processes.
        embedded_agent: start an agent process when none runs. False where `pxl-audit agent run` is started by an
            operator.
        trusted_proxies: proxies whose `X-Forwarded-For` or `Forwarded` is believed; without it the TCP peer is the
            client.
        actor_resolver: finds the actor in the scope, after the application has run; None means `scope["user"]`.
        route_resolver: finds the route template in the scope, for routers that are not Starlette's.
        address_bits: keep only so many bits of IPv4 and IPv6 addresses, such as `(24, 48)`.
        policy: rules for HTTP exchanges (docs/policy.md), or the TOML file that holds them.

    Raises:
        UsageError: an argument is out of its range.
    """

    def __init__(  # noqa: PLR0913  # every choice has a default and is given by name
        self,
        app: ASGIApp,
        service: str = "app",
        directory: str | Path = "var/audit",
        *,
        embedded_agent: bool = True,
        trusted_proxies: TrustedProxies | None = None,
        actor_resolver: ActorResolver | None = None,
        route_resolver: RouteResolver | None = None,
        address_bits: tuple[int, int] | None = None,
        policy: Policy | Path | str | None = None,
    ) -> None:
        self.app = app
        self.service = check_service(service)
        self.directory = Path(directory)
        self.embedded_agent = embedded_agent
        self.policy = _load(policy)
        self._recorder: Recorder | None = None
        self.capture = Capture(trusted_proxies, actor_resolver, route_resolver, address_bits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application and record the exchange."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def recorder(self) -> Recorder:
        """This process's recorder; opened on first use.

        Raises:
            AuditError: the data directory cannot be used.
        """
        recorder = self._recorder
        if recorder is None or recorder.closed or is_overridden():  # closed also in a forked child of its process
            recorder = recorder_for(self.directory, self.service, embedded_agent=self.embedded_agent)
            self._recorder = recorder
        return recorder

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        recorder = self._recorder_or_none()
        if self.policy is not None:
            await self._governed(scope, receive, send, self.policy, recorder)
            return
        exchange = Exchange(scope, receive, send, self.capture, recorder, self.service)
        try:
            await self._run(exchange, exchange.receive, exchange.send)
        finally:
            # No await here: a cancelled request must be recorded too.
            self._emit(exchange, exchange.event, last=True)

    async def _governed(
        self, scope: Scope, receive: Receive, send: Send, policy: Policy, recorder: Recorder | None
    ) -> None:
        from pxl_audit.governed import GovernedExchange, RefusedError  # noqa: PLC0415  # only where a policy is given

        exchange = GovernedExchange(scope, receive, send, self.capture, recorder, self.service, policy=policy)
        try:
            await exchange.begin()
        except RefusedError:
            if recorder is not None:
                recorder.begin()
            self._emit(exchange, exchange.refused, last=True)
            await exchange.refuse()
            return
        try:
            await self._run(exchange, exchange.receive, exchange.send)
        finally:
            if not exchange.emitted:
                self._emit(exchange, exchange.ruled_event, last=True)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        recorder = self._recorder_or_none()

        def emit(make: Callable[[], ExchangeEvent], *, last: bool) -> None:
            self._emit(socket, make, last=last)

        socket = WebSocket(scope, receive, send, self.capture, recorder, self.service, emit)
        try:
            await self._run(socket, socket.receive, socket.send)
        finally:
            socket.end()

    async def _run(self, conversation: Conversation, receive: Receive, send: Send) -> None:
        current_exchange.set(conversation)
        if conversation.recorder is not None:
            conversation.recorder.begin()
        try:
            await self.app(conversation.scope, receive, send)
        except asyncio.CancelledError:
            conversation.cancelled = True
            raise
        except BaseException as error:
            conversation.error_type = type(error).__name__
            raise
        finally:
            # Where no response was started, a span around us is still current and recording.
            conversation.link_span(*current_span_ids(recording=True))

    def _emit(self, conversation: Conversation, make: Callable[[], ExchangeEvent | None], *, last: bool) -> None:
        recorder = conversation.recorder
        if recorder is None:
            return
        try:
            event = make()
            if event is None:
                recorder.end_unrecorded()
                return
            if recorder.closed:
                recorder = self.recorder()  # a straggler after shutdown gets a spool of its own
            recorder.append(encode_event(event), event.t, ends_request=last)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the record, the response is not ours to change
            # The exception's text may quote the request; its class does not.
            _log.error("an exchange could not be recorded: %s", type(error).__name__)
            recorder.report_gap("unrecordable", 1, conversation.time_us)

    def _recorder_or_none(self) -> Recorder | None:
        try:
            return self.recorder()
        except AuditError as error:
            _log.error("not recorded: %s", error)
            return None

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open at startup, so that an unusable directory stops the service; write everything out at shutdown."""
        problem: str | None = None
        try:
            self.recorder()
        except AuditError as error:
            problem = str(error)
        if problem is not None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": f"pxl-audit: {problem}"})
            return
        await self.app(scope, receive, self._closing_send(send))

    def _closing_send(self, send: Send) -> Callable[[Message], Awaitable[None]]:
        async def closing_send(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await asyncio.get_running_loop().run_in_executor(None, close_recorder, self.directory)
            await send(message)

        return closing_send


def _load(policy: Policy | Path | str | None) -> Policy | None:
    """A policy, from its file if a path is given. Imported here: most services have none."""
    if not isinstance(policy, (str, Path)):
        return policy
    from pxl_audit.policy_file import load_policy  # noqa: PLC0415

    return load_policy(Path(policy))
