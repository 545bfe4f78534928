"""When an answer is due."""

from __future__ import annotations

from datetime import date

import pytest

from compliance.dsr.deadline import days_left, due_date


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-11-20", "2026-12-20"),
        ("2026-01-31", "2026-02-28"),
        ("2028-01-31", "2028-02-29"),
        ("2028-01-29", "2028-02-29"),
        ("2026-01-29", "2026-02-28"),
        ("2026-11-30", "2026-12-30"),
        ("2026-08-31", "2026-09-30"),
        ("2026-12-31", "2027-01-31"),
        ("2026-02-28", "2026-03-28"),
    ],
)
def test_one_month_is_the_same_day_of_the_next_month_or_its_last(received: str, due: str) -> None:
    assert due_date(date.fromisoformat(received)) == date.fromisoformat(due)


def test_the_due_day_itself_is_in_time() -> None:
    due = date(2026, 12, 20)
    assert [days_left(due, date(2026, 12, day)) for day in (19, 20, 21)] == [1, 0, -1]
