"""What needs another look after the whole directory was read once: sets that differ, files that overlap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb

from pxl_audit.verify.erasures import Difference
from pxl_audit.verify.ledger import Ledger
from pxl_audit.verify.open_vault import OpenFile, OpenRow, read_open
from pxl_audit.verify.report import PARTS, Findings
from pxl_audit.verify.sealed import Engine, SealedFile
from pxl_audit.verify.vault_rows import list_vault

_STATES = {"erasure": "erased", "expiry": "expired"}
Member = tuple[int, str]


def name_differences(vault: Path, difference: Difference, ledger: Ledger, engine: Engine, findings: Findings) -> None:
    """Name each part that the vault holds as destroyed and the ledger does not, or the other way round."""
    sealed, _ = list_vault(vault)
    announced = ledger.members(difference.event)
    expected = next(announced, None)
    for file in sealed:
        for member in _destroyed(file, difference, engine):
            while expected is not None and expected < member:
                _not_destroyed(expected, sealed, difference, findings)
                expected = next(announced, None)
            if expected == member:
                expected = next(announced, None)
            else:
                index, part = member
                what = f"{part}: no destruction of this part, by the set that event {difference.event} announced"
                findings.add("destroyed-extra", file.name, what, _STATES[difference.kind], index=index)
    while expected is not None:
        _not_destroyed(expected, sealed, difference, findings)
        expected = next(announced, None)


def _not_destroyed(member: Member, sealed: list[SealedFile], difference: Difference, findings: Findings) -> None:
    index, part = member
    if not difference.pending:
        file = next((file.name for file in sealed if file.first <= index < file.end), "vault/")
        what = f"{part}: {_STATES[difference.kind]} by event {difference.event}"
        findings.add("not-destroyed", file, what, "another state", index=index)


def _destroyed(file: SealedFile, difference: Difference, engine: Engine) -> Iterator[Member]:
    state, event = _STATES[difference.kind], difference.event
    flags = ", ".join(f"coalesce({part}_state = '{state}' AND {part}_by = {event}, false)" for part in PARTS)
    try:
        for rows in engine.query(f"SELECT index, {flags} FROM", file.path):
            for index, *destroyed in rows:
                yield from ((int(str(index)), part) for part, flag in zip(PARTS, destroyed, strict=True) if flag)
    except duckdb.Error:
        return  # it is unreadable, which was found before, or it was replaced, which leads to another run


def check_overlaps(vault: Path, engine: Engine, findings: Findings) -> None:
    """No row is in two sealed files; a row that is sealed may be in an open file too, but not if it was destroyed."""
    sealed, opened = list_vault(vault)
    end = 0
    for file in sealed:
        if file.first < end:
            found = f"rows {file.first} to {min(file.end, end) - 1} twice"
            findings.add("vault-overlap", file.name, "each row in one sealed file", found, index=file.first)
        end = max(end, file.end)
    for open_file in opened:
        if open_file.first < end:
            _check_shadow(open_file, sealed, engine, findings)


def _check_shadow(file: OpenFile, sealed: list[SealedFile], engine: Engine, findings: Findings) -> None:
    """Rows of an open file that are sealed already: it should be gone, and is left over from a crash or about to go."""
    quiet = Findings()  # what is wrong with the file in itself was found when its rows were read, or is not about them
    try:
        for batch in read_open(file, quiet):
            for wanted in sealed:
                rows = [row for row in batch if wanted.first <= row.at < wanted.end]
                if rows:
                    _compare_shadow(file, rows, wanted, engine, findings)
    except FileNotFoundError:
        return


def _compare_shadow(
    file: OpenFile, rows: list[OpenRow], sealed: SealedFile, engine: Engine, findings: Findings
) -> None:
    columns = ", ".join(f"{part}_salt || encode({part})" for part in PARTS)
    query = f"SELECT index, {columns} FROM"
    where = f"WHERE index BETWEEN {rows[0].at} AND {rows[-1].at}"
    try:
        stored = {row[0]: row[1:] for chunk in engine.query(query, sealed.path, where) for row in chunk}
    except duckdb.Error:
        return
    for row in rows:
        for part, opening, kept in zip(PARTS, (row.actor, row.target), stored.get(row.at, (None, None)), strict=True):
            if opening is not None and opening != kept:
                what = f"{part}: no opening, or the one in {sealed.name}"
                findings.add(
                    "leftover-opening",
                    file.name,
                    what,
                    "an opening that the sealed file does not have",
                    index=row.at,
                )
