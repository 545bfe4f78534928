"""What would be erased: read-only, complete, and summed up in a digest that is approved and executed as it stands.

Records of class `control` that name the person (what they did as a member of staff, requests they decided) are
evidence that may be needed for legal claims, Art. 17(3)(e). A person has to weigh that, so the plan lists them as
withheld unless it is told to include them.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from hashlib import sha256

import msgspec

from compliance.dsr.intake import record_opening
from compliance.dsr.parts import PartSet
from compliance.dsr.requests import FINAL, UNDERWAY, Plan, Request, Summary, load, now, save, working_on
from compliance.dsr.search import Hit, find_parts, near_misses
from compliance.dsr.subject import SHARED_NAMES, Subject, user_ids
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import UsageError
from pxl_audit.log.keys import load_vkey
from pxl_audit.log.reader import LogReader
from pxl_audit.vault.row import Part

PLAN_VERSION = 1
WITHHELD_CLASS = "control"


def plan_request(directory: DataDirectory, request_id: str, *, include_control: bool = False) -> Request:
    """Make the plan and store it in the request file; an earlier approval is void."""
    with working_on(directory):
        request = load(directory, request_id)
        if request.state in FINAL + UNDERWAY:
            raise UsageError(f"{request.id} is {request.state}; a plan is made before execution (dsr list)")
        request = record_opening(directory, request)
        plan = make_plan(directory, request, include_control=include_control)
        return save(directory, msgspec.structs.replace(request, state="planned", plan=plan, approved=None))


def make_plan(directory: DataDirectory, request: Request, *, include_control: bool) -> Plan:
    """Search the published log for the person."""
    subject = request.identifiers()
    checkpoint = LogReader(directory.log).checkpoint(load_vkey(directory))
    erased, withheld = _Tally(subject), _Tally(subject)
    for hit in find_parts(directory, subject, end=checkpoint.size):
        kept = hit.retention == WITHHELD_CLASS and not include_control
        (withheld if kept else erased).add(hit)
    parts, left = erased.parts(), withheld.parts()
    root = b64encode(checkpoint.root).decode("ascii")
    return Plan(
        digest=plan_digest(request.id, directory.log_id, checkpoint.size, root, parts),
        made=now(),
        size=checkpoint.size,
        root=root,
        include_control=include_control,
        actor=parts.actor_ranges(),
        target=parts.target_ranges(),
        withheld_actor=left.actor_ranges(),
        withheld_target=left.target_ranges(),
        summary=_summary(subject, erased, withheld, near=near_misses(directory, subject)),
    )


def plan_digest(request_id: str, log_id: str, size: int, root: str, parts: PartSet) -> str:
    """SHA-256 (hex) over the RFC 8785 form of what is agreed to: this request, this log, exactly these parts."""
    agreed = {
        "log": log_id,
        "request": request_id,
        "root": root,
        "size": size,
        "targets": parts.entries(),
        "version": PLAN_VERSION,
    }
    return sha256(json.dumps(agreed, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


class _Tally:
    """Hits, summed up as they come; user ids of other people are counted here and kept nowhere."""

    def __init__(self, subject: Subject) -> None:
        self._own = frozenset(user_ids(subject))
        self._others: set[str] = set()
        self._indexes: dict[Part, list[int]] = {"actor": [], "target": []}
        self.retention: Counter[str] = Counter()
        self.event: Counter[str] = Counter()
        self.service: Counter[str] = Counter()
        self.identifier: Counter[int] = Counter()
        self.first: int | None = None
        self.last: int | None = None

    def add(self, hit: Hit) -> None:
        self._indexes[hit.part].append(hit.index)
        self.retention[hit.retention] += 1
        self.event[hit.event] += 1
        self.service[hit.service] += 1
        self.identifier.update(hit.matched)
        self.first = hit.time if self.first is None else min(self.first, hit.time)
        self.last = hit.time if self.last is None else max(self.last, hit.time)
        if hit.user is not None and hit.user not in self._own:
            self._others.add(hit.user)

    def parts(self) -> PartSet:
        return PartSet.of(self._indexes["actor"], self._indexes["target"])

    def others(self) -> int:
        return len(self._others)


def _summary(subject: Subject, erased: _Tally, withheld: _Tally, *, near: int) -> Summary:
    matched = erased.identifier + withheld.identifier
    return Summary(
        by_retention=_sorted(erased.retention),
        by_event=_sorted(erased.event),
        by_service=_sorted(erased.service),
        by_identifier=[(identifier.name, matched[number]) for number, identifier in enumerate(subject)],
        first=erased.first,
        last=erased.last,
        other_people=erased.others() if user_ids(subject) else max(0, erased.others() - 1),
        near=near,
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def warnings(plan: Plan) -> list[str]:
    """What a person should think about before approving; says nothing about anybody."""
    summary, found = plan.summary, []
    names = {name for name, _ in summary.by_identifier}
    if names <= set(SHARED_NAMES):
        found.append("the request names an address or a browser only: neither is a person, other people may share it")
    if summary.other_people:
        found.append(
            f"{summary.other_people} other user ids stand in the actor parts to erase: records of other people"
        )
    if summary.near:
        found.append(f"{summary.near} user ids differ only in case or Unicode form; they are not part of this plan")
    unmatched = [f"{n} ({name})" for n, (name, count) in enumerate(summary.by_identifier, start=1) if not count]
    if unmatched and len(unmatched) < len(summary.by_identifier):
        found.append(f"these identifiers of the subject file stand in no open part: {', '.join(unmatched)}")
    return found


def finding(plan: Plan) -> str:
    """`found`, `withheld` (only such parts), or `unknown` (no open part names the person)."""
    if len(plan.parts()):
        return "found"
    return "withheld" if len(plan.withheld()) else "unknown"
