"""A value in every form in which it may have been left behind, and whether it stands there as a whole.

`may` inside `maya` is somebody else. So each form comes with a check of what stands before and after it; for base64 and
hexadecimal that means decoding what is around it, because the value may be anywhere inside.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

CONTEXT_BYTES = 4096
"""How much of a file has to be at hand around a hit."""
SHORTEST_ENCODED = 5
"""Shorter values turn up in random base64 (salts, hashes) by chance; they are not looked for in it."""
SHORTEST_PLAIN = 4
"""Shorter values, and bare numbers, are words of every format: finding their bytes says nothing."""

_WORD = rb"0-9A-Za-z_@%+\-\x80-\xff"
_ENCODED_SEPARATOR = rb"(?:%2[02367cfCF]|%3[abdfABDF])"
_BEFORE = re.compile(rb"(?:\A|[^." + _WORD + rb"]|" + _ENCODED_SEPARATOR + rb"|\\[nrt])\Z", re.DOTALL)
_AFTER = re.compile(rb"[.!]?(?:\Z|[^." + _WORD + rb"]|" + _ENCODED_SEPARATOR + rb")", re.DOTALL)
_BASE64_RUN = rb"A-Za-z0-9+/_\-"
_HEX_RUN = rb"0-9A-Fa-f"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")

Whole = Callable[[bytes, int, int], bool]
"""Given a window of bytes and where a hit starts and ends in it: does the value stand there as a whole token?"""


@dataclass(frozen=True)
class Needle:
    """One form of one value."""

    encoding: str
    data: bytes
    whole: Whole
    example: bytes
    """The value in this form between neutral neighbours: what a control plants."""


def is_weak(value: str, words: frozenset[str]) -> bool:
    """Whether the value's bytes prove nothing by themselves: short, a number, or one of `words`."""
    return len(value.encode()) < SHORTEST_PLAIN or value.isdigit() or value in words


def needles(value: str) -> list[Needle]:
    """Every form of `value`, each byte string once."""
    raw = value.encode()
    found: dict[bytes, Needle] = {}
    for needle in [*_text_forms(value), *(_encoded_forms(raw) if len(raw) >= SHORTEST_ENCODED else ())]:
        found.setdefault(needle.data, needle)
    return list(found.values())


def _text_forms(value: str) -> Iterator[Needle]:
    yield _plain("utf-8", value)
    for ascii_only in (False, True):
        yield _plain("json", json.dumps(value, ensure_ascii=ascii_only)[1:-1])
    for safe in ("", "/", "/@:,"):
        encoded = quote(value, safe=safe)
        yield _plain("percent", encoded)
        yield _plain("percent", re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded))
    for order, encoding in (("little", "utf-16-le"), ("big", "utf-16-be")):
        yield Needle(encoding, value.encode(encoding), _whole_utf16(order), f"\0{value}\0".encode(encoding))


def _plain(encoding: str, text: str) -> Needle:
    return Needle(encoding, text.encode(), _whole_plain, b"\0" + text.encode() + b"\0")


def _encoded_forms(raw: bytes) -> Iterator[Needle]:
    for text in (raw.hex(), raw.hex().upper()):
        yield Needle("hex", text.encode(), _whole_hex, b" " + text.encode() + b" ")
    for shift in range(3):
        core, example = _base64_core(raw, shift), b64encode(b"\0" * shift + raw + b"\0")
        whole = _whole_base64(shift, len(raw))
        yield Needle("base64", core, whole, example)
        yield Needle("base64", core.translate(_URL_SAFE), whole, example.translate(_URL_SAFE))


def _base64_core(raw: bytes, shift: int) -> bytes:
    """The characters that depend on `raw` alone when it stands `shift` bytes (0 to 2) after a multiple of three."""
    skip = -(-shift * 8 // 6)
    return b64encode(b"\0" * shift + raw)[skip : (shift + len(raw)) * 8 // 6]


def _whole_plain(window: bytes, start: int, end: int) -> bool:
    before = window[max(0, start - 3) : start]
    return bool(_BEFORE.search(before)) and bool(_AFTER.match(window, end, end + 4))


def _whole_utf16(order: str) -> Whole:
    def whole(window: bytes, start: int, end: int) -> bool:
        sides = (window[max(0, start - 2) : start], window[end : end + 2])
        return not any(_is_word_unit(side, order) for side in sides)

    return whole


def _is_word_unit(unit: bytes, order: str) -> bool:
    if len(unit) < 2:
        return False
    character = chr(unit[0] | unit[1] << 8 if order == "little" else unit[1] | unit[0] << 8)
    return character.isalnum() or character in "_@%+-."


def _whole_base64(shift: int, length: int) -> Whole:
    skip = -(-shift * 8 // 6)

    def whole(window: bytes, start: int, end: int) -> bool:
        first, last = _run(window, start, end, _BASE64_RUN)
        origin = start - skip
        begins = [origin - (origin - first) // 4 * 4] if origin >= first else []
        if shift == 0 and window[start - 1 : start] in (b"/", b"-", b"_", b"+"):
            begins.append(start)  # the character before may be a separator and not base64 at all
        return any(
            _whole_plain(*_decoded(window[begin:last], (origin - begin) // 4 * 3 + shift, length)) for begin in begins
        )

    return whole


def _decoded(run: bytes, start: int, length: int) -> tuple[bytes, int, int]:
    """A stretch of base64, decoded as far as it goes, and where the value stands in it."""
    text = run.translate(_STANDARD)
    even = len(text) // 4 * 4
    return b64decode(text[:even] + _padded(text[even:])), start, start + length


def _padded(rest: bytes) -> bytes:
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _whole_hex(window: bytes, start: int, end: int) -> bool:
    first, last = _run(window, start, end, _HEX_RUN)
    begin = start - (start - first) // 2 * 2
    decoded = bytes.fromhex(window[begin : last - (last - begin) % 2].decode("ascii"))
    at = (start - begin) // 2
    return _whole_plain(decoded, at, at + (end - start) // 2)


def _run(window: bytes, start: int, end: int, alphabet: bytes) -> tuple[int, int]:
    """The stretch of characters of `alphabet` around a hit, at most half the context to each side."""
    reach = CONTEXT_BYTES // 2
    before = re.search(rb"[" + alphabet + rb"]*\Z", window[max(0, start - reach) : start])
    after = re.match(rb"[" + alphabet + rb"]*", window[end : end + reach])
    return start - len(before[0] if before else b""), end + len(after[0] if after else b"")
