"""The search for left-over values in the decoded columns of the vault, which no look at raw bytes can do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from compliance.dsr.matching import Matcher, token_pattern
from compliance.dsr.search import BATCH_ROWS, as_json, might_name
from compliance.dsr.subject import USER_ID, Identifier, Subject, user_ids
from pxl_audit.directory import DataDirectory
from pxl_audit.vault.query import connect
from pxl_audit.vault.row import PARTS

_SKELETON = ("service", "event", "method", "route", "outcome", "ending", "actor_kind", "retention", "error_type")


@dataclass(frozen=True)
class ColumnHit:
    """A row that holds a value. `whole`: as `matching` understands it, not inside or beside something else."""

    index: int
    column: str
    whole: bool


def scan_columns(directory: DataDirectory, subject: Subject) -> list[ColumnHit]:
    """Every row of which a part, the repeated user id, or the facts contain a value of the subject."""
    where, parameters = might_name(subject)
    ids = user_ids(subject)
    for identifier in subject:
        where += " OR contains(actor, ?) OR contains(facts, ?) OR user_id = ?"
        parameters += [as_json(identifier.value)] * 2 + [identifier.value]
    matcher, hits = Matcher(subject), list[ColumnHit]()
    with connect(directory) as connection:
        cursor = connection.execute(
            f'SELECT "index", actor, target, user_id, facts FROM records WHERE {where} ORDER BY "index"',  # noqa: S608  # values are bound
            parameters,
        )
        while rows := cursor.fetchmany(BATCH_ROWS):
            for index, actor, target, user_id, facts in rows:
                for part, text in zip(PARTS, (actor, target), strict=True):
                    if text is not None and _contains(text, subject, matched := bool(matcher.match(part, text))):
                        hits.append(ColumnHit(index, part, matched))
                if user_id in ids and actor is None:
                    hits.append(ColumnHit(index, "user_id", whole=True))
                if facts is not None and _contains(facts, subject, matched=False):
                    hits.append(ColumnHit(index, "facts", _is_token(facts, subject)))
    return hits


def _contains(text: str, subject: Subject, matched: bool) -> bool:  # noqa: FBT001  # one question with its short answer
    return matched or any(as_json(identifier.value) in text for identifier in subject)


def _is_token(text: str, subject: Subject) -> bool:
    return any(token_pattern(as_json(identifier.value)).search(text) for identifier in subject)


def search_sees(directory: DataDirectory, index: int) -> bool:
    """The positive control: does the same search find the name of the member of staff in the record at `index`?"""
    with connect(directory) as connection:
        row = connection.execute('SELECT user_id FROM records WHERE "index" = ?', [index]).fetchone()
    if row is None or row[0] is None:
        return False
    hits = scan_columns(directory, (Identifier(USER_ID, row[0]),))
    return any(hit.index == index and hit.whole for hit in hits)


def shared_rows(directory: DataDirectory, identifiers: Iterable[Identifier]) -> int:
    """Records whose actor part still holds one of these addresses or browsers."""
    subject = tuple(identifiers)
    if not subject:
        return 0
    where = " OR ".join(["contains(actor, ?)"] * len(subject))
    members = [f'"{identifier.name}":"{as_json(identifier.value)}"' for identifier in subject]
    with connect(directory) as connection:
        row = connection.execute(f"SELECT count(*) FROM records WHERE {where}", members).fetchone()  # noqa: S608  # values are bound
    return int(row[0]) if row else 0


def skeleton_words(directory: DataDirectory) -> frozenset[str]:
    """Every word of every skeleton column: names of services, routes and so on, which name nobody."""
    with connect(directory) as connection:
        rows = connection.execute(f"SELECT DISTINCT {', '.join(_SKELETON)} FROM records").fetchall()  # noqa: S608  # columns are ours
    texts = {text for row in rows for text in row if text is not None}
    return frozenset(texts | {word for text in texts for word in re.split(r"[^\w.@+-]+", text) if word})
