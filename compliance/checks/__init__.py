"""Checks: each reads what was recorded in a window of time and says what it found, never what that means.

================= =============================================================================================
id                question
================= =============================================================================================
log-integrity     Does the whole log verify, and does the vault open what the log commits to?
coverage          Is there a record for every day of operation, and is no known gap in the window?
unclean-stops     Did every writer of records end in order?
access-decisions  Did every successful change have an authenticated actor? Who was turned away?
server-errors     Did an exchange end in a server error, an exception, or with an unknown outcome?
erasure-requests  Was every request for erasure answered by the day it was due?
================= =============================================================================================

A check is a function from a DuckDB connection with the view `records` (docs/format.md, section 5) and a `Window` to a
frozen result; `log-integrity` reads the data directory itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

CheckId = Literal["log-integrity", "coverage", "unclean-stops", "access-decisions", "server-errors", "erasure-requests"]
CHECK_IDS: tuple[CheckId, ...] = get_args(CheckId)


@dataclass(frozen=True)
class CheckInfo:
    """What a check is, apart from any result."""

    title: str
    criterion: str
    """What an exception is measured against: one sentence."""
    loses_by_gaps: bool
    """Whether records lost in a known gap could have been exceptions.

    True for exchanges, which are recorded after the fact. Requests for erasure are recorded, durably, before anything
    is done, so that a gap in the exchanges cannot hide one.
    """


CHECKS: dict[CheckId, CheckInfo] = {
    "log-integrity": CheckInfo(
        "Integrity of the log",
        "Every leaf, tile and opening is what the signed checkpoint and the format demand.",
        loses_by_gaps=False,
    ),
    "coverage": CheckInfo(
        "Coverage by day",
        "Every day since a service was first seen has records of it, and no known gap lies in the period.",
        loses_by_gaps=False,
    ),
    "unclean-stops": CheckInfo(
        "Unclean stops",
        "Every process that wrote records ended in order.",
        loses_by_gaps=False,
    ),
    "access-decisions": CheckInfo(
        "Access decisions",
        "Every successful exchange with a method that changes something names an authenticated actor.",
        loses_by_gaps=True,
    ),
    "server-errors": CheckInfo(
        "Server errors",
        "No exchange ended with a status of 500 or more, with an exception, or with an unknown outcome.",
        loses_by_gaps=True,
    ),
    "erasure-requests": CheckInfo(
        "Requests for erasure",
        "Every request for erasure was completed or refused by the day it was due.",
        loses_by_gaps=False,
    ),
}
