"""Tracing, metrics and audit around an application, in the right order, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from pxl_audit.actor import ActorResolver, current_exchange
from pxl_audit.asgi_types import ASGIApp, Scope
from pxl_audit.capture import RouteResolver
from pxl_audit.errors import UnavailableError
from pxl_audit.middleware import AuditMiddleware

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from pxl_audit.client_address import TrustedProxies
    from pxl_audit.policy import Policy

SpanHook = Callable[["Span", Scope], None]


class MiddlewareOptions(TypedDict, total=False):
    """The options of `AuditMiddleware`, with its defaults; described there."""

    embedded_agent: bool
    trusted_proxies: TrustedProxies | None
    actor_resolver: ActorResolver | None
    route_resolver: RouteResolver | None
    address_bits: tuple[int, int] | None
    policy: Policy | Path | str | None


def instrument(  # noqa: PLR0913  # every choice has a default and is given by name
    app: ASGIApp,
    service: str = "app",
    directory: str | Path = "var/audit",
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    excluded_urls: str | None = None,
    server_request_hook: SpanHook | None = None,
    exclude_spans: Sequence[Literal["receive", "send"]] = ("receive", "send"),
    **options: Unpack[MiddlewareOptions],
) -> AuditMiddleware:
    """Wrap `app` in OpenTelemetry's ASGI middleware (a span and metrics a request), and that in `AuditMiddleware`.

    Audit stands outermost, so that it also records what the tracing middleware answers or raises; each record
    carries the ids of the server span, even where no response was ever started.

    Args:
        app: any ASGI 3 application, not instrumented yet.
        service: name of the service in each record. The name in spans and metrics is that of your providers' resource.
        directory: data directory of the audit log.
        tracer_provider: the global one if left out.
        meter_provider: the global one if left out.
        excluded_urls: comma-separated regular expressions of URLs without span and metrics; they are audited still.
        server_request_hook: called with each server span and its scope, as the tracing middleware does.
        exclude_spans: kinds of ASGI messages without spans of their own. One span a message costs more than all the
            rest; pass `()` to have them.
        **options: as of `AuditMiddleware`.

    Raises:
        UsageError: an argument is out of its range.
        UnavailableError: opentelemetry-instrumentation-asgi is not installed.
    """
    try:
        from opentelemetry.instrumentation.asgi import (  # noqa: PLC0415  # optional, and only this call needs it
            OpenTelemetryMiddleware,
        )
    except ImportError as error:
        raise UnavailableError(
            f"instrument(): {error.name or 'opentelemetry-instrumentation-asgi'} is not installed; "
            'run pip install "pxl-audit[otel]"'
        ) from None
    traced = OpenTelemetryMiddleware(
        app,
        excluded_urls=excluded_urls,
        server_request_hook=_linking(server_request_hook),
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        exclude_spans=list(exclude_spans),
    )
    return AuditMiddleware(traced, service, directory, **options)


def _linking(hook: SpanHook | None) -> SpanHook:
    """A hook that writes the ids of the server span to the record at once: an exception may leave no later moment."""

    def link(span: Span, scope: Scope) -> None:
        exchange = current_exchange.get()
        context = span.get_span_context()
        if exchange is not None and context.is_valid:
            exchange.link_span(f"{context.trace_id:032x}", f"{context.span_id:016x}")
        if hook is not None:
            hook(span, scope)

    return link
