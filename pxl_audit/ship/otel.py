"""The one place that knows OpenTelemetry: log records of our entries, and an exporter to Elasticsearch.

The exporter may be used in any OpenTelemetry pipeline. It follows the Collector's `elasticsearchexporter` where that
has a convention: the attributes `elasticsearch.document_id`, `data_stream.dataset` and `data_stream.namespace` of a
record say where it goes, and are not in the document.

Our own records do not pass through a `Logger` or a batch processor: those drop records when a queue is full, and throw
the exporter's result away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, format_span_id, format_trace_id, set_span_in_context

from pxl_audit.errors import SettingsError
from pxl_audit.ship.connection import URL, connection_from
from pxl_audit.ship.document import LogEntry
from pxl_audit.ship.elasticsearch import ElasticsearchStore, Item
from pxl_audit.ship.layout import Source, encode_source, stream_name, timestamp
from pxl_audit.ship.verdict import Verdict

DOCUMENT_ID = "elasticsearch.document_id"
DATASET = "data_stream.dataset"
NAMESPACE = "data_stream.namespace"
_ROUTING = frozenset({DOCUMENT_ID, DATASET, NAMESPACE})

_SCOPE = InstrumentationScope("pxl_audit", "1")  # the version is that of docs/format.md, not of the program
_SEVERITIES = {severity.value: severity for severity in SeverityNumber}
# A context of our own: `LogRecord` would take the current span of the thread for an empty one.
_NO_SPAN = Context({"pxl_audit": None})


@lru_cache(maxsize=256)
def _resource(service: str) -> Resource:
    # Not `Resource.create`: it adds the SDK and the attributes of the agent's own environment.
    return Resource({"service.name": service})


def log_record(entry: LogEntry, namespace: str) -> ReadableLogRecord:
    """The OpenTelemetry log record of an entry, with its route to Elasticsearch among the attributes."""
    context = _NO_SPAN
    if entry.trace_id is not None:
        span = SpanContext(int(entry.trace_id, 16), int(entry.span_id or "0", 16), is_remote=True)
        context = set_span_in_context(NonRecordingSpan(span), Context())
    record = LogRecord(
        timestamp=entry.time_ns,
        observed_timestamp=entry.observed_ns,
        context=context,
        severity_text=entry.severity_text,
        severity_number=_SEVERITIES[entry.severity_number],
        attributes={**entry.attributes, DOCUMENT_ID: entry.document_id, DATASET: entry.dataset, NAMESPACE: namespace},
        event_name=entry.event_name,
    )
    return ReadableLogRecord(record, _resource(entry.service), _SCOPE)


class ElasticsearchLogExporter(LogRecordExporter):
    """Export log records to Elasticsearch data streams in the OTel mapping layout."""

    def __init__(self, store: ElasticsearchStore) -> None:
        self._store = store
        self._closed = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ElasticsearchLogExporter:
        """An exporter to the Elasticsearch that `ELASTICSEARCH_URL` names.

        Raises:
            SettingsError: it is not set, or not usable.
        """
        connection = connection_from(environ)
        if connection is None:
            raise SettingsError(f"{URL} is not set; name the Elasticsearch to export to, e.g. http://localhost:9200")
        return cls(ElasticsearchStore(connection))

    def deliver(self, batch: Sequence[ReadableLogRecord]) -> list[Verdict]:
        """Offer records; one verdict each, in order."""
        return self._store.create([_item(record, self._store.namespace) for record in batch])

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """SUCCESS only if Elasticsearch confirmed every record."""
        if self._closed:
            return LogRecordExportResult.FAILURE
        confirmed = all(verdict.confirmed for verdict in self.deliver(batch))
        return LogRecordExportResult.SUCCESS if confirmed else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connections; later exports fail."""
        if not self._closed:
            self._closed = True
            self._store.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  # the SDK's signature
        """Nothing is held back here: `export` returns when Elasticsearch has answered."""
        return True


def _item(record: ReadableLogRecord, namespace: str) -> Item:
    attributes = record.log_record.attributes or {}
    dataset = str(attributes.get(DATASET, "generic"))
    namespace = str(attributes.get(NAMESPACE, namespace))
    identifier = attributes.get(DOCUMENT_ID)
    return Item(
        stream=stream_name(dataset, namespace),
        id=None if identifier is None else str(identifier),
        source=encode_source(_source(record, f"{dataset}.otel", namespace)),
    )


def _source(record: ReadableLogRecord, dataset: str, namespace: str) -> Source:
    log = record.log_record
    when = log.timestamp or log.observed_timestamp or 0
    attributes = dict(log.attributes or {})
    for name in _ROUTING:
        attributes.pop(name, None)
    source: Source = {
        "@timestamp": timestamp(when),
        "observed_timestamp": timestamp(log.observed_timestamp or when),
        "data_stream": {"type": "logs", "dataset": dataset, "namespace": namespace},
        "attributes": attributes,
        "dropped_attributes_count": record.dropped_attributes,
        "resource": {"attributes": dict(record.resource.attributes)},
    }
    if log.severity_number is not None:
        source["severity_number"] = log.severity_number.value
    if log.severity_text:
        source["severity_text"] = log.severity_text
    if log.event_name:
        source["event_name"] = log.event_name
    if log.trace_id:
        source["trace_id"] = format_trace_id(log.trace_id)
    if log.span_id:
        source["span_id"] = format_span_id(log.span_id)
    if record.instrumentation_scope is not None:
        scope = record.instrumentation_scope
        source["scope"] = {"name": scope.name, "version": scope.version or ""}
    if log.body is not None:
        source["body"] = {"structured" if isinstance(log.body, Mapping) else "text": log.body}
    return source
