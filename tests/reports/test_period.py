"""Periods: which there are, where they begin and end, and which there are not."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from pxl_audit.errors import UsageError
from reports.period import parse_period


@pytest.mark.parametrize(
    ("text", "start", "end", "days"),
    [
        ("2026-Q1", date(2026, 1, 1), date(2026, 4, 1), 90),
        ("2024-q1", date(2024, 1, 1), date(2024, 4, 1), 91),
        ("2026-Q4", date(2026, 10, 1), date(2027, 1, 1), 92),
        ("2026-02", date(2026, 2, 1), date(2026, 3, 1), 28),
        ("2026-12", date(2026, 12, 1), date(2027, 1, 1), 31),
        ("2026", date(2026, 1, 1), date(2027, 1, 1), 365),
        ("2026-11-01..2026-12-01", date(2026, 11, 1), date(2026, 12, 1), 30),
        ("2026-11-23..2026-11-24", date(2026, 11, 23), date(2026, 11, 24), 1),
    ],
)
def test_periods(text: str, start: date, end: date, days: int) -> None:
    period = parse_period(text)
    assert (period.start, period.end) == (start, end)
    assert len(period.window(datetime(2026, 1, 1, tzinfo=UTC)).days) == days


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-Q5", "no quarter 5"),
        ("2026-Q0", "no quarter 0"),
        ("2026-13", "no month 13"),
        ("2026-00", "no month 0"),
        ("0001", "year 1"),
        ("9999-Q4", "year 9999"),
        ("2026-11-31..2026-12-01", "no day 2026-11-31"),
        ("2026-12-01..2026-11-01", "before it has begun"),
        ("2026-11-01..2026-11-01", "before it has begun"),
        ("2020-01-01..2026-01-01", "at most 400"),
        ("2026-1", "expected 2026-Q4"),
        ("last quarter", "expected 2026-Q4"),
        ("", "expected 2026-Q4"),
        ("٢٠٢٦", "expected 2026-Q4"),
        ("2026-11-01..", "expected 2026-Q4"),
    ],
)
def test_periods_that_do_not_exist(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        parse_period(text)
    assert caught.value.exit_code == 64
    assert "\n" not in str(caught.value)


def test_a_period_is_over_when_its_end_has_come() -> None:
    november = parse_period("2026-11")
    assert not november.window(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)).is_over
    assert november.window(datetime(2026, 12, 1, tzinfo=UTC)).is_over
