"""Build the report model: run the checks on each log, temper them, and put the results together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from compliance.checks import CHECKS, CheckId
from compliance.checks.access import check_access
from compliance.checks.coverage import Coverage, ServiceCoverage, check_coverage
from compliance.checks.erasure import Case, Erasures, check_erasure
from compliance.checks.errors import check_errors
from compliance.checks.gaps import Gap
from compliance.checks.judgement import CONTROL_STATES, control_state, temper
from compliance.checks.result import CheckResult
from compliance.checks.stops import check_stops
from compliance.checks.window import Window, naive, utc_text
from compliance.controls import Catalogue, Control
from reports.model import (
    DISCLAIMER,
    CaseModel,
    CheckModel,
    ControlModel,
    ControlTest,
    CoverageModel,
    DayModel,
    FaultModel,
    FrameworkModel,
    GapModel,
    LogModel,
    PeriodModel,
    PopulationModel,
    ReportModel,
    SoftwareModel,
    SummaryModel,
    TrafficDay,
)
from reports.period import Period
from reports.sources import LogSource

if TYPE_CHECKING:
    import duckdb

_TRAFFIC = """
SELECT time::DATE AS day, count(*), count(*) FILTER (status IN (401, 403)), count(*) FILTER (status >= 500)
FROM records WHERE event = 'http.request' AND time >= $start AND time < $end GROUP BY day
"""
_SPAN = "SELECT min(time), max(time) FROM records"
_IN_PERIOD = """
SELECT count(*), count(*) FILTER (event = 'http.request') FROM records WHERE time >= $start AND time < $end
"""


@dataclass(frozen=True)
class LogFindings:
    """All that was found on one log, tempered."""

    source: LogSource
    records: int
    exchanges: int
    first: datetime | None
    last: datetime | None
    coverage: Coverage
    erasures: Erasures
    results: tuple[CheckResult, ...]
    traffic: dict[date, tuple[int, int, int]]


def find(source: LogSource, window: Window) -> LogFindings:
    """Run every check on one log."""
    connection, parameters = source.connection, window.parameters()
    first, last = connection.execute(_SPAN).fetchone() or (None, None)
    records, exchanges = connection.execute(_IN_PERIOD, parameters).fetchone() or (0, 0)
    in_operation = first is not None and first < naive(window.end)
    coverage = check_coverage(connection, window)
    writing = any(day.records for service in coverage.services for day in service.days)
    erasures = check_erasure(connection, window, in_operation=in_operation)
    results = (
        _integrity_in_period(source, records),
        coverage.result,
        check_stops(coverage.gaps, writing=writing),
        check_access(connection, window, in_operation=in_operation),
        check_errors(connection, window, in_operation=in_operation),
        erasures.result,
    )
    return LogFindings(
        source=source,
        records=records,
        exchanges=exchanges,
        first=first,
        last=last,
        coverage=coverage,
        erasures=erasures,
        results=tuple(temper(result, doubt=_doubt(source), missing=coverage.gaps.missing) for result in results),
        traffic=_traffic(connection, window),
    )


def build_model(
    findings: Sequence[LogFindings],
    catalogues: Sequence[Catalogue],
    populations: Sequence[PopulationModel],
    period: Period,
    now: datetime,
) -> ReportModel:
    """Put the findings on all logs together. `now` (aware) is the one clock of the report."""
    window = period.window(now)
    results = [result for one in findings for result in one.results]
    return ReportModel(
        title=f"Evidence pack {period.label}",
        built=utc_text(now),
        software=SoftwareModel("pxl-audit", version("pxl-audit")),
        period=PeriodModel(
            label=period.label,
            start=utc_text(naive(period.start)),
            end=utc_text(naive(period.end)),
            days=len(window.days),
            to_date=not window.is_over,
        ),
        disclaimer=DISCLAIMER,
        summary=_summary(findings, results, window),
        logs=tuple(_log(one) for one in findings),
        traffic=_all_traffic(findings, window),
        coverage=tuple(_coverage(one.source.id, service) for one in findings for service in one.coverage.services),
        gaps=tuple(_gap(one.source.id, gap) for one in findings for gap in one.coverage.gaps.listed),
        gaps_total=sum(one.coverage.gaps.total for one in findings),
        cases=tuple(_case(one.source.id, case) for one in findings for case in one.erasures.listed),
        cases_total=sum(one.erasures.total for one in findings),
        checks=tuple(_check(one.source.id, result) for one in findings for result in one.results),
        frameworks=tuple(_framework(catalogue, results) for catalogue in catalogues),
        populations=tuple(populations),
        limits=_limits(findings, window),
    )


def _integrity_in_period(source: LogSource, records: int) -> CheckResult:
    """The verdict is on the whole log; where the period has no record of it, it says nothing about the period."""
    result = source.integrity.result
    if records or result.state != "tested-no-exception":
        return result
    return CheckResult(
        check=result.check,
        state="no-occurrence",
        population=0,
        exceptions=0,
        finding=f"{result.finding} None of its records lies in the period.",
        numbers=result.numbers,
    )


def _doubt(source: LogSource) -> str | None:
    if not source.integrity.trusted:
        return "The log did not verify, so that its records cannot be relied upon."
    if source.spool_pending:
        return "Records waited outside the log when the report was built."
    return None


def _traffic(connection: duckdb.DuckDBPyConnection, window: Window) -> dict[date, tuple[int, int, int]]:
    rows = connection.execute(_TRAFFIC, window.parameters()).fetchall()
    return {day: (exchanges, denied, errors) for day, exchanges, denied, errors in rows}


def _all_traffic(findings: Sequence[LogFindings], window: Window) -> tuple[TrafficDay, ...]:
    days = []
    for day in window.days:
        counts = [one.traffic.get(day, (0, 0, 0)) for one in findings]
        exchanges, denied, errors = (sum(column) for column in zip(*counts, strict=True))
        days.append(TrafficDay(day.isoformat(), exchanges, denied, errors))
    return tuple(days)


def _summary(findings: Sequence[LogFindings], results: Sequence[CheckResult], window: Window) -> SummaryModel:
    states = Counter(result.state for result in results)
    records = sum(one.records for one in findings)
    covered = {day.day for one in findings for service in one.coverage.services for day in service.days if day.records}
    elapsed = sum(1 for day in window.days if day <= window.now.date())
    return SummaryModel(
        records=records,
        exchanges=sum(one.exchanges for one in findings),
        days_covered=len(covered),
        days_elapsed=elapsed,
        known_missing=sum(one.coverage.gaps.missing for one in findings),
        gaps=sum(one.coverage.gaps.total for one in findings),
        checks_with_exception=states["tested-with-exception"],
        checks_with_insufficient_evidence=states["insufficient-evidence"],
        statement=_statement(records, len(covered), elapsed, len(window.days), over=window.is_over),
    )


def _statement(records: int, covered: int, elapsed: int, days: int, *, over: bool) -> str:
    if not records:
        text = "No record lies in this period. The states below say so; they are not a good result."
    else:
        text = f"Records exist for {covered} of the {elapsed} days that have begun, of {days} days in the period."
    return text if over else f"{text} The period is not over: everything is to date."


def _limits(findings: Sequence[LogFindings], window: Window) -> tuple[str, ...]:
    limits = [
        "Only what passed through the audited services is in the logs. Other systems are outside this pack.",
        "The logs are tamper-evident: a change shows against a checkpoint that was kept elsewhere. Who holds the log "
        "key and every copy of the checkpoints could write another history; compare with checkpoints of earlier packs.",
        "Times are those of the services' clocks, in whole seconds. This version records no offset of the clocks.",
        "An exception is an item that deviates from the stated criterion. It may be right; people decide.",
        "Checks test whole populations. They are only as good as their queries, which stand on the cards in ipe/.",
    ]
    if not window.is_over:
        limits.append("The period is not over. A pack of the whole period will have other numbers.")
    limits += [
        f"Log {one.source.id}: records waited outside the log when the report was built. They are not in it."
        for one in findings
        if one.source.spool_pending
    ]
    return tuple(limits)


def _log(one: LogFindings) -> LogModel:
    source = one.source
    return LogModel(
        id=source.id,
        origin=source.origin,
        vkey=source.vkey,
        size=source.size,
        root=source.root,
        checkpoint=source.checkpoint.decode("utf-8", "replace"),
        records_in_period=one.records,
        exchanges_in_period=one.exchanges,
        first_record=None if one.first is None else utc_text(one.first),
        last_record=None if one.last is None else utc_text(one.last),
        verified=source.integrity.result.state,
        faults=tuple(
            FaultModel(fault.kind, fault.file, fault.index, fault.expected, fault.found)
            for fault in source.integrity.findings
        ),
        spool_pending=source.spool_pending,
    )


def _coverage(log: str, service: ServiceCoverage) -> CoverageModel:
    days = tuple(DayModel(day.day.isoformat(), day.state, day.records, day.missing, day.note) for day in service.days)
    return CoverageModel(log, service.service, utc_text(service.first_seen), days)


def _gap(log: str, gap: Gap) -> GapModel:
    return GapModel(
        log=log,
        index=gap.index,
        recorded=utc_text(gap.recorded),
        cause=gap.cause,
        service=gap.service,
        writer=gap.writer,
        begin=utc_text(gap.begin),
        end=utc_text(gap.end),
        lost=gap.lost,
        in_flight=gap.in_flight,
        recovered=gap.recovered,
    )


def _case(log: str, case: Case) -> CaseModel:
    return CaseModel(
        log=log,
        request=case.request,
        opened=_text(case.opened),
        due=None if case.due is None else case.due.isoformat(),
        started=_text(case.started),
        started_index=case.started_index,
        actor_parts=case.actor_parts,
        target_parts=case.target_parts,
        completed=_text(case.completed),
        refused=_text(case.refused),
        state=case.state,
    )


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else utc_text(instant)


def _check(log: str, result: CheckResult) -> CheckModel:
    info = CHECKS[result.check]
    return CheckModel(
        check=result.check,
        log=log,
        title=info.title,
        criterion=info.criterion,
        state=result.state,
        population=result.population,
        exceptions=result.exceptions,
        finding=result.finding,
        numbers=result.numbers,
    )


def _framework(catalogue: Catalogue, results: Sequence[CheckResult]) -> FrameworkModel:
    controls = tuple(_control(control, results) for control in catalogue.controls)
    count = Counter(control.state for control in controls)
    return FrameworkModel(
        id=catalogue.framework,
        name=catalogue.name,
        edition=catalogue.edition,
        scope=catalogue.scope,
        states=tuple((state, count[state]) for state in CONTROL_STATES),
        controls=controls,
    )


def _control(control: Control, results: Sequence[CheckResult]) -> ControlModel:
    tested = control.checks if control.level in ("direct", "partial") else ()
    return ControlModel(
        id=control.id,
        title=control.title,
        level=control.level,
        state=control_state(control, results),
        checks=control.checks,
        tests=tuple(_test(check, results) for check in tested),
        manual=control.manual,
    )


def _test(check: CheckId, results: Sequence[CheckResult]) -> ControlTest:
    own = [result for result in results if result.check == check]
    return ControlTest(check, sum(one.population for one in own), sum(one.exceptions for one in own))
