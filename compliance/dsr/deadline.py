"""When the answer to a request is due: GDPR Art. 12(3), counted by Regulation (EEC, Euratom) 1182/71.

One month is not 30 days. The day of receipt is not counted (Art. 3(1)); the period ends with the last hour of the day
that has the same number in the next month, or of that month's last day where it has no such day (Art. 3(2)(c)).
Art. 3(4) would move an end on a week-end or holiday to the next working day; that depends on the Member State, so the
earlier date stands here: it is never late.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date


def due_date(received: date) -> date:
    """Last day on which the answer is in time."""
    year, month = (received.year + 1, 1) if received.month == 12 else (received.year, received.month + 1)
    return date(year, month, min(received.day, monthrange(year, month)[1]))


def days_left(due: date, today: date) -> int:
    """Days until `due`; 0 on the day itself, negative when overdue."""
    return (due - today).days
