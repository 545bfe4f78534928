"""Populations: every item of a kind, in full, as exact JSON lines and as CSV that is safe in a spreadsheet.

Columns of the skeleton and the leaf index only: no opening is read, so that a pack outlives an erasure. A population is
streamed by the database from the vault to the JSON lines, and from there to the CSV, in one row group of memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from compliance.checks.access import ANONYMOUS_CHANGE
from compliance.checks.erasure import CASES, case_parameters
from compliance.checks.errors import SERVER_ERROR
from compliance.checks.gaps import IN_WINDOW
from compliance.checks.window import Window, utc_text

if TYPE_CHECKING:
    import duckdb

Kind = str
Columns = tuple[tuple[str, Kind], ...]
"""(name, DuckDB type) as they are read back from the JSON lines; TEXT cells are made safe for spreadsheets."""

TEXT, INTEGER, JSON = "VARCHAR", "BIGINT", "JSON"
_UTC = "'%Y-%m-%dT%H:%M:%S+00:00'"

_EXCHANGE: Columns = (
    ("log", TEXT), ("index", INTEGER), ("time", TEXT), ("service", TEXT), ("method", TEXT), ("route", TEXT),
    ("status", INTEGER), ("outcome", TEXT), ("ending", TEXT), ("actor_kind", TEXT), ("error_type", TEXT),
    ("duration_us", INTEGER),
)  # fmt: skip
_EXCHANGE_SQL = f"""SELECT $log AS log, index, strftime(time, {_UTC}) AS time, service, method, route,
  status, outcome, ending, actor_kind, error_type, duration_us
FROM records
WHERE time >= $start AND time < $end AND event = 'http.request'
  AND"""  # noqa: S608  # constants

_TALLIES = """count(*) AS exchanges,
  count(*) FILTER (status >= 200 AND status < 300) AS status_2xx,
  count(*) FILTER (status >= 300 AND status < 400) AS status_3xx,
  count(*) FILTER (status >= 400 AND status < 500) AS status_4xx,
  count(*) FILTER (status >= 500) AS status_5xx,
  count(*) FILTER (status IS NULL) AS no_status,
  count(*) FILTER (status IN (401, 403)) AS denied,
  count(*) FILTER (actor_kind = 'anonymous') AS anonymous"""
_TALLY_COLUMNS: Columns = tuple(
    (name, INTEGER)
    for name in (
        "exchanges", "status_2xx", "status_3xx", "status_4xx", "status_5xx", "no_status", "denied", "anonymous",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Population:
    """One kind of item: what it is, how it is drawn, and what was left out."""

    id: str
    title: str
    purpose: str
    sql: str
    """Takes `$log`, `$start`, `$end` (and `$now` where it says so) on the view `records` of one log."""
    columns: Columns
    filters: tuple[str, ...]
    """Every condition in words."""
    index_columns: tuple[str, str] = ("index", "index")
    """Where a row's lowest and highest leaf index stand."""


