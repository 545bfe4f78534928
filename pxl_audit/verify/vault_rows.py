"""All rows of the vault in the order of their indexes, over sealed and open files, while an agent may be moving them.

Sealed files win where both have a row. A file that vanishes or is replaced while it is read has its rows elsewhere by
then: the directory is listed again and reading goes on at the same index.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import duckdb

from pxl_audit.errors import UnavailableError
from pxl_audit.verify.open_vault import OpenFile, OpenRow, open_file, read_open
from pxl_audit.verify.report import Findings, describe
from pxl_audit.verify.sealed import Engine, Row, SealedFile, sealed_file

Source = SealedFile | OpenFile


class Chunk(NamedTuple):
    """Some rows of one file: sealed rows of a sealed file, open rows of an open one."""

    source: Source
    rows: Sequence[Row | OpenRow]


_index = attrgetter("at")
_MAX_MOVES = 50
_RETRY_SECONDS = 0.05


def list_vault(vault: Path) -> tuple[list[SealedFile], list[OpenFile]]:
    """Sealed and open files as they lie there now, in order; what has another name is not for here."""
    sealed = sorted(filter(None, map(sealed_file, _files(vault / "sealed"))), key=lambda file: (file.first, file.end))
    opened = sorted(filter(None, map(open_file, _files(vault / "open"))), key=lambda file: file.first)
    return sealed, opened


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []


class VaultRows:
    """A stream of rows with strictly ascending indexes below `size`; whatever is missing in it is reported."""

    def __init__(
        self,
        vault: Path,
        size: int,
        engine: Engine,
        findings: Findings,
        *,
        missing: Callable[[int], None],
        busy: Callable[[], bool],
    ) -> None:
        """`missing` is told how many rows are not there; `busy` says whether an agent may be moving rows."""
        self._busy = busy
        self._vault = vault
        self._size = size
        self._findings = findings
        self._missing = missing
        self._engine = engine
        self._spent: set[Path] = set()
        self._retries = 3
        self._moves = 0
        self._chunks = self._stream()
        self._rest: Chunk | None = None

    def take(self, end: int) -> list[Chunk]:
        """The rows below `end` that were not taken yet."""
        taken: list[Chunk] = []
        while True:
            chunk = self._rest or next(self._chunks, None)
            self._rest = None
            if chunk is None:
                return taken
            rows = chunk.rows
            if rows[-1].at < end:
                taken.append(chunk)
                continue
            cut = bisect_left(rows, end, key=_index)
            if cut:
                taken.append(chunk._replace(rows=rows[:cut]))
            self._rest = chunk._replace(rows=rows[cut:])
            return taken

    def finish(self) -> None:
        """Read on to the end of the last file, so that all its batches were looked at."""
        for _ in self._chunks:
            pass

    def _stream(self) -> Iterator[Chunk]:
        position = 0
        while position < self._size:
            source, next_first = self._find(position)
            if source is None:
                self._report_missing(position, next_first, "vault/")
                position = next_first
                continue
            reached = position
            inode = 0
            try:
                with source.path.open("rb") as stream:  # says what is wrong with it better than DuckDB does
                    inode = os.fstat(stream.fileno()).st_ino
                for chunk in self._read(source, position):
                    reached = chunk.rows[-1].at + 1
                    yield chunk
                self._spent.add(source.path)
            except FileNotFoundError:
                self._count_move(source)
            except duckdb.Error as error:
                if not self._moved(source, inode):
                    found = f"DuckDB says {type(error).__name__}"
                    self._findings.add("vault-unreadable", source.name, "a whole Parquet file", found, index=reached)
                    self._spent.add(source.path)
            if isinstance(source, SealedFile) and source.path in self._spent:
                self._report_missing(reached, source.end, source.name)
                reached = max(reached, source.end)
            position = reached

    def _find(self, position: int) -> tuple[Source | None, int]:
        """The file that should hold a row, and otherwise the first index behind it that some file begins with."""
        while True:
            sealed, opened = list_vault(self._vault)
            for file in sealed:
                if file.first <= position < file.end and file.path not in self._spent:
                    return file, position
            for candidate in reversed(opened):
                if candidate.first <= position and candidate.path not in self._spent:
                    return candidate, position
            if not self._retries or not self._busy():
                firsts = [*(file.first for file in sealed), *(file.first for file in opened)]
                return None, min((first for first in firsts if first > position), default=self._size)
            self._retries -= 1
            time.sleep(_RETRY_SECONDS)  # a running agent may be between two steps

    def _read(self, source: Source, position: int) -> Iterator[Chunk]:
        if isinstance(source, SealedFile):
            expected = source.first
            for rows in self._engine.rows(source, self._findings):
                if [row.at for row in rows] == list(range(expected, expected + len(rows))):
                    kept = rows
                    expected += len(rows)
                else:
                    kept, expected = self._in_order(source, rows, expected, position)
                if kept and not (position <= kept[0].at and kept[-1].at < min(source.end, self._size)):
                    kept = [row for row in kept if position <= row.at < min(source.end, self._size)]
                if kept:
                    yield Chunk(source, kept)
                if expected >= self._size:
                    return
            if expected > source.end:
                self._findings.add(
                    "vault-row-order", source.name, f"rows up to {source.end - 1}", f"rows up to {expected - 1}"
                )
        else:
            for batch in read_open(source, self._findings):
                if wanted := [row for row in batch if position <= row.at < self._size]:
                    self._report_missing(position, wanted[0].at, source.name)
                    position = wanted[-1].at + 1
                    yield Chunk(source, wanted)

    def _in_order(self, source: SealedFile, rows: list[Row], expected: int, position: int) -> tuple[list[Row], int]:
        """The rows that stand in order, and the index expected after them; the others are reported."""
        kept = []
        for row in rows:
            index: int | None = row.at  # a column can be NULL, whatever its type
            if index is None or index < expected:
                found = f"row {describe(index)}, again or out of order"
                self._findings.add("vault-row-order", source.name, f"row {expected}", found, index=index)
                continue
            self._report_missing(max(expected, position), min(index, source.end), source.name)
            kept.append(row)
            expected = index + 1
        return kept, expected

    def _report_missing(self, start: int, end: int, file: str) -> None:
        end = min(end, self._size)
        if start < end:
            self._findings.add("vault-row-missing", file, f"rows {start} to {end - 1}", "none of them", index=start)
            self._missing(end - start)

    def _moved(self, source: Source, inode: int) -> bool:
        """Whether a file that gave an error was replaced or removed meanwhile; counts as a move."""
        try:
            if source.path.stat().st_ino == inode:
                return False
        except FileNotFoundError:
            pass
        self._count_move(source)
        return True

    def _count_move(self, source: Source) -> None:
        self._moves += 1
        if self._moves > _MAX_MOVES:
            raise UnavailableError(f"{source.name}: files of the vault keep moving; verify when the agent is less busy")
