"""Sealed vault files (docs/format.md section 5), read with DuckDB as a stream in the file's own order.

DuckDB puts the skeleton columns of a row together to the text that the leaf must end with, and salt and text of a part
to the bytes that its commitment hashes. Both are done for thousands of rows at a time and leave little for Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb

from pxl_audit.verify.report import Findings

_NAME = re.compile(r"([0-9]{12})-([0-9]{12})\.parquet", re.ASCII)
ROWS = 2048
"""Rows that are in memory at a time: one vector of DuckDB."""

_TEXTS = ("service", "event", "method", "route", "outcome", "ending", "actor_kind", "retention", "error_type", "facts")
_NUMBERS = ("index", "duration_us", "first_byte_us", "application_us", "request_bytes", "response_bytes")
COLUMNS: dict[str, str] = {
    "time": "TIMESTAMP",
    "status": "SMALLINT",
    **dict.fromkeys(_TEXTS, "VARCHAR"),
    **dict.fromkeys(_NUMBERS, "BIGINT"),
    **{
        f"{part}{suffix}": kind
        for part in ("actor", "target")
        for suffix, kind in (("", "VARCHAR"), ("_salt", "BLOB"), ("_state", "VARCHAR"), ("_by", "BIGINT"))
    },
    "user_id": "VARCHAR",
    "client_address": "VARCHAR",
}


class Row(NamedTuple):
    """One row as it is compared with its leaf."""

    at: int
    """Leaf index."""
    tail: bytes | None
    """What the leaf has behind the commitments, without the closing brace."""
    facts: str | None
    actor_opening: bytes | None
    """Salt, then canonical bytes."""
    target_opening: bytes | None
    user_id: str | None
    client_address: str | None
    plain: bool
    """Both parts are open, and no column is in itself wrong: nothing but the values remains to be compared."""
    actor_state: str | None
    target_state: str | None
    actor_by: int | None
    target_by: int | None
    actor_fault: str | None
    """How the columns of the part contradict its state."""
    target_fault: str | None
    fault: str | None
    """A skeleton column that may not be NULL, or a time with a fraction."""


@dataclass(frozen=True)
class SealedFile:
    """A file of vault/sealed, as its name describes it."""

    path: Path
    first: int
    end: int

    @property
    def name(self) -> str:
        """Relative to the data directory."""
        return f"vault/sealed/{self.path.name}"


def sealed_file(path: Path) -> SealedFile | None:
    """The file that a name stands for; None if it is no name of a sealed file."""
    match = _NAME.fullmatch(path.name)
    if match is None or int(match[1]) >= int(match[2]):
        return None
    return SealedFile(path, int(match[1]), int(match[2]))


def _quoted(column: str) -> str:
    return f"""'"' || replace(replace({column}, '\\', '\\\\'), '"', '\\"') || '"'"""


def _member(letter: str, column: str, default: str | None = None) -> str:
    text = _quoted(column) if column in _TEXTS else column
    member = f"""',"{letter}":' || {text}"""
    return member if default is None else f"CASE WHEN {column} <> {default} THEN {member} END"


_TAIL = ", ".join(
    (
        _member("c", "status"),
        _member("d", "duration_us"),
        _member("e", "event", "'http.request'"),
        "',\"f\":' || facts",
        _member("g", "error_type"),
        _member("h", "first_byte_us"),
        _member("i", "request_bytes", "0"),
        _member("k", "actor_kind", "'anonymous'"),
        _member("m", "method"),
        _member("n", "ending", "'complete'"),
        _member("o", "outcome", "'success'"),
        _member("p", "retention", "'access'"),
        _member("r", "route"),
        _member("s", "service"),
        "',\"t\":' || (epoch_us(time) // 1000000)",
        _member("u", "response_bytes", "0"),
        _member("w", "application_us"),
    )
)
_FILLED = (
    "service",
    "event",
    "outcome",
    "ending",
    "actor_kind",
    "retention",
    "request_bytes",
    "response_bytes",
    "time",
)


def _part_fault(part: str) -> str:
    text, salt, by, state = part, f"{part}_salt", f"{part}_by", f"{part}_state"
    gone = f"{text} IS NULL AND {salt} IS NULL"
    return f"""CASE WHEN CASE {state}
        WHEN 'open' THEN {text} IS NOT NULL AND coalesce(octet_length({salt}), 0) = 32 AND {by} IS NULL
        WHEN 'absent' THEN {gone} AND {by} IS NULL
        WHEN 'withheld' THEN {gone} AND {by} IS NULL
        WHEN 'erased' THEN {gone} AND {by} IS NOT NULL
        WHEN 'expired' THEN {gone} AND {by} IS NOT NULL
        ELSE false END THEN NULL
        ELSE concat('text ', if({text} IS NULL, 'absent', 'present'),
            ', salt of ', coalesce(octet_length({salt}), 0), ' bytes, by ', coalesce({by}::VARCHAR, 'nobody')) END"""


_NULL = " OR ".join(f"{column} IS NULL" for column in _FILLED)
_ROW_FAULT = f"""CASE WHEN {_NULL} THEN 'a column that must have a value is NULL'
    WHEN epoch_us(time) % 1000000 <> 0 THEN 'the time is not in whole seconds' END"""

_QUERY = f"""
SELECT index, encode(concat({_TAIL})), facts,
    actor_salt || encode(actor), target_salt || encode(target), user_id, client_address,
    coalesce(actor_state = 'open' AND target_state = 'open', false)
        AND ({_part_fault("actor")}) IS NULL AND ({_part_fault("target")}) IS NULL AND ({_ROW_FAULT}) IS NULL,
    actor_state, target_state, actor_by, target_by, {_part_fault("actor")}, {_part_fault("target")}, {_ROW_FAULT}
