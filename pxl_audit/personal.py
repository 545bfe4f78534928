"""A detector for values that have no place in the skeleton: addresses, numbers and tokens that lead to a person.

The skeleton cannot be changed once it is in the log, so what a service puts there is looked at first. It is a net with
wide meshes: it knows shapes, not names, and takes a value that has none of these shapes. Patterns are compiled at the
first use, because most services never need them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

MOST = 4096
"""Characters looked at; skeleton values are shorter."""

_PREFIXES = ("sk_live_", "sk_test_", "rk_live_", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-")
_TOKEN_CHARACTERS = 20
_HEX_CHARACTERS = 16
_LONG_NUMBER = 9
_ROUTE_NUMBER = 5


class _Patterns(NamedTuple):
    placeholder: re.Pattern[str]
    email: re.Pattern[str]
    ipv4: re.Pattern[str]
    ipv6: re.Pattern[str]
    mac: re.Pattern[str]
    uuid: re.Pattern[str]
    jwt: re.Pattern[str]
    key: re.Pattern[str]
    iban: re.Pattern[str]
    phone: re.Pattern[str]
    number: re.Pattern[str]
    compact_time: re.Pattern[str]
    piece: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    octet = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
    return _Patterns(
        # What stands in braces in a route template is a name, and may hold a pattern of its own.
        placeholder=re.compile(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}"),
        # One character before the sign is enough; a longer prefix would make the search quadratic.
        email=re.compile(r"[^\s@/{}](?:@|%40)(?:[^\s@/{}.]{1,63}\.){1,8}[^\W\d_]{2,}", re.I),
        # A `v` before it, or more than four numbers, makes it a version.
        ipv4=re.compile(rf"(?<![0-9.v])(?:{octet}\.){{3}}{octet}(?![0-9]|\.[0-9])", re.I | re.A),
        ipv6=re.compile(r"(?<![0-9A-Za-z_:.])[0-9A-F:]*:[0-9A-F]*:[0-9A-F:.]*(?![0-9A-Za-z_])", re.I | re.A),
        mac=re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-F]{2}([:-]))(?:[0-9A-F]{2}\1){4}[0-9A-F]{2}(?![0-9A-Za-z])", re.I),
        uuid=re.compile(r"(?<![0-9A-Za-z])[0-9A-F]{8}-(?:[0-9A-F]{4}-){3}[0-9A-F]{12}(?![0-9A-Za-z])", re.I),
        jwt=re.compile(r"(?<![0-9A-Za-z])eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{4,}\."),
        key=re.compile(
            rf"(?<![0-9A-Za-z])(?:(?:{'|'.join(map(re.escape, _PREFIXES))})\w{{8}}"
            r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30}|(?:bearer|basic)\s+\S{8})",
            re.I,
        ),
        # ISO 13616: country, two check digits, at most 30 characters; often written in groups of four.
        iban=re.compile(
            r"(?<![0-9A-Za-z])[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![0-9A-Za-z])", re.I | re.A
        ),
        # E.164 with its sign, or at least three groups (or two, the first in parentheses), none of them a date's.
        phone=re.compile(
            r"(?<![\w+])(?:\+\d[\d ().-]{5,24}\d|\(\d{2,5}\)[ -]?\d{3,4}[ -]?\d{2,6}"
            r"|\d{2,4}[ -]\d{3,4}[ -]\d{3,6})(?![\w:])",
            re.A,
        ),
        number=re.compile(rf"(?<![0-9A-Za-z.])\d{{{_LONG_NUMBER},}}(?![0-9A-Za-z])", re.A),
        compact_time=re.compile(
            r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?", re.A
        ),
        piece=re.compile(rf"[A-Za-z0-9+=_-]{{{_HEX_CHARACTERS},}}"),
    )


def looks_personal(text: str) -> str | None:
    """What `text` looks like, or None.

    One of `email`, `ipv4`, `ipv6`, `mac`, `jwt`, `token`, `uuid`, `iban`, `phone`, `number`. Placeholders of route
    templates (`{user_id}`), versions, dates and times are not taken for any of these. The answer is a kind, fit for a
    message; the value itself is not.
    """
    p = _patterns()
    plain = p.placeholder.sub("{}", text[:MOST])
    for kind, pattern, check in _tests():
        if any(check is None or check(match[0]) for match in pattern.finditer(plain)):
            return kind
    return None


@cache
def _tests() -> tuple[tuple[str, re.Pattern[str], Callable[[str], bool] | None], ...]:
    """Kind, shape, and a test of what has the shape; from what can hardly be mistaken to what can."""
    p = _patterns()
    return (
        ("email", p.email, None),
        ("jwt", p.jwt, None),
        ("token", p.key, None),
        ("uuid", p.uuid, None),
        ("mac", p.mac, None),
        ("ipv4", p.ipv4, None),
        ("ipv6", p.ipv6, _is_ipv6),
        ("iban", p.iban, _is_iban),
        ("phone", p.phone, _is_phone),
        ("number", p.number, lambda found: p.compact_time.fullmatch(found) is None),
        ("token", p.piece, _is_random),
    )


@lru_cache(maxsize=1024)
def raw_id_in(route: str) -> str | None:
    """What shows that a route template is a raw path or holds a raw id, or None: as `looks_personal`, or `id`.

    `/v1/users/48121` has an `id`: a segment of five digits or more. Shorter numbers are versions, years and statuses.
    """
    if any(len(step) >= _ROUTE_NUMBER and step.isdigit() for step in route.split("/")):
        return "id"
    return looks_personal(route)


def _is_ipv6(text: str) -> bool:
    # `std::dec` and `abc::def` are names; an address without a single digit is next to unheard of.
    if not any(map(str.isdigit, text)):
        return False
    import ipaddress  # noqa: PLC0415  # only text with two colons pays for it

    try:
        ipaddress.IPv6Address(text.rstrip(".") if text.endswith("::.") else text.strip("."))
    except ValueError:
        return False
    return True


def _is_iban(text: str) -> bool:
    """ISO 7064 mod 97-10, as ISO 13616 has it."""
    compact = text.replace(" ", "").upper()
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _is_phone(text: str) -> bool:
    digits = sum(map(str.isdigit, text))
    return (8 if text.startswith("+") else _LONG_NUMBER) <= digits <= 15


def _is_random(run: str) -> bool:
    """Whether a run of letters, digits, `-` and `_` was made by a machine, not put together from words."""
    pieces = re.split("[-_]", run)
    # base64url has both signs within it; taken together its pieces still change at random, words do not.
    whole = "".join(pieces)
    mixed = whole != whole.lower() and whole != whole.upper() and sum(map(str.isdigit, whole)) >= 3
    return any(map(_is_random_piece, pieces)) or (
        len(whole) >= 2 * _HEX_CHARACTERS and mixed and _changes(whole) >= 4 / 9
    )


def _is_random_piece(piece: str) -> bool:
    digits = sum(map(str.isdigit, piece))
    if len(piece) < _HEX_CHARACTERS:
        return False
    if 2 <= digits < len(piece) and re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", piece):
        return True
    if len(piece) < _TOKEN_CHARACTERS:
        return False
    # Words change between small and capital letters at every third character, seldom at more than two of five; random
    # text of both cases does it at three of five, of one case and digits at two of five, where names have a number
    # at one place or two.
    return _changes(piece) >= (0.2 if digits >= 3 else 0.45 if digits else 0.55)


def _changes(text: str) -> float:
    """Changes between small letters, capitals, digits and signs, for each character."""
    classes = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "s" for c in text]
    return sum(a != b for a, b in pairwise(classes)) / len(text)
