"""Sealed vault files: Parquet, made from open rows with DuckDB (docs/format.md, section 5)."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pxl_audit.errors import LogError
from pxl_audit.files import make_directory, publish_file

if TYPE_CHECKING:
    import duckdb

ROW_GROUP_ROWS = 20_480
_NAME = re.compile(r"(\d{12,})-(\d{12,})\.parquet")

OPEN_COLUMNS = (
    "{'index': 'BIGINT', leaf: 'VARCHAR', actor: 'VARCHAR', actor_salt: 'VARCHAR', "
    "target: 'VARCHAR', target_salt: 'VARCHAR'}"
)

COLUMNS = (
    "index", "time", "service", "event", "method", "route", "status", "outcome", "ending", "actor_kind", "retention",
    "error_type", "duration_us", "first_byte_us", "application_us", "request_bytes", "response_bytes", "facts",
    "actor", "actor_salt", "actor_state", "actor_by", "target", "target_salt", "target_state", "target_by",
    "user_id", "client_address",
)  # fmt: skip

# The leaf's letters become columns with their defaults filled in; an absent part has no opening.
PROJECTION = """
  index,
  make_timestamp((leaf->>'$.t')::BIGINT * 1000000) AS time,
  leaf->>'$.s' AS service,
  coalesce(leaf->>'$.e', 'http.request') AS event,
  leaf->>'$.m' AS method,
  leaf->>'$.r' AS route,
  (leaf->>'$.c')::SMALLINT AS status,
  coalesce(leaf->>'$.o', 'success') AS outcome,
  coalesce(leaf->>'$.n', 'complete') AS ending,
  coalesce(leaf->>'$.k', 'anonymous') AS actor_kind,
  coalesce(leaf->>'$.p', 'access') AS retention,
  leaf->>'$.g' AS error_type,
  (leaf->>'$.d')::BIGINT AS duration_us,
  (leaf->>'$.h')::BIGINT AS first_byte_us,
  (leaf->>'$.w')::BIGINT AS application_us,
  coalesce((leaf->>'$.i')::BIGINT, 0) AS request_bytes,
  coalesce((leaf->>'$.u')::BIGINT, 0) AS response_bytes,
  (leaf->'$.f')::VARCHAR AS facts,
  actor,
  from_base64(actor_salt) AS actor_salt,
  CASE WHEN actor IS NULL THEN 'absent' ELSE 'open' END AS actor_state,
  NULL::BIGINT AS actor_by,
  target,
  from_base64(target_salt) AS target_salt,
  CASE WHEN target IS NULL THEN 'absent' ELSE 'open' END AS target_state,
  NULL::BIGINT AS target_by,
  actor->>'$."user.id"' AS user_id,
  actor->>'$."client.address"' AS client_address
"""


@dataclass(frozen=True, order=True)
class SealedFile:
    """A sealed file holds the rows `first` to `end` (exclusive)."""

    first: int
    end: int
    path: Path


def sealed_name(first: int, end: int) -> str:
    """File name of a sealed file."""
    return f"{first:012d}-{end:012d}.parquet"


def list_sealed(folder: Path) -> list[SealedFile]:
    """Sealed files in order of their records.

    Raises:
        LogError: two of them overlap, or there is a hole between them.
    """
    files = []
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                files.append(SealedFile(int(match[1]), int(match[2]), path))
    files.sort()
    for before, after in pairwise(files):
        if before.end != after.first:
            raise LogError(f"{after.path}: expected a file that begins at record {before.end}; run `pxl-audit verify`")
    return files


def engine(*, memory_limit_mib: int) -> duckdb.DuckDBPyConnection:
    """A private DuckDB that reaches for nothing outside: no extensions, no configuration, bounded memory."""
    import duckdb  # noqa: PLC0415  # 100 ms and 60 MB that a short-lived agent may never need

    connection = duckdb.connect(
        config={
            "threads": 2,
            "memory_limit": f"{memory_limit_mib}MiB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": True,
            "temp_directory": "",
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def literal(path: Path) -> str:
    """A path as an SQL string."""
    return "'" + str(path).replace("'", "''") + "'"


def seal(open_path: Path, folder: Path, first: int, end: int) -> SealedFile:
    """Write rows `first` to `end` of an open vault file as a sealed file; durable and in place on return."""
    make_directory(folder)
    path = folder / sealed_name(first, end)
    source = (
        f"SELECT {PROJECTION} FROM read_json({literal(open_path)}, format = 'newline_delimited', "
        f"columns = {OPEN_COLUMNS}) WHERE index >= {first} AND index < {end}"
    )
    with contextlib.closing(engine(memory_limit_mib=256)) as connection:
        rows = write_parquet(connection, source, path)
    if rows != end - first:
        raise LogError(f"{open_path}: holds {rows} of the records {first} to {end}; run `pxl-audit verify`")
    return SealedFile(first, end, path)


def write_parquet(connection: duckdb.DuckDBPyConnection, source: str, path: Path) -> int:
    """Write the rows that `source` selects over `path`, atomically and durably; their number.

    `source` gives them in order already: the engine keeps the order of what it reads, and a sort would need memory for
    the whole file.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        written = connection.execute(
            f"COPY ({source}) TO {literal(temporary)} "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
        ).fetchone()
        publish_file(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    return int(written[0]) if written else 0
