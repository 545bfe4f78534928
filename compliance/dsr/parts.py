"""A set of parts of records: what a plan selects, what the log announces, what the ledger keeps.

It consists of leaf indexes and names nobody.
"""

from __future__ import annotations

from base64 import b64encode
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pxl_audit.log.merkle import tree_hash
from pxl_audit.vault.row import Part

Range = tuple[int, int]
"""Half-open: from, end."""


@dataclass(frozen=True)
class PartSet:
    """Leaf indexes, ascending and each once, of the parts `actor` and of the parts `target`."""

    actor: tuple[int, ...] = ()
    target: tuple[int, ...] = ()

    @classmethod
    def of(cls, actor: Iterable[int], target: Iterable[int]) -> PartSet:
        """From indexes in any order."""
        return cls(tuple(sorted(set(actor))), tuple(sorted(set(target))))

    @classmethod
    def from_ranges(cls, actor: Iterable[Sequence[int]], target: Iterable[Sequence[int]]) -> PartSet:
        """From half-open ranges."""
        return cls.of(_expand(actor), _expand(target))

    def __len__(self) -> int:
        """How many parts."""
        return len(self.actor) + len(self.target)

    def __contains__(self, item: tuple[int, Part]) -> bool:
        """Is the part of the record at this index in the set?"""
        index, part = item
        indexes = self.indexes()[part]
        position = bisect_left(indexes, index)
        return position < len(indexes) and indexes[position] == index

    def indexes(self) -> Mapping[Part, tuple[int, ...]]:
        """Indexes by part."""
        return {"actor": self.actor, "target": self.target}

    def actor_ranges(self) -> list[Range]:
        """Half-open ranges of the parts `actor`, ascending."""
        return _ranges(self.actor)

    def target_ranges(self) -> list[Range]:
        """Half-open ranges of the parts `target`, ascending."""
        return _ranges(self.target)

    def entries(self) -> list[str]:
        """`"<index> <part>"`, ordered by index, then name (docs/format.md, section 6)."""
        both = [(index, part) for part, indexes in self.indexes().items() for index in indexes]
        return [f"{index} {part}" for index, part in sorted(both)]

    def root(self) -> str:
        """RFC 6962 tree hash of the entries, base64 with padding."""
        return b64encode(tree_hash([entry.encode("ascii") for entry in self.entries()])).decode("ascii")


def _expand(ranges: Iterable[Sequence[int]]) -> Iterable[int]:
    for first, end in ranges:
        yield from range(first, end)


def _ranges(indexes: tuple[int, ...]) -> list[Range]:
    ranges: list[Range] = []
    for index in indexes:
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
    return ranges
