"""After an erasure nothing of the person is in Elasticsearch: not in a document, not in a search, not on its disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from pxl_audit.directory import DataDirectory
from pxl_audit.errors import UnavailableError
from pxl_audit.ship import erase
from pxl_audit.ship.erase import erase_in_sinks
from pxl_audit.vault.row import Part
from tests.real.elasticsearch_server import ElasticsearchServer
from tests.real.shipping import documents, environ_for, ship_all
from tests.ship.samples import FakeRecords, closed, row

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

CANARY_USER = "canary-user-7731"
CANARY_PATH = "/v1/canary-path-7731"


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory.open_or_create(tmp_path / "audit")


def _canary_records(count: int) -> tuple[FakeRecords, list[int]]:
    """Every seventh exchange is the canary's."""
    theirs = list(range(3, count, 7))
    records = [
        row(index, user=CANARY_USER, path=CANARY_PATH) if index in theirs else row(index, user=f"u-{index % 5}")
        for index in range(count)
    ]
    return FakeRecords(records), theirs


def _search_all(server: ElasticsearchServer, log_id: str) -> bytes:
    return repr(documents(server, log_id)).encode()


def test_a_person_is_gone_from_documents_searches_and_lucene_files(
    elasticsearch_server: ElasticsearchServer, directory: DataDirectory
) -> None:
    records, theirs = _canary_records(600)
    ship_all(elasticsearch_server, directory.log_id, records, directory.sinks, namespace="erase")
    before = {document["_id"]: document for document in documents(elasticsearch_server, directory.log_id)}
    assert CANARY_USER.encode() in _search_all(elasticsearch_server, directory.log_id)

    parts: dict[Part, list[int]] = {"actor": theirs, "target": theirs}
    environ = environ_for(elasticsearch_server, "erase")
    [erasure] = erase_in_sinks(directory, parts, by=600, environ=environ)
    assert (erasure.sink, erasure.documents, erasure.verified) == ("elasticsearch", len(theirs), True), erasure.detail

    after = {document["_id"]: document for document in documents(elasticsearch_server, directory.log_id)}
    their_ids = {f"{directory.log_id}-{index}" for index in theirs}
    assert {i: d for i, d in after.items() if i not in their_ids} == {
        i: d for i, d in before.items() if i not in their_ids
    }
    assert not any(word in repr(after) for word in (CANARY_USER, CANARY_PATH))
    with Elasticsearch(elasticsearch_server.url) as client:
        for term in ({"user.id": CANARY_USER}, {"audit.actor.id": CANARY_USER}, {"url.path": CANARY_PATH}):
            assert client.count(index="logs-pxl_audit.*.otel-*", query={"term": term})["count"] == 0
    for index in theirs:
        attributes = after[f"{directory.log_id}-{index}"]["_source"]["attributes"]
        assert (attributes["pxl.actor.state"], attributes["pxl.actor.by"]) == ("erased", 600)
    for words in (CANARY_USER, CANARY_PATH):
        assert not _files_with(elasticsearch_server.data, words.encode()), words


