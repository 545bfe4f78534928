"""Names of the files of a C2SP tlog-tiles directory, and how many hashes each level has. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

TILE_WIDTH = 256
MAX_ENTRY_BYTES = 65_535
CHECKPOINT = "checkpoint"


def _number(n: int) -> str:
    """`1234067` as `x001/x234/067`."""
    groups = [f"{n % 1000:03d}"]
    while n >= 1000:
        n //= 1000
        groups.append(f"x{n % 1000:03d}")
    return "/".join(reversed(groups))


def _suffix(width: int) -> str:
    if not 1 <= width <= TILE_WIDTH:
        raise ValueError(f"a tile holds 1 to {TILE_WIDTH} hashes, not {width}")
    return "" if width == TILE_WIDTH else f".p/{width}"


def tile_path(level: int, n: int, width: int = TILE_WIDTH) -> str:
    """Path of hash tile `n` of `level` with `width` hashes, relative to the log directory."""
    return f"tile/{level}/{_number(n)}{_suffix(width)}"


def entries_path(n: int, width: int = TILE_WIDTH) -> str:
    """Path of entry bundle `n` with `width` entries, relative to the log directory."""
    return f"tile/entries/{_number(n)}{_suffix(width)}"


def partial_directory(path: str) -> str:
    """Directory of the partial tiles that precede the full tile at `path`."""
    return f"{path}.p"


def level_counts(size: int) -> Iterator[tuple[int, int]]:
    """Level and number of hashes at it, for each level that a tree of `size` leaves has."""
    level = 0
    while size:
        yield level, size
        size //= TILE_WIDTH
        level += 1


def encode_entry(entry: bytes) -> bytes:
    """One entry as it stands in a bundle: big-endian u16 length, then the bytes."""
    if len(entry) > MAX_ENTRY_BYTES:
        raise ValueError(f"an entry has at most {MAX_ENTRY_BYTES} bytes, not {len(entry)}")
    return len(entry).to_bytes(2, "big") + entry


def decode_bundle(bundle: bytes) -> list[bytes]:
    """The entries of a bundle; ValueError when its bytes do not add up."""
    entries: list[bytes] = []
    position = 0
    while position < len(bundle):
        end = position + 2 + int.from_bytes(bundle[position : position + 2], "big")
        if position + 2 > len(bundle) or end > len(bundle):
            raise ValueError(f"entry {len(entries)} is cut off at byte {len(bundle)}")
        entries.append(bundle[position + 2 : end])
        position = end
    return entries
