"""Read every byte of every file below a directory and look for needles. Hits are places, never text."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from compliance.dsr.needles import CONTEXT_BYTES, Needle, needles

CHUNK_BYTES = 8 * 1024 * 1024
MOST_HITS = 1000
"""Of one needle in one file; more are not counted."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class RawHit:
    """`offset` in bytes. `value`: position of the value in the list that was looked for."""

    path: Path
    offset: int
    value: int
    encoding: str
    whole: bool
    """It stands there as a whole token, not inside a longer word."""


@dataclass
class Scan:
    """What was read, and what was found."""

    hits: list[RawHit]
    files: int = 0
    bytes: int = 0


def scan_files(root: Path, values: Sequence[str], *, skip: Collection[Path] = (), say: Say = lambda _: None) -> Scan:
    """Look for `values` in all regular files below `root` but those in `skip`; links are not followed."""
    wanted = [(number, needle) for number, value in enumerate(values) for needle in needles(value)]
    scan = Scan([])
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file() or path in skip:
            continue
        say(f"searching every byte: {scan.files} files, {scan.bytes // 1_000_000} MB")
        try:
            scan.hits += _scan_file(path, wanted, scan)
        except FileNotFoundError:
            continue  # moved on by the agent between the listing and now
        scan.files += 1
    return scan


def _scan_file(path: Path, wanted: list[tuple[int, Needle]], scan: Scan) -> list[RawHit]:
    hits: list[RawHit] = []
    counts = [0] * len(wanted)
    for base, window, start, end in _windows(path):
        scan.bytes += end - start
        for n, (number, needle) in enumerate(wanted):
            for at in _occurrences(window, needle.data, start, end):
                if counts[n] < MOST_HITS:
                    whole = needle.whole(window, at, at + len(needle.data))
                    hits.append(RawHit(path, base + at, number, needle.encoding, whole))
                counts[n] += 1
    return hits


def _occurrences(window: bytes, data: bytes, start: int, end: int) -> Iterator[int]:
    """Where `data` begins in the window, from `start` to `end` (exclusive)."""
    at = window.find(data, start)
    while -1 < at < end:
        yield at
        at = window.find(data, at + 1)


def _windows(path: Path) -> Iterator[tuple[int, bytes, int, int]]:
    """(offset of the window in the file, its bytes, from, to): every offset is in exactly one from-to, with context."""
    window, base, done = b"", 0, 0
    with path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK_BYTES)
            window += chunk
            end = base + len(window) - (CONTEXT_BYTES if chunk else 0)
            if end > done:
                yield base, window, done - base, end - base
                done = end
            if not chunk:
                return
            drop = max(0, done - base - CONTEXT_BYTES)
            window, base = window[drop:], base + drop


def finds_planted() -> bool:
    """The positive control: is a random value, planted outside the data in every form, found as a whole in each?"""
    canary = f"canary {secrets.token_hex(8)}/ü"
    wanted = needles(canary)
    with tempfile.TemporaryDirectory(prefix="pxl-audit-control-") as name:
        root = Path(name)
        for number, needle in enumerate(wanted):
            (root / str(number)).write_bytes(needle.example)
        found = {int(hit.path.name) for hit in scan_files(root, [canary]).hits if hit.whole}
    return found == set(range(len(wanted)))
