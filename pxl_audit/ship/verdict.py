"""What a store said about one record that was offered to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """What follows from an answer."""

    STORED = "stored"
    """The store has it now."""
    EXISTS = "exists"
    """The store had a document of this id before."""
    RETRY = "retry"
    """Busy, away, or an answer that says nothing: offer it again. It may or may not have been stored."""
    BLOCKED = "blocked"
    """The store refuses us, not this record (no right, no template, read-only): somebody has to act."""
    REFUSED = "refused"
    """The store will never take this very record."""


@dataclass(frozen=True)
class Verdict:
    """One record's outcome; `reason` is an error type or a status, never a message: messages quote field values."""

    outcome: Outcome
    reason: str = ""
    status: int = 0
    """HTTP status of the item, 0 if there was none."""

    @property
    def confirmed(self) -> bool:
        return self.outcome in (Outcome.STORED, Outcome.EXISTS)
