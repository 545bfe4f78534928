"""structlog: ids of the request on log lines, and chosen log events as audit records. Configures nothing by itself.

::

    import structlog
    from pxl_audit.logs.structlog import AuditEvents, add_audit_context

    audit = AuditEvents({"proof.verified", "auth.login"})
    structlog.configure(
        processors=[add_audit_context, audit, structlog.processors.JSONRenderer()],
        wrapper_class=audit.before_levels(structlog.make_filtering_bound_logger(logging.WARNING)),
    )

A filtering logger drops what is below its level before any processor runs. `before_levels` records before that;
`audit_logger()` does not depend on levels at all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from pxl_audit.actor import Actor, current_exchange
from pxl_audit.errors import AuditError, UnavailableError, UsageError
from pxl_audit.event import make_event
from pxl_audit.logs.said import FACETS, actor_of, attributes_of, in_json, target_of
from pxl_audit.record import record, record_sync
from pxl_audit.recorder import default_recorder
from pxl_audit.spans import current_span_ids

if TYPE_CHECKING:
    from structlog.typing import BindableLogger, EventDict, WrappedLogger

_log = logging.getLogger("pxl_audit")

OUTCOMES = frozenset({"success", "failure", "unknown"})
RETENTION_CLASSES = frozenset({"access", "security", "control"})
ABOUT_THE_LINE = frozenset(
    {
        "_from_structlog", "_record", "event", "exc_info", "exception", "filename", "func_name", "level",
        "level_number", "lineno", "logger", "logger_name", "module", "pathname", "positional_args", "process",
        "process_name", "qual_name", "request_id", "span_id", "stack", "stack_info", "thread", "thread_name",
        "timestamp", "trace_id",
    }
)  # fmt: skip
"""Members that structlog's processors add: they describe the log line, not what happened."""

_GIVEN_TO_STRUCTLOG = frozenset({"event", "exc_info", "request_id", "span_id", "stack_info", "stacklevel", "trace_id"})
"""The same of what a caller says or has bound, before any processor has added to it."""

METHODS = ("debug", "info", "warning", "warn", "error", "err", "critical", "fatal", "exception", "msg", "log")

_already_recorded: ContextVar[bool] = ContextVar("pxl_audit_log_recorded", default=False)
"""Set while a logger that recorded an event passes it on to its processors."""

Logger = TypeVar("Logger")


