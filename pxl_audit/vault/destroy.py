"""The only code that destroys openings: for erasure and for retention alike.

A sealed file is written anew without them and replaces the old one as a whole; the old file's last link is gone when
the rename is durable. Only sealed files are touched: seal first (`pxl_audit.agent.client.seal_all`).
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pxl_audit.directory import DataDirectory
from pxl_audit.errors import LogError
from pxl_audit.files import locked
from pxl_audit.vault.row import PARTS, Part
from pxl_audit.vault.sealed import COLUMNS, SealedFile, engine, list_sealed, literal, write_parquet

if TYPE_CHECKING:
    import duckdb

LOCK_SECONDS = 120.0


def destroy_openings(
    directory: DataDirectory,
    parts: Mapping[Part, Sequence[int]],
    *,
    state: Literal["erased", "expired"],
    by: int,
) -> int:
    """Destroy the openings of the given parts (record indexes); how many were still open.

    Parts that are not open stay as they are, so the call may be repeated after a crash.

    Raises:
        LogError: an index is not in a sealed file.
        BusyError: the vault is in use for too long.
    """
    wanted: dict[Part, list[int]] = {part: sorted(set(parts.get(part, ()))) for part in PARTS}
    with locked(directory.vault_lock, exclusive=True, timeout_seconds=LOCK_SECONDS):
        files = list_sealed(directory.sealed)
        end = files[-1].end if files else 0
        first = files[0].first if files else 0
        for part, indexes in wanted.items():
            if indexes and not first <= indexes[0] <= indexes[-1] < end:
                raise LogError(f"{part} {indexes[0]} to {indexes[-1]}: only records {first} to {end} are sealed")
        return sum(_replace(file, wanted, state, by) for file in files)


def _replace(file: SealedFile, wanted: Mapping[Part, Sequence[int]], state: str, by: int) -> int:
    here = {part: _between(indexes, file.first, file.end) for part, indexes in wanted.items()}
    if not any(here.values()):
        return 0
    with contextlib.closing(engine(memory_limit_mib=512)) as connection:
        open_now = 0
        for part, indexes in here.items():
            _put_indexes(connection, part, indexes)
            counted = connection.execute(
                f"SELECT count(*) FROM read_parquet({literal(file.path)}) "
                f"WHERE {part}_state = 'open' AND index IN (SELECT index FROM doomed_{part})"
            ).fetchone()
            open_now += int(counted[0]) if counted else 0
        if open_now:
            rows = write_parquet(connection, _without(file, state, by), file.path)
            if rows != file.end - file.first:
                raise LogError(f"{file.path}: {rows} rows instead of {file.end - file.first}; restore it from a backup")
    return open_now


def _between(indexes: Sequence[int], first: int, end: int) -> Sequence[int]:
    return indexes[bisect_left(indexes, first) : bisect_left(indexes, end)]


def _put_indexes(connection: duckdb.DuckDBPyConnection, part: Part, indexes: Sequence[int]) -> None:
    connection.execute(f"CREATE TEMP TABLE doomed_{part} AS SELECT unnest(?::BIGINT[]) AS index", [list(indexes)])


def _without(file: SealedFile, state: str, by: int) -> str:
    """The rows of a file, the doomed openings gone with everything that was copied out of them."""
    gone = {part: f"({part}_state = 'open' AND index IN (SELECT index FROM doomed_{part}))" for part in PARTS}
    replaced = {
        "user_id": f"CASE WHEN {gone['actor']} THEN NULL ELSE user_id END",
        "client_address": f"CASE WHEN {gone['actor']} THEN NULL ELSE client_address END",
    }
    for part in PARTS:
        replaced[part] = f"CASE WHEN {gone[part]} THEN NULL ELSE {part} END"
        replaced[f"{part}_salt"] = f"CASE WHEN {gone[part]} THEN NULL ELSE {part}_salt END"
        replaced[f"{part}_state"] = f"CASE WHEN {gone[part]} THEN '{state}' ELSE {part}_state END"
        replaced[f"{part}_by"] = f"CASE WHEN {gone[part]} THEN {by} ELSE {part}_by END"
    columns = ", ".join(
        f'{replaced[column]} AS "{column}"' if column in replaced else f'"{column}"' for column in COLUMNS
    )
    return f"SELECT {columns} FROM read_parquet({literal(file.path)})"
