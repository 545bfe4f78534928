"""Servers that answer wrongly: the cursor stays where it is, and nothing they say is taken for a confirmation."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from pxl_audit.errors import UnavailableError
from pxl_audit.ship.connection import Connection
from pxl_audit.ship.cursor import Cursor
from pxl_audit.ship.delivery import Shipper, State
from pxl_audit.ship.elasticsearch import ElasticsearchStore, ForbiddenError, Item
from pxl_audit.ship.sink import ElasticsearchSink
from pxl_audit.ship.verdict import Outcome
from tests.ship.fakes import Answer, answering
from tests.ship.samples import LOG_ID, FakeRecords, rows

NOTHING_FOUND = Answer(body=b'{"timed_out":false,"_shards":{"failed":0},"hits":{"hits":[]}}')
HTML = (("Content-Type", "text/html"),)
JSON_ONLY = (("Content-Type", "application/json"),)


def _bulk(*items: dict[str, object]) -> bytes:
    return msgspec.json.encode({"errors": False, "items": [{"create": item} for item in items]})


def _items(statuses: Sequence[int], **more: object) -> list[dict[str, object]]:
    return [{"_index": ".ds-x", "_id": f"{LOG_ID}-{n}", "status": status, **more} for n, status in enumerate(statuses)]


WHOLE = _bulk(*_items([201, 201, 201]))
ERROR = b'{"error":{"type":"security_exception","reason":"canary"},"status":403}'


def _step(tmp_path: Path, *answers: Answer) -> tuple[State, int, str]:
    # Before a record is offered: refresh and search (what is there already?), then templates (there, version 1 each).
    version = b'{"component_templates":[{"component_template":{"version":99}}]}'
    prepared = [Answer(body=version)] * 4
    with answering(Answer(), NOTHING_FOUND, *prepared, *answers) as (url, asked):
        store = ElasticsearchStore(Connection((url,)), timeout_seconds=5.0)
        result = Shipper(tmp_path, ElasticsearchSink(store, LOG_ID), FakeRecords(rows(3))).step()
        store.close()
        assert [request for request, _ in asked if request.startswith("PUT /_bulk")], "the records were not offered"
    assert Cursor(tmp_path, "elasticsearch").read() == result.next
    return result.state, result.next, result.reason


def test_the_stub_itself_is_understood(tmp_path: Path) -> None:
    assert _step(tmp_path, Answer(body=WHOLE)) == (State.IDLE, 3, "")


@pytest.mark.parametrize(
    ("answer", "state", "next_index"),
    [
        pytest.param(Answer(body=_bulk(*_items([201, 503, 201]))), State.RETRY, 1, id="200 with one error in it"),
        pytest.param(Answer(body=b"<html>ok</html>", headers=HTML), State.RETRY, 0, id="200 from a proxy"),
        pytest.param(Answer(body=WHOLE, headers=JSON_ONLY), State.IDLE, 3, id="product header once is enough"),
        pytest.param(Answer(body=WHOLE, cut=len(WHOLE) // 2), State.RETRY, 0, id="half a body"),
        pytest.param(Answer(body=WHOLE[: len(WHOLE) // 2]), State.RETRY, 0, id="half of the JSON"),
        pytest.param(Answer(body=b""), State.RETRY, 0, id="200 and nothing"),
        pytest.param(Answer(body=_bulk(*_items([201, 201]))), State.RETRY, 0, id="an item short"),
        pytest.param(Answer(body=_bulk(*reversed(_items([201, 201, 201])))), State.RETRY, 0, id="other order"),
        pytest.param(Answer(status=302, headers=(("Location", "http://127.0.0.1:9/"),)), State.RETRY, 0, id="redirect"),
        pytest.param(Answer(status=429, body=ERROR), State.RETRY, 0, id="busy"),
        pytest.param(Answer(status=502, body=b"<html>", headers=HTML), State.RETRY, 0, id="bad gateway"),
        pytest.param(Answer(status=403, body=ERROR), State.BLOCKED, 0, id="no right"),
        pytest.param(Answer(status=401, body=ERROR), State.BLOCKED, 0, id="who are you"),
        pytest.param(Answer(status=400, body=ERROR), State.BLOCKED, 0, id="the request as a whole is refused"),
    ],
)
def test_only_what_was_confirmed_is_passed(tmp_path: Path, answer: Answer, state: State, next_index: int) -> None:
    assert _step(tmp_path, answer)[:2] == (state, next_index)
    assert Cursor(tmp_path, "elasticsearch").quarantined() == []


def test_a_failure_store_is_no_delivery(tmp_path: Path) -> None:
    items = _items([201, 201, 201])
    items[1]["failure_store"] = "used"
    assert _step(tmp_path, Answer(body=_bulk(*items))) == (State.IDLE, 3, "")
    assert [(record.index, record.reason) for record in Cursor(tmp_path, "elasticsearch").quarantined()] == [
        (1, "failure_store")
    ]


def test_a_body_that_is_too_large_is_sent_in_halves(tmp_path: Path) -> None:
    too_large = Answer(status=413, body=b"{}")
    one, two, three = (Answer(body=_bulk(item)) for item in _items([201, 201, 201]))
    assert _step(tmp_path, too_large, one, too_large, two, three) == (State.IDLE, 3, "")


def test_one_document_that_is_too_large_is_quarantined(tmp_path: Path) -> None:
    too_large = Answer(status=413, body=b"{}")
    one, _, three = (Answer(body=_bulk(item)) for item in _items([201, 201, 201]))
    assert _step(tmp_path, too_large, one, too_large, too_large, three) == (State.IDLE, 3, "")
    assert [(r.index, r.reason) for r in Cursor(tmp_path, "elasticsearch").quarantined()] == [(1, "content_too_long")]


def test_a_request_is_sent_once_and_an_error_never_quotes_the_server() -> None:
    with answering(Answer(status=503, body=ERROR)) as (url, asked):
        store = ElasticsearchStore(Connection((url,)))
        [verdict] = store.create([Item("s", "x", b"{}")])
        assert (verdict.outcome, verdict.reason, len(asked)) == (Outcome.RETRY, "security_exception", 1)
        with pytest.raises(UnavailableError) as raised:
            store.refresh()
        store.close()
    assert "canary" not in str(raised.value)
    assert len(asked) == 2


def test_something_that_is_not_elasticsearch_confirms_nothing() -> None:
    with answering(Answer(body=_bulk({"_id": "x", "status": 201}), headers=JSON_ONLY)) as (url, _):
        store = ElasticsearchStore(Connection((url,)))
        [verdict] = store.create([Item("s", "x", b"{}")])
        store.close()
    assert not verdict.confirmed


def test_a_search_of_some_of_the_shards_is_no_search() -> None:
    partial = Answer(body=b'{"timed_out":false,"_shards":{"failed":1},"hits":{"hits":[]}}')
    with answering(partial) as (url, _):
        store = ElasticsearchStore(Connection((url,)))
        with pytest.raises(UnavailableError, match="only a part of its shards"):
            store.find(["x"])
        store.close()


def test_a_key_that_may_only_write_ships_all_the_same(tmp_path: Path) -> None:
    forbidden = Answer(status=403, body=ERROR)
    with answering(forbidden, forbidden, Answer(body=WHOLE)) as (url, asked):
        store = ElasticsearchStore(Connection((url,), api_key="a2V5"))
        result = Shipper(tmp_path, ElasticsearchSink(store, LOG_ID), FakeRecords(rows(3))).step()
        store.close()
    assert (result.state, result.next) == (State.IDLE, 3)
    assert [request.split("?")[0] for request, _ in asked] == [
        "POST /logs-pxl_audit.*.otel-*/_refresh",
        "GET /_component_template/pxl_audit@mappings",
        "PUT /_bulk",
    ]
    assert issubclass(ForbiddenError, UnavailableError)


def test_nobody_listening(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = ElasticsearchStore(Connection((f"http://127.0.0.1:{taken.getsockname()[1]}",)))
        result = Shipper(tmp_path, ElasticsearchSink(store, LOG_ID), FakeRecords(rows(3))).step()
        store.close()
    assert (result.state, result.next) == (State.RETRY, 0)
    assert result.reason.startswith("Elasticsearch does not answer: ConnectionError")
