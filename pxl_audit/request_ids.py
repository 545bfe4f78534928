"""Identifiers that link a record to other systems: request id and W3C trace context, taken over when valid."""

from __future__ import annotations

import os
import re

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header: version ff and all-zero ids are invalid.
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


def request_id_of(value: bytes | None) -> str:
    """The value of `X-Request-ID` if it is 1 to 128 harmless characters, else a new random id of 32 hex digits."""
    if value is not None and _REQUEST_ID.fullmatch(value):
        return value.decode("ascii")
    return os.urandom(16).hex()


def trace_of(value: bytes | None) -> tuple[str | None, str | None]:
    """Trace id and parent span id of a valid `traceparent`, else nothing."""
    match = _TRACEPARENT.fullmatch(value) if value is not None else None
    if match is None:
        return None, None
    return match[1].decode("ascii"), match[2].decode("ascii")
