"""Index templates: one component with the mapping, and an index template a retention class.

Minimal on purpose: no ingest pipeline, no lifecycle policy, no field type from a licensed module, so it installs on any
8.19+ server. What an operator wants to add (shards, tiers, a lifecycle policy) goes into the component template
`pxl_audit@custom`, which is ours to include and never ours to write.
"""

from __future__ import annotations

from pxl_audit.ship.document import KINDS

VERSION = 1
"""Raised with every change; a server that has this or a newer version is left alone."""
COMPONENT = "pxl_audit@mappings"
CUSTOM = "pxl_audit@custom"
PRIORITY = 250
"""Above the built-in templates `logs` (100) and `logs-otel@template` (120)."""

Json = dict[str, object]

# A longer value stays in the document and is not indexed. Lucene refuses terms above 32766 bytes, and UTF-8 needs up
# to four bytes a character: without the limit one long path would make the whole record unwelcome.
_KEYWORD: Json = {"type": "keyword", "ignore_above": 8191}
_FIELD: dict[str, Json] = {
    "keyword": _KEYWORD,
    "long": {"type": "long"},
    "text": {"type": "keyword", "index": False, "doc_values": False},
}


def component_template() -> Json:
    """Mapping and settings of all our data streams."""
    return {
        "version": VERSION,
        "_meta": {"description": "pxl-audit: OTel mapping layout of audit records"},
        "template": {
            "settings": {
                "index": {
                    # `_source` must come back as it was sent: the texts in it are hashed.
                    "mode": "standard",
                    # A confirmed record is on disk, whatever the cluster's default is.
                    "translog": {"durability": "request"},
                }
            },
            "mappings": _mappings(),
        },
    }


def index_template(dataset: str, *, failure_store: bool | None = False) -> Json:
    """Template of one data set; `failure_store=None` leaves the option out, for servers that do not know it."""
    template: Json = {}
    if failure_store is not None:
        # A failure store keeps rejected documents, personal parts included, where no erasure looks.
        template["data_stream_options"] = {"failure_store": {"enabled": failure_store}}
    return {
        "version": VERSION,
        "index_patterns": [f"logs-{dataset}.otel-*"],
        "data_stream": {},
        "composed_of": [CUSTOM, COMPONENT],  # ours last: another mapping of `attributes` would replace all of it
        "ignore_missing_component_templates": [CUSTOM],
        "priority": PRIORITY,
        "template": template,
        "_meta": {"description": f"pxl-audit: records of {dataset}"},
    }


def _mappings() -> Json:
    return {
        # Closed: an attribute we do not know stays in the document and cannot conflict with anything.
        "dynamic": False,
        "date_detection": False,
        "properties": {
            "@timestamp": {"type": "date"},
            "observed_timestamp": {"type": "date"},
            "data_stream": {"properties": dict.fromkeys(("type", "dataset", "namespace"), _KEYWORD)},
            "severity_text": _KEYWORD,
            "severity_number": {"type": "byte"},
            "event_name": _KEYWORD,
            "trace_id": _KEYWORD,
            "span_id": _KEYWORD,
            "dropped_attributes_count": {"type": "long"},
            "attributes": {
                "type": "passthrough",
                "priority": 30,
                "dynamic": False,
                "properties": {name: _FIELD[kind] for name, kind in sorted(KINDS.items())},
            },
            "resource": {
                "properties": {
                    "attributes": {
                        "type": "passthrough",
                        "priority": 20,
                        "dynamic": False,
                        "properties": {"service.name": _KEYWORD},
                    }
                }
            },
            "scope": {"properties": {"name": _KEYWORD, "version": _KEYWORD}},
        },
    }
