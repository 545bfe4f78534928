"""Which parts name a person; and that the first filter, in SQL, is never narrower than the second."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.dsr.matching import Matcher
from compliance.dsr.search import might_name
from compliance.dsr.subject import Identifier

MAY = Matcher((Identifier("user.id", "may"), Identifier("client.address", "203.0.113.7")))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/users/may", True),
        ("/v1/users/may/keys", True),
        ("/v1/users/maya", False),
        ("/v1/users/dismay", False),
        ("/v1/users/may-2", False),
        ("/v1/users/may@example.org", False),
        ("/v1/users/%6Day", True),
        ("/v1/users%2Fmay%2Fkeys", True),
        ("/v1/x?user=may&b=1", True),
        ("told by may.", True),
        ("may.cfg", False),
        ("Max, may; and others", True),
        ("MAY", False),
        ("%zz%ff/may", True),
    ],
)
def test_a_target_names_a_person_by_a_whole_token(path: str, expected: bool) -> None:
    assert bool(MAY.match("target", json.dumps({"url.path": path}))) is expected


def test_a_target_is_searched_however_deep_but_only_in_values() -> None:
    assert MAY.match("target", '{"pxl.attributes":{"a":[{"b":"may"}]}}') == {0}
    assert not MAY.match("target", '{"pxl.attributes":{"may":[1,null,true]}}')


def test_an_actor_is_matched_by_its_members_alone() -> None:
    assert MAY.match("actor", '{"client.address":"203.0.113.7","user.id":"may"}') == {0, 1}
    assert MAY.match("actor", '{"client.address":"203.0.113.7","user.id":"eve"}') == {1}
    assert not MAY.match("actor", '{"user.id":"eve","user.roles":["may"],"user_agent.original":"may"}')
    assert not MAY.match("target", '{"url.path":"/v1/hosts/203.0.113.7"}')


@pytest.mark.parametrize(
    "value", ["a/b", "urn:x:7", "o'hara ünï", 'quo"te', "back\\slash", "tab\there", "50%", "a+b", "名前", "a.b*c("]
)
@pytest.mark.parametrize("write", [str, quote, quote_plus, lambda text: quote(text, safe="").lower()])
def test_ids_of_every_make_are_found_as_written_and_as_encoded(value: str, write: object) -> None:
    assert callable(write)
    _agree(value, f"/v1/users/{write(value)}/keys", must_match=write in (str, quote))


@given(
    value=st.text("aB%+ /\\\"'é\t.0名", min_size=1, max_size=6).filter(lambda text: text.strip()),
    around=st.tuples(*[st.text('aB%+ /\\"é.2F', max_size=4)] * 2),
    write=st.sampled_from([str, quote, quote_plus, lambda text: "".join(f"%{byte:02X}" for byte in text.encode())]),
)
@settings(max_examples=150, deadline=None)
def test_the_first_filter_is_never_narrower(value: str, around: tuple[str, str], write: object) -> None:
    assert callable(write)
    _agree(value, around[0] + write(value) + around[1])


_CONNECTION = duckdb.connect()


def _agree(value: str, path: str, *, must_match: bool = False) -> None:
    """If the matcher finds `value` in `path`, so does the SQL; and it has to find it where `must_match`."""
    subject = (Identifier("user.id", value),)
    target = json.dumps({"url.path": path}, ensure_ascii=False)
    matched = bool(Matcher(subject).match("target", target))
    assert matched or not must_match
    where, parameters = might_name(subject)
    row = _CONNECTION.execute(
        f"SELECT {where} FROM (SELECT NULL::VARCHAR AS user_id, NULL::VARCHAR AS actor, $t AS target)".replace(
            "$t", "?"
        ),
        [*parameters, target],
    ).fetchone()
    assert row is not None
    assert bool(row[0]) >= matched
