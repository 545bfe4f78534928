"""Unclean stops: writers of records that were killed."""

from __future__ import annotations

from compliance.checks.gaps import Gaps
from compliance.checks.result import CheckResult, TestState, plural


def check_stops(gaps: Gaps, *, writing: bool) -> CheckResult:
    """Judge the stops among the known gaps; `writing`: whether any service wrote records in the window."""
    state: TestState = "tested-no-exception" if writing else "insufficient-evidence"
    if gaps.unclean_stops:
        state = "tested-with-exception"
        finding = (
            f"{plural(gaps.unclean_stops, 'unclean stop')}: {plural(gaps.in_flight, 'request')} in flight, "
            f"{plural(gaps.lost, 'record')} lost."
        )
    elif writing:
        finding = "No unclean stop is recorded in the period."
    else:
        finding = "No service wrote records in the period."
    return CheckResult(
        check="unclean-stops",
        state=state,
        population=gaps.unclean_stops,
        exceptions=gaps.unclean_stops,
        finding=finding,
        numbers=(
            ("unclean_stops", gaps.unclean_stops),
            ("requests_in_flight", gaps.in_flight),
            ("records_lost", gaps.lost),
        ),
    )
