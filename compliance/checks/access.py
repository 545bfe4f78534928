"""Access decisions: who was let in, who was turned away, and what was changed by nobody in particular."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compliance.checks.result import CheckResult, numbers, plural, state_of
from compliance.checks.window import Window

if TYPE_CHECKING:
    import duckdb

ANONYMOUS_CHANGE = """event = 'http.request' AND actor_kind = 'anonymous' AND status >= 200 AND status < 300
  AND method NOT IN ('GET', 'HEAD', 'OPTIONS', 'TRACE')"""
"""A 401 or 403 is the control at work. A change that went through without a known actor is what a person must look at.

The methods left out are the safe ones of RFC 9110, section 9.2.1.
"""

_COUNTS = f"""
SELECT count(*) AS exchanges,
  count(*) FILTER (actor_kind <> 'anonymous') AS with_actor,
  count(*) FILTER (status = 401) AS denied_401,
  count(*) FILTER (status = 403) AS denied_403,
  count(*) FILTER ({ANONYMOUS_CHANGE}) AS anonymous_changes
FROM records WHERE event = 'http.request' AND time >= $start AND time < $end
"""  # noqa: S608  # constants


def check_access(connection: duckdb.DuckDBPyConnection, window: Window, *, in_operation: bool) -> CheckResult:
    """Judge all HTTP exchanges of the window."""
    count = numbers(connection, _COUNTS, {**window.parameters()})
    exchanges, changes = count["exchanges"], count["anonymous_changes"]
    if exchanges:
        finding = (
            f"{count['with_actor']} of {plural(exchanges, 'exchange')} name an authenticated actor; "
            f"{count['denied_401']} were answered 401 and {count['denied_403']} were answered 403. "
            f"{plural(changes, 'successful change')} without an authenticated actor."
        )
    else:
        finding = "No exchange lies in the period."
    return CheckResult(
        check="access-decisions",
        state=state_of(exchanges, changes, in_operation=in_operation),
        population=exchanges,
        exceptions=changes,
        finding=finding,
        numbers=tuple(count.items()),
    )
