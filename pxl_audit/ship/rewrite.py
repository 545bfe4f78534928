"""Take personal parts out of documents that Elasticsearch has.

A document is rewritten where it lies (in its backing index), only in the version that was read, and then read again:
what counts is that a fresh search finds none with the part, not that a write was acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pxl_audit.ship.elasticsearch import Copy, ElasticsearchStore
from pxl_audit.ship.layout import Source, encode_source, holds_part, without_part
from pxl_audit.ship.verdict import Outcome
from pxl_audit.vault.row import Part, PartState

ROUNDS = 5
"""A copy changes under us only while another erasure runs; each round leaves fewer of those."""
IDS_AT_ONCE = 1000


@dataclass(frozen=True)
class Gone:
    """What became of a part; the same as in the vault row."""

    state: PartState
    by: int | None


@dataclass
class Rewritten:
    """What was found and done."""

    found: set[str] = field(default_factory=set)
    """Ids of the documents that are there, in any state."""
    documents: set[str] = field(default_factory=set)
    """Ids of documents rewritten now."""
    indices: set[str] = field(default_factory=set)
    """Backing indices that hold documents of the set: old versions may still be in their segments."""
    left: set[str] = field(default_factory=set)
    """Ids of documents that still hold a part."""
    reasons: set[str] = field(default_factory=set)
    """Why: types of errors."""


def close_parts(store: ElasticsearchStore, gone: Mapping[str, Mapping[Part, Gone]]) -> Rewritten:
    """Rewrite all copies of the documents in `gone` (by document id) that still hold a part that is gone.

    Raises:
        UnavailableError: the server does not answer.
    """
    done = Rewritten()
    ids = sorted(gone)
    for start in range(0, len(ids), IDS_AT_ONCE):
        chunk = {identifier: gone[identifier] for identifier in ids[start : start + IDS_AT_ONCE]}
        _close_chunk(store, chunk, done)
    return done


def _close_chunk(store: ElasticsearchStore, gone: Mapping[str, Mapping[Part, Gone]], done: Rewritten) -> None:
    for round_number in range(ROUNDS + 1):
        store.refresh()
        copies = store.find(list(gone))
        done.found.update(copy.id for copy in copies)
        done.indices.update(copy.index for copy in copies)
        still_open = [copy for copy in copies if _holds_any(copy, gone[copy.id])]
        if not still_open:
            return
        if round_number == ROUNDS:
            done.left.update(copy.id for copy in still_open)
            return
        changes = [(copy, encode_source(_closed(copy.source, gone[copy.id]))) for copy in still_open]
        for (copy, _), verdict in zip(changes, store.replace(changes), strict=True):
            if verdict.outcome is Outcome.STORED:
                done.documents.add(copy.id)
            else:
                done.reasons.add(verdict.reason or verdict.outcome.value)


def _holds_any(copy: Copy, gone: Mapping[Part, Gone]) -> bool:
    return any(holds_part(copy.source, part) for part in gone)


def _closed(source: Source, gone: Mapping[Part, Gone]) -> Source:
    for part, what in gone.items():
        source = without_part(source, part, state=what.state, by=what.by)
    return source
