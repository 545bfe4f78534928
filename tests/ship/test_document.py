"""A row becomes a log entry: names, times, and nothing of a part that is not open."""

from __future__ import annotations

import msgspec
import pytest

from pxl_audit.ship.document import KINDS, PART_ATTRIBUTES, LogEntry, dataset_of, log_entry
from pxl_audit.ship.layout import holds_part, without_part
from pxl_audit.ship.otel import _source as source_of
from pxl_audit.ship.otel import log_record
from pxl_audit.vault.row import PARTS, Opening, Part, Row
from tests.ship.samples import LOG_ID, TIME, closed, event_row, opening, row


def _document(of: Row) -> dict[str, object]:
    return source_of(log_record(log_entry(of, LOG_ID), "default"), "pxl_audit.access.otel", "default")


def test_an_entry_is_a_function_of_the_row_alone() -> None:
    one = row(3)
    assert log_entry(one, LOG_ID) == log_entry(msgspec.structs.replace(one), LOG_ID)
    assert log_entry(one, LOG_ID).document_id == f"{LOG_ID}-3"


def test_the_exact_time_is_there_only_while_the_actor_is_open() -> None:
    one = row(0)
    assert log_entry(one, LOG_ID).time_ns == TIME * 10**9 + 123_456_000
    assert log_entry(closed(one, "actor", by=9), LOG_ID).time_ns == TIME * 10**9
    assert log_entry(closed(one, "target", by=9), LOG_ID).time_ns == TIME * 10**9 + 123_456_000


@pytest.mark.parametrize("part", PARTS)
def test_nothing_of_a_closed_part_is_in_the_document(part: Part) -> None:
    one = row(0, user="canary-user", path="/canary-path")
    assert holds_part(_document(one), part)
    document = _document(closed(one, part, by=9))
    assert not holds_part(document, part)
    attributes = document["attributes"]
    assert isinstance(attributes, dict)
    assert (attributes[f"pxl.{part}.state"], attributes[f"pxl.{part}.by"]) == ("erased", 9)
    words = {"actor": "canary-user", "target": "canary-path"}
    assert words[part] not in repr(document)
    assert all(word in repr(document) for other, word in words.items() if other != part)


@pytest.mark.parametrize("part", PARTS)
def test_taking_a_part_out_gives_what_the_closed_row_gives(part: Part) -> None:
    one = row(5)
    assert without_part(_document(one), part, state="erased", by=7) == _document(closed(one, part, by=7))


def test_every_member_of_a_part_is_an_attribute_that_goes_with_it() -> None:
    open_attributes = log_entry(row(0), LOG_ID).attributes
    for part in PARTS:
        kept = log_entry(closed(row(0), part, by=1), LOG_ID).attributes
        assert set(open_attributes) - set(kept) <= PART_ATTRIBUTES[part]
        assert not PART_ATTRIBUTES[part] & set(kept)


def test_every_attribute_has_its_place_in_the_mapping() -> None:
    everything = [
        row(0),
        event_row(1, "audit.gap", {"count": 3}),
        closed(row(2), "actor", by=4),
        closed(row(3), "target", by=4),
    ]
    failed = msgspec.structs.replace(row(4), error_type="ValueError", outcome="failure", ending="exception")
    other = opening(
        {"audit.target.id": "x", "http.request.method_original": "BREW", "url.path": "/", "url.query": "a=b"}
    )
    for one in [*everything, failed, msgspec.structs.replace(row(5), target=other)]:
        assert set(log_entry(one, LOG_ID).attributes) <= set(KINDS)


def test_a_member_of_a_type_that_the_mapping_would_refuse_stays_in_the_text_only() -> None:
    odd = opening(
        {"client.address": 7, "pxl.time_us": "soon", "user.id": {"a": 1}, "user.roles": ["a", 1], "trace_id": 5}
    )
    entry = log_entry(msgspec.structs.replace(row(0), actor=odd), LOG_ID)
    assert not {"client.address", "pxl.time_us", "user.id", "user.roles", "audit.actor.id"} & set(entry.attributes)
    assert entry.attributes["pxl.actor.text"] == odd.text
    assert (entry.trace_id, entry.time_ns) == (None, TIME * 10**9)


@pytest.mark.parametrize("trace_id", ["", "0" * 32, "A" * 32, "a" * 31, "g" * 32])
def test_a_trace_id_that_opentelemetry_would_not_take_is_left_out(trace_id: str) -> None:
    actor = opening({"trace_id": trace_id, "span_id": "1" * 16})
    entry = log_entry(msgspec.structs.replace(row(0), actor=actor), LOG_ID)
    assert (entry.trace_id, entry.span_id) == (None, None)


def test_absent_parts_say_that_they_are_absent() -> None:
    attributes = log_entry(event_row(0, "audit.log.created", {"origin": "o", "n": 1}), LOG_ID).attributes
    assert (attributes["pxl.actor.state"], attributes["pxl.target.state"]) == ("absent", "absent")
    assert attributes["pxl.facts"] == '{"n":1,"origin":"o"}'
    assert attributes["audit.action"] == "CREATED"


@pytest.mark.parametrize(
    ("outcome", "ending", "status", "severity"),
    [
        ("success", "complete", 200, ("INFO", 9)),
        ("failure", "complete", 404, ("WARN", 13)),
        ("unknown", "incomplete", None, ("WARN", 13)),
        ("failure", "complete", 503, ("ERROR", 17)),
        ("failure", "exception", None, ("ERROR", 17)),
    ],
)
def test_severity_follows_from_the_outcome(
    outcome: str, ending: str, status: int | None, severity: tuple[str, int]
) -> None:
    one = msgspec.structs.replace(row(0), outcome=outcome, ending=ending, status=status)
    entry: LogEntry = log_entry(one, LOG_ID)
    assert (entry.severity_text, entry.severity_number) == severity


@pytest.mark.parametrize(
    ("retention", "dataset"),
    [
        ("access", "pxl_audit.access"),
        ("Finance Ö", "pxl_audit.other"),
        ("a" * 41, "pxl_audit.other"),
        ("", "pxl_audit.other"),
    ],
)
def test_a_class_that_cannot_be_part_of_a_stream_name_goes_to_other(retention: str, dataset: str) -> None:
    assert dataset_of(retention) == dataset


def test_a_withheld_part_is_not_shipped() -> None:
    entry = log_entry(msgspec.structs.replace(row(0), actor=Opening("withheld")), LOG_ID)
    assert entry.attributes["pxl.actor.state"] == "withheld"
    assert "user.id" not in entry.attributes
