"""The reading side of the log: checkpoint, entries, and proofs from tiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pxl_audit.errors import LogError
from pxl_audit.log.checkpoint import Checkpoint, parse_checkpoint
from pxl_audit.log.merkle import HASH_BYTES, inclusion_proof, root_of_hashes
from pxl_audit.log.note import NoteVerifier, open_note
from pxl_audit.log.tiles import CHECKPOINT, TILE_WIDTH, decode_bundle, entries_path, tile_path


class _TilePath(Protocol):
    """`tile_path` and `entries_path` with the level bound."""

    def __call__(self, n: int, width: int = TILE_WIDTH, /) -> str: ...


class LogReader:
    """Reads a tlog-tiles directory; also while it is being written to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self) -> bytes:
        """The signed checkpoint as it stands in the file.

        Raises:
            LogError: nothing was published yet.
        """
        try:
            return (self.path / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            raise LogError(f"{self.path}: no checkpoint yet; it appears when the agent has published") from None

    def checkpoint(self, vkey: str) -> Checkpoint:
        """The published checkpoint, its signature checked.

        Raises:
            LogError: there is none. NoteError: it is not signed by `vkey`.
        """
        return parse_checkpoint(open_note(self.note(), [NoteVerifier(vkey)]))

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """Entries `start` to `end` (exclusive); `end` at most the size of a published checkpoint."""
        for number in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
            first = number * TILE_WIDTH
            entries = self._bundle(number, min(end - first, TILE_WIDTH))
            yield from entries[max(0, start - first) : end - first]

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Audit path of entry `index` in the tree of `size` entries, the leaf's sibling first."""
        return inclusion_proof(index, size, lambda level, number: self._subtree(level, number, size))

    def _bundle(self, number: int, at_least: int) -> list[bytes]:
        raw = self._tile_bytes(entries_path, number, at_least)
        try:
            return decode_bundle(raw)
        except ValueError as error:
            raise LogError(f"{self.path / entries_path(number)}: {error}; run `pxl-audit verify`") from None

    def _subtree(self, level: int, number: int, size: int) -> bytes:
        tile_level, within = divmod(level, 8)
        first = number << within
        tile, offset = divmod(first, TILE_WIDTH)
        available = (size >> (8 * tile_level)) - tile * TILE_WIDTH
        raw = self._tile_bytes(lambda n, w=TILE_WIDTH: tile_path(tile_level, n, w), tile, min(available, TILE_WIDTH))
        hashes = [raw[i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in range(offset, offset + (1 << within))]
        return root_of_hashes(hashes)

    def _tile_bytes(self, name: _TilePath, number: int, width: int) -> bytes:
        """The full tile where it exists, else the partial one of this width, else any wider one."""
        for path in (self.path / name(number, TILE_WIDTH), self.path / name(number, width)):
            if path.exists():
                return path.read_bytes()
        partials = self.path / f"{name(number, TILE_WIDTH)}.p"
        wider = sorted(int(p.name) for p in partials.glob("*") if p.name.isdecimal() and int(p.name) > width)
        if wider:
            return (partials / str(wider[0])).read_bytes()
        raise LogError(f"{self.path / name(number, width)}: missing; run `pxl-audit verify`")
