"""Known gaps: what the log itself says is missing (docs/format.md, section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from compliance.checks.window import Window

if TYPE_CHECKING:
    import duckdb

# Chosen by the gap's own window, not by the time of its record: a killed writer is noticed when the next one starts.
# A record of another service that merely bears the name is not ours and is not counted.
# Bounded to the years 1970 to 3000, so that a wild number cannot overflow a TIMESTAMP.
_SECONDS = "least(greatest(TRY_CAST(json_extract_string(facts, '$.KEY') AS BIGINT), 0), 32503680000)"
GAPS = f"""
SELECT index, time, event,
  CASE event WHEN 'audit.gap' THEN coalesce(json_extract_string(facts, '$.cause'), 'unknown')
    ELSE 'unclean_stop' END AS cause,
  json_extract_string(facts, '$.service') AS service,
  json_extract_string(facts, '$.writer') AS writer,
  coalesce(make_timestamp({_SECONDS.replace("KEY", "from")} * 1000000), time) AS gap_from,
  coalesce(make_timestamp({_SECONDS.replace("KEY", "to")} * 1000000), time) AS gap_to,
  coalesce(TRY_CAST(json_extract_string(facts, '$.count') AS BIGINT), 0)
    + coalesce(TRY_CAST(json_extract_string(facts, '$.lost') AS BIGINT), 0) AS lost,
  coalesce(TRY_CAST(json_extract_string(facts, '$.in_flight') AS BIGINT), 0) AS in_flight,
  coalesce(TRY_CAST(json_extract_string(facts, '$.recovered') AS BIGINT), 0) AS recovered
FROM records
WHERE service = 'pxl-audit' AND event IN ('audit.gap', 'audit.writer.unclean_stop')
""".strip()  # noqa: S608  # constants

IN_WINDOW = f"SELECT * FROM ({GAPS}) WHERE gap_from < $end AND gap_to >= $start ORDER BY index"  # noqa: S608  # constants
_DAYS = f"""
SELECT service, day::DATE AS day, sum(lost + in_flight)::BIGINT AS missing
FROM ({IN_WINDOW}),
  unnest(generate_series(greatest(date_trunc('day', gap_from), $start),
                         least(gap_to, $end - INTERVAL 1 SECOND), INTERVAL 1 DAY)) AS series(day)
WHERE lost + in_flight > 0
GROUP BY ALL
"""  # noqa: S608  # constants
_TOTALS = f"""
SELECT count(*) AS gaps, sum(lost)::BIGINT AS lost, sum(in_flight)::BIGINT AS in_flight,
  count(*) FILTER (event = 'audit.writer.unclean_stop') AS unclean_stops
FROM ({IN_WINDOW})
"""  # noqa: S608  # constants


@dataclass(frozen=True)
class Gap:
    """One record of missing records. Times in UTC; `service` None where the gap is the whole log's."""

    index: int
    recorded: datetime
    cause: str
    service: str | None
    writer: str | None
    begin: datetime
    end: datetime
    lost: int
    """Events that were made and never reached the log."""
    in_flight: int
    """Requests that had begun and of which no event was ever made."""
    recovered: int


@dataclass(frozen=True)
class Gaps:
    """All known gaps of one log that touch a window."""

    total: int
    lost: int
    in_flight: int
    unclean_stops: int
    listed: tuple[Gap, ...]
    """The first ones, at most `limit` of them."""
    by_day: dict[tuple[str | None, date], int]
    """(service or None, day) -> missing records of gaps that touch the day. A gap over midnight counts on both days."""

    @property
    def missing(self) -> int:
        """Records that are known to be missing."""
        return self.lost + self.in_flight


def known_gaps(connection: duckdb.DuckDBPyConnection, window: Window, *, limit: int = 200) -> Gaps:
    """Read the gaps; `limit` bounds the list, never the counts."""
    parameters = window.parameters()
    totals = connection.execute(_TOTALS, parameters).fetchone() or (0, 0, 0, 0)
    rows = connection.execute(f"{IN_WINDOW} LIMIT {limit}", parameters).fetchall()
    days = connection.execute(_DAYS, parameters).fetchall()
    gaps, lost, in_flight, stops = (int(value or 0) for value in totals)
    return Gaps(
        total=gaps,
        lost=lost,
        in_flight=in_flight,
        unclean_stops=stops,
        listed=tuple(_gap(row) for row in rows),
        by_day={(service, day): int(missing) for service, day, missing in days},
    )


def missing_on(gaps: Gaps, service: str, day: date) -> int:
    """Records known to be missing of a service on a day; gaps that name no service count for each."""
    return gaps.by_day.get((service, day), 0) + gaps.by_day.get((None, day), 0)


def _gap(row: tuple[object, ...]) -> Gap:
    index, recorded, _event, cause, service, writer, begin, end, lost, in_flight, recovered = row
    return Gap(
        index=_integer(index),
        recorded=_instant(recorded),
        cause=str(cause),
        service=None if service is None else str(service),
        writer=None if writer is None else str(writer),
        begin=_instant(begin),
        end=_instant(end),
        lost=_integer(lost),
        in_flight=_integer(in_flight),
        recovered=_integer(recovered),
    )


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0


def _instant(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"expected a TIMESTAMP, not {type(value).__name__}")
    return value.replace(tzinfo=UTC)
