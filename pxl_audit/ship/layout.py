"""The OTel mapping layout: how a log record stands in Elasticsearch, the same for our exporter and for a Collector.

`@timestamp`, `event_name`, `attributes`, `resource.attributes`, `scope`, `body`, `data_stream` as the Collector's
`elasticsearchexporter` writes them with `mapping: {mode: otel}`. Dots in attribute names are kept, not nested.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from pxl_audit.ship.document import PART_ATTRIBUTES, PART_FIELDS
from pxl_audit.vault.row import Part, PartState

Source = dict[str, object]
"""A document's `_source`: a JSON object."""

encode_source = msgspec.json.Encoder().encode


def stream_name(dataset: str, namespace: str) -> str:
    """The data stream of a data set, e.g. `logs-pxl_audit.access.otel-default`."""
    return f"logs-{dataset}.otel-{namespace}"


def timestamp(nanoseconds: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC, nine digits of fraction."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{_to_the_second(seconds)}.{fraction:09}Z"


@lru_cache(maxsize=64)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def attributes_of(source: Mapping[str, object]) -> dict[str, object]:
    """The attributes of a document; empty if it has none."""
    attributes = source.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def holds_part(source: Mapping[str, object], part: Part) -> bool:
    """Whether anything of a personal part is in a document."""
    return not PART_ATTRIBUTES[part].isdisjoint(attributes_of(source)) or not PART_FIELDS[part].isdisjoint(source)


def without_part(source: Mapping[str, object], part: Part, *, state: PartState, by: int | None) -> Source:
    """The document without one personal part, as the shipper would write it now that the part is gone.

    With the actor goes the exact time: `@timestamp` falls back to the whole second of the skeleton.
    """
    attributes = {name: value for name, value in attributes_of(source).items() if name not in PART_ATTRIBUTES[part]}
    attributes[f"pxl.{part}.state"] = state
    if by is not None:
        attributes[f"pxl.{part}.by"] = by
    kept: Source = {name: value for name, value in source.items() if name not in PART_FIELDS[part]}
    kept["attributes"] = attributes
    seconds = attributes.get("pxl.time_s")
    if part == "actor" and isinstance(seconds, int):
        kept["@timestamp"] = timestamp(seconds * 1_000_000_000)
    return kept
