"""Take erased parts out of Elasticsearch, after they were destroyed in the vault.

Rewriting a document only marks its old version as deleted; the bytes stay in the segment until a merge. So after the
rewriting comes a merge that leaves no deleted document behind, and a count of what is left in every shard copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pxl_audit.directory import DataDirectory
from pxl_audit.ship.connection import connection_from
from pxl_audit.ship.cursor import Cursor
from pxl_audit.ship.document import document_id
from pxl_audit.ship.shipper import missing_extra
from pxl_audit.vault.row import PARTS, Part

if TYPE_CHECKING:
    from pxl_audit.ship.elasticsearch import ElasticsearchStore
    from pxl_audit.ship.expunge import Deleted
    from pxl_audit.ship.rewrite import Gone, Rewritten

SINK = "elasticsearch"
ROUNDS = 5
MERGE_SECONDS = 90.0
"""How long to go on merging."""


@dataclass(frozen=True)
class SinkErasure:
    """What was done in one sink."""

    sink: str
    documents: int
    """Documents rewritten now; 0 if an earlier run did it."""
    verified: bool
    """A fresh search found no document of the set with the part, and no old version stands in any segment."""
    detail: str
    """For a person: what was done, what was checked, and what this cannot reach. No personal data."""


def erase_in_sinks(
    directory: DataDirectory,
    parts: Mapping[Part, Sequence[int]],
    *,
    by: int,
    environ: Mapping[str, str],
    state: Literal["erased", "expired"] = "erased",
) -> list[SinkErasure]:
    """Take parts out of every configured sink; `parts`: leaf indexes by part, `by`: leaf index of the event.

    The parts must have been destroyed in the vault before: what was not delivered yet, goes out without them.
    May be repeated; a run that was cut off is completed by the next one.

    Raises:
        SettingsError: the environment is contradictory.
        UnavailableError: a configured sink does not answer, or its packages are not installed.
    """
    connection = connection_from(environ)
    if connection is None:
        return []
    try:
        # 0.5 s of imports, and optional ones.
        from pxl_audit.ship.elasticsearch import ElasticsearchStore  # noqa: PLC0415
        from pxl_audit.ship.expunge import expunge  # noqa: PLC0415
        from pxl_audit.ship.rewrite import Gone, close_parts  # noqa: PLC0415
    except ImportError as error:
        raise missing_extra(error) from None
    gone = _by_document(directory.log_id, parts, Gone(state, by))
    store = ElasticsearchStore(connection)
    try:
        done = close_parts(store, gone)
        fresh = _look_again(store, gone, done)
        left = expunge(store, sorted(done.indices), patience_seconds=MERGE_SECONDS)
    finally:
        store.close()
    verified = not fresh.documents and not fresh.left and left.documents == 0
    not_there = len(gone) - len(fresh.found)
    return [SinkErasure(SINK, len(done.documents), verified, _detail(done, fresh, left, not_there, directory))]


def _by_document(log_id: str, parts: Mapping[Part, Sequence[int]], what: Gone) -> dict[str, dict[Part, Gone]]:
    gone: dict[str, dict[Part, Gone]] = {}
    for part in PARTS:
        for index in parts.get(part, ()):
            gone.setdefault(document_id(log_id, index), {})[part] = what
    return gone


def _look_again(store: ElasticsearchStore, gone: Mapping[str, Mapping[Part, Gone]], done: Rewritten) -> Rewritten:
    """Search afresh until nothing turns up: a request that was under way may have landed behind the first search."""
    from pxl_audit.ship.rewrite import close_parts  # noqa: PLC0415  # as above

    for _ in range(ROUNDS):
        fresh = close_parts(store, gone)
        done.documents |= fresh.documents
        done.indices |= fresh.indices
        if not fresh.documents:
            break
    return fresh


def _detail(done: Rewritten, fresh: Rewritten, left: Deleted, not_there: int, directory: DataDirectory) -> str:
    said = [f"{len(done.documents)} of {len(done.found)} documents found were rewritten in {len(done.indices)} indices"]
    if fresh.left:
        reasons = ", ".join(sorted(fresh.reasons)) or "unknown"
        said.append(f"{len(fresh.left)} STILL HOLD the parts ({reasons}): make their indices writable and repeat")
    else:
        said.append("a fresh search found none that holds the parts")
    if left.documents:
        said.append(
            f"{left.documents} old versions STILL STAND in the segments of {left.shards} shard copies: repeat later"
        )
    elif left.shards:
        said.append(f"merged: no old version stands in the segments of {left.shards} shard copies")
    if not_there:
        said.append(f"{not_there} records are not there (not delivered yet, or deleted by age) and go out without them")
    refused = len(Cursor(directory.sinks, SINK).quarantined())
    if refused:
        said.append(f"{refused} records of this log were refused once; a failure store may hold a copy")
    said.append("not reached: snapshots, and copies that others made (followers, transforms, exports)")
    return "; ".join(said)
