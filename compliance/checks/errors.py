"""Server errors: exchanges whose end does not show that the request was processed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compliance.checks.result import CheckResult, numbers, plural, state_of
from compliance.checks.window import Window

if TYPE_CHECKING:
    import duckdb

SERVER_ERROR = "event = 'http.request' AND (status >= 500 OR ending = 'exception' OR outcome = 'unknown')"

_COUNTS = f"""
SELECT count(*) AS exchanges,
  count(*) FILTER ({SERVER_ERROR}) AS server_errors,
  count(*) FILTER (status >= 500) AS status_5xx,
  count(*) FILTER (ending = 'exception') AS ended_by_exception,
  count(*) FILTER (outcome = 'unknown') AS outcome_unknown,
  count(*) FILTER (ending IN ('disconnect', 'cancelled', 'incomplete')) AS ended_early
FROM records WHERE event = 'http.request' AND time >= $start AND time < $end
"""  # noqa: S608  # constants


def check_errors(connection: duckdb.DuckDBPyConnection, window: Window, *, in_operation: bool) -> CheckResult:
    """Judge all HTTP exchanges of the window."""
    count = numbers(connection, _COUNTS, {**window.parameters()})
    exchanges, errors = count["exchanges"], count["server_errors"]
    finding = "No exchange lies in the period."
    if exchanges:
        finding = f"{errors} of {plural(exchanges, 'exchange')} ended in a server error, by an exception or unknown."
    return CheckResult(
        check="server-errors",
        state=state_of(exchanges, errors, in_operation=in_operation),
        population=exchanges,
        exceptions=errors,
        finding=finding,
        numbers=tuple(count.items()),
    )
