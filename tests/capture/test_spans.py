"""Trace and span ids on records, with OpenTelemetry's own SDK and ASGI middleware around and inside of ours."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from pxl_audit import AuditMiddleware, record
from pxl_audit.asgi_types import ASGIApp, Receive, Scope, Send
from pxl_audit.errors import UnavailableError
from pxl_audit.instrument import MiddlewareOptions, instrument
from pxl_audit.spans import current_span_ids
from pxl_audit.testing import Recorded, recorded
from tests.builders import Client, answering, exchange, http_scope

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACED = (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())


class Tracing:
    """An SDK of our own, so that nothing global is touched."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def server_span(self) -> ReadableSpan:
        (span,) = (s for s in self.exporter.get_finished_spans() if s.kind is SpanKind.SERVER)
        return span

    def ids(self) -> tuple[str, str]:
        """Of the one server span, as a record has them."""
        context = self.server_span().get_span_context()
        assert context is not None
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)

    def metric_names(self) -> set[str]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}


def audited(app: ASGIApp, **options: Any) -> AuditMiddleware:
    return AuditMiddleware(app, service="web", directory="never-made", **options)


def audit_outside(app: ASGIApp, tracing: Tracing) -> ASGIApp:
    return audited(OpenTelemetryMiddleware(app, tracer_provider=tracing.provider, meter_provider=tracing.meters))


def audit_inside(app: ASGIApp, tracing: Tracing) -> ASGIApp:
    traced: ASGIApp = OpenTelemetryMiddleware(
        audited(app), tracer_provider=tracing.provider, meter_provider=tracing.meters
    )
    return traced


def in_one_call(app: ASGIApp, tracing: Tracing) -> ASGIApp:
    return instrument(
        app, "web", "never-made", tracer_provider=tracing.provider, meter_provider=tracing.meters, embedded_agent=False
    )


Nesting = Callable[[ASGIApp, Tracing], ASGIApp]
either_order = pytest.mark.parametrize("nest", [audit_outside, audit_inside, in_one_call])


def ids_of(record: Recorded) -> tuple[object, object]:
    return record.actor.get("trace_id"), record.actor.get("span_id")


async def raising(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("before any response")


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


def run(app: ASGIApp, *headers: tuple[bytes, bytes], client: Client | None = None, **scope: Any) -> Recorded:
    """The record of one exchange."""
    with recorded() as records:
        try:
            asyncio.run(exchange(app, http_scope(headers=list(headers), **scope), client))
        except RuntimeError:
            assert records.one().error_type == "RuntimeError"
    return records.all()[-1]


@either_order
@pytest.mark.parametrize("header", [(), (TRACED,)], ids=["new trace", "traceparent"])
def test_record_has_the_server_span(nest: Nesting, header: tuple[tuple[bytes, bytes], ...]) -> None:
    tracing = Tracing()
    record = run(nest(answering(), tracing), *header)
    assert ids_of(record) == tracing.ids()
    assert (record.actor["trace_id"] == TRACE) is bool(header)


@pytest.mark.parametrize("app", [raising, silent])
@pytest.mark.parametrize("nest", [audit_inside, in_one_call])
def test_without_any_response(nest: Nesting, app: ASGIApp) -> None:
    tracing = Tracing()
    record = run(nest(app, tracing))
    assert record.status == 500
    assert ids_of(record) == tracing.ids()


def test_without_any_response_from_outside() -> None:
    """Somebody else's tracing inside of us: its span is over when we look, so the caller's ids remain."""
    assert ids_of(run(audit_outside(raising, Tracing()), TRACED)) == (TRACE, PARENT)


def test_a_span_that_is_over_is_nobodys() -> None:
    """Servers let a pipelined request inherit the context of the one before it: here a span that has ended."""
    tracing = Tracing()
    ended = tracing.provider.get_tracer("t").start_span("previous request")
    ended.end()
    with trace.use_span(ended):
        assert current_span_ids() != (None, None)
        assert current_span_ids(recording=True) == (None, None)
        assert ids_of(run(audited(raising), TRACED)) == (TRACE, PARENT)


@either_order
def test_inner_spans_do_not_take_the_place(nest: Nesting) -> None:
    """A span of the application around its answer has the same trace; one call links to the server's span even then."""
    tracing = Tracing()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with tracing.provider.get_tracer("t").start_as_current_span("view"):
            await answering()(scope, receive, send)

    record = run(nest(app, tracing))
    assert record.actor["trace_id"] == tracing.ids()[0]
    if nest is in_one_call:
        assert ids_of(record) == tracing.ids()


@either_order
def test_websocket(nest: Nesting) -> None:
    tracing = Tracing()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    with recorded() as records:
        scope = http_scope("/", type="websocket", scheme="ws")
        asyncio.run(exchange(nest(app, tracing), scope, Client([{"type": "websocket.connect"}])))
    assert [ids_of(r) for r in records] == [tracing.ids()] * 2
    assert [r.event for r in records] == ["websocket.open", "websocket.close"]


@pytest.mark.parametrize("denial", ["websocket.close", "websocket.http.response.start"])
def test_denied_websocket(denial: str) -> None:
    tracing = Tracing()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": denial, "status": 401, "headers": []})

    scope = http_scope("/", type="websocket", scheme="ws")
    with recorded() as records:
        asyncio.run(exchange(audit_outside(app, tracing), scope, Client([{"type": "websocket.connect"}])))
    assert ids_of(records.one(event="websocket.open", outcome="failure")) == tracing.ids()


def test_interleaved_requests_keep_their_own() -> None:
    tracing = Tracing()
    gate = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/1":
            await gate.wait()
        gate.set()
        await answering()(scope, receive, send)

    wrapped = in_one_call(app, tracing)

    async def both() -> None:
        await asyncio.gather(*(exchange(wrapped, http_scope(f"/{i}")) for i in (1, 2)))

    with recorded() as records:
        asyncio.run(both())
    by_path = {s.attributes["http.target"]: s for s in tracing.exporter.get_finished_spans() if s.attributes}
    for found in records:
        context = by_path[str(found.path)].get_span_context()
        assert context is not None
        assert ids_of(found) == (trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id))


