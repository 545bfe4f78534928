"""Ask the vault: one view, `records`, over sealed files and the open one, up to the published checkpoint."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pxl_audit.directory import DataDirectory
from pxl_audit.errors import LogError
from pxl_audit.log.keys import load_vkey
from pxl_audit.log.reader import LogReader
from pxl_audit.vault.row import Opening, Row
from pxl_audit.vault.sealed import COLUMNS, OPEN_COLUMNS, PROJECTION, engine, list_sealed, literal

if TYPE_CHECKING:
    import duckdb

_QUOTED = ", ".join(f'"{column}"' for column in COLUMNS)
_decode_facts = msgspec.json.Decoder(dict[str, int | str]).decode


def published_size(directory: DataDirectory) -> int:
    """Number of records that the published checkpoint covers; 0 before the first one."""
    if not (directory.log / "checkpoint").exists():
        return 0
    return LogReader(directory.log).checkpoint(load_vkey(directory)).size


def connect(directory: DataDirectory, *, memory_limit_mib: int = 512) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with the view `records` (columns of docs/format.md, section 5).

    The view is a snapshot of which files there are: connect again to see newer records.

    Raises:
        LogError: the vault's files do not fit together.
    """
    size = published_size(directory)
    connection = engine(memory_limit_mib=memory_limit_mib)
    for _ in range(50):
        view = _view(directory, size)
        try:
            connection.execute(f"CREATE OR REPLACE TEMP VIEW records AS {view}")
            break
        except _io_errors():
            time.sleep(0.02)  # a file was sealed or replaced between listing and opening
    else:
        raise LogError(f"{directory.vault}: its files keep changing; try again")
    return connection


def _io_errors() -> type[Exception]:
    import duckdb  # noqa: PLC0415  # loaded by engine() already

    return duckdb.IOException


def _view(directory: DataDirectory, size: int) -> str:
    opened = _open_files(
        directory
    )  # listed before the sealed ones: a file sealed in between is then seen twice, not never
    sealed = list_sealed(directory.sealed)
    sealed_end = sealed[-1].end if sealed else 0
    parts = []
    if sealed:
        paths = ", ".join(literal(file.path) for file in sealed)
        parts.append(f"SELECT {_QUOTED} FROM read_parquet([{paths}]) WHERE index < {size}")
    parts += [
        f"SELECT {PROJECTION} FROM read_json({literal(path)}, format = 'newline_delimited', ignore_errors = true, "
        f"columns = {OPEN_COLUMNS}) WHERE index >= {sealed_end} AND index < {size}"
        for path in opened
    ]
    return " UNION ALL ".join(parts) or _EMPTY


def _open_files(directory: DataDirectory) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(directory.open_vault.glob("*.jsonl"))[-1:]
    return []


_EMPTY = (
    f"SELECT {PROJECTION} FROM (SELECT NULL::BIGINT AS index, NULL::JSON AS leaf, NULL::JSON AS actor, "
    "NULL::VARCHAR AS actor_salt, NULL::JSON AS target, NULL::VARCHAR AS target_salt) WHERE false"
)


def rows(directory: DataDirectory, start: int, end: int) -> Iterator[Row]:
    """Records `start` to `end` (exclusive) in order; fewer where the published log is shorter."""
    with contextlib.closing(connect(directory)) as connection:
        cursor = connection.execute(
            "SELECT * REPLACE (epoch(time)::BIGINT AS time) FROM records WHERE index >= ? AND index < ? ORDER BY index",
            [start, end],
        )
        while batch := cursor.fetchmany(2000):
            for values in batch:
                yield _row(dict(zip(COLUMNS, values, strict=True)))


def _row(values: dict[str, object]) -> Row:
    for part in ("actor", "target"):
        values[part] = Opening(
            state=values.pop(f"{part}_state"),  # type: ignore[arg-type]  # checked by convert below
            text=values[part],  # type: ignore[arg-type]
            salt=values.pop(f"{part}_salt"),  # type: ignore[arg-type]
            by=values.pop(f"{part}_by"),  # type: ignore[arg-type]
        )
    facts = values["facts"]
    values["facts"] = _decode_facts(facts) if isinstance(facts, str) else None
    del values["user_id"], values["client_address"]
    return msgspec.convert(values, Row)
