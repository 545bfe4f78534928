"""The steps of an erasure. Each may be interrupted anywhere; executing again goes on and ends in the same state.

1.  `seal`: everything recorded so far is in sealed files, nothing of it in the spool.
2.  `recheck`: the plan's parts are still open, or were destroyed by this very erasure.
3.  `announce`: `dsr.erasure.started` is durable and published. Without that nothing is destroyed.
4.  `write_ledger`
5.  `destroy`: the openings, through the one function that does so.
6.  `erase_in_sinks`: what was shipped. If a sink does not answer, the request stays `partial`.
7.  `check`: exactly the announced set is gone.
8.  `look_for_newer`, `look_for_residue`: while the identifiers are still known. Something found: `partial`.
9.  `complete`: `dsr.erasure.completed`.
10. `forget`: the request file is rewritten with nothing in it that names anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from compliance.dsr import events
from compliance.dsr.intake import check_staff
from compliance.dsr.ledger import append_once
from compliance.dsr.parts import PartSet
from compliance.dsr.requests import UNDERWAY, Act, Plan, Request, Sink, load, now, save, working_on
from compliance.dsr.residue import Findings, Scope, search_residue, spool_sizes
from compliance.dsr.search import find_parts
from compliance.dsr.subject import Subject
from compliance.dsr.verification import check_erasure, part_states
from pxl_audit.agent.client import seal_all
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import FoundBadError, UnavailableError, UsageError
from pxl_audit.ship.erase import erase_in_sinks as erase_sinks
from pxl_audit.vault.destroy import destroy_openings

Say = Callable[[str], None]


@dataclass
class Run:
    """One execution under way."""

    directory: DataDirectory
    request: Request
    plan: Plan
    subject: Subject
    by: str
    environ: Mapping[str, str]
    accept_residue: bool = False
    say: Say = lambda _: None
    parts: PartSet = field(default_factory=PartSet)
    spool_before: dict[Path, int] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)

    def store(self, **changes: object) -> None:
        """Change the request, durably."""
        self.request = save(self.directory, msgspec.structs.replace(self.request, **changes))

    @property
    def started(self) -> int:
        """Leaf index of the announcement."""
        if self.request.started is None:
            raise RuntimeError("nothing has been announced yet")  # a step out of order: a mistake of ours
        return self.request.started


def execute(
    directory: DataDirectory,
    request_id: str,
    *,
    by: str,
    environ: Mapping[str, str],
    accept_empty: bool = False,
    accept_residue: bool = False,
    say: Say = lambda _: None,
) -> Run:
    """Erase what was approved, or go on with it.

    Raises:
        UsageError: the request is not approved, or its plan is out of date.
        UnavailableError: a sink does not answer; the request stays `partial`.
        FoundBadError: something is left over; the request stays `partial`.
    """
    with working_on(directory):
        request, plan = ready(load(directory, request_id), accept_empty=accept_empty)
        subject = request.identifiers()
        check_staff(by, subject)
        run = Run(directory, request, plan, subject, by, environ, accept_residue, say, plan.parts())
        for step in STEPS:
            say(_PROGRESS[step.__name__])
            step(run)
        return run


def ready(request: Request, *, accept_empty: bool) -> tuple[Request, Plan]:
    """The request and its plan, if it can be executed now."""
    plan = request.plan
    if request.state not in (*UNDERWAY, "approved") or plan is None:
        raise UsageError(f"{request.id} is {request.state}; only an approved request can be executed (dsr list)")
    if not len(plan.parts()) and not accept_empty:
        raise UsageError(f"{request.id}: the plan is empty; if that is right, say so with --accept-empty")
    return request, plan


def seal(run: Run) -> None:
    run.spool_before = spool_sizes(run.directory)
    seal_all(run.directory)


def recheck(run: Run) -> None:
    announced = events.find(run.directory, events.STARTED, run.request.id)
    ours = None if announced is None else announced.index
    states = part_states(run.directory, run.parts)
    gone = sum(1 for state, by in states.values() if state != "open" and not (state == "erased" and by == ours))
    gone += len(run.parts) - len(states)
    if gone:
        raise UsageError(
            f"{run.request.id}: {gone} parts of the plan are no longer open; nothing was done; plan and approve again"
        )
    run.store(state="executing", started=ours)


def announce(run: Run) -> None:
    facts: dict[str, int | str] = {
        "request": run.request.id,
        "plan": run.plan.digest,
        "actor_parts": len(run.parts.actor),
        "target_parts": len(run.parts.target),
        "root": run.parts.root(),
    }
    run.store(started=events.record_once(run.directory, events.STARTED, facts, by=run.by))


def write_ledger(run: Run) -> None:
    append_once(run.directory, run.started, run.parts)


def destroy(run: Run) -> None:
    destroy_openings(run.directory, run.parts.indexes(), state="erased", by=run.started)


def erase_in_sinks(run: Run) -> None:
    try:
        erased = erase_sinks(run.directory, run.parts.indexes(), by=run.started, environ=run.environ)
    except UnavailableError as error:
        run.store(state="partial")
        raise UnavailableError(f"{run.request.id} is partial, the vault is done: {error}; then execute again") from None
    run.store(sinks=[Sink(one.sink, one.documents, one.verified, one.detail) for one in erased])
    unsure = [one.sink for one in erased if not one.verified]
    if unsure:
        run.store(state="partial")
        raise UnavailableError(
            f"{run.request.id} is partial: not shown to be erased in {', '.join(unsure)}; execute again"
        )


def check(run: Run) -> None:
    faults = check_erasure(run.directory, run.started).faults
    if faults:
        run.store(state="partial")
        raise FoundBadError(f"{run.request.id} is partial: {'; '.join(faults)}")


def look_for_newer(run: Run) -> None:
    run.store(newer=sum(1 for _ in find_parts(run.directory, run.subject, start=run.plan.size)))


def look_for_residue(run: Run) -> None:
    scope = Scope(run.request.id, run.plan.size, run.plan.withheld(), run.started, run.spool_before)
    run.findings = search_residue(run.directory, run.subject, scope, say=run.say)
    summary = run.findings.summary
    if summary is None or not summary.control:
        run.store(state="partial")
        raise UnavailableError(f"{run.request.id} is partial: the search did not find what was planted; execute again")
    run.store(residue=msgspec.structs.replace(summary, accepted=run.accept_residue and summary.found > 0))
    if summary.found and not run.accept_residue:
        run.store(state="partial")
        places = "; ".join(f"{place.where} at {place.at}" for place in run.findings.of("found")[:5])
        raise FoundBadError(
            f"{run.request.id} is partial: values of the person are left in {summary.found} places ({places}); "
            "clear them and execute again, or decide with --accept-residue"
        )


def complete(run: Run) -> None:
    facts: dict[str, int | str] = {"request": run.request.id, "started": run.started}
    index = events.record_once(run.directory, events.COMPLETED, facts, by=run.by)
    run.request = msgspec.structs.replace(run.request, completed=Act(now(), run.by, index))


def forget(run: Run) -> None:
    done = msgspec.structs.replace(run.request, state="completed")
    run.request = save(run.directory, done.forgotten())


STEPS: tuple[Callable[[Run], None], ...] = (
    seal,
    recheck,
    announce,
    write_ledger,
    destroy,
    erase_in_sinks,
    check,
    look_for_newer,
    look_for_residue,
    complete,
    forget,
)
_PROGRESS = {
    "seal": "sealing what has been recorded so far",
    "recheck": "checking that the plan is still up to date",
    "announce": "announcing the erasure in the log",
    "write_ledger": "writing the ledger",
    "destroy": "destroying the openings",
    "erase_in_sinks": "erasing what was shipped",
    "check": "comparing what is gone with what was announced",
    "look_for_newer": "looking for newer records",
    "look_for_residue": "looking for left-over values",
    "complete": "recording the completion in the log",
    "forget": "destroying the identifiers of the request",
}
