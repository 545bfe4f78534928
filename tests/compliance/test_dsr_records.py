"""What an erasure leaves behind that names nobody: sets of parts, and the ledger."""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from compliance.dsr.ledger import append_once, entries, ledger_path
from compliance.dsr.parts import PartSet
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import DirectoryError


def test_the_root_is_the_tree_hash_of_the_entries_in_order() -> None:
    parts = PartSet.of([10, 2], [2])
    assert parts.entries() == ["2 actor", "2 target", "10 actor"]
    leaves = [sha256(b"\0" + entry).digest() for entry in (b"2 actor", b"2 target", b"10 actor")]
    left = sha256(b"\1" + leaves[0] + leaves[1]).digest()
    assert parts.root() == b64encode(sha256(b"\1" + left + leaves[2]).digest()).decode()
    assert PartSet().root() == b64encode(sha256(b"").digest()).decode()


def test_ranges_are_half_open_and_say_the_same() -> None:
    parts = PartSet.of([1, 2, 3, 7], [0])
    assert parts.actor_ranges() == [(1, 4), (7, 8)]
    assert PartSet.from_ranges(parts.actor_ranges(), parts.target_ranges()) == parts
    assert (3, "actor") in parts
    assert (3, "target") not in parts
    assert (4, "actor") not in parts


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory.open_or_create(tmp_path / "audit")


def test_a_line_is_written_once_in_the_form_of_the_format(directory: DataDirectory) -> None:
    for _ in range(2):
        append_once(directory, 9, PartSet.of([1, 2], [5]))
    line = b'{"actor":[[1,3]],"event":9,"log":"%b","target":[[5,6]]}\n' % directory.log_id.encode()
    assert ledger_path(directory).read_bytes() == line


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_torn_line_is_completed(directory: DataDirectory, kept: int) -> None:
    append_once(directory, 9, PartSet.of([1], []))
    append_once(directory, 12, PartSet.of([2], []))
    path = ledger_path(directory)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    os.truncate(path, first + kept if kept > 0 else len(whole) + kept)
    assert [entry.event for entry in entries(directory)] == [9]
    append_once(directory, 12, PartSet.of([2], []))
    assert path.read_bytes() == whole


def test_a_torn_line_of_another_erasure_is_not_taken_for_ours(directory: DataDirectory) -> None:
    append_once(directory, 12, PartSet.of([2], []))
    os.truncate(ledger_path(directory), 30)
    with pytest.raises(DirectoryError, match="half a line of another erasure"):
        append_once(directory, 13, PartSet.of([3, 9], []))


def test_a_damaged_line_is_an_error(directory: DataDirectory) -> None:
    append_once(directory, 12, PartSet.of([2], []))
    ledger_path(directory).write_bytes(b"{}\n" + ledger_path(directory).read_bytes())
    with pytest.raises(DirectoryError, match="damaged"):
        entries(directory)
