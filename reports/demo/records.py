"""What a log says about the requests of the demo, by request id."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pxl_audit.directory import DataDirectory
from pxl_audit.vault.query import connect

_REQUESTS = "SELECT status, actor, target FROM records WHERE event = 'http.request' AND actor_state = 'open'"
_STOPS = "SELECT facts FROM records WHERE event = 'audit.writer.unclean_stop'"
_GAPS = "SELECT count(*) FROM records WHERE event = 'audit.gap'"


@dataclass(frozen=True)
class Recorded:
    """One record of a request."""

    status: int | None
    user_id: str | None
    path: str


@dataclass
class Records:
    """All records of requests of one data directory, and what the log says about itself."""

    size: int = 0
    by_request: dict[str, Recorded] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    """How often each request id is recorded."""
    unclean_stops: int = 0
    in_flight: int = 0
    """Requests that killed writers had begun and made no record of."""
    lost: int = 0
    """Records that killed writers had made and not written."""
    gaps: int = 0

    @property
    def twice(self) -> list[str]:
        """Request ids that are recorded more than once."""
        return [request_id for request_id, count in self.counts.items() if count > 1]


def read_records(root: Path) -> Records:
    """Read what is published."""
    with contextlib.closing(connect(DataDirectory.open(root))) as connection:
        records = Records(size=_number(connection.execute("SELECT count(*) FROM records").fetchone()))
        for status, actor, target in connection.execute(_REQUESTS).fetchall():
            members = json.loads(actor)
            request_id = members["pxl.request.id"]
            path = json.loads(target)["url.path"] if target else ""
            records.by_request[request_id] = Recorded(status, members.get("user.id"), path)
            records.counts[request_id] += 1
        for (facts,) in connection.execute(_STOPS).fetchall():
            stop = json.loads(facts)
            records.unclean_stops += 1
            records.in_flight += stop["in_flight"]
            records.lost += stop["lost"]
        records.gaps = _number(connection.execute(_GAPS).fetchone())
    return records


def _number(row: tuple[int, ...] | None) -> int:
    return row[0] if row else 0
