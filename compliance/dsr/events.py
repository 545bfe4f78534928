"""The records that a request leaves in the log. They say what was done; only the actor part says by whom.

====================== =============================================================================
event                  facts
====================== =============================================================================
dsr.opened             request, ground (letter of Art. 17(1)), due
dsr.approved           request, plan (digest)
dsr.erasure.started    request, plan, actor_parts, target_parts, root (docs/format.md, section 6)
dsr.erasure.completed  request, started (leaf index)
dsr.refused            request, reason
====================== =============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from pxl_audit.agent.client import append_and_wait
from pxl_audit.directory import DataDirectory
from pxl_audit.event import make_event
from pxl_audit.vault.query import connect

OPENED = "dsr.opened"
APPROVED = "dsr.approved"
STARTED = "dsr.erasure.started"
COMPLETED = "dsr.erasure.completed"
REFUSED = "dsr.refused"
SERVICE = "pxl-audit"

Facts = Mapping[str, int | str]


@dataclass(frozen=True)
class Recorded:
    """One of our records, as the vault has it."""

    index: int
    facts: Facts


def record(directory: DataDirectory, name: str, facts: Facts, *, by: str) -> int:
    """Append one record of class `control` and wait until it is published; returns its leaf index.

    `by` is the member of staff who acts; it stands in the erasable actor part.
    """
    event = make_event(name, actor={"user.id": by}, actor_kind="user", retention="control", facts=facts)
    return append_and_wait(directory, [event])[0]


def recorded(directory: DataDirectory, name: str) -> list[Recorded]:
    """All published records of this name, in order."""
    with connect(directory) as connection:
        rows = connection.execute(
            'SELECT "index", facts FROM records WHERE event = ? AND service = ? AND facts IS NOT NULL ORDER BY "index"',
            [name, SERVICE],
        ).fetchall()
    return [Recorded(index, msgspec.json.decode(facts, type=dict[str, int | str])) for index, facts in rows]


def find(directory: DataDirectory, name: str, request_id: str) -> Recorded | None:
    """The first record of this name about this request."""
    return next((one for one in recorded(directory, name) if one.facts.get("request") == request_id), None)


def record_once(directory: DataDirectory, name: str, facts: Facts, *, by: str) -> int:
    """`record`, unless an interrupted run has done so already.

    Only sees what is published: seal (`seal_all`) first where a second record would be wrong.
    """
    earlier = find(directory, name, str(facts["request"]))
    return record(directory, name, facts, by=by) if earlier is None else earlier.index
