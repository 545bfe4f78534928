"""RFC 6962 hashing on the fly: a tree of any size in memory for its logarithm."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962 section 2.1: SHA-256(00 || entry)."""
    return sha256(b"\0" + entry).digest()


def perfect_root(hashes: list[bytes]) -> bytes:
    """Root over a number of hashes that is a power of two, such as the 256 of a full tile."""
    while len(hashes) > 1:
        hashes = [sha256(b"\1" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes), 2)]
    return hashes[0]


class RunningTree:
    """A tree that hashes are appended to, alone or as perfect subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []

    def copy(self) -> RunningTree:
        """The same tree, to be appended to on its own."""
        other = RunningTree()
        other.size, other._peaks = self.size, list(self._peaks)
        return other

    def append(self, digest: bytes, height: int = 0) -> None:
        """Append a perfect subtree of 2**height leaves; `size` must be a multiple of that."""
        self.size += 1 << height
        peaks = self._peaks
        while peaks and peaks[-1][0] == height:
            digest = sha256(b"\1" + peaks.pop()[1] + digest).digest()
            height += 1
        peaks.append((height, digest))

    def root(self) -> bytes:
        """RFC 6962 tree hash of what was appended; SHA-256 of nothing for the empty tree."""
        if not self._peaks:
            return sha256(b"").digest()
        digest = self._peaks[-1][1]
        for _, peak in reversed(self._peaks[:-1]):
            digest = sha256(b"\1" + peak + digest).digest()
        return digest


def set_root(entries: Iterable[tuple[int, str]]) -> bytes:
    """Root of a set of parts (docs/format.md section 6); (index, part name) in ascending order."""
    tree = RunningTree()
    for index, part in entries:
        tree.append(leaf_hash(f"{index} {part}".encode("ascii")))
    return tree.root()
