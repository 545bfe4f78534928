"""Does a part of a record name the person?

An actor is matched by its members alone: the address and the browser in it belong to whoever acted. In a target a
`user.id` may stand anywhere: in the path, an attribute, the id of the thing acted upon. It has to stand there as a
whole token: `may` is not in `/v1/users/maya`, and is in `/v1/users/may/keys`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

import msgspec

from compliance.dsr.subject import USER_ID, Subject
from pxl_audit.vault.row import Part

SEPARATORS = "/?&=,;:\"'` \t\r\n()[]{}<>"
"""What ends a token. Not `-`, `_`, `.`, `@`: `may-2` and `may@example.org` are other names than `may`."""

_decode = msgspec.json.Decoder(dict[str, object]).decode


def token_pattern(value: str) -> re.Pattern[str]:
    """Finds `value` as a whole token; the value may itself contain separators. A full stop may end a sentence."""
    ends = f"[{re.escape(SEPARATORS)}]"
    return re.compile(rf"(?:\A|(?<={ends})){re.escape(value)}(?=[.!]?(?:\Z|{ends}))")


class Matcher:
    """The identifiers of one person, made ready for many parts."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._tokens = [
            (number, token_pattern(identifier.value))
            for number, identifier in enumerate(subject)
            if identifier.name == USER_ID
        ]

    def match(self, part: Part, text: str) -> frozenset[int]:
        """Positions in the subject of the identifiers that the part with these canonical bytes (as text) names."""
        members = _decode(text)
        if part == "actor":
            known = enumerate(self._subject)
            return frozenset(n for n, identifier in known if members.get(identifier.name) == identifier.value)
        texts = {form for string in strings(members) for form in readings(string)}
        return frozenset(n for n, pattern in self._tokens if any(pattern.search(text) for text in texts))


def readings(text: str) -> set[str]:
    """`text` as it stands, percent-decoded, and decoded as a form does it (`+` is a space)."""
    return {text, unquote(text), unquote_plus(text)}


def strings(value: object) -> Iterator[str]:
    """Every string value in a JSON value, however deep; names of members are not values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from strings(member)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
