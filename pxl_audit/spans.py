"""Trace and span id of the current OpenTelemetry span, without depending on OpenTelemetry.

A service that traces has imported `opentelemetry.trace` by itself. Where nobody has, there is no span to read, and
asking costs one look into `sys.modules`.
"""

from __future__ import annotations

import sys


def current_span_ids(*, recording: bool = False) -> tuple[str | None, str | None]:
    """Trace id (32 hex digits) and span id (16) of the span that is current here; nothing where there is none.

    Read them while the response starts: that runs inside the server's span, whether the tracing middleware stands
    inside or outside of ours, and the ids of a span that has ended stay readable.

    Args:
        recording: only a span that still records. Servers let a pipelined request inherit the context of the one
            before it, so outside of the response a valid span may be somebody else's, which has ended.
    """
    trace = sys.modules.get("opentelemetry.trace")
    # While another thread is still importing the module, its functions are not there yet.
    get_current_span = getattr(trace, "get_current_span", None)
    if get_current_span is None:
        return None, None
    span = get_current_span()
    context = span.get_span_context()
    if not context.is_valid or (recording and not span.is_recording()):
        return None, None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"
