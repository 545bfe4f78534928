"""What a person is known by, as a file says it."""

from __future__ import annotations

import pytest

from compliance.dsr.subject import Identifier, parse_subject
from pxl_audit.errors import UsageError


def test_lines_name_identifiers_and_a_bare_word_is_a_user_id() -> None:
    subject = parse_subject(b"alice\r\n\n user.id = b=ob \nclient.address=2001:DB8:0::1\nsession.id=s-1\nalice\n")
    assert subject == (
        Identifier("user.id", "alice"),
        Identifier("user.id", "b=ob"),
        Identifier("client.address", "2001:db8::1"),
        Identifier("session.id", "s-1"),
    )


def test_a_value_in_quotes_is_taken_literally() -> None:
    assert parse_subject(b'user.id="50% *"\n"null"') == (Identifier("user.id", "50% *"), Identifier("user.id", "null"))


@pytest.mark.parametrize(
    "lines",
    ["", " \n\t\n", "*", "%", "user.id=", "user.id=*", 'user.id=""', 'user.id=" "', 'user.id="*"', "ali*", "al%",
     "null", "user.id=None", "undefined", "user.id=...", 'user.id="open', "color=red", '"\\ud800"', "x" * 513],
)  # fmt: skip
def test_what_names_nobody_or_everybody_is_refused(lines: str) -> None:
    with pytest.raises(UsageError, match="--subject-file"):
        parse_subject(lines.encode())


def test_messages_and_representations_do_not_repeat_the_value() -> None:
    with pytest.raises(UsageError) as caught:
        parse_subject(b"alice\nsecret-name@example.org=*")
    assert "line 2" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "alice" not in repr(parse_subject(b"alice"))


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x\n" * 40_000])
def test_files_of_another_kind_are_refused(data: bytes) -> None:
    with pytest.raises(UsageError):
        parse_subject(data)
