"""An HTTP exchange under an audit policy: whether it is recorded, what is kept, what must be durable before what.

Decided at the entry, before the route is known: refuse if the log cannot take the record; an intent that is durable
before the application is called. Decided at the end: everything else (docs/policy.md).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pxl_audit.asgi_types import Message, Receive, Scope, Send
from pxl_audit.event import BEGUN, ExchangeEvent, TargetPart, encode_event
from pxl_audit.exchange import MAX_PATH, METHODS, Exchange, limited

if TYPE_CHECKING:
    from pxl_audit.capture import Capture
    from pxl_audit.policy import Policy, Rule
    from pxl_audit.recorder import Recorder

DURABLE_SECONDS = 5.0
"""A request never waits longer for the disk than this; what then happens is the failure policy's to say."""
RETRY_AFTER_SECONDS = 1


class RefusedError(Exception):
    """The log cannot take this request, and its rule says that it is not served then."""


class GovernedExchange(Exchange):
    """One exchange and the rules that apply to it."""

    __slots__ = ("_entry", "_intent", "_policy", "emitted")

    def __init__(  # the ASGI triple, and what the middleware knows
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        capture: Capture,
        recorder: Recorder | None,
        service: str,
        *,
        policy: Policy,
    ) -> None:
        super().__init__(scope, receive, send, capture, recorder, service)
        self._policy = policy
        self._entry = policy.at_entry(self._method(), scope["path"], service)
        self._intent = 0
        self.emitted = False
        """The record was written before the last byte went out, or a rule leaves this exchange out."""

    async def begin(self) -> None:
        """What must hold before the application is called.

        Raises:
            RefusedError: it does not, and the rule says `refuse`.
        """
        refuse = self._entry.failure == "refuse"
        recorder = self.recorder
        if refuse and (recorder is None or not recorder.healthy):
            raise RefusedError
        if recorder is None or self._entry.durability != "before-and-after":
            return
        intent = self._intent_event()
        self._intent = recorder.append(encode_event(intent), intent.t)
        if not await self._durable(recorder, self._intent) and refuse:
            raise RefusedError

    async def refuse(self) -> None:
        """Answer 503 in the application's place (RFC 9110 section 15.6.4)."""
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"%d" % RETRY_AFTER_SECONDS)]
        await self._app_send({"type": "http.response.start", "status": 503, "headers": headers})
        await self._app_send({"type": "http.response.body", "body": b"the audit log cannot take this request now\n"})

    async def send(self, message: Message) -> None:
        """Pass a message on; the last one waits for the record where a rule says so."""
        if message.get("type") == "http.response.body" and not message.get("more_body", False) and self._must_wait():
            self.response_bytes += len(message.get("body") or b"")
            self._finish()
            await self._record_now()
            await self._app_send(message)
            return
        await super().send(message)

    def ruled_event(self) -> ExchangeEvent | None:
        """The record as the rules leave it; None when a rule says `none` (counted by rule)."""
        event = self.event()
        return self._governed(event, self._rule(event.r, event.k, event.c))

    def refused(self) -> ExchangeEvent | None:
        """The record of a request that was refused by us."""
        event = self.event()
        event.c, event.n, event.o = 503, "refused", "failure"
        return self._governed(event, self._rule(None, event.k, 503))

    def _governed(self, event: ExchangeEvent, rule: Rule) -> ExchangeEvent | None:
        if rule.record == "none":
            if not self._intent:
                if self.recorder is not None:
                    self.recorder.count_unrecorded(rule.name)
                return None
            rule = self._policy.default  # an intent stands in the log: it gets its end
        self._keep(event, rule)
        event.p = rule.retention_for(event.c)
        event.x = self._intent or None
        return event

    def _keep(self, event: ExchangeEvent, rule: Rule) -> None:
        event.target.url_path = limited(rule.masked_path(self.scope["path"]), MAX_PATH)
        event.target.url_query = rule.query_of(self.scope.get("query_string") or b"")
        rule.minimise(event.actor, event.target)

    def _rule(self, route: str | None, kind: str, status: int | None) -> Rule:
        return self._policy.at_end(self._method(), self.scope["path"], route, kind, self._service, status)

    def _must_wait(self) -> bool:
        if self.emitted or self.recorder is None or self.status is None or self._trailers:
            return False
        if self._entry.durability == "before-and-after":
            return True
        return self._rule(self.route(), self.who().kind, self.status).durability != "group"

    async def _record_now(self) -> None:
        recorder = self.recorder
        event = self.ruled_event()
        self.emitted = True
        if recorder is None or event is None:
            return
        seq = recorder.append(encode_event(event), event.t, ends_request=True)
        await self._durable(recorder, seq)

    async def _durable(self, recorder: Recorder, seq: int) -> bool:
        """Whether the event is on the disk within the time that a request may wait."""
        if not seq:
            return False
        try:
            await asyncio.wait_for(recorder.durable(seq), DURABLE_SECONDS)
        except TimeoutError:
            return False
        return True

    def _intent_event(self) -> ExchangeEvent:
        scope = self.scope
        actor = self.who()
        event = ExchangeEvent(
            actor=self.actor_part(actor, self.time_us),
            target=TargetPart(),
            e=BEGUN,
            k=actor.kind,
            m=self._method(),
            o="unknown",
            s=self._service,
            t=time.time_ns() // 1000,
        )
        self._keep(event, self._policy.for_intent(self._method(), scope["path"], self._service))
        return event

    def _method(self) -> str:
        method: str = self.scope["method"]
        return method if method in METHODS else "_OTHER"
