"""Put the question of `matching` to a whole log: complete, without an upper limit, reading only.

DuckDB reads the columns and keeps whatever *might* name the person; `Matcher` then decides. The first filter must never
be narrower than the second: it looks for the value as JSON writes it, and as a path may encode it, one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from compliance.dsr.matching import Matcher
from compliance.dsr.subject import USER_ID, Subject, user_ids
from pxl_audit.directory import DataDirectory
from pxl_audit.vault.query import connect
from pxl_audit.vault.row import PARTS, Part

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 10_000
_COLUMNS = {USER_ID: "user_id", "client.address": "client_address"}


@dataclass(frozen=True)
class Hit:
    """A part of a record that names the person. `time` in seconds since 1970."""

    index: int
    part: Part
    time: int
    service: str
    event: str
    retention: str
    matched: frozenset[int]
    """Positions in the subject."""
    user: str | None
    """`user.id` in an actor part."""


class _Actor(msgspec.Struct):
    user_id: str | None = msgspec.field(default=None, name="user.id")


_decode_actor = msgspec.json.Decoder(_Actor).decode


def find_parts(directory: DataDirectory, subject: Subject, *, start: int = 0, end: int | None = None) -> Iterator[Hit]:
    """Every open part of the records `start` to `end` (exclusive; published end if None) that names the person."""
    matcher = Matcher(subject)
    where, parameters = might_name(subject)
    with connect(directory) as connection:
        cursor = connection.execute(
            'SELECT "index", epoch("time")::BIGINT, service, event, retention, actor, target FROM records '  # noqa: S608  # columns are ours, values are bound
            f'WHERE "index" >= ? AND "index" < ? AND ({where}) ORDER BY "index"',
            [start, 2**62 if end is None else end, *parameters],
        )
        while rows := cursor.fetchmany(BATCH_ROWS):
            for index, time, service, event, retention, *texts in rows:
                for part, text in zip(PARTS, texts, strict=True):
                    if text is not None and (matched := matcher.match(part, text)):
                        user = _decode_actor(text).user_id if part == "actor" else None
                        yield Hit(index, part, time, service, event, retention, matched, user)


def might_name(subject: Subject) -> tuple[str, list[str]]:
    """An SQL condition, and the values for its parameters, that is true for every row that a `Matcher` can match."""
    terms: list[str] = []
    parameters: list[str] = []
    for identifier in subject:
        if column := _COLUMNS.get(identifier.name):
            terms.append(f"{column} = ?")
            parameters.append(identifier.value)
        else:
            terms.append("contains(actor, ?)")
            parameters.append(as_json(identifier.value))
        if identifier.name == USER_ID:
            terms.append(
                "contains(target, ?) OR "
                "((contains(target, '%') OR contains(target, '+')) AND regexp_matches(target, ?))"
            )
            parameters += [as_json(identifier.value), _encoded_pattern(identifier.value)]
    return " OR ".join(terms), parameters


def as_json(text: str) -> str:
    """`text` as it stands between the quotes of an RFC 8785 string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _encoded_pattern(value: str) -> str:
    """RE2 pattern for `value` with any of its characters percent-encoded, or a blank written as `+`."""
    return "".join(_character_pattern(character) for character in value)


def _character_pattern(character: str) -> str:
    literal = re.escape(as_json(character))
    encoded = "".join(f"%(?i:{byte:02x})" for byte in character.encode())
    return f"(?:{literal}|{encoded}{'|[+]' if character == ' ' else ''})"


def near_misses(directory: DataDirectory, subject: Subject) -> int:
    """How many other user ids differ from the subject's only in case, outer blanks or Unicode normal form."""
    known = user_ids(subject)
    if not known:
        return 0
    with connect(directory) as connection:
        return _count(
            connection,
            "WITH known AS (SELECT unnest(?::VARCHAR[]) AS id) SELECT count(DISTINCT user_id) FROM records "
            "WHERE nfc_normalize(lower(trim(user_id))) IN (SELECT nfc_normalize(lower(trim(id))) FROM known) "
            "AND user_id NOT IN (SELECT id FROM known)",
            known,
        )


def _count(connection: duckdb.DuckDBPyConnection, query: str, values: list[str]) -> int:
    row = connection.execute(query, [values]).fetchone()
    return int(row[0]) if row else 0