@either_order
def test_domain_events_have_the_span_they_happen_in(nest: Nesting) -> None:
    tracing = Tracing()
    seen: list[tuple[str | None, str | None]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with tracing.provider.get_tracer("t").start_as_current_span("proving"):
            seen.append(current_span_ids())
            await record("proof.verified")
        await answering()(scope, receive, send)

    with recorded() as records:
        asyncio.run(exchange(nest(app, tracing)))
    assert ids_of(records.one(event="proof.verified")) == seen[0] != (None, None)


def test_domain_events_without_tracing_have_the_callers_ids() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await record("proof.verified")
        await answering()(scope, receive, send)

    with recorded() as records:
        asyncio.run(exchange(audited(app), http_scope(headers=[TRACED])))
    assert ids_of(records.one(event="proof.verified")) == (TRACE, PARENT)


def test_one_call_gives_spans_metrics_and_records() -> None:
    tracing = Tracing()
    hooked: list[str] = []
    app = instrument(
        answering(403, user="alice"),
        service="web",
        directory="never-made",
        tracer_provider=tracing.provider,
        meter_provider=tracing.meters,
        server_request_hook=lambda _, scope: hooked.append(scope["path"]),
        address_bits=(24, 48),
    )
    found = run(app)
    assert (found.status, found.user, found.actor["client.address"]) == (403, "alice", "192.0.2.0/24")
    assert len(tracing.exporter.get_finished_spans()) == 1, "no span a message unless asked for"
    assert {"http.server.duration", "http.server.active_requests"} <= tracing.metric_names()
    assert hooked == ["/"]


def test_message_spans_and_exclusions_are_passed_on() -> None:
    tracing = Tracing()
    options: dict[str, Any] = {"tracer_provider": tracing.provider, "meter_provider": tracing.meters}
    run(instrument(answering(), directory="never-made", exclude_spans=(), **options))
    kinds = [span.kind for span in tracing.exporter.get_finished_spans()]
    assert kinds.count(SpanKind.INTERNAL) == 3
    tracing.exporter.clear()
    found = run(instrument(answering(), directory="never-made", excluded_urls="health", **options), path="/health")
    assert found.path == "/health"
    assert tracing.exporter.get_finished_spans() == ()
    assert ids_of(found) == (None, None)


def test_options_are_those_of_the_middleware() -> None:
    """A new option of the middleware is an option of `instrument` too."""
    parameters = inspect.signature(AuditMiddleware).parameters.values()
    assert set(MiddlewareOptions.__annotations__) == {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.asgi", None)
    with pytest.raises(
        UnavailableError, match=r'opentelemetry.instrumentation.asgi is not installed.*"pxl-audit\[otel\]"'
    ):
        instrument(answering())


def test_not_loaded_or_half_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    span = Tracing().provider.get_tracer("t").start_span("s")
    with trace.use_span(span):
        assert current_span_ids()[1] is not None
        monkeypatch.setitem(sys.modules, "opentelemetry.trace", types.ModuleType("opentelemetry.trace"))
        assert current_span_ids() == (None, None)
        monkeypatch.delitem(sys.modules, "opentelemetry.trace")
        assert current_span_ids() == (None, None)


def test_reading_spans_loads_nothing() -> None:
    program = (
        "import sys; import pxl_audit; from pxl_audit.spans import current_span_ids; import pxl_audit.instrument;"
        "assert current_span_ids() == (None, None);"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
