"""The exporter in somebody else's OpenTelemetry pipeline."""

from __future__ import annotations

import msgspec
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from pxl_audit.errors import SettingsError
from pxl_audit.ship.connection import Connection
from pxl_audit.ship.document import log_entry
from pxl_audit.ship.elasticsearch import ElasticsearchStore
from pxl_audit.ship.otel import ElasticsearchLogExporter, log_record
from tests.ship.fakes import Answer, answering
from tests.ship.samples import LOG_ID, row

TAKEN = Answer(body=b'{"items":[{"create":{"_index":".ds-x","_id":"made-by-the-server","status":201}}]}')


def test_any_log_record_goes_to_the_stream_that_its_attributes_name() -> None:
    with answering(TAKEN) as (url, asked):
        exporter = ElasticsearchLogExporter(ElasticsearchStore(Connection((url,))))
        provider = LoggerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        provider.get_logger("lib", "2.0").emit(
            LogRecord(
                timestamp=1_000_000_001,
                observed_timestamp=2_000_000_000,
                severity_number=SeverityNumber.WARN,
                severity_text="WARN",
                body={"a": 1},
                attributes={"k": "v", "data_stream.dataset": "shop"},
            )
        )
        provider.shutdown()
    [(_, body)] = asked
    action, source, _ = body.split(b"\n")
    assert msgspec.json.decode(action) == {"create": {"_index": "logs-shop.otel-default", "require_data_stream": True}}
    assert msgspec.json.decode(source) == {
        "@timestamp": "1970-01-01T00:00:01.000000001Z",
        "observed_timestamp": "1970-01-01T00:00:02.000000000Z",
        "data_stream": {"type": "logs", "dataset": "shop.otel", "namespace": "default"},
        "severity_number": 13,
        "severity_text": "WARN",
        "body": {"structured": {"a": 1}},
        "attributes": {"k": "v"},
        "dropped_attributes_count": 0,
        "resource": {"attributes": {"service.name": "shop"}},
        "scope": {"name": "lib", "version": "2.0"},
    }


@pytest.mark.parametrize(
    ("answer", "result"),
    [(TAKEN, LogRecordExportResult.SUCCESS), (Answer(status=503), LogRecordExportResult.FAILURE)],
)
def test_success_is_what_the_server_confirmed(answer: Answer, result: LogRecordExportResult) -> None:
    record = log_record(log_entry(row(0), LOG_ID), "default")
    if answer is TAKEN:
        answer = Answer(body=TAKEN.body.replace(b"made-by-the-server", f"{LOG_ID}-0".encode()))
    with answering(answer) as (url, _):
        exporter = ElasticsearchLogExporter(ElasticsearchStore(Connection((url,))))
        assert exporter.export([record]) is result
        assert exporter.force_flush()
        exporter.shutdown()
        exporter.shutdown()
        assert exporter.export([record]) is LogRecordExportResult.FAILURE


def test_our_record_carries_trace_and_time() -> None:
    record = log_record(log_entry(row(6), LOG_ID), "default").log_record
    assert (record.trace_id, record.span_id, record.event_name) == (7, 7, "http.request")
    assert record.timestamp == row(6).time * 10**9 + 123_456_000


def test_without_a_url_there_is_no_exporter() -> None:
    with pytest.raises(SettingsError, match="ELASTICSEARCH_URL is not set"):
        ElasticsearchLogExporter.from_environ({})
    ElasticsearchLogExporter.from_environ({"ELASTICSEARCH_URL": "http://localhost"}).shutdown()
