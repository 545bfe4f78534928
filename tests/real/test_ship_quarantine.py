"""A document that the server will never take is set aside, and holds nothing up."""

from __future__ import annotations

from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from pxl_audit.ship.cursor import Cursor, Quarantined
from pxl_audit.ship.delivery import Shipper, State
from pxl_audit.ship.template import component_template
from tests.real.elasticsearch_server import ElasticsearchServer
from tests.real.shipping import documents, fresh_log_id, ship_all, sink_for
from tests.ship.samples import FakeRecords, row

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def numbers_only(elasticsearch_server: ElasticsearchServer) -> str:
    """A namespace for which the operator has a template that takes user ids for numbers."""
    namespace = "numbers"
    template = component_template()["template"]
    assert isinstance(template, dict)
    template["mappings"]["properties"]["attributes"]["properties"]["user.id"] = {"type": "long"}
    with Elasticsearch(elasticsearch_server.url) as client:
        client.indices.put_index_template(
            name="operators-own",
            index_patterns=[f"logs-pxl_audit.*.otel-{namespace}"],
            data_stream={},
            priority=1000,
            template=template,
        )
    return namespace


def test_a_mapping_conflict_is_quarantined_and_shipping_goes_on(
    elasticsearch_server: ElasticsearchServer, tmp_path: Path, numbers_only: str
) -> None:
    log_id = fresh_log_id()
    users = ["1", "2", "canary@example.org", "4", "5"]
    records = FakeRecords([row(index, user=user) for index, user in enumerate(users)])
    ship_all(elasticsearch_server, log_id, records, tmp_path, namespace=numbers_only)
    found = documents(elasticsearch_server, log_id)
    assert [document["_source"]["attributes"]["pxl.log.index"] for document in found] == [0, 1, 3, 4]
    cursor = Cursor(tmp_path, "elasticsearch")
    assert cursor.read() == 5
    assert cursor.quarantined() == [Quarantined(2, "document_parsing_exception", 400)]
    assert b"canary" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_mapping_that_refuses_every_record_stops_the_line(
    elasticsearch_server: ElasticsearchServer, tmp_path: Path, numbers_only: str
) -> None:
    log_id = fresh_log_id()
    records = FakeRecords([row(index, user="no-number") for index in range(30)])
    result = Shipper(tmp_path, sink_for(elasticsearch_server, log_id, numbers_only), records).step()
    assert (result.state, result.next, result.quarantined) == (State.BLOCKED, 0, 0)
    assert result.reason == "all of 30 records refused: 400 document_parsing_exception"


def test_a_read_only_stream_stops_the_line_instead_of_filling_the_quarantine(
    elasticsearch_server: ElasticsearchServer, tmp_path: Path
) -> None:
    log_id = fresh_log_id()
    records = FakeRecords([row(0)])
    ship_all(elasticsearch_server, log_id, records, tmp_path, namespace="frozen")
    records.published.append(row(1))
    shipper = Shipper(tmp_path, sink_for(elasticsearch_server, log_id, "frozen"), records)
    stream = "logs-pxl_audit.access.otel-frozen"
    with Elasticsearch(elasticsearch_server.url) as client:
        client.indices.put_settings(index=stream, settings={"index.blocks.write": True})
        for _ in range(2):
            result = shipper.step()
            assert (result.state, result.next, result.reason) == (State.BLOCKED, 1, "403 cluster_block_exception")
        client.indices.put_settings(index=stream, settings={"index.blocks.write": None})
    result = shipper.step()
    assert (result.state, result.next, result.quarantined) == (State.IDLE, 2, 0)
    assert len(documents(elasticsearch_server, log_id)) == 2


def test_a_template_that_somebody_removed_is_put_back(
    elasticsearch_server: ElasticsearchServer, tmp_path: Path
) -> None:
    log_id = fresh_log_id()
    records = FakeRecords([row(0, retention="finance_2")])
    sink = sink_for(elasticsearch_server, log_id, "removed")
    sink.deliver([row(7)])  # another class: the sink takes the template of `finance_2` as not yet put
    sink._templates.add("pxl_audit.finance_2")  # and now as put
    shipper = Shipper(tmp_path, sink, records)
    result = shipper.step()
    assert (result.state, result.next, result.reason) == (State.BLOCKED, 0, "404 index_not_found_exception")
    assert shipper.step().next == 1
