"""The two ends of a request that destroy nothing: opening it, and refusing it."""

from __future__ import annotations

import re
from datetime import date

import msgspec

from compliance.dsr import events
from compliance.dsr.deadline import due_date
from compliance.dsr.requests import FINAL, REASONS, UNDERWAY, Act, Ground, Request, load, new_id, now, save, working_on
from compliance.dsr.subject import Subject, user_ids
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import UsageError

_CHANNEL = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_STAFF = re.compile(r"\S(?:[^\n\r\t]{0,126}\S)?")


def open_request(
    directory: DataDirectory, subject: Subject, *, ground: Ground, received: date, by: str, channel: str | None = None
) -> Request:
    """Write the request file, then record the request in the log."""
    if received > now().date():
        raise UsageError(f"--received {received}: in the future; expected the day on which the request arrived")
    if channel is not None and not _CHANNEL.fullmatch(channel):
        raise UsageError("--channel: expected a code such as letter or web-form (a-z, 0-9, -; at most 32), not text")
    check_staff(by, subject)
    with working_on(directory):
        request = save(
            directory,
            Request(
                id=new_id(),
                state="opened",
                received=received,
                due=due_date(received),
                ground=ground,
                channel=channel,
                subject=list(subject),
                opened=Act(now(), by),
            ),
        )
        return record_opening(directory, request)


def record_opening(directory: DataDirectory, request: Request) -> Request:
    """Make sure that the opening stands in the log: the command may have been killed before."""
    if request.opened.event is not None or request.opened.by is None:
        return request
    facts = {"request": request.id, "ground": request.ground, "due": request.due.isoformat()}
    index = events.record_once(directory, events.OPENED, facts, by=request.opened.by)
    opened = msgspec.structs.replace(request.opened, event=index)
    return save(directory, msgspec.structs.replace(request, opened=opened))


def refuse(directory: DataDirectory, request_id: str, *, reason: str, by: str) -> Request:
    """Record the refusal, then destroy the identifiers."""
    if reason not in REASONS:
        raise UsageError(f"--reason-code: expected one of {', '.join(REASONS)}")
    with working_on(directory):
        request = load(directory, request_id)
        if request.state in FINAL:
            raise UsageError(f"{request.id} is already {request.state}; nothing is left to refuse")
        if request.state in UNDERWAY:
            raise UsageError(f"{request.id} is {request.state}: its erasure was announced; finish it: dsr execute")
        check_staff(by, request.identifiers())
        request = record_opening(directory, request)
        index = events.record_once(directory, events.REFUSED, {"request": request.id, "reason": reason}, by=by)
        request = msgspec.structs.replace(request, state="refused", refused=Act(now(), by, index), reason=reason)
        return save(directory, request.forgotten())


def check_staff(name: str, subject: Subject) -> None:
    """The member of staff has to have a name, and must not decide about their own records."""
    if not _STAFF.fullmatch(name):
        raise UsageError("--as: expected the name of the member of staff who acts, one line of at most 128 characters")
    if same_person(name, *user_ids(subject)):
        raise UsageError("--as: this is the person whose records are concerned; somebody else has to do this")


def same_person(name: str, *others: str) -> bool:
    """Whether `name` is one of `others` but for case and outer blanks."""
    return name.strip().casefold() in {other.strip().casefold() for other in others}
