"""Identifiers that link a record to other systems: request id and W3C trace context, taken over when valid."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

Headers = Iterable[tuple[bytes, bytes]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header: version ff and all-zero ids are invalid.
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


def request_id_of(headers: Headers) -> str:
    """`X-Request-ID` if it is 1 to 128 harmless characters, else a new random id of 32 hex digits."""
    for name, value in headers:
        if name == b"x-request-id":
            if _REQUEST_ID.fullmatch(value):
                return value.decode("ascii")
            break
    return os.urandom(16).hex()


def trace_of(headers: Headers) -> tuple[str | None, str | None]:
    """Trace id and parent span id of a valid `traceparent`, else nothing."""
    for name, value in headers:
        if name == b"traceparent":
            match = _TRACEPARENT.fullmatch(value)
            if match:
                return match[1].decode("ascii"), match[2].decode("ascii")
            break
    return None, None
