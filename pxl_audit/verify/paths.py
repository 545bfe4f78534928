"""Names of the files of a tlog-tiles directory (C2SP tlog-tiles), and which of them a tree of a given size has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

WIDTH = 256
ENTRIES = -1
"""The "level" of entry bundles."""
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<number>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


class Resource(NamedTuple):
    """A tile, or an entry bundle (`level` -1), with `width` hashes or entries."""

    level: int
    number: int
    width: int

    @property
    def full_path(self) -> str:
        """Path of the full tile, relative to log/."""
        groups = []
        rest, last = divmod(self.number, 1000)
        while rest:
            rest, group = divmod(rest, 1000)
            groups.append(f"x{group:03d}/")
        return f"tile/{'entries' if self.level == ENTRIES else self.level}/{''.join(reversed(groups))}{last:03d}"

    @property
    def path(self) -> str:
        """Its path, relative to log/."""
        return self.full_path if self.width == WIDTH else f"{self.full_path}.p/{self.width}"

    @property
    def size(self) -> int:
        """The smallest tree that has this resource."""
        span: int = WIDTH ** max(self.level, 0)
        return (self.number * WIDTH + self.width) * span


def parse_path(path: str) -> Resource | None:
    """The resource of a path relative to log/; None if no resource has exactly this path."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    level = ENTRIES if match["level"] == "entries" else int(match["level"])
    number = int(match["number"].replace("x", "").replace("/", ""))
    resource = Resource(level, number, int(match["width"] or WIDTH))
    # Writing it again refuses x000/000, .p/256, levels above 63 and whatever else has two spellings.
    return resource if level <= 63 and resource.width <= WIDTH and resource.path == path else None


def right_edge(size: int) -> Iterator[Resource]:
    """The partial resources of a tree: they alone may be replaced by wider ones when the log grows."""
    count, level = size, 0
    while count:
        if count % WIDTH:
            if level == 0:
                yield Resource(ENTRIES, count // WIDTH, count % WIDTH)
            yield Resource(level, count // WIDTH, count % WIDTH)
        count //= WIDTH
        level += 1


def resource_at(level: int, number: int, size: int) -> Resource:
    """Tile or bundle `number` of a level, as wide as a tree of `size` leaves has it."""
    count = size // WIDTH ** max(level, 0)
    return Resource(level, number, min(WIDTH, count - number * WIDTH))