def add_audit_context(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Processor: adds `request_id`, `trace_id` and `span_id` of the current request; what the line has already stays.

    With these a log line and the audit record of its request find each other. It adds nothing about the user.
    """
    exchange = current_exchange.get()
    trace_id, span_id = current_span_ids()
    if exchange is not None:
        event_dict.setdefault("request_id", exchange.request_id)
        if trace_id is None:
            trace_id, span_id = exchange.trace_id, exchange.span_id
    if trace_id is not None:
        event_dict.setdefault("trace_id", trace_id)
        event_dict.setdefault("span_id", span_id)
    return event_dict


class AuditEvents:
    """Processor: turns chosen log events into audit records, and passes every event on unchanged.

    `actor`, `target`, `outcome` and `retention` of a log event mean what they mean to `pxl_audit.record`; everything
    else that was said becomes an attribute. It cannot see what a level filter dropped: also wrap the logger class
    with `before_levels`, or use `audit_logger()`.

    An event that cannot be recorded never breaks the logging call: the logger `pxl_audit` of the standard library
    reports it, and a record `audit.gap` counts it.

    Args:
        names: log events by the text they are logged with; a mapping gives the name of the record where that differs:
            `{"user logged in": "auth.login"}`.
        retention: class of their records unless an event says otherwise: `access`, `security` or `control`.

    Raises:
        UsageError: a name is one that no record can have.
    """

    def __init__(self, names: Iterable[str] | Mapping[str, str], *, retention: str = "security") -> None:
        self.names = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
        self.retention = retention
        for name in self.names.values():
            make_event(name, retention=retention)  # refuses names and classes that no record can have

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        """Record a chosen event."""
        if not _already_recorded.get():
            said = {key: value for key, value in event_dict.items() if key not in ABOUT_THE_LINE}
            self.take(event_dict.get("event"), said)
        return event_dict

    def take(self, text: object, said: Mapping[str, object]) -> None:
        """Record the log event `text` with the members `said`, if it is a chosen one. Never raises."""
        name = self.names.get(text) if isinstance(text, str) else None
        if name is None:
            return
        try:
            outcome, retention = said.get("outcome", "success"), said.get("retention", self.retention)
            attributes = attributes_of(said)
            if outcome not in OUTCOMES:  # a word of the service's own: kept, and not taken for a success
                outcome, attributes["outcome"] = "unknown", in_json(outcome)
            if retention not in RETENTION_CLASSES:
                retention, attributes["retention"] = self.retention, in_json(retention)
            record_sync(
                name,
                actor=actor_of(said.get("actor")),
                target=target_of(said.get("target")),
                outcome=str(outcome),
                attributes=attributes,
                retention=str(retention),
            )
        except Exception as error:  # noqa: BLE001  # a line of log must not break what it tells about
            _report_lost(name, error)

    def before_levels(self, wrapper_class: type[Logger]) -> type[Logger]:
        """A logger class like `wrapper_class` that records chosen events before it looks at their level.

        Use it as `wrapper_class` of structlog. It may stand beside the processor: an event is recorded once. Where
        `CallsiteParameterAdder` is used, give it `additional_ignores=["pxl_audit"]`, so that it looks past us.

        Raises:
            UsageError: the class makes its methods only when they are called, so there is nothing to build on.
        """
        methods: dict[str, Callable[..., Any]] = {}
        for name in METHODS:
            if (method := getattr(wrapper_class, name, None)) is not None:
                methods[name] = _recording(self, method, text_at=int(name == "log"))
            if (method := getattr(wrapper_class, f"a{name}", None)) is not None:
                methods[f"a{name}"] = _recording_async(self, method, text_at=int(name == "log"))
        if "info" not in methods:
            raise UsageError(
                f"before_levels({wrapper_class.__name__}): it has no method info; pass a class such as "
                "structlog.make_filtering_bound_logger(...)"
            )
        return type(f"Audited{wrapper_class.__name__}", (wrapper_class,), methods)


def audit_logger(logger: BindableLogger | None = None, **bound: object) -> AuditLogger:
    """A logger for audit events alone: each is recorded whatever the levels are, and logged too where these allow it.

    The line has the event's name and outcome. Actor, target and attributes stay out of it: they may be personal, and
    ordinary logs forget nobody.

    Args:
        logger: the structlog logger that gets the lines; `structlog.get_logger()` if left out.
        **bound: attributes of every event.

    Raises:
        UsageError: `bound` has a name that belongs to each event by itself, such as `actor`.
        UnavailableError: `logger` was left out and structlog is not installed.
    """
    if logger is None:
        try:
            import structlog  # noqa: PLC0415  # optional, and only this call needs it
        except ImportError:
            raise UnavailableError("audit_logger(): structlog is not installed; run pip install structlog") from None
        logger = structlog.get_logger()
    return AuditLogger(logger, bound)


class AuditLogger:
    """Records events and logs them at level `info`. Get one with `audit_logger`."""

    def __init__(self, logger: BindableLogger, bound: Mapping[str, object]) -> None:
        if facets := FACETS & bound.keys():
            raise UsageError(f"audit_logger: {', '.join(sorted(facets))}: given with each event, not bound")
        self._logger = logger
        self._bound = dict(bound)

    def bind(self, **members: object) -> AuditLogger:
        """A logger whose events all have the attributes `members` too."""
        return AuditLogger(self._logger, self._bound | members)

    def event(  # the facets of an event, all but the name by keyword
        self,
        name: str,
        *,
        actor: str | Actor | None = None,
        target: str | None = None,
        outcome: str = "success",
        retention: str = "security",
        durable: bool = False,
        **attributes: object,
    ) -> None:
        """Record an event, then log it; arguments as of `pxl_audit.record_sync`.

        Raises:
            UsageError: a name or value is outside what the format allows.
            UnavailableError: there is no audit log in this process, or (`durable`) it cannot take the event now.
        """
        record_sync(
            name,
            actor=actor,
            target=target,
            outcome=outcome,
            attributes=attributes_of(self._bound | attributes),
            retention=retention,
            durable=durable,
        )
        self._mirror(name, outcome)

    async def aevent(  # as event()
        self,
        name: str,
        *,
        actor: str | Actor | None = None,
        target: str | None = None,
        outcome: str = "success",
        retention: str = "security",
        durable: bool = False,
        **attributes: object,
    ) -> None:
        """`event` for code on an event loop: with `durable` it waits without blocking the loop."""
        await record(
            name,
            actor=actor,
            target=target,
            outcome=outcome,
            attributes=attributes_of(self._bound | attributes),
            retention=retention,
            durable=durable,
        )
        self._mirror(name, outcome)

    def _mirror(self, name: str, outcome: str) -> None:
        with _passing_on():
            self._logger.info(name, outcome=outcome)  # type: ignore[attr-defined]  # every bound logger has it


def _recording(events: AuditEvents, method: Callable[..., Any], *, text_at: int) -> Callable[..., Any]:
    @wraps(method)
    def call(self: object, *args: object, **said: object) -> object:
        if not _take_first(events, self, args[text_at : text_at + 1], said):
            return method(self, *args, **said)
        with _passing_on():
            return method(self, *args, **said)

    return call


def _recording_async(events: AuditEvents, method: Callable[..., Any], *, text_at: int) -> Callable[..., Any]:
    @wraps(method)
    async def call(self: object, *args: object, **said: object) -> object:
        if not _take_first(events, self, args[text_at : text_at + 1], said):
            return await method(self, *args, **said)
        with _passing_on():
            return await method(self, *args, **said)

    return call


def _take_first(events: AuditEvents, logger: object, text: Sequence[object], said: Mapping[str, object]) -> bool:
    """Record what is being logged if it is a chosen event; whether it was one."""
    name = text[0] if text else said.get("event")
    # One method of a logger calls another: exception() calls error().
    if not isinstance(name, str) or name not in events.names or _already_recorded.get():
        return False
    from structlog.contextvars import get_contextvars  # noqa: PLC0415  # a logger of structlog is calling

    context: Mapping[str, object] = getattr(logger, "_context", {})
    whole = {**get_contextvars(), **context, **said}
    events.take(name, {key: value for key, value in whole.items() if key not in _GIVEN_TO_STRUCTLOG})
    return True


@contextmanager
def _passing_on() -> Iterator[None]:
    token = _already_recorded.set(True)
    try:
        yield
    finally:
        _already_recorded.reset(token)


def _report_lost(name: str, error: Exception) -> None:
    # Our own errors name the member and never the value; what others say may quote it.
    reason = str(error) if isinstance(error, AuditError) else type(error).__name__
    _log.error("log event %s was not recorded: %s", name, reason)
    exchange = current_exchange.get()
    try:
        recorder = exchange.recorder if exchange is not None and exchange.recorder is not None else default_recorder()
    except UnavailableError:
        return  # no audit log in this process: nothing to count it in
    recorder.report_gap("unrecordable", 1, time.time_ns() // 1000)
