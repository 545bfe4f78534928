"""From results to states: never more than was seen."""

from __future__ import annotations

import pytest

from compliance.checks import CheckId
from compliance.checks.judgement import control_state, temper
from compliance.checks.result import CheckResult, TestState
from compliance.controls import Control, Level


def result(check: CheckId, state: TestState) -> CheckResult:
    return CheckResult(check, state, 1, int(state == "tested-with-exception"), "Found.")


def control_with(level: Level, *checks: CheckId) -> Control:
    return Control("X-1", "title", level, checks, "manual")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("tested-no-exception", "tested-no-exception", "tested-no-exception"),
        ("tested-no-exception", "no-occurrence", "tested-no-exception"),
        ("no-occurrence", "no-occurrence", "no-occurrence"),
        ("tested-no-exception", "insufficient-evidence", "insufficient-evidence"),
        ("insufficient-evidence", "tested-with-exception", "tested-with-exception"),
    ],
)
def test_the_most_cautious_word_wins(first: TestState, second: TestState, expected: str) -> None:
    control = control_with("direct", "coverage", "log-integrity")
    assert control_state(control, [result("coverage", first), result("log-integrity", second)]) == expected


def test_levels_cap_what_is_said() -> None:
    good = [result("coverage", "tested-no-exception")]
    assert control_state(control_with("manual"), good) == "manual"
    assert control_state(control_with("supporting", "coverage"), good) == "not-tested"
    assert control_state(control_with("direct", "server-errors"), good) == "insufficient-evidence"  # not run: no pass


def test_doubt_about_the_log_spreads_but_hides_no_exception() -> None:
    doubt = "The log did not verify."
    assert temper(result("coverage", "tested-no-exception"), doubt=doubt, missing=0).state == "insufficient-evidence"
    assert temper(result("erasure-requests", "no-occurrence"), doubt=doubt, missing=0).state == "insufficient-evidence"
    assert temper(result("coverage", "tested-with-exception"), doubt=doubt, missing=0).state == "tested-with-exception"


def test_a_known_gap_takes_the_pass_from_checks_on_exchanges() -> None:
    for check in ("access-decisions", "server-errors"):
        assert temper(result(check, "tested-no-exception"), doubt=None, missing=1).state == "insufficient-evidence"
        assert temper(result(check, "tested-no-exception"), doubt=None, missing=0).state == "tested-no-exception"
    assert (
        temper(result("erasure-requests", "tested-no-exception"), doubt=None, missing=1).state == "tested-no-exception"
    )
