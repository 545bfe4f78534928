"""The one place that talks to Elasticsearch, through its official client.

What we rely on is what the smallest distribution has: `_bulk`, `_search`, templates, `_forcemerge`, `_segments`. No
scripts, no `*_by_query`, no `GET /`.

The client's own retries are off: it would send the same body four times within 0.2 s and say nothing of it.
Error *reasons* are never read: they quote the values of the fields they complain about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from elastic_transport.client_utils import DEFAULT
from elasticsearch import ApiError, Elasticsearch, TransportError

from pxl_audit.errors import UnavailableError
from pxl_audit.ship import bulk
from pxl_audit.ship.bulk import Line
from pxl_audit.ship.connection import Connection
from pxl_audit.ship.layout import Source
from pxl_audit.ship.template import COMPONENT, VERSION, component_template, index_template
from pxl_audit.ship.verdict import Outcome, Verdict

STREAMS = "logs-pxl_audit.*.otel-*"
"""All data streams that hold our records."""
REQUEST_TIMEOUT_SECONDS = 20.0
FIND_IDS = 1000

_Shape = TypeVar("_Shape")

_JSON = {"accept": "application/json", "content-type": "application/json"}
_NDJSON = {"accept": "application/json", "content-type": "application/x-ndjson"}


class ForbiddenError(UnavailableError):
    """The server answers, but we have not the right to do this."""


class _RejectedError(UnavailableError):
    """400: the server does not understand this request."""


class _MissingError(UnavailableError):
    """404."""


@dataclass(frozen=True)
class Item:
    """One document to be created."""

    stream: str
    id: str | None
    """None lets the server choose."""
    source: bytes


@dataclass(frozen=True)
class Copy:
    """A document as the server has it: where, in which version, and what it says."""

    index: str
    """The backing index."""
    id: str
    seq_no: int
    primary_term: int
    source: Source


class _Hit(msgspec.Struct):
    index: str = msgspec.field(name="_index")
    id: str = msgspec.field(name="_id")
    seq_no: int = msgspec.field(name="_seq_no")
    primary_term: int = msgspec.field(name="_primary_term")
    source: dict[str, object] = msgspec.field(name="_source")
    sort: list[object] = []


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _Shards(msgspec.Struct):
    failed: int


class _SearchAnswer(msgspec.Struct):
    hits: _Hits
    timed_out: bool
    shards: _Shards = msgspec.field(name="_shards")


class ElasticsearchStore:
    """Documents in, documents out; every method is one or a few requests, and none is repeated behind our back."""

    def __init__(self, connection: Connection, *, timeout_seconds: float = REQUEST_TIMEOUT_SECONDS) -> None:
        known_user = connection.username is not None and connection.password is not None
        self.namespace = connection.namespace
        self._client = Elasticsearch(
            list(connection.hosts),
            request_timeout=timeout_seconds,
            max_retries=0,
            api_key=connection.api_key,
            basic_auth=(connection.username or "", connection.password or "") if known_user else None,
            ca_certs=str(connection.ca_file) if connection.ca_file else DEFAULT,
        )

    def limit_patience(self, timeout_seconds: float) -> None:
        """From now on wait at most this long for an answer."""
        self._client = self._client.options(request_timeout=timeout_seconds)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def create(self, items: Sequence[Item]) -> list[Verdict]:
        """Offer documents; one verdict each, in order. Never raises for what the server or the network does."""
        return self._in_chunks(bulk.create_line(item.stream, item.id, item.source) for item in items)

    def replace(self, changes: Sequence[tuple[Copy, bytes]]) -> list[Verdict]:
        """Put a new source in the place of each copy, if it is still the version that was read.

        A copy that has changed meanwhile gets `Outcome.EXISTS`: read it again.
        """
        return self._in_chunks(
            bulk.replace_line(c.index, c.id, seq_no=c.seq_no, primary_term=c.primary_term, source=source)
            for c, source in changes
        )

    def find(self, ids: Sequence[str]) -> list[Copy]:
        """All copies of documents with these ids, in all backing indices; call `refresh` before.

        Raises:
            UnavailableError: the server does not answer, or not for all of its shards.
        """
        found: list[Copy] = []
        for start in range(0, len(ids), FIND_IDS):
            found.extend(self._find_some(ids[start : start + FIND_IDS]))
        return found

    def refresh(self) -> None:
        """Make all that was written findable."""
        self.call("POST", f"/{STREAMS}/_refresh", {"ignore_unavailable": "true", "allow_no_indices": "true"})

    def put_templates(self, datasets: Sequence[str]) -> None:
        """Install the templates of these data sets, unless the server has this or a newer version of them.

        Raises:
            ForbiddenError: we may not; somebody else must have installed them.
        """
        if self._version(f"/_component_template/{COMPONENT}") < VERSION:
            self.call("PUT", f"/_component_template/{COMPONENT}", body=component_template())
        for dataset in datasets:
            path = f"/_index_template/{dataset}"
            if self._version(path) >= VERSION:
                continue
            try:
                self.call("PUT", path, body=index_template(dataset))
            except _RejectedError:  # a server before 8.19 does not know the option
                self.call("PUT", path, body=index_template(dataset, failure_store=None))

    def _find_some(self, ids: Sequence[str]) -> Iterator[Copy]:
        after: list[object] | None = None
        while True:
            body: dict[str, object] = {
                "query": {"ids": {"values": list(ids)}},
                "size": FIND_IDS,
                "seq_no_primary_term": True,
                # Unlike `_id`, this one sorts without loading field data; it says the same of our documents.
                "sort": [{"audit.record.id": {"order": "asc", "unmapped_type": "keyword"}}, "_index"],
            }
            if after is not None:
                body["search_after"] = after
            answer = self.read(
                "POST",
                f"/{STREAMS}/_search",
                _SearchAnswer,
                {"ignore_unavailable": "true", "allow_no_indices": "true", "allow_partial_search_results": "false"},
                body,
            )
            if answer.timed_out or answer.shards.failed:
                raise UnavailableError("Elasticsearch searched only a part of its shards; try again when it is healthy")
            for hit in answer.hits.hits:
                yield Copy(hit.index, hit.id, hit.seq_no, hit.primary_term, hit.source)
            if len(answer.hits.hits) < FIND_IDS:
                return
            after = answer.hits.hits[-1].sort

    def _version(self, path: str) -> int:
        """Version of a template; 0 if there is none."""
        try:
            body = self.call("GET", path)
        except _MissingError:
            return 0
        for kind in ("component_template", "index_template"):
            for entry in _list(body, f"{kind}s"):
                version = _member(_member(entry, kind), "version")
                if isinstance(version, int):
                    return version
        return 0

    def _in_chunks(self, lines: Iterable[Line]) -> list[Verdict]:
        return [verdict for chunk in bulk.chunks(lines) for verdict in self._bulk(chunk)]

    def _bulk(self, lines: Sequence[Line]) -> list[Verdict]:
        try:
            answer = self._client.perform_request(
                "PUT",
                "/_bulk",
                params={"filter_path": bulk.ANSWER_FILTER},
                headers=_NDJSON,
                body=bulk.body(lines),
            )
        except ApiError as error:
            if error.status_code == 413:
                return self._bulk_in_halves(lines)
            return [_verdict_of_request(error)] * len(lines)
        except TransportError as error:
            return [Verdict(Outcome.RETRY, type(error).__name__)] * len(lines)
        return bulk.verdicts(answer.body, lines)

    def _bulk_in_halves(self, lines: Sequence[Line]) -> list[Verdict]:
        if len(lines) == 1:
            return [Verdict(Outcome.REFUSED, "content_too_long", 413)]
        middle = len(lines) // 2
        return self._bulk(lines[:middle]) + self._bulk(lines[middle:])

    def read(
        self,
        method: str,
        path: str,
        shape: type[_Shape],
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> _Shape:
        """One request, its answer decoded into `shape` (a msgspec struct).

        Raises:
            UnavailableError: as `call`, or the answer has another shape.
        """
        try:
            return msgspec.convert(self.call(method, path, params, body), shape)
        except msgspec.ValidationError as error:
            raise UnavailableError(f"Elasticsearch: {method} {_action(path)}: unexpected answer ({error})") from None

    def call(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> object:
        """One request; the JSON of the answer.

        Raises:
            UnavailableError: the server does not answer, or answers with an error.
            ForbiddenError: it answers that we may not.
        """
        client = self._client
        if timeout_seconds is not None:
            client = client.options(request_timeout=timeout_seconds)
        headers = _JSON if body is not None else {"accept": _JSON["accept"]}
        try:
            return client.perform_request(method, path, params=params, headers=headers, body=body).body
        except ApiError as error:
            kind = {401: ForbiddenError, 403: ForbiddenError, 400: _RejectedError, 404: _MissingError}
            raise kind.get(error.status_code, UnavailableError)(
                f"Elasticsearch: {method} {_action(path)}: {error.status_code} {_error_type(error)}"
            ) from None
        except TransportError as error:
            raise UnavailableError(f"Elasticsearch does not answer: {type(error).__name__}; is it running?") from None


def _verdict_of_request(error: ApiError) -> Verdict:
    """A request that failed as a whole says nothing about one document: it is never a reason to give one up."""
    status = error.status_code
    blocked = 400 <= status < 500 and status not in (408, 429)
    return Verdict(Outcome.BLOCKED if blocked else Outcome.RETRY, _error_type(error), status)


def _error_type(error: ApiError) -> str:
    """The type of an error, without its reason."""
    kind = _member(_member(error.body, "error"), "type")
    return kind if isinstance(kind, str) else type(error).__name__


def _action(path: str) -> str:
    """The part of a path that names what was asked, for messages: ids and index names are left out."""
    return next((word for word in path.split("/") if word.startswith("_")), path)


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _list(value: object, name: str) -> list[object]:
    found = _member(value, name)
    return found if isinstance(found, list) else []
