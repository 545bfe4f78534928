"""Compare rows of the vault with their leaves: the skeleton again, and what each opening is.

A batch in which everything is open and right, the usual case, is compared as a whole; any other row by row.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from pxl_audit.verify.entry import HTTP_REQUEST, Entry, value
from pxl_audit.verify.erasures import EventBook
from pxl_audit.verify.log_walk import Bundle
from pxl_audit.verify.open_vault import OpenRow
from pxl_audit.verify.parts import SALT, are_canonical, commitments, persons
from pxl_audit.verify.report import PARTS, STATES, Findings, describe
from pxl_audit.verify.sealed import Row, SealedFile
from pxl_audit.verify.vault_rows import Chunk

# Where things stand in a leaf that is known to be well-formed: {"a":"<43>","b":"<43>"<tail>}
_A, _B, _TAIL = slice(6, 49), slice(56, 99), slice(100, -1)
_DEFAULT_EVENT = b',"e":"http.request"'
_MEMBERS = {
    "c": "status", "d": "duration_us", "e": "event", "f": "facts", "g": "error_type", "h": "first_byte_us",
    "i": "request_bytes", "k": "actor_kind", "m": "method", "n": "ending", "o": "outcome", "p": "retention",
    "r": "route", "s": "service", "t": "time", "u": "response_bytes", "v": "", "w": "application_us",
}  # fmt: skip
_decode_facts = msgspec.json.Decoder(dict[str, int | str]).decode
_decode_tail = msgspec.json.Decoder(Entry).decode


def _same_tails(stated: list[bytes], built: list[bytes]) -> bool:
    """Whether leaves say what columns say. A leaf may state its event name although it is the one meant without.

    An unescaped `"` begins or ends a text, so these bytes are a whole member; if it is one of `f`, the rest differs.
    """
    return stated == built or [tail.replace(_DEFAULT_EVENT, b"", 1) for tail in stated] == built


class Openings:
    """Counts what each opening is, and reports the ones that are not what the log says."""

    def __init__(self, findings: Findings, events: EventBook) -> None:
        self.counts: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
        self._findings = findings
        self._events = events

    def missing(self, rows: int) -> None:
        """Rows that are in no file of the vault (reported by who looked for them)."""
        for part in PARTS:
            self.counts[part]["missing"] += rows

    def totals(self) -> dict[str, dict[str, int]]:
        """Part -> state -> count, all states named."""
        return {part: {state: self.counts[part][state] for state in STATES} for part in PARTS}

    def check(self, bundle: Bundle, chunks: list[Chunk]) -> None:
        """Compare the rows of one bundle's range (ascending, none twice) with its leaves."""
        for source, rows in chunks:
            if isinstance(source, SealedFile):
                self._check_sealed(bundle, source.name, [row for row in rows if isinstance(row, Row)])
            else:
                for row in rows:
                    entry = bundle.entries[row.at - bundle.start]
                    if entry is not None and isinstance(row, OpenRow):
                        self._open_row(source.name, row, entry, bundle.raw[row.at - bundle.start])

    def _check_sealed(self, bundle: Bundle, file: str, rows: list[Row]) -> None:
        usual = [row for row in rows if row.plain and row.facts is None]
        if self._all_right(bundle, usual):
            if len(usual) == len(rows):
                return
            rows = [row for row in rows if not row.plain or row.facts is not None]
        for row in rows:
            entry = bundle.entries[row.at - bundle.start]
            if entry is not None:
                self._sealed_row(file, row, entry, bundle.raw[row.at - bundle.start])

    def _all_right(self, bundle: Bundle, rows: list[Row]) -> bool:
        """Whether these open rows match their leaves and are canonical; counts them if so."""
        if not rows:
            return True
        positions, tails, _, actors, targets, users, addresses, *_ = zip(*rows, strict=True)
        leaves = [bundle.raw[position - bundle.start] for position in positions]
        try:
            right = (
                _same_tails([leaf[_TAIL] for leaf in leaves], list(tails))
                and commitments("actor", actors) == [leaf[_A] for leaf in leaves]
                and commitments("target", targets) == [leaf[_B] for leaf in leaves]
                and all(bundle.entries[position - bundle.start] is not None for position in positions)
                and persons([actor[SALT:] for actor in actors]) == list(zip(users, addresses, strict=True))
                and are_canonical([target[SALT:] for target in targets])
            )
        except ValueError:
            return False
        if right:
            for part in PARTS:
                self.counts[part]["open"] += len(rows)
        return right

    def _open_row(self, file: str, row: OpenRow, entry: Entry, leaf: bytes) -> None:
        if row.leaf != leaf:
            self._findings.add("vault-leaf", file, describe(leaf), describe(row.leaf), index=row.at)
        for part, opening, commitment in (("actor", row.actor, entry.a), ("target", row.target, entry.b)):
            state = "absent" if opening is None else "open"
            self._part(file, row.at, part, state, opening, commitment, entry)

    def _sealed_row(self, file: str, row: Row, entry: Entry, leaf: bytes) -> None:
        if row.fault is not None:
            self._findings.add("vault-column", file, "skeleton columns as in the leaf", row.fault, index=row.at)
        elif row.tail != leaf[_TAIL] or row.facts is not None:
            self._skeleton(file, row, entry)
        for part, state, opening, by, fault, commitment in (
            ("actor", row.actor_state, row.actor_opening, row.actor_by, row.actor_fault, entry.a),
            ("target", row.target_state, row.target_opening, row.target_by, row.target_fault, entry.b),
        ):
            if fault is not None or state is None:
                named = state if state in STATES[:5] else "an unknown state"
                self._findings.add(
                    "vault-state",
                    file,
                    f"{part}: columns that agree with `{named}`",
                    fault or "no state",
                    index=row.at,
                )
                self.counts[part]["mismatch"] += 1
            elif by is not None:
                self._destroyed(file, row.at, part, state, by)
            else:
                self._part(file, row.at, part, state, opening, commitment, entry)
        self._persons(file, row)

    def _skeleton(self, file: str, row: Row, entry: Entry) -> None:
        """Name the columns that differ; the tail is the columns in the form of a leaf."""
        try:
            if row.facts is not None:
                _decode_facts(row.facts)  # an object and nothing behind it, so that the tail's members are the columns'
            columns = _decode_tail(f'{{"a":"{entry.a}","b":"{entry.b}"'.encode() + (row.tail or b"") + b"}")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._findings.add(
                "vault-column", file, "skeleton columns as in the leaf", "values that no leaf can have", index=row.at
            )
            return
        for letter, column in _MEMBERS.items():
            expected, found = value(entry, letter), value(columns, letter)
            if expected != found:
                self._findings.add(
                    "vault-column", file, f"{column}: {describe(expected)}", describe(found), index=row.at
                )

    def _destroyed(self, file: str, index: int, part: str, state: str, by: int) -> None:
        wrong = self._events.destroyed(index, part, state, by)
        if wrong is None:
            self.counts[part][state] += 1
        else:
            self.counts[part]["missing"] += 1
            self._findings.add("opening-missing", file, f"{part}: {state} by an event that says so", wrong, index=index)

    def _part(
        self, file: str, index: int, part: str, state: str, opening: bytes | None, commitment: str, entry: Entry
    ) -> None:
        if state == "open" and opening is not None:
            found = commitments(part, [opening])[0]
            if found != commitment.encode():
                self._findings.add(
                    "opening-mismatch",
                    file,
                    f"{part}: commitment {commitment}",
                    f"an opening of {found.decode()}",
                    index=index,
                )
                state = "mismatch"
            else:
                self._form(file, index, part, opening[SALT:])
        elif state == "absent" and entry.event == HTTP_REQUEST:
            self._findings.add(
                "opening-missing", file, f"{part}: always there in http.request", "state absent", index=index
            )
            state = "missing"
        self.counts[part][state] += 1

    def _form(self, file: str, index: int, part: str, text: bytes) -> None:
        if not are_canonical([text]):
            found = f"{len(text)} other bytes that match the commitment"
            self._findings.add("part-form", file, f"{part}: a JSON object in RFC 8785 form", found, index=index)

    def _persons(self, file: str, row: Row) -> None:
        """The columns by which a person is found must repeat what the part says, or the person would not be found."""
        try:
            expected = persons([row.actor_opening[SALT:]])[0] if row.actor_opening is not None else (None, None)
        except ValueError:
            return  # reported as its form
        for column, want, got in zip(
            ("user_id", "client_address"), expected, (row.user_id, row.client_address), strict=True
        ):
            if want != got:
                self._findings.add(
                    "vault-person",
                    file,
                    f"{column}: the member of the actor",
                    "another value" if got else "nothing",
                    index=row.at,
                )
