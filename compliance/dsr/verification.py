"""Exactly the announced set is gone: log, vault and ledger are asked separately and have to agree.

What was announced is read from the log itself, not from the vault's copy of it. `pxl-audit verify` shows that the log
is whole; this shows that the erasures in it are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from compliance.dsr import events
from compliance.dsr.ledger import entries
from compliance.dsr.parts import PartSet
from compliance.dsr.requests import Request
from pxl_audit.directory import DataDirectory
from pxl_audit.leaf import decode_leaf
from pxl_audit.log.reader import LogReader
from pxl_audit.vault.query import connect
from pxl_audit.vault.row import PARTS, Part


@dataclass
class ErasureCheck:
    """What was found out about one announced erasure."""

    request: str
    event: int
    """Leaf index of `dsr.erasure.started`."""
    actor_parts: int = 0
    target_parts: int = 0
    completed: int | None = None
    """Leaf index of `dsr.erasure.completed`."""
    faults: list[str] = field(default_factory=list)
    """What does not agree; names nobody."""

    @property
    def verdict(self) -> str:
        """`good`, `bad`, or `unfinished`: the set may still be open until the erasure is completed."""
        if self.faults:
            return "bad" if self.completed is not None else "unfinished"
        return "good" if self.completed is not None else "unfinished"


def check_all(directory: DataDirectory) -> tuple[list[ErasureCheck], list[str]]:
    """Every erasure that the log announces; and what vault and ledger have that the log never announced."""
    checks = [check_erasure(directory, started.index) for started in events.recorded(directory, events.STARTED)]
    announced = {check.event for check in checks}
    strays = [
        f"the vault has parts erased by record {index}, which announces no erasure"
        for index in sorted(_erasing_events(directory) - announced)
    ]
    strays += [
        f"the ledger has {entry_count(len(entry.parts()))} under record {entry.event}, which announces no erasure"
        for entry in entries(directory)
        if entry.log == directory.log_id and entry.event not in announced
    ]
    return checks, strays


def check_request(directory: DataDirectory, request: Request) -> ErasureCheck | None:
    """The erasure of one request; None if the log announces none for it."""
    started = events.find(directory, events.STARTED, request.id)
    return None if started is None else check_erasure(directory, started.index)


def check_erasure(directory: DataDirectory, event: int) -> ErasureCheck:
    """Hold what record `event` announced against the vault and the ledger."""
    announced = announced_facts(directory, event)
    request_id = str(announced.get("request"))
    erased = erased_by(directory, event)
    check = ErasureCheck(request_id, event, len(erased.actor), len(erased.target))
    completed = events.find(directory, events.COMPLETED, request_id)
    if completed is not None and completed.facts.get("started") == event:
        check.completed = completed.index
    for part, indexes in erased.indexes().items():
        if announced.get(f"{part}_parts") != len(indexes):
            check.faults.append(
                f"announced {announced.get(f'{part}_parts')} {part} parts; the vault has {len(indexes)} erased by it"
            )
    if announced.get("root") != erased.root():
        check.faults.append("the root of the parts erased by this record is not the announced one")
    check.faults += _ledger_faults(directory, event, erased)
    return check


def _ledger_faults(directory: DataDirectory, event: int, erased: PartSet) -> list[str]:
    lines = [entry for entry in entries(directory) if entry.event == event and entry.log == directory.log_id]
    if len(lines) != 1:
        return [f"the ledger has {len(lines)} lines for this record instead of 1"]
    listed = lines[0].parts()
    faults = [] if listed == erased else ["the ledger lists other parts than the vault has erased by this record"]
    still_open = sum(1 for state, _ in part_states(directory, listed).values() if state == "open")
    if still_open:
        faults.append(f"{entry_count(still_open)} of the ledger's set are still open")
    return faults


def entry_count(count: int) -> str:
    """`1 part`, `2 parts`."""
    return f"{count} part{'' if count == 1 else 's'}"


def announced_facts(directory: DataDirectory, event: int) -> events.Facts:
    """The facts of a leaf, from the log."""
    leaf = decode_leaf(next(iter(LogReader(directory.log).leaves(event, event + 1))))
    return leaf.f or {}


def erased_by(directory: DataDirectory, event: int) -> PartSet:
    """The parts that the vault says were erased by this record."""
    found: dict[Part, list[int]] = {}
    with connect(directory) as connection:
        for part in PARTS:
            rows = connection.execute(
                f"SELECT \"index\" FROM records WHERE {part}_state = 'erased' AND {part}_by = ?",  # noqa: S608  # our column
                [event],
            ).fetchall()
            found[part] = [index for (index,) in rows]
    return PartSet.of(found["actor"], found["target"])


def part_states(directory: DataDirectory, parts: PartSet) -> dict[tuple[int, Part], tuple[str, int | None]]:
    """For each part of the set that the vault has: its state, and the record that explains it."""
    states: dict[tuple[int, Part], tuple[str, int | None]] = {}
    with connect(directory) as connection:
        for part, indexes in parts.indexes().items():
            rows = connection.execute(
                f'SELECT "index", {part}_state, {part}_by FROM records '  # noqa: S608  # our columns
                'WHERE "index" IN (SELECT unnest(?::BIGINT[]))',
                [list(indexes)],
            ).fetchall()
            states.update({(index, part): (state, by) for index, state, by in rows})
    return states


def _erasing_events(directory: DataDirectory) -> set[int]:
    with connect(directory) as connection:
        rows = connection.execute(
            "SELECT DISTINCT actor_by FROM records WHERE actor_state = 'erased' "
            "UNION SELECT DISTINCT target_by FROM records WHERE target_state = 'erased'"
        ).fetchall()
    return {-1 if by is None else by for (by,) in rows}
