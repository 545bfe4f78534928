"""The table must add up, and each way in which it cannot must fail a check of its own."""

from __future__ import annotations

from collections import Counter

import pytest

from reports.demo.driver import Drive, Outcome
from reports.demo.people import invent_people
from reports.demo.reconciliation import Check, reconcile_core, reconcile_gateway
from reports.demo.records import Recorded, Records
from reports.demo.workload import Ask

PERSON = invent_people()[0]


def ask(request_id: str, path: str = "/v1/proofs") -> Ask:
    return Ask("proof", PERSON, request_id, "POST", path, {}, b"", 200, PERSON.id)


def drive(answered: str, unanswered: str = "") -> Drive:
    """Requests, a letter each."""
    return Drive(
        [Outcome(ask(name), 200) for name in answered] + [Outcome(ask(name), None, "x") for name in unanswered]
    )


def recorded(names: str, *, in_flight: int = 0, lost: int = 0, stops: int = 0) -> Records:
    by_request = {name: Recorded(200, PERSON.id, "/v1/proofs") for name in names}
    return Records(len(names), by_request, Counter(names), stops, in_flight, lost)


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.holds]


def test_everything_is_there() -> None:
    found = reconcile_gateway(drive("abc", "d"), recorded("abcd"), recorded("abcd"))
    assert [count for _, count in found.table()] == [3, 1, 0, 0, 0]
    assert failed(found.checks()) == []


def test_a_killed_worker_is_named() -> None:
    found = reconcile_gateway(drive("abc", "defg"), recorded("abd", in_flight=2, lost=1, stops=1), recorded("abcef"))
    assert [count for _, count in found.table()] == [2, 1, 2, 1, 1]
    assert failed(found.checks()) == []


@pytest.mark.parametrize(
    ("made", "gateway", "core", "problem"),
    [
        (drive("ab"), recorded("a"), recorded("ab"), "every response has its record, or the log names it as lost"),
        (
            drive("ab"),
            recorded("a"),
            recorded("ab"),
            "what the core saw and the gateway did not record is named as lost",
        ),
        (drive("a", "b"), recorded("a"), recorded("ab"), "what the core saw and the gateway did not record is named"),
        (drive("a", "b"), recorded("a", in_flight=2), recorded("a"), "no more is named as lost than is missing"),
        (drive("a"), recorded("aa"), recorded("a"), "no request is recorded twice by the gateway"),
        (drive("a"), recorded("ab"), recorded("a"), "the gateway recorded nothing that was not asked"),
    ],
)
def test_what_does_not_add_up_fails(made: Drive, gateway: Records, core: Records, problem: str) -> None:
    names = failed(reconcile_gateway(made, gateway, core).checks())
    assert any(name.startswith(problem) for name in names)


@pytest.mark.parametrize(
    "wrong", [Recorded(500, PERSON.id, "/v1/proofs"), Recorded(200, "x", "/v1/proofs"), Recorded(200, PERSON.id, "/")]
)
def test_a_record_that_says_something_else_fails(wrong: Recorded) -> None:
    gateway = recorded("a")
    gateway.by_request["a"] = wrong
    assert failed(reconcile_gateway(drive("a"), gateway, recorded("a")).checks()) == [
        "records say what the driver saw: status, user, path"
    ]


@pytest.mark.parametrize(
    ("made", "core", "problem"),
    [
        (drive("ab"), recorded("a"), "every forwarded request that was answered is in the core's log"),
        (drive("a"), recorded("aa"), "no request is recorded twice by the core"),
        (drive("a"), recorded("ab"), "the core recorded nothing that was not forwarded"),
        (drive("a"), recorded("a", stops=1), "no worker of the core stopped uncleanly"),
    ],
)
def test_the_core_is_reconciled_too(made: Drive, core: Records, problem: str) -> None:
    assert failed(reconcile_core(made, core).checks()) == [problem]


def test_a_profile_must_not_be_in_the_core() -> None:
    made = Drive([Outcome(ask("a", "/v1/users/x"), 200)])
    assert reconcile_core(made, recorded("")).forwarded == 0
    assert failed(reconcile_core(made, recorded("a")).checks()) == ["the core recorded nothing that was not forwarded"]
