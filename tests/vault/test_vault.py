"""The vault: what is committed, what a crash leaves, and that destroying destroys exactly what was named."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from pxl_audit.agent.client import append_and_wait, seal_all
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import LogError
from pxl_audit.event import make_event
from pxl_audit.log.reader import LogReader
from pxl_audit.vault.destroy import destroy_openings
from pxl_audit.vault.journal import OpenVault, RowLine, read_committed, read_rows
from pxl_audit.vault.query import connect, published_size, rows
from pxl_audit.vault.row import Part
from pxl_audit.vault.sealed import engine, seal
from tests.builders import fill


def lines(first: int, count: int) -> list[RowLine]:
    return [RowLine(index=i, leaf="{}", actor="{}", actor_salt="AA==") for i in range(first, first + count)]


def test_a_batch_counts_from_its_commit_line_on(tmp_path: Path) -> None:
    """Every cut inside the second batch gives the first batch, whole, and the file goes on from there."""
    opened = OpenVault.recover(tmp_path, 0)
    opened.append(lines(0, 3), {"w": 3})
    whole_first = opened.path.stat().st_size
    opened.append(lines(3, 2), {"w": 5})
    opened.close()
    content = opened.path.read_bytes()
    for cut in range(whole_first, len(content)):
        opened.path.write_bytes(content[:cut])
        again = OpenVault.recover(tmp_path, 0)
        assert (again.end, again.cursors) == (3, {"w": 3}), cut
        again.append(lines(3, 1), {"w": 4})
        again.close()
        assert [row.index for row in read_rows(again.path, 0, 99)] == [0, 1, 2, 3]


def test_a_commit_line_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A changed row before a commit line is not what a crash leaves."""
    opened = OpenVault.recover(tmp_path, 0)
    opened.append(lines(0, 3), {"w": 3})
    opened.close()
    opened.path.write_bytes(opened.path.read_bytes().replace(b'"index":1', b'"index":7'))
    with pytest.raises(LogError, match="does not fit"):
        read_committed(opened.path)


def test_empty_vault_has_the_view(tmp_path: Path) -> None:
    """Before the first record the view exists and is empty."""
    data = DataDirectory.open_or_create(tmp_path / "d")
    with connect(data) as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (0,)


def test_rows_open_their_commitments(tmp_path: Path) -> None:
    """Each opening, sealed or not, is the preimage of the commitment in the log."""
    data = fill(tmp_path / "d", 20)
    for _ in range(2):
        size = published_size(data)
        leaves = [json.loads(leaf) for leaf in LogReader(data.log).leaves(0, size)]
        for row in rows(data, 0, size):
            for letter, part, opening in (("a", b"actor", row.actor), ("b", b"target", row.target)):
                if opening.state == "open":
                    assert opening.salt is not None
                    assert opening.text is not None
                    committed = sha256(
                        b"pxl-audit/commit/v1\0" + part + b"\0" + opening.salt + opening.text.encode()
                    ).digest()
                    assert leaves[row.index][letter] + "=" == b64encode(committed).decode()
        seal_all(data)


def test_salts_are_never_used_twice(tmp_path: Path) -> None:
    """64 salts of 32 records of the same person are 64 different values."""
    data = fill(tmp_path / "d", 32, lambda _: "same")
    salts = [opening.salt for row in rows(data, 0, 1 << 40) for opening in (row.actor, row.target) if opening.salt]
    assert len(salts) >= 64
    assert len(set(salts)) == len(salts)
    assert {len(salt) for salt in salts} == {32}


def test_destroying_destroys_exactly_what_was_named(tmp_path: Path) -> None:
    """The named parts are gone with their copies in columns; every other value is as before; again is a no-op."""
    data = fill(tmp_path / "d", 60)
    seal_all(data)
    append_and_wait(data, [make_event("test.more", actor={"user.id": "user-3"})])
    seal_all(data)
    before = {row.index: row for row in rows(data, 0, 1 << 40)}
    actors = [index for index, row in before.items() if '"user-3"' in (row.actor.text or "")]
    named: dict[Part, list[int]] = {"actor": actors, "target": actors[:2]}
    assert len(list(data.sealed.iterdir())) == 2
    assert destroy_openings(data, named, state="erased", by=5) == len(actors) + 2
    after = {row.index: row for row in rows(data, 0, 1 << 40)}
    for index, row in after.items():
        for part in ("actor", "target"):
            opening = getattr(row, part)
            if index in named[part]:
                assert (opening.state, opening.text, opening.salt, opening.by) == ("erased", None, None, 5)
            else:
                assert opening == getattr(before[index], part)
    with connect(data) as connection:
        left = connection.execute("SELECT count(*) FROM records WHERE user_id = 'user-3'").fetchone()
    assert left == (0,)
    assert destroy_openings(data, named, state="erased", by=5) == 0


@pytest.mark.slow
def test_sealing_needs_no_memory_for_the_whole_file(tmp_path: Path) -> None:
    """150 000 rows within the sealer's 256 MiB, in order."""
    salt = b64encode(bytes(32)).decode()
    path = tmp_path / "open.jsonl"
    with path.open("w") as file:
        for index in range(150_000):
            noise = f"{index * 2654435761:032x}" * 4
            row = {
                "index": index,
                "leaf": '{"s":"x","t":1}',
                "actor": json.dumps({"user.id": noise}),
                "actor_salt": salt,
            }
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
    sealed = seal(path, tmp_path, 0, 150_000)
    with closing(engine(memory_limit_mib=256)) as connection:
        found = connection.execute(f"SELECT \"index\" FROM read_parquet('{sealed.path}')").fetchall()
    assert [row[0] for row in found] == list(range(150_000))


def test_left_overs_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    """Half a sealed file may hold a person's data: the next agent removes it."""
    data = fill(tmp_path / "d", 3)
    seal_all(data)
    left_over = data.sealed / ".000000000000-000000000009.parquet.tmp"
    left_over.write_bytes(b"canary")
    append_and_wait(data, [make_event("test.event")])
    assert not left_over.exists()


def test_leaves_leave_defaults_out(tmp_path: Path) -> None:
    """One form for one meaning: a default is left out, wherever the value came from."""
    data = fill(tmp_path / "d", 3)
    leaves = [json.loads(leaf) for leaf in LogReader(data.log).leaves(0, published_size(data))]
    requests = [leaf for leaf in leaves if "m" in leaf]
    assert len(requests) == 3
    assert all({"e", "n", "o", "p"}.isdisjoint(leaf) for leaf in requests)


def test_destroying_needs_a_sealed_file(tmp_path: Path) -> None:
    """What is still in the open vault is not silently left there."""
    data = fill(tmp_path / "d", 5)
    with pytest.raises(LogError, match="are sealed"):
        destroy_openings(data, {"actor": [1]}, state="erased", by=0)


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC while the new file is made durable: nothing changed, nothing half-written stays."""
    data = fill(tmp_path / "d", 5)
    seal_all(data)
    before = {path.name: path.read_bytes() for path in data.sealed.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pxl_audit.vault.sealed.publish_file", full)
    with pytest.raises(OSError, match="No space"):
        destroy_openings(data, {"actor": [2]}, state="erased", by=0)
    assert {path.name: path.read_bytes() for path in data.sealed.iterdir()} == before
