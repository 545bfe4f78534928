"""Read the whole log once: every entry bundle and every tile that a tree of the checkpoint's size has.

Each hash in a tile is compared with what the entries below it give, and the root with the checkpoint's, so that a fault
is found where it is and not only that there is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pxl_audit.verify.entry import Entry, read_entries
from pxl_audit.verify.note import Head
from pxl_audit.verify.paths import ENTRIES, WIDTH, Resource, resource_at
from pxl_audit.verify.report import Finding, Findings
from pxl_audit.verify.tree import RunningTree, perfect_root

HASH = 32


@dataclass(frozen=True)
class Bundle:
    """The entries `start` to `start + len(raw)`; an entry is None if it is malformed or newer."""

    start: int
    raw: list[bytes]
    entries: list[Entry | None]


class LogFiles:
    """The files of log/ at the time of one checkpoint; `edge` holds its partial resources, read with it."""

    def __init__(self, path: Path, head: Head, edge: dict[str, bytes], findings: Findings) -> None:
        self.path = path
        self.head = head
        self._edge = edge
        self._findings = findings

    def read(self, resource: Resource, unit: str) -> bytes | None:
        """Bytes of a resource, or None; a missing one is reported with the index of the first leaf it covers."""
        if resource.path in self._edge:
            return self._edge[resource.path]
        try:
            return (self.path / resource.path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            span = WIDTH ** max(resource.level, 0)
            first = resource.number * WIDTH * span
            self._findings.add(
                "log-file-missing", f"log/{resource.path}", f"{resource.width} {unit}", "no such file", index=first
            )
            return None

    def entry(self, index: int) -> bytes | None:
        """One entry, read on its own; None if it cannot be read (which `walk` reports)."""
        resource = resource_at(ENTRIES, index // WIDTH, self.head.size)
        data = self._edge.get(resource.path)
        if data is None:
            try:
                data = (self.path / resource.path).read_bytes()
            except OSError:
                return None
        entries = split_bundle(data)[0]
        return entries[index % WIDTH] if index % WIDTH < len(entries) else None

    def earlier(self, resource: Resource) -> Iterator[tuple[Resource, bytes]]:
        """The partial resources of earlier sizes that still lie beside this one."""
        try:
            names = [path.name for path in (self.path / f"{resource.full_path}.p").iterdir()]
        except OSError:
            return
        for name in sorted(names):
            narrower = Resource(
                resource.level, resource.number, int(name) if name.isascii() and name.isdecimal() else 0
            )
            if not 0 < narrower.width < resource.width or narrower.path.rpartition("/")[2] != name:
                continue  # what else lies there is judged by its name, in `strays`
            try:
                yield narrower, (self.path / narrower.path).read_bytes()
            except OSError:
                continue  # the running agent removes them


def split_bundle(data: bytes) -> tuple[list[bytes], int]:
    """The whole entries at the start of a bundle, and the number of bytes behind them that are no entry."""
    entries = []
    position, end = 0, len(data)
    while position + 2 <= end:
        start = position + 2
        stop = start + (data[position] << 8 | data[position + 1])
        if stop > end:
            break
        entries.append(data[start:stop])
        position = stop
    return entries, end - position


class _Level:
    """The tiles of one level, compared hash by hash as the hashes of the level below are completed."""

    def __init__(self, files: LogFiles, level: int, findings: Findings) -> None:
        self._files = files
        self._level = level
        self._findings = findings
        self._number = 0
        self._computed: list[bytes | None] = []
        self._tile: bytes | None = None
        self._above: _Level | None = None

    def push(self, computed: bytes | None, stored: bytes | None = None) -> None:
        """Take the root of the next tile below: as the entries give it, and as the tile itself gives it."""
        position = len(self._computed)
        if position == 0:
            self._tile = read_tile(
                self._files, resource_at(self._level, self._number, self._files.head.size), self._findings
            )
        if self._tile is not None:
            here = self._tile[position * HASH : position * HASH + HASH]
            # If the tile here agrees with the stored tile below, the entries are at fault, and were reported there.
            if computed is None:
                computed = here
            elif here not in (computed, stored):
                index = (self._number * WIDTH + position) * WIDTH**self._level
                path = resource_at(self._level, self._number, self._files.head.size).path
                self._findings.add("tile-hash", f"log/{path}", computed.hex(), here.hex(), index=index)
        self._computed.append(computed)
        if len(self._computed) == WIDTH:
            self._complete()

    def _complete(self) -> None:
        whole = [digest for digest in self._computed if digest is not None]
        computed = perfect_root(whole) if len(whole) == WIDTH else None
        stored = _tile_root(self._tile) if self._tile is not None else None
        if self._above is None:
            self._above = _Level(self._files, self._level + 1, self._findings)
        self._above.push(computed, stored)
        self._computed, self._tile = [], None
        self._number += 1


def read_tile(files: LogFiles, resource: Resource, findings: Findings) -> bytes | None:
    """A hash tile of exactly its width, else None (reported); its earlier partial tiles are compared too."""
    tile = files.read(resource, "hashes")
    if tile is None:
        return None
    if len(tile) != resource.width * HASH:
        findings.add("tile-length", f"log/{resource.path}", f"{resource.width * HASH} bytes", f"{len(tile)} bytes")
        return None
    for narrower, data in files.earlier(resource):
        _compare_earlier(narrower, data, tile[: narrower.width * HASH], findings)
    return tile


def _compare_earlier(resource: Resource, data: bytes, expected: bytes, findings: Findings) -> None:
    if data != expected:
        same = next(
            (i for i, (a, b) in enumerate(zip(data, expected, strict=False)) if a != b), min(len(data), len(expected))
        )
        findings.add(
            "partial-differs",
            f"log/{resource.path}",
            f"the first {len(expected)} bytes of {resource.full_path}",
            f"{len(data)} bytes, another from byte {same} on",
        )


def _tile_root(tile: bytes) -> bytes:
    return perfect_root([tile[i : i + HASH] for i in range(0, WIDTH * HASH, HASH)])


def walk(files: LogFiles, findings: Findings, held: Mapping[str, Head]) -> Iterator[Bundle | None]:
    """The bundles of the log in order, None for one whose entries cannot be read; checks all hashes on the way.

    `held`: checkpoints that were kept elsewhere, by name; the tree must have had their roots when it had their sizes.
    """
    tree = RunningTree()
    milestones = _Milestones(held, findings)
    level_1 = _Level(files, 1, findings)
    whole = True
    size = files.head.size
    for number in range(-(-size // WIDTH)):
        resource = resource_at(ENTRIES, number, size)
        raw = _read_bundle(files, resource, findings)
        tile = read_tile(files, resource._replace(level=0), findings)
        hashes = None if raw is None else [sha256(b"\0" + entry).digest() for entry in raw]
        if hashes is not None and tile is not None and b"".join(hashes) != tile:
            _report_entries(resource, hashes, tile, findings)
        if hashes is None and tile is not None:
            hashes = [tile[i : i + HASH] for i in range(0, len(tile), HASH)]
        if whole and hashes is not None:
            milestones.pass_by(tree, hashes)
        if resource.width == WIDTH:
            computed = perfect_root(hashes) if hashes else None
            level_1.push(computed, _tile_root(tile) if tile is not None and raw is not None else None)
            if computed is not None:
                tree.append(computed, 8)
        else:
            for digest in hashes or ():
                tree.append(digest)
        whole = whole and hashes is not None
        if raw is None:
            yield None
        else:
            yield Bundle(number * WIDTH, raw, read_entries(raw, number * WIDTH, resource.path, findings))
    # Without all hashes there is no root to compare; that they are missing is found already.
    if whole and tree.root() != files.head.root:
        findings.add("root", "log/checkpoint", f"root {files.head.root.hex()}", f"the entries give {tree.root().hex()}")
    elif whole:
        _blame_tiles(findings)
    milestones.finish(size)


class _Milestones:
    """Compares the tree with older checkpoints at their sizes, while it grows."""

    def __init__(self, held: Mapping[str, Head], findings: Findings) -> None:
        self._waiting = sorted(((head.size, name, head.root) for name, head in held.items()), reverse=True)
        self._findings = findings

    def pass_by(self, tree: RunningTree, hashes: list[bytes]) -> None:
        """Compare with the checkpoints whose size is reached within the next `hashes`."""
        while self._waiting and self._waiting[-1][0] <= tree.size + len(hashes):
            size, name, root = self._waiting.pop()
            then = tree.copy()
            for digest in hashes[: size - tree.size]:
                then.append(digest)
            if then.root() != root:
                what = f"root {then.root().hex()} of the first {size} entries"
                self._findings.add(
                    "held-checkpoint", name, what, f"root {root.hex()}: another history was signed", index=size
                )

    def finish(self, size: int) -> None:
        """What was not reached is larger than the log, or lies behind entries that are missing (and were found)."""
        for larger, name, _ in self._waiting:
            if larger > size:
                self._findings.add(
                    "held-checkpoint", name, f"a log of at least {larger} entries", f"{size} entries", index=size
                )


def _blame_tiles(findings: Findings) -> None:
    """All entries together give the signed root: where an entry and its tile disagree, the tile is what is wrong."""
    for i, finding in enumerate(findings.kept):
        if finding.kind == "entry-hash":
            file = finding.file.replace("log/tile/entries/", "log/tile/0/")
            findings.kept[i] = Finding("tile-hash", file, finding.index, finding.found, "another hash")


def _report_entries(resource: Resource, hashes: list[bytes], tile: bytes, findings: Findings) -> None:
    for i, digest in enumerate(hashes):
        stored = tile[i * HASH : i * HASH + HASH]
        if digest != stored:
            found = f"an entry with hash {digest.hex()}"
            expected = f"hash {stored.hex()} (log/{resource._replace(level=0).path})"
            findings.add("entry-hash", f"log/{resource.path}", expected, found, index=resource.number * WIDTH + i)


def _read_bundle(files: LogFiles, resource: Resource, findings: Findings) -> list[bytes] | None:
    data = files.read(resource, "entries")
    if data is None:
        return None
    entries, rest = split_bundle(data)
    if rest or len(entries) != resource.width:
        findings.add(
            "bundle-length",
            f"log/{resource.path}",
            f"{resource.width} entries and no byte more",
            f"{len(entries)} entries and {rest} bytes behind them",
            index=resource.number * WIDTH + min(len(entries), resource.width),
        )
        if len(entries) < resource.width:
            return None
    for narrower, earlier in files.earlier(resource):
        end = sum(2 + len(entry) for entry in entries[: narrower.width])
        _compare_earlier(narrower, earlier, data[:end], findings)
    return entries[: resource.width]
