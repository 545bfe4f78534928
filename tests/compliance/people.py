"""A log of several people, some of whom act upon others, partly sealed and partly open; and the ways of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from compliance.dsr.approval import approve
from compliance.dsr.execution import Run, execute
from compliance.dsr.intake import open_request
from compliance.dsr.planning import plan_request
from compliance.dsr.requests import Request
from compliance.dsr.subject import parse_subject
from pxl_audit.agent.client import append_and_wait, seal_all
from pxl_audit.directory import DataDirectory
from pxl_audit.event import Json, make_event
from pxl_audit.vault.query import rows
from pxl_audit.vault.row import PARTS, Opening, Part

ALICE = "alice-canary-7f3a@example.org"
ALICE_ENCODED = "%61lice-canary-7f3a%40example.org"
NAMESAKE = "not-alice-canary-7f3a@example.org"
"""Another person, whose id ends in hers."""
BOB = "bob-b21"
OPENER, APPROVER = "intake-desk", "officer-dpo"


def event(
    user: str | None,
    path: str,
    *,
    retention: str = "access",
    name: str = "http.request",
    target: Mapping[str, Json] | None = None,
) -> bytes:
    """One exchange: `user` did something at `path`."""
    actor: dict[str, Json] = {"client.address": "203.0.113.9", "user_agent.original": "browser/1"}
    if user is not None:
        actor["user.id"] = user
    kind = "anonymous" if user is None else "user"
    members = {"url.path": path, **(target or {})}
    return make_event(name, service="gateway", actor=actor, target=members, retention=retention, actor_kind=kind)


SEALED = [
    event(ALICE, "/v1/proofs"),  # 1: her, as actor
    event(BOB, f"/v1/users/{ALICE}/keys"),  # 2: two people: he acts upon her
    event(ALICE, f"/v1/users/{BOB}"),  # 3: she acts upon him
    event(NAMESAKE, f"/v1/users/{NAMESAKE}"),  # 4: nobody of ours
    event(None, f"/v1/users/{ALICE_ENCODED}"),  # 5: her, encoded otherwise
    event(
        BOB, "/v1/proofs", retention="control", name="staff.change", target={"audit.target.id": ALICE}
    ),  # 6: evidence
]
OPEN = [
    event(ALICE, "/v1/proofs", retention="security", name="auth.login"),  # 7
    event(BOB, "/v1/proofs"),  # 8
    event(BOB, "/v1/search", target={"pxl.attributes": {"note": f"asked by {ALICE}."}}),  # 9: in free text
]
HERS: Mapping[Part, tuple[int, ...]] = {"actor": (1, 3, 7), "target": (2, 5, 9)}
HERS_WITHHELD: tuple[int, Part] = (6, "target")


def build(root: Path) -> DataDirectory:
    """The log above; record 0 is the log's own."""
    directory = DataDirectory.open_or_create(root)
    append_and_wait(directory, SEALED)
    seal_all(directory)
    append_and_wait(directory, OPEN)
    return directory


def opened(directory: DataDirectory, lines: str = ALICE) -> Request:
    """A request of the person with these identifiers."""
    subject = parse_subject(lines.encode())
    return open_request(directory, subject, ground="b", received=date(2026, 11, 20), by=OPENER, channel="letter")


def approved(directory: DataDirectory, lines: str = ALICE, *, include_control: bool = True) -> Request:
    """A request that is ready to be executed."""
    request = plan_request(directory, opened(directory, lines).id, include_control=include_control)
    assert request.plan is not None
    return approve(directory, request.id, digest=request.plan.digest, by=APPROVER)


def executed(directory: DataDirectory, request_id: str, **options: Any) -> Run:
    """Execute, without any sink."""
    return execute(directory, request_id, by=OPENER, environ={}, **options)


def openings(directory: DataDirectory) -> dict[tuple[int, Part], Opening]:
    """Every part of every record."""
    return {
        (row.index, part): row.actor if part == "actor" else row.target
        for row in rows(directory, 0, 1 << 40)
        for part in PARTS
    }


def files(root: Path) -> Iterable[tuple[str, bytes]]:
    """Every file below a directory, and its bytes."""
    return ((str(path.relative_to(root)), path.read_bytes()) for path in sorted(root.rglob("*")) if path.is_file())
