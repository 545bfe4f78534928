"""Periods of reports: `2026-Q4`, `2026-11`, `2026`, `2026-11-01..2026-12-01`; half-open, UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

from compliance.checks.window import Window
from pxl_audit.errors import UsageError

MAX_DAYS = 400
"""A fiscal year and some more; a report is by day."""

_SHAPES = "2026-Q4, 2026-11, 2026, or 2026-11-01..2026-12-01 (the last day is not included)"
_QUARTER = re.compile(r"([0-9]{4})-[Qq]([0-9]+)", re.ASCII)
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)
_YEAR = re.compile(r"[0-9]{4}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


@dataclass(frozen=True)
class Period:
    """From midnight UTC of `start` to midnight UTC of `end`, exclusive. `label` as a person writes it."""

    label: str
    start: date
    end: date

    def window(self, now: datetime) -> Window:
        """The period as seen at `now` (aware)."""
        return Window(self.start, self.end, now)


def parse_period(text: str) -> Period:
    """Parse one of the four forms.

    Raises:
        UsageError: it has none of these forms, or names a period that does not exist.
    """
    try:
        return _parse(text.strip())
    except ValueError as error:
        raise UsageError(f"--period {text!r}: {error}") from None


def _parse(text: str) -> Period:
    if match := _QUARTER.fullmatch(text):
        year, quarter = int(match[1]), int(match[2])
        if not 1 <= quarter <= 4:
            raise ValueError(f"there is no quarter {quarter}; a year has the quarters Q1 to Q4")
        return Period(f"{year:04d}-Q{quarter}", *_months(year, 3 * quarter - 2, 3))
    if match := _MONTH.fullmatch(text):
        year, month = int(match[1]), int(match[2])
        if not 1 <= month <= 12:
            raise ValueError(f"there is no month {month}; a year has the months 01 to 12")
        return Period(text, *_months(year, month, 1))
    if _YEAR.fullmatch(text):
        return Period(text, *_months(int(text), 1, 12))
    first, dots, last = text.partition("..")
    if not dots:
        raise ValueError(f"expected {_SHAPES}")
    return _range(_day(first), _day(last))


def _months(year: int, month: int, count: int) -> tuple[date, date]:
    if not 1970 <= year <= 2999:
        raise ValueError(f"year {year}: expected 1970 to 2999")
    years, months = divmod(month - 1 + count, 12)
    return date(year, month, 1), date(year + years, months + 1, 1)


def _day(text: str) -> date:
    if not _DAY.fullmatch(text):
        raise ValueError(f"expected {_SHAPES}")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"there is no day {text}") from None
    if not 1970 <= day.year <= 2999:
        raise ValueError(f"year {day.year}: expected 1970 to 2999")
    return day


def _range(start: date, end: date) -> Period:
    if end <= start:
        raise ValueError(f"it ends ({end}) before it has begun ({start}); the last day is not included")
    if (end - start).days > MAX_DAYS:
        raise ValueError(f"{(end - start).days} days; at most {MAX_DAYS}, because a report is by day")
    return Period(f"{start}..{end}", start, end)
