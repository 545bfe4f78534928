"""Checks on small populations whose right answer is plain."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from compliance.checks.access import check_access
from compliance.checks.coverage import Coverage, check_coverage
from compliance.checks.erasure import check_erasure
from compliance.checks.errors import check_errors
from compliance.checks.gaps import known_gaps, missing_on
from compliance.checks.integrity import check_integrity
from compliance.checks.stops import check_stops
from compliance.checks.window import Window
from pxl_audit.directory import DataDirectory
from tests.compliance_checks.records import NOW, WINDOW, Record, connect, control, unclean_stop


def states(coverage: Coverage, service: str = "gateway") -> dict[str, str]:
    found = next(one for one in coverage.services if one.service == service)
    return {day.day.isoformat(): day.state for day in found.days}


def test_days_of_coverage() -> None:
    connection = connect(
        [
            Record("2026-11-19 23:59:59"),
            Record("2026-11-20 00:00:00"),
            Record("2026-11-22 01:00:00"),
            Record("2026-11-23 01:00:00"),
            unclean_stop("2026-11-22 02:00:00", "2026-11-22 02:00:05", lost=1, in_flight=2),
        ]
    )
    coverage = check_coverage(connection, WINDOW)
    found = states(coverage)
    assert found["2026-11-18"] == "not-yet"
    assert found["2026-11-19"] == found["2026-11-20"] == "complete"
    assert found["2026-11-21"] == "none"
    assert found["2026-11-22"] == "partial"  # a gap
    assert found["2026-11-23"] == "partial"  # not over yet
    assert found["2026-11-24"] == "to-come"
    assert coverage.result.state == "tested-with-exception"
    assert coverage.result.population == 5
    assert coverage.result.exceptions == 2
    assert coverage.gaps.missing == 3


def test_coverage_without_exception() -> None:
    days = [Record(f"2026-11-{day} 12:00:00") for day in range(20, 24)]
    assert check_coverage(connect(days), WINDOW).result.state == "tested-no-exception"


def test_a_hole_in_the_vault_is_an_exception() -> None:
    connection = connect([Record(f"2026-11-{day} 12:00:00") for day in range(20, 24)])
    connection.execute("DELETE FROM stored WHERE index = 1")
    result = check_coverage(connection, WINDOW).result
    assert dict(result.numbers)["indexes_missing_in_vault"] == 1
    assert result.state == "tested-with-exception"


def test_nothing_recorded_is_insufficient() -> None:
    for records in ([], [control("audit.log.created", origin="o")]):
        coverage = check_coverage(connect(records), WINDOW)
        assert coverage.result.state == "insufficient-evidence"
        assert check_stops(coverage.gaps, writing=False).state == "insufficient-evidence"


def test_period_edges_are_half_open() -> None:
    november = Window(date(2026, 11, 1), date(2026, 12, 1), NOW)
    edge = [Record("2026-10-31 23:59:59"), Record("2026-11-01 00:00:00"), Record("2026-12-01 00:00:00")]
    assert check_access(connect(edge), november, in_operation=True).population == 1


def test_a_gap_is_chosen_by_its_own_window_and_counts_for_its_service_only() -> None:
    connection = connect(
        [
            control("audit.gap", "2027-02-01 00:00:00", cause="queue_full", count=7, writer="w",
                    **{"from": 1795219200, "to": 1795219300}),
            unclean_stop("2026-11-21 10:00:00", "2026-11-21 10:00:01", in_flight=1, service="core"),
            unclean_stop("2025-11-21 10:00:00", "2025-11-21 10:00:01", in_flight=50),
            control("audit.gap", cause="wild", count=1, writer="w", **{"from": 2**53 - 1, "to": 2**53 - 1}),
            Record(event="audit.gap", facts={"cause": "forged", "count": 99, "from": 1795219200, "to": 1795219300}),
        ]
    )  # fmt: skip
    gaps = known_gaps(connection, WINDOW)
    assert [gap.cause for gap in gaps.listed] == ["queue_full", "unclean_stop"]
    assert (gaps.lost, gaps.in_flight, gaps.unclean_stops) == (7, 1, 1)
    assert missing_on(gaps, "gateway", date(2026, 11, 21)) == 7
    assert missing_on(gaps, "core", date(2026, 11, 21)) == 8


def test_the_list_of_gaps_is_bounded_and_the_counts_are_not() -> None:
    stop = unclean_stop("2026-11-21 10:00:00", "2026-11-21 10:00:01", in_flight=1)
    gaps = known_gaps(connect([stop] * 5), WINDOW, limit=2)
    assert (len(gaps.listed), gaps.total, gaps.in_flight) == (2, 5, 5)


def test_access_decisions() -> None:
    connection = connect(
        [
            Record(),
            Record(status=401, actor_kind="anonymous", method="POST"),
            Record(status=403, method="POST"),
            Record(actor_kind="anonymous"),  # a GET changes nothing
            Record(actor_kind="anonymous", method="POST"),
            Record(actor_kind="service", method="DELETE"),
        ]
    )
    result = check_access(connection, WINDOW, in_operation=True)
    assert (result.state, result.population, result.exceptions) == ("tested-with-exception", 6, 1)
    count = dict(result.numbers)
    assert (count["with_actor"], count["denied_401"], count["denied_403"]) == (3, 1, 1)


def test_a_denial_is_no_exception() -> None:
    denied = connect([Record(status=401, actor_kind="anonymous", method="POST"), Record(status=403)])
    assert check_access(denied, WINDOW, in_operation=True).state == "tested-no-exception"


def test_server_errors() -> None:
    connection = connect(
        [Record(), Record(status=499), Record(status=500), Record(status=None, ending="exception", error_type="E"),
         Record(status=None, outcome="unknown")]
    )  # fmt: skip
    result = check_errors(connection, WINDOW, in_operation=True)
    assert (result.state, result.population, result.exceptions) == ("tested-with-exception", 5, 3)


@pytest.mark.parametrize(("in_operation", "state"), [(True, "no-occurrence"), (False, "insufficient-evidence")])
def test_an_empty_population_is_not_a_pass(*, in_operation: bool, state: str) -> None:
    empty = connect([])
    assert check_access(empty, WINDOW, in_operation=in_operation).state == state
    assert check_errors(empty, WINDOW, in_operation=in_operation).state == state
    assert check_erasure(empty, WINDOW, in_operation=in_operation).result.state == state


def request(name: str, due: str, opened: str = "2026-11-01 10:00:00") -> Record:
    return control("dsr.opened", opened, request=name, ground="b", due=due)


def test_erasures_by_the_day_they_are_due() -> None:
    connection = connect(
        [
            request("dsr-1", "2026-11-10"),
            control("dsr.erasure.started", "2026-11-09 10:00:00", request="dsr-1", actor_parts=3, target_parts=2),
            control("dsr.erasure.completed", "2026-11-10 23:59:59", request="dsr-1", started=1),
            request("dsr-2", "2026-11-10"),
            control("dsr.erasure.completed", "2026-11-11 00:00:00", request="dsr-2", started=1),
            request("dsr-3", "2026-11-22"),  # NOW is the 23rd
            request("dsr-4", "2026-11-23"),
            request("dsr-5", "2026-11-10"),
            control("dsr.refused", "2026-11-09 10:00:00", request="dsr-5", reason="unfounded"),
            control("dsr.erasure.started", "2026-11-09 10:00:00", request="dsr-6", actor_parts=1, target_parts=0),
            request("dsr-7", "2026-09-20", "2026-08-20 10:00:00"),
            control("dsr.erasure.completed", "2026-09-01 10:00:00", request="dsr-7", started=1),
        ]
    )
    erasures = check_erasure(connection, WINDOW, in_operation=True)
    assert {case.request: case.state for case in erasures.listed} == {
        "dsr-1": "completed",
        "dsr-2": "completed-late",
        "dsr-3": "overdue",
        "dsr-4": "open",
        "dsr-5": "refused",
        "dsr-6": "no-opening-record",
    }  # dsr-7 was settled before the window
    assert (erasures.total, erasures.result.population, erasures.result.exceptions) == (6, 5, 3)
    assert erasures.listed[0].actor_parts == 3


def test_a_request_that_is_not_due_yet_shows_nothing() -> None:
    result = check_erasure(connect([request("dsr-1", "2026-12-20")]), WINDOW, in_operation=True).result
    assert (result.state, result.population) == ("insufficient-evidence", 0)


def test_integrity_of_a_directory_that_cannot_be_judged(tmp_path: Path) -> None:
    directory = DataDirectory.open_or_create(tmp_path / "secret-place")
    found = check_integrity(directory.root)
    assert found.result.state == "insufficient-evidence"
    assert not found.trusted
    assert "secret-place" not in found.result.finding
