"""What a person is known by in the log.

Read from a file or a pipe, because arguments are seen by `ps` and kept by shells.

A line is `name=value`, or a bare word, which is a `user.id`. A value in double quotes is a JSON string and taken
literally. Values are matched exactly, so a wildcard would find nothing: it is refused, together with everything that an
unset variable leaves behind. Messages name the line and never repeat what stands on it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator

import msgspec

from pxl_audit.errors import UsageError

USER_ID = "user.id"
ADDRESSES = ("client.address", "network.peer.address")
NAMES = (USER_ID, *ADDRESSES, "user_agent.original", "pxl.request.id", "session.id")
SHARED_NAMES = (*ADDRESSES, "user_agent.original")
"""Identifiers that many people can have at once: an address or a browser is not a person."""

MAX_BYTES = 65_536
MAX_VALUE_BYTES = 512
"""Longer values are no identifiers; the search for left-over bytes relies on this bound."""
_WILDCARDS = "*%"
_NOTHING = frozenset({"null", "none", "nil", "undefined", "nan", "anonymous", "-"})


class Identifier(msgspec.Struct, frozen=True):
    """One name by which records know the person."""

    name: str
    value: str

    def __repr__(self) -> str:
        """Without the value: representations end up in logs and tracebacks."""
        return f"Identifier({self.name}, ...)"


Subject = tuple[Identifier, ...]


def user_ids(subject: Subject) -> list[str]:
    """The values of `user.id`."""
    return [identifier.value for identifier in subject if identifier.name == USER_ID]


def parse_subject(data: bytes) -> Subject:
    """Identifiers in the order of the file, each once; `UsageError` names the first line that is off."""
    if len(data) > MAX_BYTES:
        raise UsageError(f"--subject-file: more than {MAX_BYTES} bytes; expected one identifier a line")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("--subject-file: not UTF-8; save it as UTF-8, one identifier a line") from None
    subject = tuple(dict.fromkeys(_identifiers(text)))
    if not subject:
        raise UsageError("--subject-file: empty; expected lines such as user.id=... or session.id=...")
    return subject


def _identifiers(text: str) -> Iterator[Identifier]:
    for number, line in enumerate(text.split("\n"), start=1):
        if words := line.strip():
            yield _identifier(words, f"--subject-file: line {number}")


def _identifier(line: str, place: str) -> Identifier:
    name, equals, value = line.partition("=")
    name, value = (name.strip(), value.strip()) if equals and not line.startswith('"') else (USER_ID, line)
    if name not in NAMES:
        raise UsageError(f"{place}: unknown name before '='; expected one of {', '.join(NAMES)}")
    if value.startswith('"'):
        return Identifier(name, _something(_quoted(value, place), place))
    if any(wildcard in value for wildcard in _WILDCARDS):
        raise UsageError(f"{place}: wildcards are not understood; a value that really has * or % goes in double quotes")
    if value.casefold() in _NOTHING:
        raise UsageError(f"{place}: this looks like an unset variable; if it is meant, put it in double quotes")
    return Identifier(name, _something(_address(value) if name in ADDRESSES else value, place))


def _quoted(value: str, place: str) -> str:
    try:
        text = json.loads(value)
    except ValueError:
        text = None
    if not isinstance(text, str):
        raise UsageError(f"{place}: a value that starts with a double quote has to be one whole JSON string")
    return text


def _something(value: str, place: str) -> str:
    """`value`, if it is more than blanks and wildcards, and no more than an identifier."""
    if len(value.encode("utf-8", "surrogatepass")) > MAX_VALUE_BYTES:
        raise UsageError(f"{place}: more than {MAX_VALUE_BYTES} bytes; expected an identifier")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise UsageError(f"{place}: not valid Unicode (an unpaired surrogate)")
    if not value.strip().strip(_WILDCARDS + "?_. \t"):
        raise UsageError(f"{place}: no value; an empty value or a bare wildcard never selects anybody")
    return value


def _address(value: str) -> str:
    """An IP address in the form that servers report it in; anything else as it is."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return value
