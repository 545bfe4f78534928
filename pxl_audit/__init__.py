"""An audit log for ASGI services that cannot lose or silently alter a record, and can still forget a person."""

from __future__ import annotations

from pxl_audit.actor import Actor, current_request_id, set_actor
from pxl_audit.errors import AuditError
from pxl_audit.middleware import AuditMiddleware
from pxl_audit.record import record, record_sync

__all__ = ["Actor", "AuditError", "AuditMiddleware", "current_request_id", "record", "record_sync", "set_actor"]
