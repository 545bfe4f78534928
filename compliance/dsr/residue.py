"""Is a value of the person still anywhere in the data directory? Asked while its identifiers are still known.

Two searches: of every byte of every file, in every form a value may have (Parquet pages are compressed, so that alone
would prove little), and of the decoded columns of the vault. What they find is judged:

========  ==========================================================================================================
found     a whole token where nothing should be left: exit code 1
newer     it stands in a record that is newer than the plan: open a new request
withheld  it stands in a part that the plan withholds
review    somebody else's longer name, a word of the format, another open request: for a person to look at
========  ==========================================================================================================

Addresses and browsers may stay in other people's records; they are only counted.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from compliance.dsr.columns import ColumnHit, scan_columns, search_sees, shared_rows, skeleton_words
from compliance.dsr.needles import is_weak
from compliance.dsr.parts import PartSet
from compliance.dsr.raw_scan import RawHit, Say, finds_planted, scan_files
from compliance.dsr.requests import FINAL, Residue, load, now, request_path
from compliance.dsr.subject import SHARED_NAMES, Subject
from pxl_audit.directory import DataDirectory
from pxl_audit.vault.row import Part

Verdict = Literal["found", "newer", "withheld", "review"]

_SEALED = re.compile(r"([0-9]{12})-([0-9]{12})\.parquet", re.ASCII)
_FORMAT_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
        absent access actor actor_by actor_kind actor_parts actor_salt actor_state anonymous application_us approved
        client.address client_address commit completed control crc cursors duration_us ending erased error_type
        event executing expired facts first first_byte_us format ground http.request index leaf ledger log log_id
        method network.peer.address open opened outcome partial plan pxl-audit pxl.request.id reason refused request
        request_bytes response_bytes retention root route sealed security service session.id span_id spool started
        status success system target target_by target_parts target_salt target_state time trace_id url.path
        url.query user user.id user.roles user_agent.original user_id vault version withheld writer
        """,
    )
)


@dataclass(frozen=True)
class Place:
    """Where something was found: a file and an offset in bytes, or a leaf index and a column."""

    where: str
    at: int
    verdict: Verdict


@dataclass
class Findings:
    """The places and the numbers of one search."""

    places: list[Place] = field(default_factory=list)
    summary: Residue | None = None

    def of(self, verdict: Verdict) -> list[Place]:
        """Places with this verdict."""
        return [place for place in self.places if place.verdict == verdict]


@dataclass(frozen=True)
class Scope:
    """What the search has to know about the erasure."""

    request_id: str
    size: int
    """The plan's: records from here on are newer."""
    withheld: PartSet
    started: int
    """Leaf index of our own record, which has to be found: the control of the search of columns."""
    spool_before: dict[Path, int]
    """Sizes of the spool's segments before everything was sealed: what stood there has to be gone."""


def spool_sizes(directory: DataDirectory) -> dict[Path, int]:
    """Sizes of all segments of the spool, now."""
    return {path: path.stat().st_size for path in directory.spool.glob("*/*.spool")}


def search_residue(directory: DataDirectory, subject: Subject, scope: Scope, *, say: Say = lambda _: None) -> Findings:
    """Search all of it; the request's own file is left out, for it is what knows the values."""
    own = tuple(identifier for identifier in subject if identifier.name not in SHARED_NAMES)
    values = [identifier.value for identifier in own]
    words = _FORMAT_WORDS | skeleton_words(directory)
    say("searching the columns of the vault")
    columns = scan_columns(directory, own) if own else []
    scan = scan_files(directory.root, values, skip={request_path(directory, scope.request_id)}, say=say)
    judge = _Judge(directory, scope, [is_weak(value, words) for value in values], columns)
    findings = Findings([judge.column(hit) for hit in columns])
    findings.places += [place for hit in scan.hits if (place := judge.raw(hit)) is not None]
    counts = Counter(place.verdict for place in findings.places)
    findings.summary = Residue(
        at=now(),
        files=scan.files,
        bytes=scan.bytes,
        control=finds_planted() and search_sees(directory, scope.started),
        found=counts["found"],
        review=counts["review"],
        newer=counts["newer"],
        withheld=counts["withheld"],
        shared=shared_rows(directory, [one for one in subject if one.name in SHARED_NAMES]),
    )
    return findings


class _Judge:
    def __init__(self, directory: DataDirectory, scope: Scope, weak: list[bool], columns: list[ColumnHit]) -> None:
        self._directory = directory
        self._scope = scope
        self._weak = weak
        self._rows = {hit.index for hit in columns}

    def column(self, hit: ColumnHit) -> Place:
        return Place(f"vault, column {hit.column}", hit.index, self._column_verdict(hit))

    def _column_verdict(self, hit: ColumnHit) -> Verdict:
        if not hit.whole or (hit.column == "facts" and any(self._weak)):
            return "review"
        if hit.index >= self._scope.size:
            return "newer"
        part: Part = "target" if hit.column == "target" else "actor"
        return "withheld" if hit.column != "facts" and (hit.index, part) in self._scope.withheld else "found"

    def raw(self, hit: RawHit) -> Place | None:
        """None where the search of the columns has already told what stands in this file."""
        path, inside = hit.path, hit.path.relative_to(self._directory.root)
        verdict: Verdict | None = "found" if hit.whole and not self._weak[hit.value] else "review"
        if path.parent == self._directory.sealed:
            verdict = None if self._known(path) else verdict
        elif verdict == "found" and path.parent == self._directory.open_vault:
            verdict = self._open_verdict(hit)
        elif verdict == "found" and path.suffix == ".spool":
            verdict = "found" if hit.offset < self._scope.spool_before.get(path, 0) else "newer"
        elif verdict == "found" and path.parent == self._directory.dsr and self._is_open_request(path):
            verdict = "review"
        return None if verdict is None else Place(str(inside), hit.offset, verdict)

    def _known(self, path: Path) -> bool:
        """A sealed file with rows in which the columns hold the value: its statistics repeat it in clear."""
        match = _SEALED.fullmatch(path.name)
        return match is not None and any(int(match[1]) <= index < int(match[2]) for index in self._rows)

    def _open_verdict(self, hit: RawHit) -> Verdict | None:
        index = _row_index(hit)
        if index in self._rows:
            return None
        return "newer" if index is not None and index >= self._scope.size else "found"

    def _is_open_request(self, path: Path) -> bool:
        return path.suffix == ".json" and load(self._directory, path.stem).state not in FINAL


def _row_index(hit: RawHit) -> int | None:
    """Leaf index of the row of an open vault file in which a hit stands; None where that is no row."""
    data = hit.path.read_bytes()
    line = data[data.rfind(b"\n", 0, hit.offset) + 1 :]
    match = re.match(rb'\{"index":([0-9]+),', line)
    return int(match[1]) if match else None
