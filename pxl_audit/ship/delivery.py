"""One step of delivery: offer the next records, move the cursor over what the store confirmed and nothing else.

One `step` is one attempt. What happened in it decides how the next one begins:

* all confirmed: the next records are offered straight away;
* anything uncertain (no answer, an answer that says nothing, "exists already"), and at every start: the store is first
  asked what it has of the batch. An id keeps duplicates out of one backing index only, so after a rollover offering
  again is not enough; and a document that an unanswered request left behind may hold parts that were erased since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from pxl_audit.errors import BusyError, UnavailableError
from pxl_audit.ship.cursor import Cursor, Quarantined
from pxl_audit.ship.verdict import Outcome, Verdict
from pxl_audit.vault.row import Row

BATCH_RECORDS = 2000
"""Each batch opens the vault's files once (about 40 ms); a bigger one would hold the vault still for longer."""
ALL_REFUSED = 20
"""When this many records are offered and each is refused, the fault is not the records'."""


class Records(Protocol):
    """Where the records come from."""

    def held_still(self) -> AbstractContextManager[None]: ...
    def size(self) -> int: ...
    def rows(self, start: int, end: int) -> Iterator[Row]: ...


class Sink(Protocol):
    """Where they go; see `sink.ElasticsearchSink`."""

    @property
    def name(self) -> str: ...
    def deliver(self, rows: Sequence[Row]) -> list[Verdict]: ...
    def settled(self, rows: Sequence[Row]) -> set[int] | None: ...


class State(Enum):
    """What the caller should do next."""

    IDLE = "idle"
    """Everything published is delivered: come back in a while."""
    MORE = "more"
    """There is more: go on at once."""
    RETRY = "retry"
    """The store is busy or away: come back later, later each time."""
    BLOCKED = "blocked"
    """The same, but waiting alone will not help: `reason` is for a person."""


@dataclass(frozen=True)
class StepResult:
    """What one step did."""

    state: State
    delivered: int = 0
    """Records that the cursor passed because the store has them."""
    quarantined: int = 0
    """Records that the cursor passed because the store will never take them."""
    next: int = 0
    """First index that is not delivered."""
    behind: int = 0
    """Published records that are not delivered."""
    reason: str = ""
    """Why it stopped; no personal data."""


class Shipper:
    """Ships one log to one sink."""

    def __init__(self, cursors: Path, sink: Sink, records: Records, *, batch_records: int = BATCH_RECORDS) -> None:
        self._cursor = Cursor(cursors, sink.name)
        self._sink = sink
        self._records = records
        self._batch_records = batch_records
        self._uncertain = True

    def step(self) -> StepResult:
        """Ship the next batch, with the vault held still from the reading of the rows to the answer.

        Raises:
            DirectoryError: the cursor's file is damaged.
            LogError: the checkpoint cannot be trusted.
        """
        try:
            with self._records.held_still():
                return self._ship()
        except BusyError:
            return StepResult(State.RETRY, next=self._cursor.read(), reason="openings are being destroyed")

    def _ship(self) -> StepResult:
        start = self._cursor.read()
        size = self._records.size()
        if start > size:
            reason = (
                f"the cursor ({start}) is ahead of the log ({size}): the log was put back, or the file is another's"
            )
            return StepResult(State.BLOCKED, next=start, reason=reason)
        rows = list(self._records.rows(start, min(size, start + self._batch_records)))
        if [row.index for row in rows] != list(range(start, start + len(rows))) or (start < size and not rows):
            return StepResult(State.BLOCKED, next=start, behind=size - start, reason="rows are missing in the vault")
        if not rows:
            return StepResult(State.IDLE, next=start)
        look, self._uncertain = self._uncertain, True  # until this step has come to its end
        try:
            verdicts, certain = self._offer(rows, look=look)
        except UnavailableError as error:
            return StepResult(State.RETRY, next=start, behind=size - start, reason=str(error))
        result = self._advance(start, size, verdicts)
        self._uncertain = not certain
        return result

    def _offer(self, rows: Sequence[Row], *, look: bool) -> tuple[list[Verdict], bool]:
        """One verdict a row, from looking it up or from offering it, and whether the next may be offered unseen."""
        there: set[int] = set()
        trust_ids = False
        if look:
            settled = self._sink.settled(rows)
            trust_ids = settled is None
            there = settled or set()
        missing = [row for row in rows if row.index not in there]
        answers = dict(zip((row.index for row in missing), self._sink.deliver(missing), strict=True)) if missing else {}
        if not trust_ids:
            answers = {index: _look_again(verdict) for index, verdict in answers.items()}
        certain = not there and not trust_ids and all(_final(verdict) for verdict in answers.values())
        return [answers.get(row.index, Verdict(Outcome.EXISTS)) for row in rows], certain

    def _advance(self, start: int, size: int, verdicts: Sequence[Verdict]) -> StepResult:
        if len(verdicts) >= ALL_REFUSED and all(verdict.outcome is Outcome.REFUSED for verdict in verdicts):
            reason = f"all of {len(verdicts)} records refused: {verdicts[0].status} {verdicts[0].reason}"
            return StepResult(State.BLOCKED, next=start, behind=size - start, reason=reason)
        passed = next((n for n, verdict in enumerate(verdicts) if not _final(verdict)), len(verdicts))
        refused = [
            Quarantined(start + n, verdict.reason, verdict.status)
            for n, verdict in enumerate(verdicts[:passed])
            if verdict.outcome is Outcome.REFUSED
        ]
        if refused:
            self._cursor.quarantine(refused)
        if passed:
            self._cursor.write(start + passed)
        state, reason = _state(verdicts[passed:], more=start + passed < size)
        return StepResult(
            state,
            delivered=passed - len(refused),
            quarantined=len(refused),
            next=start + passed,
            behind=size - start - passed,
            reason=reason,
        )


def _final(verdict: Verdict) -> bool:
    return verdict.confirmed or verdict.outcome is Outcome.REFUSED


def _look_again(verdict: Verdict) -> Verdict:
    """A conflict says that something of this id is there, not that it says what the vault says now: look it up."""
    return Verdict(Outcome.RETRY, verdict.reason, verdict.status) if verdict.outcome is Outcome.EXISTS else verdict


def _state(rest: Sequence[Verdict], *, more: bool) -> tuple[State, str]:
    if not rest:
        return (State.MORE if more else State.IDLE), ""
    worst = next((verdict for verdict in rest if verdict.outcome is Outcome.BLOCKED), rest[0])
    state = State.BLOCKED if worst.outcome is Outcome.BLOCKED else State.RETRY
    return state, " ".join(word for word in (str(worst.status or ""), worst.reason) if word)
