"""What a check says. The words are chosen so that a machine never says more than it has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compliance.checks import CheckId

if TYPE_CHECKING:
    import duckdb

TestState = Literal["tested-no-exception", "tested-with-exception", "no-occurrence", "insufficient-evidence"]


@dataclass(frozen=True)
class CheckResult:
    """One check on one log."""

    check: CheckId
    state: TestState
    population: int
    """How many items were tested; all of them, never a sample."""
    exceptions: int
    finding: str
    """One or two sentences with numbers; never personal data."""
    numbers: tuple[tuple[str, int], ...] = ()
    """Named counts behind the finding, in the order in which a reader wants them."""


def state_of(population: int, exceptions: int, *, in_operation: bool) -> TestState:
    """The state of a plain test of a population.

    `in_operation`: whether the log had begun before the window ended. Only then does an empty population mean that
    nothing occurred; otherwise nobody was looking.
    """
    if exceptions:
        return "tested-with-exception"
    if population:
        return "tested-no-exception"
    return "no-occurrence" if in_operation else "insufficient-evidence"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 record`, `2 records`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def numbers(connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, object]) -> dict[str, int]:
    """The one row of a query of counts, by column name; NULL (a sum over nothing) is 0."""
    cursor = connection.execute(sql, parameters)
    names = [column[0] for column in cursor.description or []]
    row = cursor.fetchone()
    return {name: int(value or 0) for name, value in zip(names, row or [0] * len(names), strict=True)}
