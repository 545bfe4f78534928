"""Make the old versions of rewritten documents disappear from the disks of Elasticsearch.

Rewriting a document only marks its old version as deleted; the bytes stay in the segment until the segment is merged.
Two things keep them even then: the merge policy leaves segments alone that are at most 10 % deleted, and a shard keeps
deleted documents for its copies until their retention leases have moved on, which they do every 30 s. So: wait for the
leases, merge with the limit at 0, and count what is left. A merge rewrites whole segments, so it is not done on trial.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from pxl_audit.ship.elasticsearch import ElasticsearchStore

MERGE_SECONDS = 3600.0
PAUSE_SECONDS = 1.0
LIMIT = "index.merge.policy.expunge_deletes_allowed"


@dataclass(frozen=True)
class Deleted:
    """Deleted documents that still stand in the segments of some indices."""

    documents: int
    shards: int
    """Shard copies (primaries and replicas) that were counted."""


class _Segment(msgspec.Struct):
    deleted_docs: int


class _SegmentsOfCopy(msgspec.Struct):
    segments: dict[str, _Segment]


class _SegmentsOfIndex(msgspec.Struct):
    shards: dict[str, list[_SegmentsOfCopy]]


class _Segments(msgspec.Struct):
    indices: dict[str, _SegmentsOfIndex]


class _SeqNo(msgspec.Struct):
    max_seq_no: int


class _Lease(msgspec.Struct):
    retaining_seq_no: int


class _Leases(msgspec.Struct):
    leases: list[_Lease] = []


class _StatsOfCopy(msgspec.Struct):
    seq_no: _SeqNo
    retention_leases: _Leases


class _StatsOfIndex(msgspec.Struct):
    shards: dict[str, list[_StatsOfCopy]]


class _Stats(msgspec.Struct):
    indices: dict[str, _StatsOfIndex] = {}


class _Settings(msgspec.Struct):
    settings: dict[str, str] = {}


def expunge(store: ElasticsearchStore, indices: Sequence[str], *, patience_seconds: float) -> Deleted:
    """Merge until no shard copy of these indices has a deleted document left, or until patience ends.

    Returns:
        What is left.

    Raises:
        UnavailableError: the server does not answer.
    """
    if not indices:
        return Deleted(0, 0)
    deadline = time.monotonic() + patience_seconds
    names = ",".join(indices)
    limits = _explicit_limits(store, names)
    store.call("PUT", f"/{names}/_settings", body={LIMIT: 0})
    try:
        while True:
            _wait_for_leases(store, names, deadline)
            for index in indices:
                # A merge takes as long as it takes; the client's usual patience is for requests.
                store.call(
                    "POST", f"/{index}/_forcemerge", {"only_expunge_deletes": "true"}, timeout_seconds=MERGE_SECONDS
                )
            left = deleted(store, names)
            if not left.documents or time.monotonic() >= deadline:
                return left
            time.sleep(PAUSE_SECONDS)
    finally:
        for index in indices:
            store.call("PUT", f"/{index}/_settings", body={LIMIT: limits.get(index)})


def deleted(store: ElasticsearchStore, names: str) -> Deleted:
    """Count the deleted documents that are still in the segments of every shard copy."""
    answer = store.read("GET", f"/{names}/_segments", _Segments)
    copies = [copy for index in answer.indices.values() for shard in index.shards.values() for copy in shard]
    return Deleted(sum(s.deleted_docs for copy in copies for s in copy.segments.values()), len(copies))


def _explicit_limits(store: ElasticsearchStore, names: str) -> dict[str, str]:
    """The limit where somebody set one: it is put back afterwards."""
    answer = store.read("GET", f"/{names}/_settings/{LIMIT}", dict[str, _Settings], {"flat_settings": "true"})
    return {index: found.settings[LIMIT] for index, found in answer.items() if LIMIT in found.settings}


def _wait_for_leases(store: ElasticsearchStore, names: str, deadline: float) -> None:
    """Wait until no lease retains an operation from before this call (or until the deadline)."""
    goals = {name: copy.seq_no.max_seq_no for name, copy in _copies(store, names)}
    while time.monotonic() < deadline:
        behind = [
            name
            for name, copy in _copies(store, names)
            if any(lease.retaining_seq_no < goals.get(name, 0) for lease in copy.retention_leases.leases)
        ]
        if not behind:
            return
        time.sleep(PAUSE_SECONDS)


def _copies(store: ElasticsearchStore, names: str) -> Iterator[tuple[tuple[str, str, int], _StatsOfCopy]]:
    wanted = "indices.*.shards.*.seq_no.max_seq_no,indices.*.shards.*.retention_leases.leases.retaining_seq_no"
    answer = store.read("GET", f"/{names}/_stats/docs", _Stats, {"level": "shards", "filter_path": wanted})
    for index, stats in answer.indices.items():
        for shard, copies in stats.shards.items():
            for number, copy in enumerate(copies):
                yield (index, shard, number), copy
