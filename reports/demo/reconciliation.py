"""Requests against records. Every request ends up in exactly one line of the table, and the lines add up.

The driver knows every request that it made; the logs know every request that a worker began. A request that got a
response has a record, unless the worker was killed in the milliseconds in which records are on their way to the disk:
then the log says so, in `audit.writer.unclean_stop`. A request that is in no record and that no such event accounts for
must never have reached a worker, and of such a one the core cannot have seen anything either.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.demo.driver import Drive, Outcome
from reports.demo.records import Recorded, Records


@dataclass(frozen=True)
class Check:
    """One statement about the demo, and whether it holds."""

    name: str
    holds: bool
    found: str


@dataclass(frozen=True)
class Gateway:
    """Requests of the driver against records of the gateway."""

    sent: int
    answered_recorded: int
    unanswered_recorded: int
    answered_unrecorded: int
    unanswered_unrecorded: int
    seen_by_core: int
    """Of the unrecorded ones: those that the core recorded, so a gateway worker must have begun them."""
    in_flight: int
    lost: int
    strangers: int
    twice: int
    differ: int
    """Records that do not say what the driver saw: status, user or path."""

    @property
    def never_reached(self) -> int:
        """Unrecorded requests for which no event of the log accounts: they did not get as far as a worker."""
        return self.answered_unrecorded + self.unanswered_unrecorded - self.in_flight - self.lost

    def table(self) -> list[tuple[str, int]]:
        """The lines that add up to the number of requests."""
        return [
            ("got a response, recorded", self.answered_recorded),
            ("got no response, recorded all the same", self.unanswered_recorded),
            ("begun by the killed worker, no record (unclean_stop: in_flight)", self.in_flight),
            ("recorded by the killed worker, not written (unclean_stop: lost)", self.lost),
            ("never reached a worker", self.never_reached),
        ]

    def checks(self) -> list[Check]:
        """What must hold."""
        total = sum(count for _, count in self.table())
        named = self.in_flight + self.lost
        return [
            Check("the table adds up to the requests made", total == self.sent, f"{total} of {self.sent}"),
            Check(
                "every response has its record, or the log names it as lost",
                self.answered_unrecorded <= named,
                f"{self.answered_recorded} recorded, {self.answered_unrecorded} not, {named} named",
            ),
            Check(
                "no more is named as lost than is missing", self.never_reached >= 0, f"{self.never_reached} left over"
            ),
            Check(
                "what the core saw and the gateway did not record is named as lost",
                self.seen_by_core <= named,
                f"{self.seen_by_core} seen by the core, {named} named",
            ),
            Check("no request is recorded twice by the gateway", self.twice == 0, f"{self.twice}"),
            Check("the gateway recorded nothing that was not asked", self.strangers == 0, f"{self.strangers}"),
            Check("records say what the driver saw: status, user, path", self.differ == 0, f"{self.differ} differ"),
        ]


@dataclass(frozen=True)
class Core:
    """Forwarded requests against records of the core, which nobody killed."""

    forwarded: int
    recorded: int
    only_in_core: int
    """Recorded there without a response to the driver: their client hung up, or their gateway worker was killed."""
    strangers: int
    twice: int
    differ: int
    unclean_stops: int

    def table(self) -> list[tuple[str, int]]:
        """The lines to show."""
        return [
            ("forwarded and answered", self.forwarded),
            ("  of these recorded by the core", self.recorded),
            ("recorded by the core, no response to the driver", self.only_in_core),
        ]

    def checks(self) -> list[Check]:
        """What must hold."""
        missing = self.forwarded - self.recorded
        return [
            Check("every forwarded request that was answered is in the core's log", missing == 0, f"{missing} missing"),
            Check("no request is recorded twice by the core", self.twice == 0, f"{self.twice}"),
            Check("the core recorded nothing that was not forwarded", self.strangers == 0, f"{self.strangers}"),
            Check(
                "the core's records say what the driver saw: status, user", self.differ == 0, f"{self.differ} differ"
            ),
            Check("no worker of the core stopped uncleanly", self.unclean_stops == 0, f"{self.unclean_stops}"),
        ]


def reconcile_gateway(drive: Drive, gateway: Records, core: Records) -> Gateway:
    """Put each request of the driver beside its record."""
    ours = {outcome.ask.request_id for outcome in drive.outcomes}
    answered = [outcome.ask.request_id in gateway.by_request for outcome in drive.answered]
    unanswered = [outcome.ask.request_id in gateway.by_request for outcome in drive.unanswered]
    unrecorded = ours - gateway.by_request.keys()
    return Gateway(
        sent=len(ours),
        answered_recorded=sum(answered),
        unanswered_recorded=sum(unanswered),
        answered_unrecorded=len(answered) - sum(answered),
        unanswered_unrecorded=len(unanswered) - sum(unanswered),
        seen_by_core=len(unrecorded & core.by_request.keys()),
        in_flight=gateway.in_flight,
        lost=gateway.lost,
        strangers=len(gateway.by_request.keys() - ours),
        twice=len(gateway.twice),
        differ=sum(_differs(outcome, gateway.by_request, with_path=True) for outcome in drive.outcomes),
    )


def reconcile_core(drive: Drive, core: Records) -> Core:
    """Put each request that the gateway forwarded beside its record in the core."""
    may_reach = {outcome.ask.request_id for outcome in drive.outcomes if outcome.ask.reaches_core}
    forwarded = [outcome for outcome in drive.answered if outcome.ask.reaches_core]
    answered = {outcome.ask.request_id for outcome in forwarded}
    return Core(
        forwarded=len(forwarded),
        recorded=len(answered & core.by_request.keys()),
        only_in_core=len((core.by_request.keys() & may_reach) - answered),
        strangers=len(core.by_request.keys() - may_reach),
        twice=len(core.twice),
        differ=sum(_differs(outcome, core.by_request, with_path=False) for outcome in forwarded),
        unclean_stops=core.unclean_stops,
    )


def _differs(outcome: Outcome, records: dict[str, Recorded], *, with_path: bool) -> bool:
    record = records.get(outcome.ask.request_id)
    if record is None:
        return False  # counted as missing
    return (
        (outcome.status is not None and record.status != outcome.status)
        or record.user_id != outcome.ask.user_id
        or (with_path and record.path != outcome.ask.path)
    )
