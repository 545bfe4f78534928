"""The requests of the demo: as many as asked, every kind among them, and answers that the prover confirms."""

from __future__ import annotations

import json

import pytest

from examples.pxl_core import Budget, Reader, SequentError, Tableau
from reports.demo.erasure import subject_lines
from reports.demo.people import invent_people, token_file, visitor
from reports.demo.workload import PROOFS, SHARES, UNREADABLE, Ask, Workload, kinds

PEOPLE = invent_people()


def asks(count: int) -> list[Ask]:
    return Workload(PEOPLE, visitor(), PEOPLE[3], seed=1).asks(count)


@pytest.mark.parametrize("count", [200, 2400])
def test_exactly_as_many_as_asked_and_all_kinds(count: int) -> None:
    made = asks(count)
    assert len(made) == count
    assert len({ask.request_id for ask in made}) == count
    counts = dict(kinds(made))
    assert set(counts) == {"proof", *SHARES}
    assert all(number >= 2 for number in counts.values())
    assert sum(counts.values()) == count
    assert {ask.user_id for ask in made if ask.user_id} == {person.id for person in PEOPLE}


def test_somebody_else_asks_for_the_leaving_persons_profile() -> None:
    path = f"/v1/users/{PEOPLE[3].id}"
    assert any(ask.path == path and ask.user_id != PEOPLE[3].id and ask.status == 403 for ask in asks(200))
    assert any(ask.path == path and ask.user_id is None and ask.person is PEOPLE[3] for ask in asks(200))


@pytest.mark.parametrize(("sequent", "provable"), PROOFS)
def test_the_prover_agrees(sequent: str, provable: bool) -> None:
    budget = Budget(10_000)
    assert (Tableau(Reader(sequent, budget).read(), budget).countermodel() is None) is provable


@pytest.mark.parametrize("sequent", UNREADABLE)
def test_unreadable_ones_are(sequent: str) -> None:
    with pytest.raises(SequentError):
        Reader(sequent, Budget(10_000)).read()


def test_people_have_values_of_their_own() -> None:
    for values in zip(*((one.id, one.token, one.address, one.user_agent) for one in PEOPLE), strict=True):
        assert len(set(values)) == 20
        assert not any(one in other for one in values for other in values if one != other)
    assert json.loads(json.dumps(token_file(PEOPLE)))[PEOPLE[0].token]["id"] == PEOPLE[0].id


def test_the_subject_file_has_what_identifies_and_not_the_token() -> None:
    lines = subject_lines(PEOPLE[0])
    assert f"user.id={PEOPLE[0].id}\n" in lines
    assert PEOPLE[0].token not in lines
