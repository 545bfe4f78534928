"""What `pxl-audit dsr` prints: one JSON object, or lines that end with what to do now. Never an identifier."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import msgspec

from compliance.dsr.deadline import days_left
from compliance.dsr.planning import finding, warnings
from compliance.dsr.requests import FINAL, Act, Plan, Request, Residue
from compliance.dsr.residue import Place
from compliance.dsr.verification import ErasureCheck, entry_count

MOST_PLACES = 20
Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]


@dataclass
class Output:
    """The same answer for a machine and for a person."""

    data: dict[str, Json]
    lines: list[str] = field(default_factory=list)


def emit(output: Output, *, as_json: bool) -> None:
    """Print it one way or the other."""
    text = msgspec.json.encode(output.data).decode() if as_json else "\n".join(output.lines)
    sys.stdout.write(f"{text}\n")


def opened(request: Request, identifiers: int) -> Output:
    """A request was opened."""
    data = {**_head(request), "ground": request.ground, "identifiers": identifiers, "event": _event(request.opened)}
    return Output(
        data,
        [
            f"{request.id} opened, on the ground of Art. 17(1)({request.ground})",
            f"received {request.received}, answer due {request.due} (Art. 12(3))",
            f"identifiers kept until the request is closed: {identifiers}; delete your own copy of them then",
            f"recorded as record {_event(request.opened)}",
            f"now: pxl-audit dsr plan {request.id}",
        ],
    )


def planned(request: Request) -> Output:
    """A plan was made."""
    plan = _plan(request)
    data = {**_head(request), "finding": finding(plan), **_plan_data(plan), "warnings": warnings(plan)}
    lines = [
        f"{request.id}: plan of {_time(plan.made)}, over the {plan.size} records published then",
        *_plan_lines(plan),
        *(f"note: {warning}" for warning in warnings(plan)),
        f"plan digest: {plan.digest}",
        _next_after_plan(request, plan),
    ]
    return Output(data, lines)


def approved(request: Request) -> Output:
    """A plan was approved."""
    plan = _plan(request)
    data = {**_head(request), "plan": plan.digest, "event": _event(request.approved)}
    return Output(
        data,
        [
            f"{request.id} approved: {_parts(plan)}; recorded as record {_event(request.approved)}",
            f"now: pxl-audit dsr execute {request.id} --confirm {request.id}",
        ],
    )


def dry_run(request: Request, plan: Plan) -> Output:
    """What executing would do."""
    data = {**_head(request), "dry_run": True, **_plan_data(plan)}
    return Output(
        data,
        [
            f"{request.id} is {request.state}. Nothing was changed. Executing it would destroy, for good:",
            *_plan_lines(plan),
            f"now: pxl-audit dsr execute {request.id} --confirm {request.id}",
        ],
    )


def completed(request: Request, *, places: Sequence[Place] = (), again: bool = False) -> Output:
    """An erasure is complete."""
    plan, residue = _plan(request), request.residue
    data: dict[str, Json] = {
        **_head(request),
        "plan": plan.digest,
        "actor_parts": len(plan.parts().actor),
        "target_parts": len(plan.parts().target),
        "withheld_parts": len(plan.withheld()),
        "started": request.started,
        "completed": _event(request.completed),
        "newer_parts": request.newer,
        "sinks": _json(request.sinks),
        "residue": _json(residue),
    }
    lines = [
        f"{request.id} {'was completed before' if again else 'completed'}: {_parts(plan)} erased",
        f"announced by record {request.started}, completed by record {_event(request.completed)}; the ledger has it",
        *(f"{one.sink}: {one.documents} documents; {one.detail}" for one in request.sinks),
        *_residue_lines(residue, places),
    ]
    if len(plan.withheld()):
        lines.append(f"{entry_count(len(plan.withheld()))} of class control withheld for review (Art. 17(3)(e))")
    if request.newer:
        lines.append(f"{entry_count(request.newer)} in newer records name the person: open a new request for them")
    lines.append(f"now: pxl-audit dsr verify {request.id}")
    return Output(data, lines)


def verified(checks: Sequence[ErasureCheck], strays: Sequence[str], requests: Mapping[str, Request]) -> Output:
    """What verification found."""
    data: dict[str, Json] = {
        "erasures": [
            {
                "request": check.request,
                "started": check.event,
                "completed": check.completed,
                "verdict": check.verdict,
                "actor_parts": check.actor_parts,
                "target_parts": check.target_parts,
                "faults": list(check.faults),
                "residue": _json(requests[check.request].residue) if check.request in requests else None,
            }
            for check in checks
        ],
        "strays": list(strays),
    }
    lines = [line for check in checks for line in _check_lines(check)]
    lines += [line for request in requests.values() for line in _residue_lines(request.residue, ())]
    lines += [f"BAD: {stray}" for stray in strays]
    verdicts = Counter(check.verdict for check in checks)
    told = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in ("good", "bad", "unfinished"))
    lines.append(f"{len(checks)} erasures: {told}; {len(strays)} unannounced")
    lines.append("now: pxl-audit verify, which shows that the log itself is whole")
    return Output(data, lines)


def refused(request: Request) -> Output:
    """A request was refused."""
    data = {**_head(request), "reason": request.reason, "event": _event(request.refused)}
    return Output(
        data,
        [
            f"{request.id} refused ({request.reason}), recorded as record {_event(request.refused)}",
            "its identifiers are destroyed",
            f"now: tell the person why, and of complaint and court, by {request.due} (Art. 12(4))",
        ],
    )


def listed(requests: Sequence[Request], today: date) -> Output:
    """All requests."""
    rows = [(request, None if request.state in FINAL else days_left(request.due, today)) for request in requests]
    data: dict[str, Json] = {
        "requests": [
            {**_head(request), "days_left": left, "overdue": left is not None and left < 0} for request, left in rows
        ]
    }
    if not rows:
        return Output(data, ["no requests", "now: pxl-audit dsr open --help"])
    lines = [f"{'request':<14}{'state':<11}{'received':<12}{'due':<12}days left"]
    lines += [
        f"{request.id:<14}{request.state:<11}{request.received!s:<12}{request.due!s:<12}{_left(left)}"
        for request, left in rows
    ]
    overdue = sum(1 for _, left in rows if left is not None and left < 0)
    lines.append(f"{overdue} overdue" + ("; now: answer those first (Art. 12(3))" if overdue else ""))
    return Output(data, lines)


def _left(left: int | None) -> str:
    if left is None:
        return "-"
    return f"{left} OVERDUE" if left < 0 else str(left)


def _head(request: Request) -> dict[str, Json]:
    return {
        "request": request.id,
        "state": request.state,
        "received": request.received.isoformat(),
        "due": request.due.isoformat(),
    }


def _plan(request: Request) -> Plan:
    if request.plan is None:
        raise RuntimeError("a request in this state has a plan")  # a mistake of ours
    return request.plan


def _parts(plan: Plan) -> str:
    parts = plan.parts()
    return f"{len(parts.actor)} actor parts and {len(parts.target)} target parts"


def _plan_data(plan: Plan) -> dict[str, Json]:
    parts, withheld = plan.parts(), plan.withheld()
    return {
        "plan": plan.digest,
        "made": _time(plan.made),
        "size": plan.size,
        "root": plan.root,
        "actor_parts": len(parts.actor),
        "target_parts": len(parts.target),
        "withheld_parts": len(withheld),
        "include_control": plan.include_control,
        "by_retention": dict(plan.summary.by_retention),
        "by_event": dict(plan.summary.by_event),
        "by_service": dict(plan.summary.by_service),
        "by_identifier": [[name, count] for name, count in plan.summary.by_identifier],
        "first": _seconds(plan.summary.first),
        "last": _seconds(plan.summary.last),
        "other_people": plan.summary.other_people,
        "near": plan.summary.near,
    }


def _plan_lines(plan: Plan) -> Iterable[str]:
    summary, state = plan.summary, finding(plan)
    if state == "unknown":
        yield "unknown: no open part names this person; either never recorded here, or already erased or expired"
    if state == "found":
        yield f"to erase: {_parts(plan)}, from {_seconds(summary.first)} to {_seconds(summary.last)}"
        for title, counts in (
            ("class", summary.by_retention),
            ("event", summary.by_event),
            ("service", summary.by_service),
        ):
            yield f"  by {title}: {', '.join(f'{name} {count}' for name, count in counts.items())}"
        if security := summary.by_retention.get("security"):
            yield f"  of these, {entry_count(security)} of class security: sign-ins and administration may be evidence"
    if len(plan.withheld()):
        withheld = entry_count(len(plan.withheld()))
        yield f"withheld: review. {withheld} of class control (Art. 17(3)(e)); --include-control takes them in"


def _next_after_plan(request: Request, plan: Plan) -> str:
    if finding(plan) == "unknown":
        return "now: check the identifiers with the person; if they are right, approve, and execute with --accept-empty"
    return f"now: somebody else runs: pxl-audit dsr approve {request.id} --as NAME --plan {plan.digest}"


def _residue_lines(residue: Residue | None, places: Sequence[Place]) -> Iterable[str]:
    if residue is None:
        return
    yield (
        f"searched {residue.files} files ({residue.bytes} bytes, control found): {residue.found} left over, "
        f"{residue.review} to review, {residue.newer} in newer records, {residue.withheld} in withheld parts"
    )
    if residue.shared:
        yield f"{residue.shared} records still hold an address or a browser that was named: other people may share it"
    if residue.accepted:
        yield "completed although values were left over: a person decided so"
    shown = [place for place in places if place.verdict in ("found", "review")]
    for place in shown[:MOST_PLACES]:
        yield f"  {place.verdict}: {place.where} at {place.at}"
    if len(shown) > MOST_PLACES:
        yield f"  and {len(shown) - MOST_PLACES} more places"


def _check_lines(check: ErasureCheck) -> Iterable[str]:
    what = f"{check.request}, announced by record {check.event}"
    if check.verdict == "good":
        gone = f"{check.actor_parts} actor parts and {check.target_parts} target parts"
        yield f"good: {what}: exactly {gone} are gone, as announced"
    elif check.verdict == "unfinished":
        yield f"UNFINISHED: {what}: not completed; run: pxl-audit dsr execute {check.request} --confirm {check.request}"
    for fault in check.faults:
        yield f"{'BAD' if check.verdict == 'bad' else '  so far'}: {what}: {fault}"


def _event(act: Act | None) -> int | None:
    return None if act is None else act.event


def _json(value: object) -> Json:
    built: Json = msgspec.to_builtins(value)
    return built


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _seconds(seconds: int | None) -> str | None:
    return None if seconds is None else _time(datetime.fromtimestamp(seconds, UTC))
