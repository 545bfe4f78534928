"""RFC 6962 section 2.1 Merkle trees over SHA-256. Pure functions; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
HASH_BYTES = 32


def leaf_hash(entry: bytes) -> bytes:
    """`SHA-256(0x00 || entry)`."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """`SHA-256(0x01 || left || right)`."""
    return sha256(b"\x01" + left + right).digest()


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """Merkle tree hash over leaf (or subtree) hashes; `SHA-256("")` for none."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def tree_hash(entries: Iterable[bytes]) -> bytes:
    """Merkle tree hash over entries."""
    return root_of_hashes([leaf_hash(entry) for entry in entries])


class Frontier:
    """The right edge of a growing tree: hashes of the perfect subtrees of `size` leaves, largest first.

    `size` is the number of leaves, and there is one hash for each one-bit of it.
    """

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if len(hashes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} perfect subtrees, not {len(hashes)}")
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        size, hashes = self.size, self.hashes
        while size & 1:
            leaf = node_hash(hashes.pop(), leaf)
            size >>= 1
        hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Root hash of the tree as it is now."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root


SubtreeHash = Callable[[int, int], bytes]
"""Hash of the perfect subtree at (level, number): leaves `number * 2**level` to `(number + 1) * 2**level`."""


def range_hash(start: int, end: int, subtree: SubtreeHash) -> bytes:
    """Merkle tree hash of leaves `start` to `end` (RFC 6962 split), from hashes of perfect subtrees."""
    width = end - start
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return subtree(level, start >> level)
    split = 1 << ((width - 1).bit_length() - 1)
    return node_hash(range_hash(start, start + split, subtree), range_hash(start + split, end, subtree))


def inclusion_proof(index: int, size: int, subtree: SubtreeHash) -> list[bytes]:
    """Audit path of leaf `index` in a tree of `size` leaves, the leaf's sibling first (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if index < split:
            proof.append(range_hash(split, end, subtree))
            end = split
        else:
            proof.append(range_hash(start, split, subtree))
            start = split
    proof.reverse()
    return proof


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that the leaf hash `leaf` is number `index` in the tree of `size` leaves with `root`."""
    if not 0 <= index < size or any(len(step) != HASH_BYTES for step in proof):
        return False
    inner = (index ^ (size - 1)).bit_length()
    if len(proof) != inner + (index >> inner).bit_count():
        return False
    running = leaf
    for i, step in enumerate(proof):
        leaf_is_left = i < inner and not (index >> i) & 1
        running = node_hash(running, step) if leaf_is_left else node_hash(step, running)
    return running == root
