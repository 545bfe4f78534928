"""What was said in a log call, in a form that a record can hold."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from pxl_audit.actor import Actor
from pxl_audit.event import MAX_SAFE_INTEGER, Json
from pxl_audit.exchange import limited

FACETS = frozenset({"actor", "target", "outcome", "retention"})
"""Members of a log event that say what `pxl_audit.record` is told; the rest become attributes."""

MAX_VALUE = 4096
"""Characters of one value; what is cut off is marked."""


def attributes_of(said: Mapping[str, object]) -> dict[str, Json]:
    """What a log event says about what happened, in a form that a record can hold."""
    return {_ascii(key): in_json(value) for key, value in said.items() if key not in FACETS and value is not None}


def actor_of(said: object) -> str | Actor | Mapping[str, Json] | None:
    if said is None or isinstance(said, (str, Actor)):
        return said
    return _members(said) if isinstance(said, Mapping) else str(said)


def target_of(said: object) -> str | Mapping[str, Json] | None:
    if said is None or isinstance(said, str):
        return said
    return _members(said) if isinstance(said, Mapping) else str(said)


def _members(said: Mapping[object, object]) -> dict[str, Json]:
    return {_ascii(key): in_json(value) for key, value in said.items()}


def _ascii(key: object) -> str:
    return str(key).encode("ascii", "backslashreplace").decode("ascii")


def in_json(value: object) -> Json:
    """The nearest that a record can hold: no floats, no integers from 2**53, no unpaired surrogates."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= MAX_SAFE_INTEGER:
        return int(value)
    if isinstance(value, Mapping):
        return _members(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [in_json(member) for member in value]
    return limited(str(value), MAX_VALUE)