FROM """  # noqa: S608  # our own column names


class Engine:
    """A DuckDB that reads files and keeps nothing; made anew after an error, which may have invalidated it."""

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None

    def query(self, select: str, path: Path, where: str = "") -> Iterator[list[tuple[object, ...]]]:
        """Run `select` (which ends in FROM) over one file, a list of rows at a time, in the order of the file.

        Raises:
            duckdb.Error: the file is no Parquet file, is damaged, lacks a column, or has gone.
        """
        if self._connection is None:
            self._connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
        cursor = self._connection.cursor()
        try:
            # The optimiser believes the statistics in the file's footer: where they say that all events are
            # `http.request`, it does not look whether they are. Whoever changes values need not change statistics.
            # (The setting is one of a cursor, not of the connection.)
            cursor.execute("PRAGMA disable_optimizer")
            # Without hive_partitioning=false a directory called `x=1` above the file would add a column.
            cursor.execute(f"{select} read_parquet(?, hive_partitioning=false) {where}", [_literal_path(path)])
            while rows := cursor.fetchmany(ROWS):
                yield rows
        except duckdb.Error:
            self._connection = None
            raise
        finally:
            cursor.close()

    def rows(self, file: SealedFile, findings: Findings) -> Iterator[list[Row]]:
        """The rows of a file; a schema that is not the format's is reported and gives no rows."""
        described = {
            str(row[0]): str(row[1]) for rows in self.query("DESCRIBE SELECT * FROM", file.path) for row in rows
        }
        for column in sorted(COLUMNS.keys() | described.keys()):
            expected, found = COLUMNS.get(column, "no such column"), described.get(column, "no such column")
            if expected != found:
                findings.add(
                    "vault-schema",
                    file.name,
                    f"column {column if column in COLUMNS else '(unknown)'}: {expected}",
                    found,
                )
        if all(described.get(column) == kind for column, kind in COLUMNS.items()):
            for rows in self.query(_QUERY, file.path):
                yield [Row._make(row) for row in rows]


def _literal_path(path: Path) -> str:
    """A path in which DuckDB sees no pattern."""
    return re.sub(r"[*?\[]", lambda match: f"[{match[0]}]", str(path.absolute()))
