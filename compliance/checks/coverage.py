"""Coverage: for which days are there records of which service, and what is known to be missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from compliance.checks.gaps import Gaps, known_gaps, missing_on
from compliance.checks.result import CheckResult, TestState, plural
from compliance.checks.window import Window, midnight, naive

if TYPE_CHECKING:
    import duckdb

DayState = Literal["complete", "partial", "none", "not-yet", "to-come"]

# The log's own records say that the log was in operation, not that a service was: they make no coverage.
_FIRST_SEEN = """
SELECT service, min(time) AS first FROM records
WHERE service <> 'pxl-audit' AND time < $end GROUP BY service ORDER BY service
"""
_DAYS = """
SELECT service, time::DATE AS day, count(*) AS records, min(index) AS first_index, max(index) AS last_index
FROM records WHERE service <> 'pxl-audit' AND time >= $start AND time < $end
GROUP BY ALL ORDER BY service, day
"""
_CONTINUITY = "SELECT count(*) AS records, coalesce(max(index) + 1, 0) AS size FROM records"


@dataclass(frozen=True)
class Day:
    """One service on one day."""

    day: date
    state: DayState
    records: int
    missing: int
    """Records that a known gap says are missing on this day."""
    note: str
    """Why the state is not `complete`; empty otherwise."""


@dataclass(frozen=True)
class ServiceCoverage:
    """One service over the whole window."""

    service: str
    first_seen: datetime
    days: tuple[Day, ...]


@dataclass(frozen=True)
class Coverage:
    """The check's result with what stands behind it."""

    result: CheckResult
    services: tuple[ServiceCoverage, ...]
    gaps: Gaps


def check_coverage(connection: duckdb.DuckDBPyConnection, window: Window) -> Coverage:
    """Judge every (service, day) since the service was first seen, up to now."""
    parameters = window.parameters()
    gaps = known_gaps(connection, window)
    counts = {
        (service, day): records for service, day, records, _, _ in connection.execute(_DAYS, parameters).fetchall()
    }
    services = tuple(
        _service(service, first.replace(tzinfo=UTC), window, counts, gaps)
        for service, first in connection.execute(_FIRST_SEEN, {"end": naive(window.end)}).fetchall()
    )
    records, size = connection.execute(_CONTINUITY).fetchone() or (0, 0)
    return Coverage(_result(services, gaps, holes=size - records), services, gaps)


def _service(
    service: str, first: datetime, window: Window, counts: dict[tuple[str, date], int], gaps: Gaps
) -> ServiceCoverage:
    days = tuple(
        _day(day, counts.get((service, day), 0), missing_on(gaps, service, day), first, window.now)
        for day in window.days
    )
    return ServiceCoverage(service, first, days)


def _day(day: date, records: int, missing: int, first: datetime, now: datetime) -> Day:
    begin, end = midnight(day), midnight(day + timedelta(days=1))
    if begin > now:
        return Day(day, "to-come", records, missing, "the report was built before this day")
    if end <= first:
        return Day(day, "not-yet", records, missing, "the service had not been seen before")
    if not records:
        return Day(day, "none", 0, missing, "no record of this service on this day")
    notes = []
    if missing:
        notes.append(f"{plural(missing, 'record')} known to be missing")
    if now < end:
        notes.append("the day was not over when the report was built")
    return Day(day, "partial" if notes else "complete", records, missing, "; ".join(notes))


def _result(services: tuple[ServiceCoverage, ...], gaps: Gaps, *, holes: int) -> CheckResult:
    judged = [day for service in services for day in service.days if day.state in ("complete", "partial", "none")]
    count = {state: sum(day.state == state for day in judged) for state in ("complete", "partial", "none")}
    broken = sum(1 for day in judged if day.state == "none" or day.missing)
    exceptions = broken + max(0, holes)
    seen = any(day.records for day in judged)
    state: TestState = "insufficient-evidence"
    if seen:
        state = "tested-with-exception" if exceptions or gaps.missing else "tested-no-exception"
    return CheckResult(
        check="coverage",
        state=state,
        population=len(judged),
        exceptions=exceptions,
        finding=_finding(len(judged), broken, gaps, holes, seen=seen),
        numbers=(
            ("service_days", len(judged)),
            ("complete", count["complete"]),
            ("partial", count["partial"]),
            ("none", count["none"]),
            ("known_gaps", gaps.total),
            ("records_known_missing", gaps.missing),
            ("indexes_missing_in_vault", max(0, holes)),
        ),
    )


def _finding(judged: int, broken: int, gaps: Gaps, holes: int, *, seen: bool) -> str:
    if not seen:
        return "No record of any service lies in the period: nothing shows that recording was in operation."
    text = f"{judged - broken} of {plural(judged, 'service day')} have records and no known gap."
    if gaps.missing:
        text += (
            f" {plural(gaps.total, 'gap')} recorded: {plural(gaps.lost, 'record')} lost, "
            f"{plural(gaps.in_flight, 'request')} in flight at a stop."
        )
    if holes > 0:
        text += f" {plural(holes, 'leaf index', 'leaf indexes')} of the log are not in the vault."
    return text
