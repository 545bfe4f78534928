"""Records arrive in a real Elasticsearch exactly once, with every field, and prove themselves against the log."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from pxl_audit.leaf import commit, commitment_text, decode_leaf, encode_leaf
from tests.real.elasticsearch_server import ElasticsearchServer
from tests.real.shipping import documents, fresh_log_id, ship_all, sink_for
from tests.ship.samples import FakeRecords, event_row, leaf, row, rows

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]


def test_every_record_arrives_exactly_once(elasticsearch_server: ElasticsearchServer, tmp_path: Path) -> None:
    log_id = fresh_log_id()
    records = FakeRecords([*rows(1200), event_row(1200, "audit.log.created", {"origin": "example.org/log"})])
    ship_all(elasticsearch_server, log_id, records, tmp_path)
    found = documents(elasticsearch_server, log_id)
    assert [document["_source"]["attributes"]["pxl.log.index"] for document in found] == list(range(1201))
    assert [document["_id"] for document in found] == [f"{log_id}-{index}" for index in range(1201)]


def test_all_fields_stand_where_the_otel_layout_has_them(
    elasticsearch_server: ElasticsearchServer, tmp_path: Path
) -> None:
    log_id = fresh_log_id()
    one = row(0, user="alice", path="/v1/proofs/7")
    ship_all(elasticsearch_server, log_id, FakeRecords([one]), tmp_path, namespace="fields")
    [document] = documents(elasticsearch_server, log_id)
    assert document["_index"].startswith(".ds-logs-pxl_audit.access.otel-fields-")
    source = document["_source"]
    assert one.actor.salt is not None
    assert one.target.salt is not None
    salts = {name: b64decode(source["attributes"].pop(name)) for name in ("pxl.actor.salt", "pxl.target.salt")}
    assert salts == {"pxl.actor.salt": one.actor.salt, "pxl.target.salt": one.target.salt}
    assert source == {
        "@timestamp": "2026-11-23T20:30:00.123456000Z",
        "observed_timestamp": "2026-11-23T20:30:00.000000000Z",
        "data_stream": {"type": "logs", "dataset": "pxl_audit.access.otel", "namespace": "fields"},
        "event_name": "http.request",
        "severity_text": "INFO",
        "severity_number": 9,
        "trace_id": "0" * 31 + "1",
        "span_id": "0" * 15 + "1",
        "dropped_attributes_count": 0,
        "resource": {"attributes": {"service.name": "gateway"}},
        "scope": {"name": "pxl_audit", "version": "1"},
        "attributes": {
            "audit.action": "POST",
            "audit.actor.id": "alice",
            "audit.actor.type": "user",
            "audit.outcome": "success",
            "audit.record.id": f"{log_id}-0",
            "audit.sequence.number": 0,
            "audit.target.id": "/v1/proofs/7",
            "client.address": "192.0.2.0",
            "http.request.body.size": 10,
            "http.request.method": "POST",
            "http.response.body.size": 20,
            "http.response.status_code": 200,
            "http.route": "/v1/proofs",
            "network.peer.address": "10.0.0.1",
            "pxl.actor.state": "open",
            "pxl.actor.text": one.actor.text,
            "pxl.application_us": 1600,
            "pxl.duration_us": 1500,
            "pxl.ending": "complete",
            "pxl.first_byte_us": 1200,
            "pxl.log.id": log_id,
            "pxl.log.index": 0,
            "pxl.request.id": "req-0",
            "pxl.retention": "access",
            "pxl.target.state": "open",
            "pxl.target.text": one.target.text,
            "pxl.time_s": one.time,
            "pxl.time_us": one.time * 1_000_000 + 123_456,
            "session.id": "s-alice",
            "url.path": "/v1/proofs/7",
            "user.id": "alice",
            "user.roles": ["reader", "writer"],
            "user_agent.original": "test/1.0 (äöü)",
        },
    }


def test_a_document_proves_itself_against_the_log(elasticsearch_server: ElasticsearchServer, tmp_path: Path) -> None:
    log_id = fresh_log_id()
    records = FakeRecords(rows(5))
    in_log = [decode_leaf(encode_leaf(leaf(record))) for record in records.published]
    ship_all(elasticsearch_server, log_id, records, tmp_path)
    for document, entry in zip(documents(elasticsearch_server, log_id), in_log, strict=True):
        attributes = document["_source"]["attributes"]
        for part, expected in (("actor", entry.a), ("target", entry.b)):
            text = attributes[f"pxl.{part}.text"].encode()
            digest = commit(part.encode(), b64decode(attributes[f"pxl.{part}.salt"]), text)
            assert commitment_text(digest) == expected


def test_retention_classes_go_to_streams_of_their_own(
    elasticsearch_server: ElasticsearchServer, tmp_path: Path
) -> None:
    log_id = fresh_log_id()
    classes = ["access", "security", "control", "finance", "No Stream-Name"]
    records = FakeRecords([row(index, retention=name) for index, name in enumerate(classes)])
    ship_all(elasticsearch_server, log_id, records, tmp_path)
    streams = [document["_source"]["data_stream"]["dataset"] for document in documents(elasticsearch_server, log_id)]
    assert streams == [f"pxl_audit.{name}.otel" for name in ("access", "security", "control", "finance", "other")]


def test_names_are_searched_as_in_any_otel_stream_and_texts_are_not_analysed(
    elasticsearch_server: ElasticsearchServer, tmp_path: Path
) -> None:
    log_id = fresh_log_id()
    ship_all(elasticsearch_server, log_id, FakeRecords(rows(9, users=("alice b", "carol", None))), tmp_path)
    assert len(documents(elasticsearch_server, log_id)) == 9  # and refreshes

    def count(**term: object) -> int:
        of_log = {"term": {"pxl.log.id": log_id}}
        with Elasticsearch(elasticsearch_server.url) as client:
            query = {"bool": {"filter": [of_log, {"term": term}]}}
            return int(client.count(index="logs-pxl_audit.*.otel-*", query=query)["count"])

    assert count(**{"user.id": "alice b"}) == 3
    assert count(**{"user.id": "alice"}) == 0
    assert count(**{"attributes.user.id": "carol"}) == 3
    assert count(**{"service.name": "gateway"}) == 9
    assert count(**{"http.response.status_code": 200}) == 9
    with Elasticsearch(elasticsearch_server.url) as client:
        mapping = client.indices.get_mapping(index="logs-pxl_audit.access.otel-default").body
    for index in mapping.values():
        for name in ("pxl.actor.text", "pxl.target.text", "pxl.facts"):
            field = index["mappings"]["properties"]["attributes"]["properties"][name]
            assert field == {"type": "keyword", "index": False, "doc_values": False}


def test_a_lost_cursor_makes_no_duplicates(elasticsearch_server: ElasticsearchServer, tmp_path: Path) -> None:
    log_id = fresh_log_id()
    records = FakeRecords(rows(700))
    ship_all(elasticsearch_server, log_id, records, tmp_path)
    before = documents(elasticsearch_server, log_id)
    (tmp_path / "elasticsearch.json").unlink()
    ship_all(elasticsearch_server, log_id, records, tmp_path)
    assert documents(elasticsearch_server, log_id) == before


def test_a_lost_cursor_makes_no_duplicates_after_a_rollover_either(
    elasticsearch_server: ElasticsearchServer, tmp_path: Path
) -> None:
    log_id = fresh_log_id()
    records = FakeRecords(rows(40))
    ship_all(elasticsearch_server, log_id, records, tmp_path, namespace="rolled")
    with Elasticsearch(elasticsearch_server.url) as client:
        client.indices.rollover(alias="logs-pxl_audit.access.otel-rolled")
    (tmp_path / "elasticsearch.json").unlink()
    records.published.extend(row(index) for index in range(40, 50))
    ship_all(elasticsearch_server, log_id, records, tmp_path, namespace="rolled")
    found = documents(elasticsearch_server, log_id)
    assert [document["_source"]["attributes"]["pxl.log.index"] for document in found] == list(range(50))
    assert len({document["_index"] for document in found}) == 2


def test_putting_the_templates_again_changes_nothing(elasticsearch_server: ElasticsearchServer) -> None:
    def templates() -> object:
        with Elasticsearch(elasticsearch_server.url) as client:
            return (
                client.cluster.get_component_template(name="pxl_audit@mappings").body,
                client.indices.get_index_template(name="pxl_audit.*").body,
            )

    sink_for(elasticsearch_server, fresh_log_id()).deliver([row(0)])
    before = templates()
    sink_for(elasticsearch_server, fresh_log_id()).deliver([row(0)])
    assert templates() == before