POPULATIONS: tuple[Population, ...] = (
    Population(
        id="exchanges_by_day",
        title="HTTP exchanges by day and service",
        purpose="How much was recorded on which day, and how it ended.",
        sql=f"""SELECT $log AS log, strftime(time, '%Y-%m-%d') AS day, service,
  {_TALLIES},
  sum(duration_us)::BIGINT AS duration_us_sum, max(duration_us) AS duration_us_max,
  min(index) AS first_index, max(index) AS last_index
FROM records
WHERE time >= $start AND time < $end AND event = 'http.request'
GROUP BY ALL ORDER BY day, service""",  # noqa: S608  # constants
        columns=(
            ("log", TEXT), ("day", TEXT), ("service", TEXT), *_TALLY_COLUMNS,
            ("duration_us_sum", INTEGER), ("duration_us_max", INTEGER),
            ("first_index", INTEGER), ("last_index", INTEGER),
        ),
        filters=("time in the period", "event is http.request"),
        index_columns=("first_index", "last_index"),
    ),
    Population(
        id="routes",
        title="HTTP exchanges by route",
        purpose="Which routes were served and recorded, and to whom they answered.",
        sql=f"""SELECT $log AS log, service, method, route,
  {_TALLIES},
  min(index) AS first_index, max(index) AS last_index
FROM records
WHERE time >= $start AND time < $end AND event = 'http.request'
GROUP BY ALL ORDER BY service, route NULLS LAST, method NULLS LAST""",  # noqa: S608  # constants
        columns=(
            ("log", TEXT), ("service", TEXT), ("method", TEXT), ("route", TEXT), *_TALLY_COLUMNS,
            ("first_index", INTEGER), ("last_index", INTEGER),
        ),
        filters=("time in the period", "event is http.request"),
        index_columns=("first_index", "last_index"),
    ),
    Population(
        id="denied_failed",
        title="Denied and failed exchanges",
        purpose="Every exchange that was turned away (401, 403) or ended in a server error, an exception, or unknown.",
        sql=f"{_EXCHANGE_SQL} (status IN (401, 403) OR ({SERVER_ERROR}))",
        columns=_EXCHANGE,
        filters=(
            "time in the period",
            "event is http.request",
            "status is 401, 403 or at least 500, or it ended by an exception, or its outcome is unknown",
        ),
    ),
    Population(
        id="anonymous_changes",
        title="Successful changes without an authenticated actor",
        purpose="Every exchange with a method other than GET, HEAD, OPTIONS, TRACE, answered 2xx, actor anonymous.",
        sql=f"{_EXCHANGE_SQL} {ANONYMOUS_CHANGE}",
        columns=_EXCHANGE,
        filters=(
            "time in the period",
            "event is http.request",
            "actor_kind is anonymous",
            "status is 200 to 299",
            "method is not GET, HEAD, OPTIONS, TRACE",
        ),
    ),
    Population(
        id="control_events",
        title="Control events",
        purpose="Every record of retention class control: erasures, gaps, reports and what services record as such.",
        sql=f"""SELECT $log AS log, index, strftime(time, {_UTC}) AS time, service, event, outcome, actor_kind,
  facts::JSON AS facts
FROM records
WHERE time >= $start AND time < $end AND retention = 'control'
ORDER BY index""",  # noqa: S608  # constants
        columns=(
            ("log", TEXT), ("index", INTEGER), ("time", TEXT), ("service", TEXT), ("event", TEXT),
            ("outcome", TEXT), ("actor_kind", TEXT), ("facts", JSON),
        ),
        filters=("time in the period", "retention class is control"),
    ),
    Population(
        id="gaps",
        title="Known gaps and unclean stops",
        purpose="Everything that the log itself says is missing.",
        sql=f"""SELECT $log AS log, index, strftime(time, {_UTC}) AS recorded, cause, service, writer,
  strftime(gap_from, {_UTC}) AS begin, strftime(gap_to, {_UTC}) AS "end", lost, in_flight, recovered
FROM (
{IN_WINDOW}
)""",  # noqa: S608  # constants
        columns=(
            ("log", TEXT), ("index", INTEGER), ("recorded", TEXT), ("cause", TEXT), ("service", TEXT),
            ("writer", TEXT), ("begin", TEXT), ("end", TEXT), ("lost", INTEGER), ("in_flight", INTEGER),
            ("recovered", INTEGER),
        ),
        filters=(
            "event is audit.gap or audit.writer.unclean_stop, service is pxl-audit",
            "the gap's window touches the period, whenever it was recorded",
        ),
    ),
    Population(
        id="erasures",
        title="Requests for erasure",
        purpose="Every request for erasure whose life touches the period.",
        sql=f"""SELECT $log AS log, started_index AS index, request, strftime(opened, {_UTC}) AS opened,
  strftime(due, '%Y-%m-%d') AS due, strftime(started, {_UTC}) AS started, actor_parts, target_parts, root,
  strftime(completed, {_UTC}) AS completed, strftime(refused, {_UTC}) AS refused, state
FROM (
{CASES}
)""",  # noqa: S608  # constants
        columns=(
            ("log", TEXT), ("index", INTEGER), ("request", TEXT), ("opened", TEXT), ("due", TEXT), ("started", TEXT),
            ("actor_parts", INTEGER), ("target_parts", INTEGER), ("root", TEXT), ("completed", TEXT),
            ("refused", TEXT), ("state", TEXT),
        ),
        filters=(
            "event is dsr.opened, dsr.erasure.started, dsr.erasure.completed or dsr.refused, service is pxl-audit",
            "opened before the period's end, and not settled before its beginning",
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Draw:
    """What one log gave to a population."""

    log: str
    rows: int
    first_index: int | None
    last_index: int | None


def draw(connection: duckdb.DuckDBPyConnection, population: Population, log: str, window: Window, path: Path) -> Draw:
    """Write a log's share of a population to `path` (.jsonl); returns how much it was."""
    connection.execute(
        f"COPY ({population.sql}) TO {literal(path)} (FORMAT json)",
        {name: value for name, value in _values(log, window).items() if f"${name}" in population.sql},
    )
    low, high = population.index_columns
    counted = connection.execute(
        f'SELECT count(*), min("{low}"), max("{high}") FROM {json_lines(population, path)}'  # noqa: S608  # our names
    ).fetchone()
    rows, first, last = counted or (0, None, None)
    return Draw(log, int(rows), first, last)


def parameter_texts(log: str, window: Window, sql: str) -> dict[str, str]:
    """The parameters of a query as they stand on its card."""
    return {
        name: utc_text(value) if isinstance(value, datetime) else value
        for name, value in _values(log, window).items()
        if f"${name}" in sql
    }


def _values(log: str, window: Window) -> dict[str, datetime | str]:
    return {"log": log, **case_parameters(window)}


def json_lines(population: Population, path: Path) -> str:
    """A population as it was drawn, as a source for SQL."""
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in population.columns)
    return f"read_json({literal(path)}, format = 'newline_delimited', columns = {{{columns}}})"


def literal(path: Path) -> str:
    """A path as an SQL string."""
    return "'" + str(path).replace("'", "''") + "'"
