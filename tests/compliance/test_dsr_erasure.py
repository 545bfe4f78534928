"""A request from the letter to the proof, on a real log; and what stops it on the way."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from compliance.dsr import events
from compliance.dsr.approval import approve
from compliance.dsr.intake import open_request, refuse
from compliance.dsr.planning import finding, plan_request, warnings
from compliance.dsr.requests import Plan, Request, load, now, request_path
from compliance.dsr.subject import parse_subject
from compliance.dsr.verification import check_request
from pxl_audit.agent.client import append_and_wait, seal_all
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import DirectoryError, FoundBadError, UsageError
from pxl_audit.vault.destroy import destroy_openings
from tests.compliance.people import (
    ALICE,
    ALICE_ENCODED,
    APPROVER,
    BOB,
    HERS,
    HERS_WITHHELD,
    NAMESAKE,
    OPENER,
    approved,
    event,
    executed,
    files,
    opened,
    openings,
)

pytestmark = pytest.mark.slow


def _plan(directory: DataDirectory, lines: str, *, include_control: bool = False) -> Plan:
    request = plan_request(directory, opened(directory, lines).id, include_control=include_control)
    assert request.plan is not None
    return request.plan


def _holding(directory: DataDirectory, *values: str) -> list[str]:
    """Names of files that hold a value in clear, raw or as UTF-16."""
    needles = [form for value in values for form in (value.encode(), value.encode("utf-16-le"))]
    return [name for name, data in files(directory.root) if any(needle in data for needle in needles)]


def test_the_person_is_gone_and_nobody_else(directory: DataDirectory) -> None:
    request = approved(directory)
    assert _holding(directory, ALICE)
    seal_all(directory)
    before = openings(directory)

    run = executed(directory, request.id)

    after = openings(directory)
    hers = {(index, part) for part, indexes in HERS.items() for index in indexes} | {HERS_WITHHELD}
    assert {key for key in before if before[key] != after[key]} == hers
    for key in hers:
        assert before[key].state == "open"
        assert (after[key].state, after[key].text, after[key].salt) == ("erased", None, None)
        assert after[key].by == run.request.started
    # Her namesake's id ends in hers, so only a search for whole words is right for raw bytes.
    assert not _holding(directory, f'"{ALICE}', f"/{ALICE}", f" {ALICE}", ALICE_ENCODED)
    assert _holding(directory, BOB)
    assert run.request.residue is not None
    assert (run.request.residue.found, run.request.residue.control) == (0, True)


def test_the_log_says_what_was_done_and_the_request_names_nobody(directory: DataDirectory) -> None:
    request = executed(directory, approved(directory).id).request
    assert (request.state, request.subject, request.opened.by, request.newer) == ("completed", None, None, 0)
    stored = request_path(directory, request.id).read_bytes()
    assert not [name for name in (ALICE, OPENER, APPROVER) if name.encode() in stored]
    assert request.plan is not None
    facts = {
        name: record.facts
        for name in (events.OPENED, events.APPROVED, events.STARTED, events.COMPLETED)
        if (record := events.find(directory, name, request.id))
    }
    parts = request.plan.parts()
    assert facts == {
        events.OPENED: {"request": request.id, "ground": "b", "due": "2026-12-20"},
        events.APPROVED: {"request": request.id, "plan": request.plan.digest},
        events.STARTED: {
            "request": request.id,
            "plan": request.plan.digest,
            "actor_parts": 3,
            "target_parts": 4,
            "root": parts.root(),
        },
        events.COMPLETED: {"request": request.id, "started": request.started},
    }
    check = check_request(directory, request)
    assert check is not None
    assert (check.verdict, check.faults, check.completed) == ("good", [], request.completed and request.completed.event)


def test_the_plan_is_complete_and_withholds_evidence(directory: DataDirectory) -> None:
    plan = _plan(directory, ALICE)
    assert plan.parts().indexes() == HERS
    assert plan.withheld().indexes() == {"actor": (), "target": (6,)}
    assert plan.summary.by_retention == {"access": 5, "security": 1}
    assert plan.summary.by_identifier == [("user.id", 7)]
    assert finding(plan) == "found"
    taken = _plan(directory, ALICE, include_control=True)
    assert HERS_WITHHELD in taken.parts()
    assert not len(taken.withheld())


def test_withheld_parts_stay_and_are_not_taken_for_residue(directory: DataDirectory) -> None:
    request = approved(directory, include_control=False)
    run = executed(directory, request.id)
    assert openings(directory)[6, "target"].state == "open"
    assert run.request.residue is not None
    assert (run.request.residue.found, run.request.residue.withheld) == (0, 1)


def test_an_address_is_shared_by_other_people(directory: DataDirectory) -> None:
    plan = _plan(directory, "client.address=203.0.113.9")
    assert plan.summary.other_people == 2  # three people, one of whom may be the one who asks
    assert any("neither is a person" in warning for warning in warnings(plan))
    assert plan.parts().target == ()


@pytest.mark.parametrize(("lines", "near"), [("nobody-here", 0), (ALICE.upper(), 1), (f'" {BOB}"', 1)])
def test_an_unknown_person_is_told_from_a_near_miss(directory: DataDirectory, lines: str, near: int) -> None:
    plan = _plan(directory, lines)
    assert (finding(plan), plan.summary.near) == ("unknown", near)


def test_an_identifier_that_matches_nothing_is_named_by_its_place(directory: DataDirectory) -> None:
    plan = _plan(directory, f"{BOB}\nsession.id=never-seen")
    assert any("2 (session.id)" in warning for warning in warnings(plan))


def test_an_empty_plan_has_to_be_accepted(directory: DataDirectory) -> None:
    request = approved(directory, "nobody-here")
    with pytest.raises(UsageError, match="--accept-empty"):
        executed(directory, request.id)
    assert executed(directory, request.id, accept_empty=True).request.state == "completed"
    check = check_request(directory, load(directory, request.id))
    assert check is not None
    assert check.verdict == "good"


def test_whoever_opened_cannot_approve(directory: DataDirectory) -> None:
    request = plan_request(directory, opened(directory).id)
    assert request.plan is not None
    for name in (OPENER, OPENER.upper(), f" {OPENER} "):
        with pytest.raises(UsageError, match="--as"):
            approve(directory, request.id, digest=request.plan.digest, by=name)
    assert load(directory, request.id).state == "planned"
    assert events.find(directory, events.APPROVED, request.id) is None


def test_nobody_decides_about_their_own_records(directory: DataDirectory) -> None:
    with pytest.raises(UsageError, match="--as") as caught:
        open_request(directory, parse_subject(OPENER.encode()), ground="a", received=now().date(), by=OPENER.title())
    assert OPENER not in str(caught.value).lower()
    request = plan_request(directory, opened(directory, f"{ALICE}\n{APPROVER}").id)
    assert request.plan is not None
    with pytest.raises(UsageError, match="--as"):
        approve(directory, request.id, digest=request.plan.digest, by=APPROVER)


def test_only_the_current_plan_is_approved_and_a_new_plan_voids_the_approval(directory: DataDirectory) -> None:
    request = approved(directory)
    assert request.plan is not None
    append_and_wait(directory, [event(ALICE, "/late")])
    again = plan_request(directory, request.id)
    assert (again.state, again.approved) == ("planned", None)
    with pytest.raises(UsageError, match="not the current plan"):
        approve(directory, request.id, digest=request.plan.digest, by=APPROVER)
    with pytest.raises(UsageError, match="only an approved request"):
        executed(directory, request.id)


def test_a_plan_whose_parts_are_gone_meanwhile_is_not_executed(directory: DataDirectory) -> None:
    request = approved(directory)
    seal_all(directory)
    destroy_openings(directory, {"actor": [1]}, state="expired", by=0)
    with pytest.raises(UsageError, match="1 parts of the plan are no longer open"):
        executed(directory, request.id)
    assert events.find(directory, events.STARTED, request.id) is None
    assert plan_request(directory, request.id).state == "planned"


def test_newer_records_are_counted_and_stay(directory: DataDirectory) -> None:
    request = approved(directory)
    (late,) = append_and_wait(directory, [event(ALICE, f"/v1/users/{ALICE}")])
    run = executed(directory, request.id)
    assert run.request.newer == 2
    assert run.request.residue is not None
    assert (run.request.residue.found, run.request.residue.newer) == (0, 2)
    assert openings(directory)[late, "actor"].state == "open"
    assert run.request.state == "completed"


def test_a_value_left_anywhere_keeps_the_request_open(directory: DataDirectory) -> None:
    request = approved(directory)
    stray = directory.root / "log" / "notes.bak"
    stray.write_bytes(ALICE.encode("utf-16"))
    with pytest.raises(FoundBadError, match=r"left in 1 places \(log/notes.bak at 2\)") as caught:
        executed(directory, request.id)
    assert ALICE not in str(caught.value)
    left = load(directory, request.id)
    assert (left.state, left.completed) == ("partial", None)
    assert left.subject is not None
    stray.unlink()
    assert executed(directory, request.id).request.state == "completed"


def test_a_person_may_decide_to_leave_a_value(directory: DataDirectory) -> None:
    request = approved(directory)
    (directory.root / "stray").write_text(ALICE)
    run = executed(directory, request.id, accept_residue=True)
    done = run.request
    assert [(place.where, place.at) for place in run.findings.of("found")] == [("stray", 0)]
    assert done.residue is not None
    assert (done.state, done.residue.found, done.residue.accepted) == ("completed", 1, True)


def test_another_open_request_of_the_same_person_is_for_review(directory: DataDirectory) -> None:
    request = approved(directory)
    other = opened(directory)
    done = executed(directory, request.id).request
    assert done.residue is not None
    assert done.residue.found == 0
    assert done.residue.review >= 1
    assert load(directory, other.id).subject is not None


@pytest.mark.parametrize("word", ["user", "gateway", "4", "actor"])
def test_ids_that_are_words_of_the_format_can_be_erased(directory: DataDirectory, word: str) -> None:
    append_and_wait(directory, [event(word, f"/v1/users/{word}")])
    done = executed(directory, approved(directory, word).id).request
    assert done.residue is not None
    assert (done.state, done.residue.found) == ("completed", 0)


def test_a_refusal_destroys_the_identifiers(directory: DataDirectory) -> None:
    request = refuse(directory, opened(directory).id, reason="17-3-e", by=APPROVER)
    assert (request.state, request.subject) == ("refused", None)
    stored = request_path(directory, request.id).read_bytes()
    assert ALICE.encode() not in stored
    assert APPROVER.encode() not in stored
    record = events.find(directory, events.REFUSED, request.id)
    assert record is not None
    assert record.facts == {"request": request.id, "reason": "17-3-e"}
    with pytest.raises(UsageError, match="already refused"):
        refuse(directory, request.id, reason="17-3-e", by=APPROVER)
    with pytest.raises(UsageError, match="is refused"):
        plan_request(directory, request.id)


def test_half_written_request_files_of_a_killed_command_are_removed(directory: DataDirectory) -> None:
    request = opened(directory)
    stale = directory.dsr / f".{request.id}.json.4242.tmp"
    stale.write_text(ALICE)
    plan_request(directory, request.id)
    assert not stale.exists()


def test_bad_words_are_refused(directory: DataDirectory) -> None:
    subject = parse_subject(ALICE.encode())
    with pytest.raises(UsageError, match="future"):
        open_request(directory, subject, ground="a", received=now().date() + timedelta(1), by="x")
    with pytest.raises(UsageError, match="--channel"):
        open_request(directory, subject, ground="a", received=date(2026, 11, 20), by="x", channel="Alice wrote")
    with pytest.raises(UsageError, match="dsr list"):
        load(directory, "dsr-00000000")
    with pytest.raises(UsageError, match="not a request id"):
        load(directory, "../keys/log")


def test_a_damaged_request_file_is_named_without_its_content(directory: DataDirectory) -> None:
    request: Request = opened(directory)
    path = request_path(directory, request.id)
    path.write_bytes(path.read_bytes().replace(b'"state":"opened"', b'"state":"ALICE"'))
    with pytest.raises(DirectoryError, match=request.id) as caught:
        load(directory, request.id)
    assert "ALICE" not in str(caught.value)


def test_the_namesake_is_somebody_else(directory: DataDirectory) -> None:
    assert _plan(directory, NAMESAKE).parts().indexes() == {"actor": (4,), "target": (4,)}
