"""A window of time, half-open, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta


@dataclass(frozen=True)
class Window:
    """From `start` (inclusive) to `end` (exclusive), both midnights in UTC; `now` is when somebody looks."""

    start: date
    end: date
    now: datetime
    """Aware, UTC. What lies after it is not missing: it has not happened yet."""

    @property
    def days(self) -> tuple[date, ...]:
        """Every day of the window."""
        return tuple(self.start + timedelta(days=number) for number in range((self.end - self.start).days))

    @property
    def is_over(self) -> bool:
        """Whether the window lies wholly in the past."""
        return self.now >= midnight(self.end)

    def parameters(self) -> dict[str, datetime]:
        """`$start` and `$end` for SQL: the vault's column `time` is a TIMESTAMP without zone, in UTC."""
        return {"start": naive(self.start), "end": naive(self.end)}


def midnight(day: date) -> datetime:
    """The day's first instant in UTC, aware."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def naive(day: date) -> datetime:
    """The day's first instant as DuckDB's TIMESTAMP takes it."""
    return midnight(day).replace(tzinfo=None)


def utc_text(instant: datetime) -> str:
    """`2026-11-23T20:30:00+00:00`, whole seconds; a naive instant is taken as UTC."""
    aware = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    return aware.isoformat(timespec="seconds")
