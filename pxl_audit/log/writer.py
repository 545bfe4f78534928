"""The writing side of the log: entry bundles, hash tiles, and the signed checkpoint, in that order.

Whatever a published checkpoint covers is durable before it. Files that a crash left behind are simply written again:
entries have their index for good before they come here, so the bytes are the same.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pxl_audit.errors import LogError
from pxl_audit.files import make_directory, sync_directory, write_atomically
from pxl_audit.log.checkpoint import Checkpoint, parse_checkpoint
from pxl_audit.log.merkle import HASH_BYTES, Frontier, leaf_hash, root_of_hashes
from pxl_audit.log.note import NoteError, NoteVerifier, Signer, open_note
from pxl_audit.log.tiles import (
    CHECKPOINT,
    TILE_WIDTH,
    decode_bundle,
    encode_entry,
    entries_path,
    level_counts,
    partial_directory,
    tile_path,
)


class LogWriter:
    """Appends entries to a tlog-tiles directory. One process at a time (the agent's lock sees to that)."""

    def __init__(self, path: Path, signer: Signer) -> None:
        self._path = path
        self._signer = signer
        self._bundle: list[bytes] = []
        self._tiles: list[list[bytes]] = []
        self._frontier = Frontier()
        make_directory(path)
        if (path / CHECKPOINT).exists():
            self._load()

    @property
    def size(self) -> int:
        """Number of entries that the published checkpoint covers."""
        return self._frontier.size

    def append(self, entries: Sequence[bytes]) -> Checkpoint:
        """Write entries, tiles, then the checkpoint; all of it is durable and published on return.

        Raises:
            OSError: nothing was published; this writer must be opened anew.
        """
        files: dict[str, bytes] = {}
        full: list[str] = []
        for entry in entries:
            self._bundle.append(encode_entry(entry))
            hashed = leaf_hash(entry)
            self._frontier.append(hashed)
            number = (self._frontier.size - 1) // TILE_WIDTH
            if len(self._bundle) == TILE_WIDTH:
                files[entries_path(number)] = b"".join(self._bundle)
                full.append(entries_path(number))
                self._bundle.clear()
            self._add_hash(0, number, hashed, files, full)
        self._add_partials(files)
        self._write(files)
        checkpoint = Checkpoint(self._signer.name, self.size, self._frontier.root())
        write_atomically(self._path / CHECKPOINT, self._signer.sign(checkpoint.text()))
        for path in full:
            # Clients of older checkpoints find the full tile instead (tlog-tiles: partial tiles MAY be deleted).
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self._path / partial_directory(path))
        return checkpoint

    def _add_hash(self, level: int, number: int, value: bytes, files: dict[str, bytes], full: list[str]) -> None:
        if level == len(self._tiles):
            self._tiles.append([])
        tile = self._tiles[level]
        tile.append(value)
        if len(tile) == TILE_WIDTH:
            files[tile_path(level, number)] = b"".join(tile)
            full.append(tile_path(level, number))
            parent = root_of_hashes(tile)
            tile.clear()
            self._add_hash(level + 1, number // TILE_WIDTH, parent, files, full)

    def _add_partials(self, files: dict[str, bytes]) -> None:
        if self._bundle:
            files[entries_path(self.size // TILE_WIDTH, len(self._bundle))] = b"".join(self._bundle)
        for level, count in level_counts(self.size):
            if self._tiles[level]:
                files[tile_path(level, count // TILE_WIDTH, len(self._tiles[level]))] = b"".join(self._tiles[level])

    def _write(self, files: dict[str, bytes]) -> None:
        parents = set()
        for name, data in files.items():
            path = self._path / name
            make_directory(path.parent)
            write_atomically(path, data, sync_parent=False)
            parents.add(path.parent)
        for parent in parents:
            sync_directory(parent)

    def _load(self) -> None:
        """Continue the existing log: read its right edge and check it against the checkpoint, which must be ours."""
        where = self._path / CHECKPOINT
        try:
            checkpoint = parse_checkpoint(open_note(where.read_bytes(), [NoteVerifier(self._signer.vkey)]))
        except NoteError as error:
            raise LogError(
                f"{where}: {error}; this log cannot be continued with the key in keys/log.key: put the right key back"
            ) from None
        size = checkpoint.size
        subtrees: list[bytes] = []
        for level, count in level_counts(size):
            number, width = divmod(count, TILE_WIDTH)
            tile = self._read(partial(tile_path, level, number), width) if width else b""
            hashes = [tile[i : i + HASH_BYTES] for i in range(0, width * HASH_BYTES, HASH_BYTES)]
            self._tiles.append(hashes)
            subtrees = _perfect_subtrees(hashes) + subtrees
        try:
            self._frontier = Frontier(size, subtrees)
            if size % TILE_WIDTH:
                bundle = self._read(partial(entries_path, size // TILE_WIDTH), size % TILE_WIDTH)
                self._bundle = [encode_entry(entry) for entry in decode_bundle(bundle)[: size % TILE_WIDTH]]
        except ValueError as error:
            raise LogError(f"{self._path}: its newest tiles are damaged ({error}); run `pxl-audit verify`") from None
        if self._frontier.root() != checkpoint.root or len(self._bundle) != size % TILE_WIDTH:
            raise LogError(
                f"{self._path}: its newest tiles do not give the root of the checkpoint; run `pxl-audit verify`"
            )

    def _read(self, name: Callable[[int], str], width: int) -> bytes:
        """A partial tile, or the full one that a crash may have left in its place: it begins with the same bytes."""
        for path in (self._path / name(width), self._path / name(TILE_WIDTH)):
            if path.exists():
                return path.read_bytes()
        raise LogError(
            f"{self._path / name(width)}: missing, but the checkpoint covers it; restore it, or run `pxl-audit verify`"
        )


def _perfect_subtrees(hashes: Sequence[bytes]) -> list[bytes]:
    """Roots of the perfect subtrees that a partial tile's hashes make up, largest first."""
    roots = []
    position = 0
    for bit in reversed(range(8)):
        if len(hashes) >> bit & 1:
            roots.append(root_of_hashes(hashes[position : position + (1 << bit)]))
            position += 1 << bit
    return roots
