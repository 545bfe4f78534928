"""structlog: ids on log lines; log events as audit records, whatever the levels are."""

from __future__ import annotations

import asyncio
import datetime
import enum
import logging
import sys
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger, Processor

from pxl_audit import Actor, AuditMiddleware, set_actor
from pxl_audit.asgi_types import Receive, Scope, Send
from pxl_audit.errors import UnavailableError, UsageError
from pxl_audit.logs.structlog import AuditEvents, add_audit_context, audit_logger
from pxl_audit.testing import Records, recorded
from tests.builders import answering, exchange, http_scope

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = [(b"traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode()), (b"x-request-id", b"r-1")]


@pytest.fixture(autouse=True)
def configuration_untouched() -> Iterator[None]:
    """Nothing of ours configures structlog."""
    before = structlog.get_config()
    yield
    assert structlog.get_config() == before
    assert not structlog.is_configured()
    structlog.contextvars.clear_contextvars()


class Lines:
    """What reached the end of the processors."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def __call__(self, _logger: object, method: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        self.lines.append({"level": method, **event_dict})
        raise structlog.DropEvent


def logger(lines: Lines, *processors: Processor, wrapper: type[Any] | None = None) -> FilteringBoundLogger:
    made: FilteringBoundLogger = structlog.wrap_logger(
        CapturingLogger(),
        processors=[*processors, lines],
        wrapper_class=wrapper or structlog.make_filtering_bound_logger(logging.DEBUG),
    )
    return made


def in_request(act: Callable[[], object]) -> Records:
    """Run `act` inside a request by alice."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        set_actor("alice")
        done = act()
        if asyncio.iscoroutine(done):
            await done
        await answering()(scope, receive, send)

    with recorded() as records:
        asyncio.run(exchange(AuditMiddleware(app, service="web", directory="never-made"), http_scope(headers=TRACED)))
    return records


def test_lines_carry_the_ids_of_the_request() -> None:
    lines = Lines()
    log = logger(lines, add_audit_context)
    records = in_request(lambda: log.info("proving", n=1))
    assert lines.lines == [
        {
            "level": "info",
            "event": "proving",
            "n": 1,
            "request_id": "r-1",
            "trace_id": TRACE,
            "span_id": "00f067aa0ba902b7",
        }
    ]
    assert records.one().request_id == "r-1"
    assert "alice" not in str(lines.lines)


def test_outside_of_a_request_nothing_is_added() -> None:
    lines = Lines()
    logger(lines, add_audit_context).info("start")
    assert lines.lines == [{"level": "info", "event": "start"}]


def test_what_a_line_says_by_itself_stays() -> None:
    lines = Lines()
    in_request(lambda: logger(lines, add_audit_context).info("x", request_id="mine", trace_id="t"))
    assert (lines.lines[0]["request_id"], lines.lines[0]["trace_id"]) == ("mine", "t")


def test_lines_carry_the_span_they_are_written_in() -> None:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # the other tests do without

    lines = Lines()

    def act() -> None:
        with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s") as span:
            logger(lines, add_audit_context).info("x")
            assert lines.lines[0]["span_id"] == f"{span.get_span_context().span_id:016x}"
            assert lines.lines[0]["trace_id"] == f"{span.get_span_context().trace_id:032x}" != TRACE

    in_request(act)


def test_chosen_events_become_records() -> None:
    lines = Lines()
    events = AuditEvents({"proof.verified"})
    log = logger(lines, add_audit_context, structlog.processors.add_log_level, events)

    def act() -> None:
        log.bind(steps=12).info("proof.verified", target="p-7", outcome="failure", retention="control", cached=False)
        log.info("proof.started", target="p-7")

    records = in_request(act)
    record = records.one(event="proof.verified", outcome="failure", retention="control", target_id="p-7", user="alice")
    assert record.attributes == {"cached": False, "steps": 12}
    assert record.request_id == "r-1"
    assert [r.event for r in records] == ["proof.verified", "http.request"]
    assert [line["event"] for line in lines.lines] == ["proof.verified", "proof.started"]
    assert lines.lines[0]["target"] == "p-7", "the line is passed on unchanged"


def test_log_text_may_have_another_name() -> None:
    lines = Lines()
    log = logger(lines, AuditEvents({"User logged in": "auth.login"}))
    with recorded() as records:
        log.info("User logged in", actor="bob")
        log.info("auth.login", actor="bob")
    records.one(event="auth.login", user="bob", retention="security")


@pytest.mark.parametrize(
    ("actor", "user", "kind"),
    [
        ("bob", "bob", "user"),
        (7, "7", "user"),
        ({"user.id": "bob"}, "bob", "user"),
        (Actor("ci", "service"), "ci", "service"),
    ],
)
def test_actor_in_any_form(actor: object, user: str, kind: str) -> None:
    with recorded() as records:
        logger(Lines(), AuditEvents({"a.b"})).info("a.b", actor=actor, target={"audit.target.id": "t"})
    records.one(user=user, actor_kind=kind, target_id="t")


class Colour(enum.Enum):
    RED = "red"


def test_values_that_a_record_cannot_hold_are_written_as_text() -> None:
    said: dict[str, object] = {
        "float": 0.5,
        "huge": 2**60,
        "when": datetime.date(2026, 11, 23),
        "colour": Colour.RED,
        "path": Path("a/b"),
        "surrogate": "\ud800",
        "nested": {"ä": [1.5, None, {1}], "n": (True, 2)},
        "nothing": None,
        "long": "x" * 5000,
    }
    with recorded() as records:
        logger(Lines(), AuditEvents({"a.b"})).info("a.b", **said)
    found = records.one(event="a.b").attributes
    assert found.pop("long") == "x" * 4096 + "…[904 more]"
    assert found == {
        "float": "0.5",
        "huge": str(2**60),
        "when": "2026-11-23",
        "colour": "red",
        "path": "a/b",
        "surrogate": "\\ud800",
        "nested": {"\\xe4": ["1.5", None, [1]], "n": [True, 2]},
    }


def test_a_word_of_ones_own_is_no_success() -> None:
    with recorded() as records:
        logger(Lines(), AuditEvents({"a.b"})).info("a.b", outcome="denied", retention="forever")
    record = records.one(outcome="unknown", retention="security")
    assert record.attributes == {"outcome": "denied", "retention": "forever"}


class Unsayable:
    def __str__(self) -> str:
        raise RuntimeError("secret of alice")


def test_what_cannot_be_recorded_breaks_no_line(caplog: pytest.LogCaptureFixture) -> None:
    lines = Lines()
    with recorded() as records:
        logger(lines, AuditEvents({"a.b"})).info("a.b", value=Unsayable())
    assert len(lines.lines) == 1
    records.one(event="audit.gap", facts={"cause": "unrecordable"})
    assert caplog.messages == ["log event a.b was not recorded: RuntimeError"]


def test_before_there_is_an_audit_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pxl_audit.recorder._recorders", {})
    lines = Lines()
    logger(lines, AuditEvents({"a.b"})).info("a.b")
    assert len(lines.lines) == 1
    assert "no audit log in this process" in caplog.text


@pytest.mark.parametrize("names", [{"Login"}, {"Login": "login"}, {"a.b c"}])
def test_impossible_names_are_refused(names: Any) -> None:
    with pytest.raises(UsageError, match="event name"):
        AuditEvents(names)
    with pytest.raises(UsageError, match="retention"):
        AuditEvents({"a.b"}, retention="forever")


WARNING = structlog.make_filtering_bound_logger(logging.WARNING)


def test_a_filter_hides_events_from_a_processor() -> None:
    """Why `before_levels` is there."""
    with recorded() as records:
        logger(Lines(), AuditEvents({"a.b"}), wrapper=WARNING).info("a.b")
    records.none()


@pytest.mark.parametrize("beside_the_processor", [True, False])
@pytest.mark.parametrize(
    "method", ["debug", "info", "warning", "warn", "error", "critical", "fatal", "exception", "msg", "log"]
)
def test_before_levels_records_once_at_every_level(method: str, *, beside_the_processor: bool) -> None:
    lines = Lines()
    events = AuditEvents({"a.b"})
    processors = [events] if beside_the_processor else []
    log = logger(lines, *processors, wrapper=events.before_levels(WARNING)).bind(bound=1)
    level = (logging.INFO,) if method == "log" else ()
    structlog.contextvars.bind_contextvars(tenant="acme")
    with recorded() as records:
        getattr(log, method)(*level, "a.b", said=2)
        asyncio.run(getattr(log, f"a{method}")(*level, "a.b", said=2))
        getattr(log, method)(*level, "c.d", said=2)
    assert [r.attributes for r in records] == [{"bound": 1, "said": 2, "tenant": "acme"}] * 2
    expected = 0 if method in {"debug", "info", "msg", "log"} else 3
    assert len(lines.lines) == expected, "levels filter lines as before"


def test_before_levels_keeps_the_logger_as_it_was() -> None:
    lines = Lines()
    log = logger(lines, wrapper=AuditEvents({"a.b"}).before_levels(WARNING))
    with recorded():
        log.warning("%s of %d", "one", 2)
        log.warning("a.b", n=1)
    assert lines.lines == [{"level": "warning", "event": "one of 2"}, {"level": "warning", "event": "a.b", "n": 1}]
    assert log.is_enabled_for(logging.WARNING)
    assert not log.is_enabled_for(logging.INFO)


def test_before_levels_with_the_standard_library() -> None:
    lines = Lines()
    events = AuditEvents({"a.b"})
    log = structlog.wrap_logger(
        logging.getLogger("tests.structlog"),
        processors=[structlog.stdlib.filter_by_level, events, lines],
        wrapper_class=events.before_levels(structlog.stdlib.BoundLogger),
    )
    with recorded() as records:
        log.debug("a.b")
        log.error("a.b")
    assert len(records.all(event="a.b")) == 2
    assert [line["level"] for line in lines.lines] == ["error"]


def test_callsites_are_those_of_the_service() -> None:
    lines = Lines()
    callsite = structlog.processors.CallsiteParameterAdder(
        [structlog.processors.CallsiteParameter.FILENAME], additional_ignores=["pxl_audit"]
    )
    events = AuditEvents({"a.b"})
    log = logger(lines, callsite, wrapper=events.before_levels(WARNING))
    with recorded():
        log.warning("c.d")
        log.warning("a.b")
    assert [line["filename"] for line in lines.lines] == [Path(__file__).name] * 2


def test_a_class_without_methods_is_refused() -> None:
    with pytest.raises(UsageError, match=r"before_levels\(BoundLoggerBase\): it has no method info"):
        AuditEvents({"a.b"}).before_levels(structlog.BoundLoggerBase)


def test_a_text_that_is_no_text() -> None:
    lines = Lines()
    events = AuditEvents({"a.b"})
    with recorded() as records:
        logger(lines, events, wrapper=events.before_levels(WARNING)).warning(["a.b"])  # type: ignore[arg-type]
        logger(lines, events).warning({"a": 1})  # type: ignore[arg-type]
    records.none()
    assert len(lines.lines) == 2


def test_audit_logger_depends_on_no_level() -> None:
    lines = Lines()
    quiet = audit_logger(logger(lines, AuditEvents({"order.approved"}), wrapper=WARNING), region="eu")
    loud = audit_logger(logger(lines, AuditEvents({"order.approved"})), customer="alice")

    async def act() -> None:
        quiet.bind(n=1).event("order.approved", target="o-1", amount=1.5, durable=True)
        await quiet.aevent("order.approved", target="o-2", actor="bob", outcome="failure", durable=True)
        loud.event("order.approved", target="o-3", iban="of alice")

    records = in_request(act)
    first, second, third = records.all(event="order.approved")
    assert (first.target_id, first.user, first.retention) == ("o-1", "alice", "security")
    assert first.attributes == {"amount": "1.5", "n": 1, "region": "eu"}
    assert (second.target_id, second.user, second.outcome) == ("o-2", "bob", "failure")
    assert second.attributes == {"region": "eu"}
    assert third.attributes == {"customer": "alice", "iban": "of alice"}
    assert lines.lines == [{"level": "info", "event": "order.approved", "outcome": "success"}], "nothing personal"


def test_audit_logger_tells_what_is_wrong() -> None:
    log = audit_logger(logger(Lines()))
    with recorded() as records:
        with pytest.raises(UsageError, match="event name"):
            log.event("Order approved")
        with pytest.raises(UsageError, match="actor: given with each event"):
            log.bind(actor="alice")
    records.none()


def test_audit_logger_takes_the_services_own(capsys: pytest.CaptureFixture[str]) -> None:
    with recorded() as records:
        audit_logger().event("order.approved")
    records.one(event="order.approved")
    assert "order.approved" in capsys.readouterr().out


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "structlog", None)
    with pytest.raises(UnavailableError, match="structlog is not installed"):
        audit_logger()
    monkeypatch.undo()
