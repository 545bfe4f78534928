"""`AuditMiddleware`: pure ASGI; one record an HTTP exchange, whatever becomes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path

from pxl_audit.asgi_types import ASGIApp, Message, Receive, Scope, Send
from pxl_audit.errors import AuditError
from pxl_audit.event import check_service, encode_event
from pxl_audit.exchange import Exchange
from pxl_audit.recorder import Recorder, close_recorder, recorder_for

_log = logging.getLogger("pxl_audit")

current_exchange: ContextVar[Exchange | None] = ContextVar("pxl_audit_exchange", default=None)
"""Set unconditionally at entry: servers let a pipelined request inherit the context of the one before it."""


class AuditMiddleware:
    """Records every HTTP exchange of `app` in the data directory `directory`.

    Wrap the whole application (`app = AuditMiddleware(app, service="gateway")`), so that nothing answers outside of
    it; `app.add_middleware(AuditMiddleware, service="gateway")` works too, and then does not see what outer
    middlewares answer by themselves.

    Args:
        app: any ASGI 3 application.
        service: name of the service in each record; printable ASCII without spaces, at most 64 characters.
        directory: data directory, made if it does not exist. One log a directory, for all worker processes.
        embedded_agent: start an agent process when none runs. False where `pxl-audit agent run` is started by an
            operator.

    Raises:
        UsageError: `service` is not a service name.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: str = "app",
        directory: str | Path = "var/audit",
        *,
        embedded_agent: bool = True,
    ) -> None:
        self.app = app
        self.service = check_service(service)
        self.directory = Path(directory)
        self.embedded_agent = embedded_agent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application and record the exchange."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def recorder(self) -> Recorder:
        """This process's recorder; opened on first use.

        Raises:
            AuditError: the data directory cannot be used.
        """
        return recorder_for(self.directory, self.service, embedded_agent=self.embedded_agent)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        recorder = self._recorder_or_none()
        exchange = Exchange(scope, receive, send, recorder)
        current_exchange.set(exchange)
        if recorder is not None:
            recorder.begin()
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            exchange.cancelled = True
            raise
        except BaseException as error:
            exchange.error_type = type(error).__name__
            raise
        finally:
            # No await here: a cancelled request must be recorded too.
            self._finish(exchange, recorder)

    def _finish(self, exchange: Exchange, recorder: Recorder | None) -> None:
        if recorder is None:
            return
        try:
            event = exchange.event(self.service)
            if recorder.closed:
                recorder = self.recorder()  # a straggler after shutdown gets a spool of its own
            recorder.append(encode_event(event), event.t, ends_request=True)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the record, the response is not ours to change
            # The exception's text may quote the request; its class does not.
            _log.error("an exchange could not be recorded: %s", type(error).__name__)
            recorder.report_gap("unrecordable", 1, exchange.time_us)

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
