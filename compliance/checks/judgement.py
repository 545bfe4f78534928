"""From results of checks to the state of a control: the most cautious word that the results allow.

The rules, in this order:

1.  level `manual`: the state is `manual`.
2.  level `supporting`: `not-tested`. Context is not a test.
3.  A log whose integrity is in doubt makes every other result on it `insufficient-evidence`: its population may have
    been altered. Exceptions stay exceptions.
4.  A known gap makes "no exception" and "no occurrence" among recorded exchanges `insufficient-evidence`: what is
    missing could have been the exception.
5.  Over several checks and logs: an exception wins, then insufficient evidence, then a test without exception.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, get_args

from compliance.checks import CHECKS
from compliance.checks.result import CheckResult, TestState
from compliance.controls import Control

ControlState = Literal[
    "tested-with-exception",
    "insufficient-evidence",
    "tested-no-exception",
    "no-occurrence",
    "not-tested",
    "manual",
]
CONTROL_STATES: tuple[ControlState, ...] = get_args(ControlState)
"""Those a reader must look at first come first."""

STATE_MEANING: dict[ControlState, str] = {
    "tested-with-exception": "tested on the whole population; items deviate and are listed",
    "insufficient-evidence": "a gap, a failed verification or missing records: nothing can be said",
    "tested-no-exception": "tested on the whole population; no item deviates",
    "no-occurrence": "the log was in operation and nothing of the kind occurred",
    "not-tested": "the log gives context only; no test was run",
    "manual": "not in the log; evidence comes from people",
}

_ORDER: tuple[TestState, ...] = (
    "tested-with-exception", "insufficient-evidence", "tested-no-exception", "no-occurrence",
)  # fmt: skip


def temper(result: CheckResult, *, doubt: str | None, missing: int) -> CheckResult:
    """One result in the light of what else is known of its log (rules 3 and 4).

    `doubt`: why the log's records cannot be relied upon, as a sentence. `missing`: records of the window that are known
    to be missing.
    """
    if result.check == "log-integrity" or result.state in ("tested-with-exception", "insufficient-evidence"):
        return result
    if doubt:
        return _insufficient(result, doubt)
    if missing and CHECKS[result.check].loses_by_gaps:
        return _insufficient(result, f"Missing records ({missing}) could have been exceptions.")
    return result


def control_state(control: Control, results: Iterable[CheckResult]) -> ControlState:
    """The state of a control, from the tempered results on all logs."""
    if control.level == "manual":
        return "manual"
    if control.level == "supporting":
        return "not-tested"
    states = {result.state for result in results if result.check in control.checks}
    return next((state for state in _ORDER if state in states), "insufficient-evidence")


def _insufficient(result: CheckResult, why: str) -> CheckResult:
    return replace(result, state="insufficient-evidence", finding=f"{result.finding} {why}")