@pytest.fixture
def without_merging(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Erase as if cut off before the merge, which waits up to 30 s for the shards' leases."""
    monkeypatch.setattr(erase, "MERGE_SECONDS", 0.0)
    return monkeypatch


def test_a_rewritten_document_is_the_one_that_shipping_afterwards_would_give(
    elasticsearch_server: ElasticsearchServer,
    directory: DataDirectory,
    tmp_path: Path,
    without_merging: pytest.MonkeyPatch,
) -> None:
    records = FakeRecords([row(index, user=CANARY_USER) for index in range(4)])
    ship_all(elasticsearch_server, directory.log_id, records, directory.sinks)
    erase_in_sinks(directory, {"actor": [1, 2], "target": [2, 3]}, by=4, environ=environ_for(elasticsearch_server))
    rewritten = [document["_source"] for document in documents(elasticsearch_server, directory.log_id)]

    one, two, three = records.published[1:]
    two = closed(two, "target", by=4)
    afresh = FakeRecords(
        [records.published[0], closed(one, "actor", by=4), closed(two, "actor", by=4), closed(three, "target", by=4)]
    )
    other_id = "f" * 16
    ship_all(elasticsearch_server, other_id, afresh, tmp_path / "other")
    shipped = [document["_source"] for document in documents(elasticsearch_server, other_id)]
    assert [_without_log_id(source) for source in rewritten] == [_without_log_id(source) for source in shipped]


def test_an_erasure_that_was_cut_off_before_the_merge_is_completed_by_the_next(
    elasticsearch_server: ElasticsearchServer, directory: DataDirectory, without_merging: pytest.MonkeyPatch
) -> None:
    records, theirs = _canary_records(30)
    ship_all(elasticsearch_server, directory.log_id, records, directory.sinks)
    environ = environ_for(elasticsearch_server)
    [first] = erase_in_sinks(directory, {"actor": theirs}, by=30, environ=environ)
    assert (first.documents, first.verified) == (len(theirs), False)
    assert "old versions STILL STAND in the segments" in first.detail
    state = documents(elasticsearch_server, directory.log_id)
    without_merging.undo()
    [second] = erase_in_sinks(directory, {"actor": theirs}, by=30, environ=environ)
    assert (second.documents, second.verified) == (0, True), second.detail
    assert documents(elasticsearch_server, directory.log_id) == state


def test_records_that_are_not_there_yet_are_said_to_be(
    elasticsearch_server: ElasticsearchServer, directory: DataDirectory, without_merging: pytest.MonkeyPatch
) -> None:
    ship_all(elasticsearch_server, directory.log_id, FakeRecords([row(0)]), directory.sinks)
    [erasure] = erase_in_sinks(directory, {"actor": [0, 1, 2]}, by=3, environ=environ_for(elasticsearch_server))
    assert erasure.documents == 1
    assert "2 records are not there" in erasure.detail


def test_what_an_unanswered_request_left_behind_is_closed_before_the_cursor_passes_it(
    elasticsearch_server: ElasticsearchServer, directory: DataDirectory
) -> None:
    """The record was stored, the answer got lost, the person was erased, and then the shipper came back."""
    records = FakeRecords([row(0, user=CANARY_USER), row(1)])
    ship_all(elasticsearch_server, directory.log_id, records, directory.sinks)
    (directory.sinks / "elasticsearch.json").unlink()
    records.published[0] = closed(records.published[0], "actor", by=1)
    ship_all(elasticsearch_server, directory.log_id, records, directory.sinks)
    first, second = documents(elasticsearch_server, directory.log_id)
    assert first["_source"]["attributes"]["pxl.actor.state"] == "erased"
    assert CANARY_USER not in repr(first)
    assert second["_source"]["attributes"]["pxl.actor.state"] == "open"


def test_an_index_that_cannot_be_written_is_not_called_verified(
    elasticsearch_server: ElasticsearchServer, directory: DataDirectory
) -> None:
    ship_all(elasticsearch_server, directory.log_id, FakeRecords([row(0)]), directory.sinks, namespace="sealed")
    stream = "logs-pxl_audit.access.otel-sealed"
    with Elasticsearch(elasticsearch_server.url) as client:
        client.indices.put_settings(index=stream, settings={"index.blocks.write": True})
        [erasure] = erase_in_sinks(directory, {"actor": [0]}, by=1, environ=environ_for(elasticsearch_server))
        client.indices.put_settings(index=stream, settings={"index.blocks.write": None})
    assert (erasure.documents, erasure.verified) == (0, False)
    assert "1 STILL HOLD the parts (cluster_block_exception)" in erasure.detail


def test_a_server_that_does_not_answer_is_an_error(directory: DataDirectory) -> None:
    with pytest.raises(UnavailableError, match="Elasticsearch does not answer"):
        erase_in_sinks(directory, {"actor": [0]}, by=1, environ={"ELASTICSEARCH_URL": "http://127.0.0.1:9"})


def _files_with(place: Path, words: bytes) -> list[str]:
    return [str(path) for path in place.rglob("*") if path.is_file() and words in path.read_bytes()]


def _without_log_id(source: dict[str, object]) -> dict[str, object]:
    attributes = source["attributes"]
    assert isinstance(attributes, dict)
    kept = {name: value for name, value in attributes.items() if name not in ("pxl.log.id", "audit.record.id")}
    return {**source, "attributes": kept}
