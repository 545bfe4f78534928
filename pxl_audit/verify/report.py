"""What a verification says: findings with their place, counts, and a verdict. Never personal data."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import Literal

import msgspec

MAX_FINDINGS = 200
"""How many findings a report holds; all are counted."""
MAX_ALIKE = 20
"""How many of them are of one kind in one file, so that one broken file does not hide the others."""

PARTS = ("actor", "target")
STATES = ("open", "absent", "erased", "expired", "withheld", "missing", "mismatch")
"""What can be said of an opening; the last two (no explanation; not what the log commits to) are faults."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as docs/format.md says."""

    kind: str
    file: str
    """Relative to the data directory."""
    index: int | None
    """Leaf index, where there is one; the first one of a range."""
    expected: str
    found: str


class Erasure(msgspec.Struct, frozen=True):
    """One event that says which parts were destroyed. `completed`: index of the event that ends it, if it is there."""

    event: int
    kind: Literal["erasure", "expiry"]
    actor_parts: int
    """Parts `actor` that the vault holds as destroyed by this event."""
    target_parts: int
    completed: int | None
    pending: bool
    """Announced, but not finished: parts of the set may still be open."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one data directory.

    `ok` is true only if everything was judged and nothing was found.
    """

    ok: bool
    log_id: str | None = None
    origin: str | None = None
    size: int | None = None
    """Leaves that the checkpoint covers; None if the checkpoint could not be used."""
    root: str | None = None
    """Root hash of the checkpoint, base64."""
    checkpoint: str | None = None
    """The whole signed note, to be kept elsewhere."""
    records: int = 0
    """Entries of the log that could be read and are well-formed."""
    openings: dict[str, dict[str, int]] = {}
    """Part -> state -> count."""
    erasures: list[Erasure] = []
    findings: list[Finding] = []
    """At most 200, and at most 20 of one kind in one file; `findings_total` counts all."""
    findings_total: int = 0
    unjudged: list[str] = []
    """What this version could not judge, for example entries of a newer format."""

    @property
    def exit_code(self) -> int:
        """0 good, 1 found bad, 2 could not judge."""
        if self.findings_total:
            return 1
        return 2 if self.unjudged else 0


class Findings:
    """Collects findings; keeps few and counts all."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.total = 0
        self.unjudged: list[str] = []
        self._alike: Counter[tuple[str, str]] = Counter()

    def add(self, kind: str, file: str, expected: str, found: str, *, index: int | None = None) -> None:
        """Record one finding. `expected` and `found` hold digests, lengths and numbers, never texts of the vault."""
        self.total += 1
        self._alike[kind, file] += 1
        if len(self.kept) < MAX_FINDINGS and self._alike[kind, file] <= MAX_ALIKE:
            self.kept.append(Finding(kind, file, index, expected, found))

    def cannot_judge(self, reason: str) -> None:
        """Record something that a newer version may understand."""
        if reason not in self.unjudged and len(self.unjudged) < MAX_ALIKE:
            self.unjudged.append(reason)


def describe(value: object) -> str:
    """A value as it may stand in a finding: numbers as they are, text only by length and digest."""
    if value is None:
        return "nothing"
    if isinstance(value, int):
        return str(value)
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
    return f"{len(data)} bytes, SHA-256 {sha256(data).hexdigest()[:16]}…"
