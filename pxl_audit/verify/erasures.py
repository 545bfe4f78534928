"""Erasures and expiries: the parts that are gone must be exactly those that an event in the log announced.

Per event, a running tree over the destroyed parts, which arrive in the order in which docs/format.md section 6 hashes
them; nothing grows with the number of parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from pxl_audit.verify.entry import Entry
from pxl_audit.verify.ledger import Ledger
from pxl_audit.verify.note import NoteError, strict_base64
from pxl_audit.verify.report import PARTS, Erasure, Findings
from pxl_audit.verify.tree import RunningTree, leaf_hash

STARTED = "dsr.erasure.started"
COMPLETED = "dsr.erasure.completed"
EXPIRED = "retention.expired"
_EXPLAINS = {"erased": STARTED, "expired": EXPIRED}
_decode = msgspec.json.Decoder(Entry).decode


@dataclass(frozen=True)
class _Announced:
    counts: dict[str, int]
    root: bytes


@dataclass(frozen=True)
class Difference:
    """An event whose set in the vault is not the announced one, while the ledger has the announced one."""

    event: int
    kind: Literal["erasure", "expiry"]
    pending: bool
    """Parts of the set may still be open."""


@dataclass
class _Destroyed:
    tree: RunningTree = field(default_factory=RunningTree)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))


class EventBook:
    """What the log announced, and what the vault says was destroyed."""

    def __init__(self, findings: Findings, size: int, entry_at: Callable[[int], bytes | None]) -> None:
        self._findings = findings
        self._size = size
        self._entry_at = entry_at
        self._names: dict[int, str | None] = {}
        self._announced: dict[int, tuple[str, _Announced | None]] = {}
        self._requests: dict[int, object] = {}
        self._completed: dict[int, int] = {}
        self._destroyed: dict[int, _Destroyed] = {}

    def see(self, index: int, entry: Entry) -> None:
        """Take note of an entry of the log that is about destruction."""
        if entry.event in (STARTED, EXPIRED):
            self._announced[index] = (entry.event, self._announcement(index, entry))
            self._requests[index] = entry.facts.get("request")
        elif entry.event == COMPLETED:
            started = entry.facts.get("started")
            known = isinstance(started, int) and self._announced.get(started, ("", None))[0] == STARTED
            if not known or not isinstance(started, int) or self._requests[started] != entry.facts.get("request"):
                self._findings.add(
                    "event-facts",
                    "log/",
                    f"`started`: an earlier {STARTED} of the same request",
                    "no such event",
                    index=index,
                )
            else:
                self._completed.setdefault(started, index)

    def _announcement(self, index: int, entry: Entry) -> _Announced | None:
        facts = entry.facts
        try:
            root = strict_base64(str(facts.get("root", "")))
            actor, target = facts.get("actor_parts"), facts.get("target_parts")
            if len(root) == 32 and isinstance(actor, int) and isinstance(target, int):
                return _Announced({"actor": actor, "target": target}, root)
        except NoteError:
            pass
        self._findings.add(
            "event-facts", "log/", f"{entry.event} with actor_parts, target_parts, root", "not these facts", index=index
        )
        return None

    def destroyed(self, index: int, part: str, state: str, by: int) -> str | None:
        """Count a part in state `erased` or `expired`. What is wrong with the event `by`, or None."""
        if by >= self._size or by < 0:
            return f"event {by}, which is not in the log"
        if by not in self._names:
            self._names[by] = self._name(by)
        if self._names[by] != _EXPLAINS[state]:
            return f"event {by}, which is not {_EXPLAINS[state]}"
        destroyed = self._destroyed.setdefault(by, _Destroyed())
        destroyed.tree.append(leaf_hash(b"%d %s" % (index, part.encode())))
        destroyed.counts[part] += 1
        return None

    def _name(self, index: int) -> str | None:
        raw = self._entry_at(index)
        try:
            return _decode(raw).event if raw is not None else None
        except msgspec.MsgspecError:
            return None

    def finish(self, ledger: Ledger, *, published: int) -> tuple[list[Erasure], list[Difference]]:
        """Compare log, vault and ledger. The erasures, and the events whose sets must be compared part by part.

        `published`: size of the newest checkpoint, which may be ahead of the one that is being verified.
        """
        erasures: list[Erasure] = []
        differences: list[Difference] = []
        for event, (name, announced) in sorted(self._announced.items()):
            vault = self._destroyed.get(event, _Destroyed())
            completed = self._completed.get(event)
            pending = name == STARTED and completed is None
            kind: Literal["erasure", "expiry"] = "erasure" if name == STARTED else "expiry"
            erasures.append(Erasure(event, kind, vault.counts["actor"], vault.counts["target"], completed, pending))
            if announced is None:
                continue
            in_ledger = self._compare_ledger(event, announced, ledger, needed=completed is not None)
            if not self._as_announced(event, announced, vault, pending=pending) and in_ledger:
                differences.append(Difference(event, kind, pending))
        for event in ledger.events():
            if event >= published:
                self._findings.add(
                    "ledger-event", ledger.name, f"an event below {published}, the size of the log", f"event {event}"
                )
            elif event < self._size and event not in self._announced:
                self._findings.add(
                    "ledger-event", ledger.name, f"{STARTED} at index {event}", "another event", index=event
                )
        return erasures, differences

    def _compare_ledger(self, event: int, announced: _Announced, ledger: Ledger, *, needed: bool) -> bool:
        line = ledger.line(event)
        if line is None:
            if needed:
                self._findings.add("ledger-missing", ledger.name, f"a line of event {event}", "none", index=event)
            return False
        if line.root != announced.root or line.counts != announced.counts:
            self._findings.add(
                "ledger-set",
                ledger.name,
                _say(announced.counts, announced.root),
                _say(line.counts, line.root),
                index=event,
            )
            return False
        return True

    def _as_announced(self, event: int, announced: _Announced, vault: _Destroyed, *, pending: bool) -> bool:
        root = vault.tree.root()
        if vault.counts == announced.counts and root == announced.root:
            return True
        # Until it is completed, less may be gone than was announced.
        if not (pending and all(vault.counts[part] <= announced.counts[part] for part in PARTS)):
            self._findings.add(
                "erasure-set", "vault/", _say(announced.counts, announced.root), _say(vault.counts, root), index=event
            )
        return False


def _say(counts: dict[str, int], root: bytes) -> str:
    return f"{counts['actor']} actor and {counts['target']} target parts, root {root.hex()}"
