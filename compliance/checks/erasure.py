"""Requests for erasure: opened, begun, completed or refused, and whether by the day that was due (GDPR Art. 12(3))."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

from compliance.checks.result import CheckResult, plural, state_of
from compliance.checks.window import Window

if TYPE_CHECKING:
    import duckdb

CaseState = Literal["completed", "completed-late", "refused", "refused-late", "open", "overdue", "no-opening-record"]
_EXCEPTIONS: tuple[CaseState, ...] = ("completed-late", "refused-late", "overdue", "no-opening-record")

# A request belongs to a window if any of its life lies in it: opened before the window ends, not settled before it
# begins. What happened after the window, up to now, is shown too: a completion outside is still a completion.
CASES = """
SELECT request, opened, due, started, started_index, actor_parts, target_parts, root, completed, refused,
  CASE
    WHEN opened IS NULL THEN 'no-opening-record'
    WHEN completed IS NOT NULL THEN CASE WHEN completed::DATE > due THEN 'completed-late' ELSE 'completed' END
    WHEN refused IS NOT NULL THEN CASE WHEN refused::DATE > due THEN 'refused-late' ELSE 'refused' END
    WHEN $now::DATE > due THEN 'overdue'
    ELSE 'open'
  END AS state
FROM (
  SELECT json_extract_string(facts, '$.request') AS request,
    min(index) AS first_index, min(time) AS first_time,
    min(time) FILTER (event = 'dsr.opened') AS opened,
    min(TRY_CAST(left(json_extract_string(facts, '$.due'), 10) AS DATE)) FILTER (event = 'dsr.opened') AS due,
    min(time) FILTER (event = 'dsr.erasure.started') AS started,
    min(index) FILTER (event = 'dsr.erasure.started') AS started_index,
    min(TRY_CAST(json_extract_string(facts, '$.actor_parts') AS BIGINT))
      FILTER (event = 'dsr.erasure.started') AS actor_parts,
    min(TRY_CAST(json_extract_string(facts, '$.target_parts') AS BIGINT))
      FILTER (event = 'dsr.erasure.started') AS target_parts,
    arg_min(json_extract_string(facts, '$.root'), index) FILTER (event = 'dsr.erasure.started') AS root,
    min(time) FILTER (event = 'dsr.erasure.completed') AS completed,
    min(time) FILTER (event = 'dsr.refused') AS refused
  FROM records
  WHERE service = 'pxl-audit' AND event IN ('dsr.opened', 'dsr.erasure.started', 'dsr.erasure.completed', 'dsr.refused')
    AND json_extract_string(facts, '$.request') IS NOT NULL
  GROUP BY ALL
)
WHERE first_time < $end AND coalesce(completed, refused, $now) >= $start
ORDER BY first_index
""".strip()


@dataclass(frozen=True)
class Case:
    """One request for erasure. Times in UTC; it names nobody."""

    request: str
    opened: datetime | None
    due: date | None
    started: datetime | None
    started_index: int | None
    actor_parts: int | None
    target_parts: int | None
    root: str | None
    """Tree hash of what was destroyed, as announced in the log."""
    completed: datetime | None
    refused: datetime | None
    state: CaseState


@dataclass(frozen=True)
class Erasures:
    """The check's result with the first cases."""

    result: CheckResult
    total: int
    """All cases, those that are open and not yet due too; only the others can be tested."""
    listed: tuple[Case, ...]


def case_parameters(window: Window) -> dict[str, datetime]:
    """Parameters of `CASES`."""
    return {**window.parameters(), "now": window.now.astimezone(UTC).replace(tzinfo=None)}


def check_erasure(
    connection: duckdb.DuckDBPyConnection, window: Window, *, in_operation: bool, limit: int = 200
) -> Erasures:
    """Judge all requests whose life touches the window; `limit` bounds the list, never the counts."""
    parameters = case_parameters(window)
    counted = connection.execute(f"SELECT state, count(*) FROM ({CASES}) GROUP BY ALL", parameters)  # noqa: S608
    by_state = {str(state): int(count) for state, count in counted.fetchall()}
    rows = connection.execute(f"{CASES} LIMIT {limit}", parameters).fetchall()
    total, exceptions = sum(by_state.values()), sum(by_state.get(state, 0) for state in _EXCEPTIONS)
    tested = total - by_state.get("open", 0)
    result = CheckResult(
        check="erasure-requests",
        state=state_of(tested, exceptions, in_operation=in_operation and not total),
        population=tested,
        exceptions=exceptions,
        finding=_finding(total, by_state),
        numbers=(("requests", total), *sorted((name.replace("-", "_"), count) for name, count in by_state.items())),
    )
    return Erasures(result, total, tuple(_case(row) for row in rows))


def _finding(total: int, by_state: dict[str, int]) -> str:
    if not total:
        return "No request for erasure was open in the period."
    parts = ", ".join(f"{count} {name.replace('-', ' ')}" for name, count in sorted(by_state.items()))
    waiting = " What is open is not due yet, and is not tested." if "open" in by_state else ""
    return f"{plural(total, 'request')} for erasure: {parts}.{waiting}"


def _case(row: tuple[object, ...]) -> Case:
    request, opened, due, started, started_index, actor, target, root, completed, refused, state = row
    return Case(
        request=str(request),
        opened=_instant(opened),
        due=due if isinstance(due, date) else None,
        started=_instant(started),
        started_index=_integer(started_index),
        actor_parts=_integer(actor),
        target_parts=_integer(target),
        root=root if isinstance(root, str) else None,
        completed=_instant(completed),
        refused=_instant(refused),
        state=str(state),  # type: ignore[arg-type]  # one of the words of CASES
    )


def _instant(value: object) -> datetime | None:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None
