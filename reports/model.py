"""The report model: everything that a pack says, frozen, without I/O. `model.json` is its canonical form.

Every rendering is made from this and from nothing else, so that they cannot say different things. Only text, integers,
booleans and null: no floats, hence one canonical form (RFC 8785).
"""

from __future__ import annotations

from dataclasses import dataclass

from compliance.checks import CheckId
from compliance.checks.coverage import DayState
from compliance.checks.erasure import CaseState
from compliance.checks.judgement import ControlState
from compliance.checks.result import TestState
from compliance.controls import Framework, Level

FORMAT = 1
DISCLAIMER = (
    "Evidence, not an opinion: this pack shows what was recorded and how it was tested. "
    "Whether a control is designed well and operates well is for people to judge."
)


@dataclass(frozen=True)
class PeriodModel:
    """Half-open, UTC."""

    label: str
    start: str
    end: str
    days: int
    to_date: bool
    """The period was not over when the report was built."""


@dataclass(frozen=True)
class SoftwareModel:
    """What built the report."""

    name: str
    version: str


@dataclass(frozen=True)
class CheckModel:
    """One check on one log, after it was tempered by what else is known of the log."""

    check: CheckId
    log: str
    title: str
    criterion: str
    state: TestState
    population: int
    exceptions: int
    finding: str
    numbers: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class FaultModel:
    """A finding of the verifier."""

    kind: str
    file: str
    index: int | None
    expected: str
    found: str


@dataclass(frozen=True)
class LogModel:
    """One log, at the checkpoint that the pack holds."""

    id: str
    origin: str
    vkey: str
    size: int
    root: str
    checkpoint: str
    records_in_period: int
    exchanges_in_period: int
    first_record: str | None
    last_record: str | None
    verified: TestState
    faults: tuple[FaultModel, ...]
    spool_pending: bool
    """Records waited outside the log when the report was built: they are not in it."""


@dataclass(frozen=True)
class TrafficDay:
    """All logs together."""

    day: str
    exchanges: int
    denied: int
    server_errors: int
    """Status of 500 or more."""


@dataclass(frozen=True)
class DayModel:
    """One service on one day."""

    day: str
    state: DayState
    records: int
    missing: int
    note: str


@dataclass(frozen=True)
class CoverageModel:
    """One service of one log."""

    log: str
    service: str
    first_seen: str
    days: tuple[DayModel, ...]


@dataclass(frozen=True)
class GapModel:
    """One record of missing records."""

    log: str
    index: int
    recorded: str
    cause: str
    service: str | None
    writer: str | None
    begin: str
    end: str
    lost: int
    in_flight: int
    recovered: int


@dataclass(frozen=True)
class CaseModel:
    """One request for erasure."""

    log: str
    request: str
    opened: str | None
    due: str | None
    started: str | None
    started_index: int | None
    actor_parts: int | None
    target_parts: int | None
    completed: str | None
    refused: str | None
    state: CaseState


@dataclass(frozen=True)
class ControlTest:
    """What one check says about a control, over all logs. Populations of different checks are never added up."""

    check: CheckId
    population: int
    exceptions: int


@dataclass(frozen=True)
class ControlModel:
    """One control of a framework."""

    id: str
    title: str
    level: Level
    state: ControlState
    checks: tuple[CheckId, ...]
    tests: tuple[ControlTest, ...]
    """One for each check, over all logs; empty where the checks give context only."""
    manual: str


@dataclass(frozen=True)
class FrameworkModel:
    """One framework in one edition."""

    id: Framework
    name: str
    edition: str
    scope: str
    states: tuple[tuple[ControlState, int], ...]
    controls: tuple[ControlModel, ...]


@dataclass(frozen=True)
class PopulationModel:
    """One population, over all logs."""

    id: str
    title: str
    purpose: str
    rows: int
    csv: str
    jsonl: str
    card: str


@dataclass(frozen=True)
class SummaryModel:
    """The numbers of the first page."""

    records: int
    exchanges: int
    days_covered: int
    """Days with a record of a service."""
    days_elapsed: int
    """Days of the period that had begun when the report was built."""
    known_missing: int
    gaps: int
    checks_with_exception: int
    checks_with_insufficient_evidence: int
    statement: str


@dataclass(frozen=True)
class ReportModel:
    """The whole report."""

    title: str
    built: str
    software: SoftwareModel
    period: PeriodModel
    disclaimer: str
    summary: SummaryModel
    logs: tuple[LogModel, ...]
    traffic: tuple[TrafficDay, ...]
    coverage: tuple[CoverageModel, ...]
    gaps: tuple[GapModel, ...]
    gaps_total: int
    cases: tuple[CaseModel, ...]
    cases_total: int
    checks: tuple[CheckModel, ...]
    frameworks: tuple[FrameworkModel, ...]
    populations: tuple[PopulationModel, ...]
    limits: tuple[str, ...]
    format: int = FORMAT
