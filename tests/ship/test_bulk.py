"""What each item of a `_bulk` answer means; an answer that cannot be matched confirms nothing."""

from __future__ import annotations

import msgspec
import pytest

from pxl_audit.ship import bulk
from pxl_audit.ship.verdict import Outcome

STREAM = "logs-pxl_audit.access.otel-default"
BACKING = ".ds-logs-pxl_audit.access.otel-default-2026.11.23-000001"
LINE = bulk.create_line(STREAM, "x-1", b"{}")


def _item(status: int, error: str = "", *, index: str = BACKING, **more: object) -> dict[str, object]:
    item: dict[str, object] = {"_index": index, "_id": "x-1", "status": status, **more}
    return {"create": {**item, "error": {"type": error}} if error else item}


@pytest.mark.parametrize(
    ("item", "outcome", "reason"),
    [
        (_item(201), Outcome.STORED, ""),
        (_item(200), Outcome.STORED, ""),
        (_item(409, "version_conflict_engine_exception"), Outcome.EXISTS, "version_conflict_engine_exception"),
        (_item(400, "document_parsing_exception"), Outcome.REFUSED, "document_parsing_exception"),
        (_item(400, "illegal_argument_exception", index=STREAM), Outcome.BLOCKED, "illegal_argument_exception"),
        (_item(400, "index_closed_exception"), Outcome.BLOCKED, "index_closed_exception"),
        (_item(404, "index_not_found_exception", index=STREAM), Outcome.BLOCKED, "index_not_found_exception"),
        (_item(403, "cluster_block_exception"), Outcome.BLOCKED, "cluster_block_exception"),
        (_item(429, "es_rejected_execution_exception"), Outcome.RETRY, "es_rejected_execution_exception"),
        (_item(503, "unavailable_shards_exception"), Outcome.RETRY, "unavailable_shards_exception"),
        (_item(201, failure_store="used"), Outcome.REFUSED, "failure_store"),
        (_item(201, failure_store="not_enabled"), Outcome.STORED, ""),
        (_item(201, _id="x-2"), Outcome.RETRY, "answer about another document"),
        (_item(200, "strange_exception"), Outcome.RETRY, "strange_exception"),
        ({}, Outcome.RETRY, "answer about another document"),
    ],
)
def test_one_item(item: dict[str, object], outcome: Outcome, reason: str) -> None:
    [verdict] = bulk.verdicts({"items": [item]}, [LINE])
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


@pytest.mark.parametrize(
    "answer",
    [None, "<html>", [], {}, {"items": None}, {"items": [{"create": {"status": "201"}}] * 2}, {"items": [_item(201)]}],
)
def test_an_answer_that_cannot_be_matched_confirms_nothing(answer: object) -> None:
    assert [verdict.outcome for verdict in bulk.verdicts(answer, [LINE, LINE])] == [Outcome.RETRY] * 2


def test_bodies_are_cut_by_size_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BODY_BYTES", 1000)
    lines = [
        bulk.create_line(STREAM, f"x-{n}", b'{"n":"%s"}' % (b"y" * size))
        for n, size in enumerate([10, 300, 5000, 10, 10])
    ]
    chunks = list(bulk.chunks(lines))
    assert [line for chunk in chunks for line in chunk] == lines
    assert all(len(bulk.body(chunk)) <= 1000 for chunk in chunks if len(chunk) > 1)
    assert list(bulk.chunks([])) == []


def test_a_body_is_an_action_and_a_document_a_record() -> None:
    first, second, *rest = bulk.body([LINE]).split(b"\n")
    assert msgspec.json.decode(first) == {"create": {"_index": STREAM, "_id": "x-1", "require_data_stream": True}}
    assert (second, rest) == (b"{}", [b""])
